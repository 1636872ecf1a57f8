"""The reader's own copies of the lessons, in the folder ``workbook/`` of the course, which git ignores.

Running a lesson changes the notebook. Done in ``notebooks/``, that would stand in the way of the next ``git pull``.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from .report.checkpoints import atomic_write

COURSE = Path(__file__).resolve().parent.parent
AS_IT_WAS = "left as it was"


def copy_lessons(
    chosen: Sequence[str] = (), *, fresh: bool = False, course: Path | None = None
) -> Iterator[tuple[Path, str]]:
    """Copy lessons into the workbook and yield (a notebook there, what became of it in a few words).

    ``chosen`` holds numbers or names such as ``"02"``; empty, it means all lessons. A copy that is there already is left as
    it is; with ``fresh`` it is renamed after the present time, and a clean one takes its place.

    Raises FileNotFoundError where the notebooks are not beside the package, and ValueError for a lesson that there is not.
    """
    course = course or COURSE
    shipped = {path.stem: path for path in sorted((course / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    if not shipped:
        raise FileNotFoundError(
            f"no lessons in {course / 'notebooks'}; they come with the course's repository, not with the package alone"
        )
    for name in [_find(wanted, list(shipped)) for wanted in chosen] or shipped:
        copy = course / "workbook" / f"{name}.ipynb"
        if copy.exists() and not fresh:
            yield copy, AS_IT_WAS
            continue
        clean = _clean_copy(shipped[name])
        if copy.exists():
            kept = copy.with_stem(f"{name}_{datetime.now():%Y-%m-%d_%H-%M-%S}")
            copy.rename(kept)
            yield kept, "what you had"
        with atomic_write(copy) as unfinished:
            unfinished.write_text(clean, encoding="utf-8")
        yield copy, "a clean copy"


def _find(wanted: str, names: list[str]) -> str:
    number = f"{int(wanted):02}" if wanted.isdecimal() else ""
    for name in names:
        if name == wanted or name.split("_")[0] == number:
            return name
    raise ValueError(f"lesson must be one of {', '.join(name.split('_')[0] for name in names)} or a name, got {wanted!r}")


def _clean_copy(shipped: Path) -> str:
    """The text of a shipped notebook under a cell that says whose copy it is, and where its stored outputs come from."""
    notebook = json.loads(shipped.read_text(encoding="utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    printed = "".join("".join(output.get("text", "")) for output in outputs)
    data = re.search(r"^Data in use: (.+)", printed, flags=re.MULTILINE)
    note = (
        "> **Your own copy of this lesson.** Change what you like: no update of the course touches it. "
        f"`attnprune-edu lesson {shipped.stem[:2]} --fresh` puts a clean, up-to-date one in its place and keeps this one "
        "under a dated name."
    )
    if data:
        note += f"\n>\n> Until you run the cells, the outputs below are stored ones, from a run on these data: {data[1]}"
    cell = {"cell_type": "markdown", "id": "your-copy", "metadata": {}, "source": note.splitlines(keepends=True)}
    return json.dumps(notebook | {"cells": [cell, *notebook["cells"]]}, indent=1, ensure_ascii=False) + "\n"
