"""The reader's own copies of the lessons: in ``workbook/`` of the course, which git ignores, or in a folder of their own.

Running a lesson changes the notebook. Done in ``notebooks/``, that would stand in the way of the next update.
"""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from ._course import COURSE, INSIDE
from .report.checkpoints import atomic_write

AS_IT_WAS = "left as it was"


def copy_lessons(
    chosen: Sequence[str] = (), folder: str | Path | None = None, *, fresh: bool = False, course: Path | None = None
) -> Iterator[tuple[Path, str]]:
    """Copy lessons into ``folder`` and yield (a notebook there, what became of it in a few words).

    ``chosen`` holds numbers or names such as ``"02"``; empty, it means all lessons. ``folder`` is made where it is missing;
    None means ``workbook/`` of the course. A copy that is there already is left as it is; with ``fresh`` it is renamed after
    the present time, and a clean one takes its place.

    Raises FileNotFoundError where there are no lessons, or no workbook since the course came as a package;
    NotADirectoryError where ``folder`` is a file; ValueError for a lesson that there is not, and for the folder of the
    lessons themselves.
    """
    course = course or COURSE
    shipped = shipped_lessons(course)
    names = [_find(wanted, list(shipped)) for wanted in chosen] or list(shipped)
    target = _target(folder, course)
    for name in names:
        copy = target / f"{name}.ipynb"
        if copy.exists() and not fresh:
            yield copy, AS_IT_WAS
            continue
        clean = _clean_copy(shipped[name], own_folder=folder is not None)
        if copy.exists():
            kept = copy.with_stem(f"{name}_{datetime.now():%Y-%m-%d_%H-%M-%S}")
            copy.rename(kept)
            yield kept, "what you had"
        with atomic_write(copy) as unfinished:
            unfinished.write_text(clean, encoding="utf-8")
        yield copy, "a clean copy"


def shipped_lessons(course: Path = COURSE) -> dict[str, Path]:
    """{name: notebook} of the lessons in ``course``. Raises FileNotFoundError where there are none."""
    shipped = {path.stem: path for path in sorted((course / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    if not shipped:
        raise FileNotFoundError(f"no lessons in {course / 'notebooks'}: install the course again")
    return shipped


def _find(wanted: str, names: list[str]) -> str:
    number = f"{int(wanted):02}" if wanted.isdecimal() else ""
    for name in names:
        if name == wanted or name.split("_")[0] == number:
            return name
    raise ValueError(f"lesson must be one of {', '.join(name.split('_')[0] for name in names)} or a name, got {wanted!r}")


def _target(folder: str | Path | None, course: Path) -> Path:
    """The folder that the copies go to."""
    if folder is None:
        if course == INSIDE:
            raise FileNotFoundError(
                "there is no workbook/ here, for the course was installed as a package: name a folder of your own, as in "
                "`attnprune-edu lessons FOLDER`"
            )
        return course / "workbook"
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"folder must be one, or not be there yet, and {folder} is a file")
    if folder.resolve() == (course / "notebooks").resolve():
        raise ValueError(f"folder must be one of your own, and {folder} holds the lessons that are copied")
    return folder


def _clean_copy(shipped: Path, *, own_folder: bool) -> str:
    """The text of a shipped notebook under a cell that says whose copy it is, and where its stored outputs come from.

    ``own_folder``: whether it goes to a folder that the reader named, which takes another command to write it again.
    """
    notebook = json.loads(shipped.read_text(encoding="utf-8"))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    printed = "".join("".join(output.get("text", "")) for output in outputs)
    data = re.search(r"\bData in use: (.+)", printed)
    command, where = ("lessons .", ", in this folder,") if own_folder else ("lesson", "")
    note = (
        "> **Your own copy of this lesson.** Change what you like: no update of the course touches it. "
        f"`attnprune-edu {command} {shipped.stem[:2]} --fresh`{where} puts a clean, up-to-date one in its place and keeps "
        "this one under a dated name."
    )
    if data:
        note += f"\n>\n> Until you run the cells, the outputs below are stored ones, from a run on these data: {data[1]}"
    cell = {"cell_type": "markdown", "id": "your-copy", "metadata": {}, "source": note.splitlines(keepends=True)}
    return json.dumps(notebook | {"cells": [cell, *notebook["cells"]]}, indent=1, ensure_ascii=False) + "\n"
