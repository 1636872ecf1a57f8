"""What a student handed in, as the code cells in it: whatever editors, mailers and Git have done to the file."""

import json
from dataclasses import dataclass

LARGEST = 100 * 2**20  # bytes
MOST_MARKS = 10_000_000  # commas and brackets, each of which may cost a hundred bytes once it is read
MOST_DAMAGED = 10  # cells that are named one by one
AGAIN = "Hand in the notebook again, as JupyterLab saved it"


class Unreadable(ValueError):  # noqa: N818, what it says about a file
    """A file that is no notebook; the message is one sentence that says what to do."""


@dataclass(frozen=True)
class Notebook:
    """``cells``: the source of each code cell, from top to bottom. ``notes``: what a reader of the marks should know."""

    cells: list[str]
    notes: list[str]


def read_notebook(content: bytes) -> Notebook:
    """The notebook in the bytes of a file. Raises Unreadable for what is none, or is larger than 100 MB."""
    if len(content) > LARGEST:
        raise Unreadable("the file is larger than 100 MB. Clear the outputs of all cells, save it, and hand it in again.")
    if not content.strip():
        raise Unreadable(f"the file is empty. {AGAIN}.")
    if sum(map(content.count, b",[{")) > MOST_MARKS:
        raise Unreadable(
            "the file holds more than a notebook can. Clear the outputs of all cells, save it, and hand in that file."
        )
    notes: list[str] = []
    try:
        document = _parsed(_text(content, notes), notes)
    except (RecursionError, MemoryError) as error:
        raise Unreadable(f"the file is nested too deeply for a notebook. {AGAIN}.") from error
    cells = _cells(document)
    _note_kernel(document, notes)
    sources, damaged = [], []
    for number, cell in enumerate(cells, start=1):
        kind, source = (
            (cell.get("cell_type"), cell.get("source", cell.get("input"))) if isinstance(cell, dict) else (None, None)
        )
        if isinstance(source, list) and all(isinstance(line, str) for line in source):
            source = "".join(source)
        if not isinstance(kind, str) or (kind == "code" and not isinstance(source, str)):
            damaged.append(number)
        elif kind == "code" and not _is_test_of_nbgrader(cell):
            sources.append(_storable(source).replace("\r\n", "\n"))
    notes += [f"cell {number} of the file is damaged and was left out" for number in damaged[:MOST_DAMAGED]]
    if len(damaged) > MOST_DAMAGED:
        notes.append(f"{len(damaged) - MOST_DAMAGED} more cells of the file are damaged and were left out")
    if not sources:
        notes.append("the notebook has no code cell")
    return Notebook(sources, notes)


def _is_test_of_nbgrader(cell: dict) -> bool:
    """Whether nbgrader put the cell there, to assert what is judged here otherwise."""
    metadata = cell.get("metadata")
    settings = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return isinstance(settings, dict) and settings.get("grade") is True and settings.get("solution") is False


def _text(content: bytes, notes: list[str]) -> str:
    encoding = json.detect_encoding(content)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        notes.append("characters that are not UTF-8 were replaced")
        return content.decode(encoding, "replace")


def _parsed(text: str, notes: list[str]):
    try:
        return json.loads(text, strict=False)
    except ValueError as error:
        problem = error
    text = text.replace("\r\n", "\n")
    for which in ("first", "second"):
        resolved, conflicts = _resolved(text, which)
        try:
            document = json.loads(resolved, strict=False)
        except ValueError:
            continue
        notes.append(f"the file holds conflicts of Git ({conflicts}); of each, the {which} version was graded")
        return document
    where = f" (line {problem.lineno}: {problem.msg})" if isinstance(problem, json.JSONDecodeError) else ""
    raise Unreadable(f"the file is no notebook, or was damaged{where}. {AGAIN}.") from problem


def _resolved(text: str, which: str) -> tuple[str, int]:
    """``text`` with the ``which`` version, "first" or "second", of each conflict that Git left; and how many there were."""
    kept, conflicts, part = [], 0, None
    for line in text.split("\n"):
        if part is None and line.startswith("<<<<<<<"):
            part, conflicts = "first", conflicts + 1
        elif part == "first" and line.startswith("|||||||"):
            part = "common"  # what both versions were made of
        elif part in ("first", "common") and line.rstrip() == "=======":
            part = "second"
        elif part == "second" and line.startswith(">>>>>>>"):
            part = None
        elif part in (None, which):
            kept.append(line)
    return "\n".join(kept), conflicts


def _cells(document) -> list:
    if isinstance(document, dict):
        cells = document.get("cells")
        if cells is None and isinstance(sheets := document.get("worksheets"), list):  # notebooks before 2014
            cells = [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or ()]
        if isinstance(cells, list):
            return cells
    raise Unreadable(f"the file holds no list of cells, so it is no notebook. {AGAIN}.")


def _note_kernel(document: dict, notes: list[str]) -> None:
    metadata = document.get("metadata")
    for part, field in (("kernelspec", "language"), ("language_info", "name")):
        described = metadata.get(part) if isinstance(metadata, dict) else None
        language = described.get(field) if isinstance(described, dict) else None
        if isinstance(language, str) and not language.lower().startswith(("python", "ipython")):
            notes.append(f"the notebook asks for {_storable(language)[:40]!r}; it was run with the course's Python")
            return


def _storable(text: str) -> str:
    """``text`` without halves of characters, which JSON can hold and no file."""
    return text.encode("utf-8", "replace").decode()
