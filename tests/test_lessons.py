"""Every lesson and its notebook must agree, and every notebook must keep the promises of CONTRIBUTING.md."""

import base64
import io
import json
import re

import jupytext
import pytest
from conftest import ROOT
from jupytext.config import load_jupytext_config
from PIL import Image

LESSONS = sorted((ROOT / "lessons").glob("[0-9]*.md"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Of the outputs that are stored; in all other lessons it is CIFAR-10.
REAL_DATA = {"12_other_networks": "names", "13_faces": "olivetti", "15_capstone": "glyphs-15"}
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_lessons_and_notebooks_come_in_pairs():
    assert [path.stem for path in LESSONS] == [path.stem for path in NOTEBOOKS] and LESSONS


@each_notebook
def test_the_notebook_says_what_the_lesson_says(path):
    lesson = ROOT / "lessons" / f"{path.stem}.md"
    # jupytext's own --test does not see this kind of drift.
    written = jupytext.writes(jupytext.read(path), "md", config=load_jupytext_config(str(path)))
    assert written == lesson.read_text(encoding="utf-8"), f"run: make notebooks (or python tools/notebooks.py {path.stem})"


def code_cells(path):
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]


def outputs(path):
    return [output for cell in code_cells(path) for output in cell["outputs"]]


@each_notebook
def test_stored_outputs_come_from_one_run_on_real_data_from_top_to_bottom(path):
    cells = [cell for cell in code_cells(path) if "".join(cell["source"]).strip()]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for output in outputs(path) if output["output_type"] == "error"]
    printed = "".join("".join(output["text"]) for output in outputs(path) if output["output_type"] == "stream")
    assert f"Data in use: {REAL_DATA.get(path.stem, 'cifar10')} " in printed and "WARNING" not in printed


@each_notebook
def test_stored_outputs_hold_no_path_of_the_machine_that_made_them(path):
    assert not re.search(r"/(home|root|tmp|Users|work)/\w", path.read_text(encoding="utf-8"))


@each_notebook
def test_every_picture_has_an_alternative_text(path):
    pictures = [output for output in outputs(path) if "image/png" in output.get("data", {})]
    assert pictures, "a lesson shows at least one picture"
    for picture in pictures:
        alt = picture["metadata"].get("image/png", {}).get("alt", "")
        assert len(alt) > 20 and alt.endswith(".")
        Image.open(io.BytesIO(base64.b64decode("".join(picture["data"]["image/png"])))).verify()


@each_notebook
def test_prose_stands_between_any_two_cells_and_a_cell_is_short(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    kinds = [cell["cell_type"] for cell in cells]
    assert not [i for i in range(len(kinds) - 1) if kinds[i] == kinds[i + 1] == "code"]
    longest = max(len([line for line in cell["source"] if line.strip()]) for cell in code_cells(path))
    assert longest <= 14
    # What is wider must be scrolled sideways in JupyterLab with its file browser open, on a window of 1280 pixels.
    assert not [line for cell in code_cells(path) for line in "".join(cell["source"]).split("\n") if len(line) > 110]


@each_notebook
def test_a_lesson_has_all_its_parts(path):
    text = (ROOT / "lessons" / f"{path.stem}.md").read_text(encoding="utf-8")
    parts = ["## The puzzle", "## Your turn", "## Quiz", "## What goes wrong in practice", "## Recap", "## Read on"]
    places = [text.find(part) for part in parts]
    assert -1 not in places and places == sorted(places)
    exercises = text.count("### Exercise")
    assert 2 <= exercises <= 4
    assert text.count("<summary>Hint</summary>") == text.count("<summary>Solution</summary>") == exercises


@each_notebook
def test_untouched_exercises_answer_not_tried_yet(path):
    shown = [output["data"].get("text/plain", "") for output in outputs(path) if "data" in output]
    text = (ROOT / "lessons" / f"{path.stem}.md").read_text(encoding="utf-8")
    assert sum("Not tried yet" in "".join(plain) for plain in shown) == text.count("### Exercise")


@each_notebook
def test_a_guess_is_asked_for_before_the_answer_is_seen(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    (asked,) = [number for number, cell in enumerate(cells) if "### Predict first" in "".join(cell["source"])]
    code = [cell for cell in cells[asked:] if cell["cell_type"] == "code"]
    guesses = re.findall(r"^(\w+) = \.\.\.", "".join(code[0]["source"]), flags=re.MULTILINE)
    answers = [cell for cell in code[1:] if re.search(rf"\b({'|'.join(guesses)})\b", "".join(cell["source"]))]
    assert guesses and answers
    for cell in answers:
        assert cell["metadata"].get("jupyter") == {"outputs_hidden": True}, "".join(cell["source"])
        assert "hide-output" in cell["metadata"].get("tags", [])


@each_notebook
def test_a_lesson_is_short(path):
    text = (ROOT / "lessons" / f"{path.stem}.md").read_text(encoding="utf-8").split("---\n", 2)[2]
    for what_is_no_prose in (r"<details>.*?</details>", r"^```.*?^```", r"\$\$.*?\$\$"):
        text = re.sub(what_is_no_prose, "", text, flags=re.DOTALL | re.MULTILINE)
    assert len(re.findall(r"\b[A-Za-z][\w'’-]*", text)) <= 2600


@each_notebook
def test_a_section_that_is_named_with_its_lesson_is_there(path):
    text = (ROOT / "lessons" / f"{path.stem}.md").read_text(encoding="utf-8")
    for number, titles in re.findall(r"lesson (\d\d), (\*[^*]+\*(?: and \*[^*]+\*)*)", text):
        (other,) = (lesson for lesson in LESSONS if lesson.stem.startswith(number))
        headings = re.findall(r"^##+ (.+)", other.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert set(re.findall(r"\*([^*]+)\*", titles)) <= set(headings), f"lesson {number}, {titles}"
