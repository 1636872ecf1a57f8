"""The answers in lessons/questions.md lead to cells, and say no number that these cells do not show."""

import functools
import re

import nbformat
import pytest
from conftest import ROOT

import attnprune_edu as ap
from attnprune_edu.pruning import schedules

TEXT = (ROOT / "lessons" / "questions.md").read_text(encoding="utf-8")
ANSWERS = dict(re.findall(r"^### (.+)\n((?:(?!^#).*\n)+)", TEXT, flags=re.MULTILINE))
LINK = re.compile(r"\[([^]]+)\]\((\w+)\.md#([\w-]+)\)")


@functools.cache
def sections(lesson):
    """{anchor: (heading, what its cells hold and show)} of a lesson's notebook, of headings with code under them."""
    found, heading = {}, None
    for cell in nbformat.read(ROOT / "notebooks" / f"{lesson}.ipynb", as_version=4).cells:
        if cell.cell_type == "markdown":
            *_, text = re.split(r"^(?=#)", cell.source, flags=re.MULTILINE)
            if text.startswith("#"):
                heading, prose = text.lstrip("# ").split("\n")[0], ""
            prose += text
        elif heading:
            anchor = re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-")  # as code hosts make it
            shown = found.get(anchor, (heading, ""))[1]
            found[anchor] = heading, shown + prose + cell.source + "".join(map(written, cell.outputs))
            prose = ""
    return found


def written(output):
    """The text of a cell's output, and what stands for its picture."""
    alternative = output.get("metadata", {}).get("image/png", {}).get("alt", "")
    return output.get("text", "") + output.get("data", {}).get("text/plain", "") + alternative


def numbers(text):
    return set(re.findall(r"[+−-]?\d(?:[\d,.]*\d)?", text.replace("−", "-")))


def test_there_are_the_ten_and_the_seven():
    names = [title.split(" · ")[0] for title in ANSWERS]
    assert names == [f"FAQ {number}" for number in range(1, 11)] + [f"Question {number}" for number in range(1, 8)]


def test_every_link_leads_to_a_heading_of_that_name_with_a_cell_under_it():
    links = LINK.findall(TEXT)
    assert len(links) > len(ANSWERS)
    for text, lesson, anchor in links:
        found = sections(lesson).get(anchor)
        assert found, f"no cell under {lesson}.md#{anchor}"
        assert text.split(" · ")[1] == found[0] and text.split()[1] == lesson[:2], text


@pytest.mark.parametrize("title", ANSWERS)
def test_an_answer_has_three_sentences_and_only_numbers_that_its_cells_show(title):
    answer, links = ANSWERS[title].strip().split("\n\n")
    assert len(re.findall(r"[.?!](?=\s|$)", answer)) == 3
    assert links.startswith("Shown in [lesson ") and links.endswith(".")
    shown = numbers("".join(sections(lesson)[anchor][1] for _, lesson, anchor in LINK.findall(links)))
    # Names such as `conv2` and L1 are no numbers.
    assert numbers(re.sub(r"`[^`]*`|\b[A-Z]\w*\d\b", "", answer)) - shown == set()


@pytest.mark.filterwarnings("ignore:after the repair")  # this network has learned nothing that could come back
def test_the_loop_is_drawn_as_the_code_runs_it(monkeypatch, tiny_data, tiny_model):
    edges = dict(re.findall(r"^ +(\w+).*-->\s*(\w+)", TEXT, flags=re.MULTILINE))
    drawn, box = [], edges["left"]
    while box != "left":
        drawn.append(box)
        box = edges[box]
    called = []

    def noted(name, function):
        return lambda *args, **kwargs: called.append(name) or function(*args, **kwargs)

    for name in ("score", "couple", "mask", "repair", "remove", "accuracy", "fine_tune"):
        monkeypatch.setattr(schedules, name, noted(name, getattr(schedules, name)))
    ap.prune_in_stages(tiny_model, tiny_data, 0.5, stages=2, epochs=2, repaired=True, removed=True, progress=False)
    assert called == 2 * drawn and edges["load_data"] == "left"
