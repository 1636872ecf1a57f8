"""What a notebook looks like when it comes back."""

import json

import pytest
from fakes import notebook

from attnprune_edu.grading import notebooks
from attnprune_edu.grading.notebooks import Unreadable, read_notebook

PLAIN = notebook("a = 1", "b = 2")


def conflict(first, second, base=""):
    return f"<<<<<<< HEAD\n{first}\n{base}=======\n{second}\n>>>>>>> theirs\n"


TEST = {"cell_type": "code", "source": "assert x", "metadata": {"nbgrader": {"grade": True, "solution": False}}}
IN_METADATA = PLAIN.replace(
    '"metadata": {}, "nbformat"', '"metadata": {}, \n' + conflict('"x": 1,', '"x": 2,') + '"nbformat"'
)
IN_CELL = json.dumps(json.loads(PLAIN), indent=0).replace(
    '"source": "a = 1",\n', conflict('"source": "a = 3",', '"source": "a = 4",', '||||||| base\n"source": 0,\n')
)
FIRST_BROKEN = IN_CELL.replace('"a = 3",', '"a = 3')


@pytest.mark.parametrize(
    ("content", "cells", "note"),
    [
        (PLAIN, ["a = 1", "b = 2"], None),
        ("\ufeff" + PLAIN, ["a = 1", "b = 2"], None),
        (PLAIN.encode("utf-16"), ["a = 1", "b = 2"], None),
        (json.dumps(json.loads(notebook("a = 1\r\nb = 2")), indent=1).replace("\n", "\r\n"), ["a = 1\nb = 2"], None),
        (notebook(["a = 1\n", "b = 2"]), ["a = 1\nb = 2"], None),
        (notebook("a = 1", "a = 1"), ["a = 1", "a = 1"], None),
        (notebook("a = '\t'").replace("\\t", "\t"), ["a = '\t'"], None),
        (notebook("a = '\ud800'"), ["a = '?'"], None),
        (notebook("a = '\xe9'").encode().replace(b"\\u00e9", b"\xe9"), ["a = '\ufffd'"], "not UTF-8"),
        (IN_METADATA, ["a = 1", "b = 2"], "(1); of each, the first version"),
        (IN_CELL, ["a = 3", "b = 2"], "the first version"),
        (FIRST_BROKEN, ["a = 4", "b = 2"], "the second version"),
        (IN_CELL.replace("\n", "\r\n"), ["a = 3", "b = 2"], "the first version"),
        (notebook("a", metadata={"kernelspec": {"name": "ir", "language": "R"}}), ["a"], "asks for 'R'"),
        (notebook("a", metadata={"language_info": {"name": "julia"}}), ["a"], "asks for 'julia'"),
        (notebook("a", metadata={"kernelspec": {"name": "mine", "language": "python"}}), ["a"], None),
        (notebook("a", metadata=[1]), ["a"], None),
        (notebook(cells=[1, {"cell_type": "code", "source": 3}, {"cell_type": "code", "source": "x"}]), ["x"], "cell 2"),
        (notebook(cells=[{"cell_type": "markdown", "source": "x"}, {"source": "x"}]), [], "no code cell"),
        (notebook(cells=[TEST, TEST | {"metadata": {"nbgrader": {"grade": True, "solution": True}}}]), ["assert x"], None),
        (json.dumps({"worksheets": [{"cells": [{"cell_type": "code", "input": "a"}]}]}), ["a"], None),
    ],
    ids=range(21),
)  # fmt: skip
def test_code_cells_are_found_in_whatever_can_be_read(content, cells, note):
    found = read_notebook(content if isinstance(content, bytes) else content.encode())
    assert found.cells == cells
    assert any(note in text for text in found.notes) if note else not found.notes


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"%PDF-1.7", "damaged (line 1"),
        (PLAIN[:-9].encode(), "damaged"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[1]", "no list of cells"),
        (b'{"cells": 3}', "no list of cells"),
        (b"\0\0\0\0", "damaged"),
        (conflict("{", "[").encode(), "damaged"),
        (b"<<<<<<< a\n||||||| b\n=======\n" * 2000, "damaged"),
        (b'{"cells": [' + b"[]," * 5_100_000 + b"[]]}", "more than a notebook can"),
    ],
    ids=range(11),
)
def test_what_is_no_notebook_says_what_to_do(content, says):
    with pytest.raises(Unreadable) as problem:
        read_notebook(content)
    assert says in str(problem.value) and "hand in" in str(problem.value).lower()


def test_thousands_of_damaged_cells_are_one_note():
    notes = read_notebook(notebook(cells=[1] * 5000).encode()).notes
    assert len(notes) < 20 and any("4990 more cells" in note for note in notes)


def test_outputs_may_be_large_but_not_without_end(monkeypatch):
    monkeypatch.setattr(notebooks, "LARGEST", 10_000)
    with pytest.raises(Unreadable, match="Clear the outputs"):
        read_notebook(notebook("a", metadata={"output": "x" * 10_000}).encode())
    assert read_notebook(notebook("a", metadata={"output": "x" * 9_000}).encode()).cells == ["a"]
