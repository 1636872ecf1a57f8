"""The web page of a lesson: what it needs comes along, and it speaks of nothing that it has not."""

import re

import nbformat
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT

import notebooks

LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def texts(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_no_text_speaks_of_controls_that_a_page_has_not(path):
    lesson = nbformat.read(path, as_version=4)
    before, after = texts(lesson), texts(notebooks.without_controls(lesson))
    assert not [text for text in after if re.search(r"slider|arrow key", text, flags=re.IGNORECASE)]
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert len(changed) == sum("ap.widgets." in cell.source for cell in lesson.cells if cell.cell_type == "code") > 0
    assert all(notebooks.STILL in new and len(new) > 0.4 * len(old) for old, new in changed)
    assert texts(lesson) == before, "the notebook itself stays as it was"


def test_a_page_needs_no_other_machine_and_its_pictures_have_their_texts():
    picture = nbformat.v4.new_output(
        "display_data", {"image/png": "iVBOR"}, metadata={"image/png": {"alt": 'Bars "a" < b.'}}
    )
    cells = [nbformat.v4.new_markdown_cell("So $a < b$."), nbformat.v4.new_code_cell("show()", outputs=[picture])]
    page = BeautifulSoup(notebooks.as_page(nbformat.v4.new_notebook(cells=cells), "title"), "html.parser")
    assert page.title.string == "title" and "So $a < b$." in page.body.text
    assert [image["alt"] for image in page.select("img")] == ['Bars "a" < b.']
    assert not page.select("script[src], link[href]")
    scripts = "".join(script.string for script in page.select("script"))
    assert "MathJax" in scripts and "cdnjs" not in scripts
