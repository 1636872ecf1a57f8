"""The glossary has each Chinese term once, in the order in which the lessons bring it, and leads to where it is met."""

import re

import pytest
from conftest import ROOT
from test_questions import LINK, sections

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "lessons" / "glossary.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ")
][2:]
TERMS = [row[0] for row in ROWS]
CHINESE = re.compile(r"[\u4e00-\u9fff]+")
TEXTS = ROOT.parent / "shared" / "seeds"


def test_each_term_stands_once_with_its_english_one_its_meaning_and_a_place():
    assert len(set(TERMS)) == len(TERMS) > 40
    for row in ROWS:
        assert len(row) == 4 and all(row) and CHINESE.fullmatch(row[0]) and not CHINESE.search(row[1] + row[2]), row


def test_each_place_is_a_heading_of_that_name_with_a_cell_under_it():
    met = []
    for *_, place in ROWS:
        ((text, lesson, anchor),) = LINK.findall(place)
        found = sections(lesson).get(anchor)
        assert found and text == f"lesson {lesson[:2]} · {found[0]}", place
        met.append((lesson, list(sections(lesson)).index(anchor)))
    assert met == sorted(met), "not in the order in which the lessons bring them"


def test_the_words_of_lesson_14_are_those_of_the_glossary():
    lesson = (ROOT / "lessons" / "14_reading_the_article.md").read_text(encoding="utf-8")
    words = CHINESE.findall(lesson.split("## Words\n")[1].split("\n## ")[0])
    assert len(words) >= 12
    assert [word for word in words if not any(word in term for term in TERMS)] == []
    assert "`lessons/glossary.md`" in lesson


@pytest.mark.skipif(not TEXTS.is_dir(), reason="the two texts are not part of the course")
def test_the_texts_use_each_term():
    texts = "".join(path.read_text(encoding="utf-8") for path in TEXTS.glob("*.txt"))
    assert [term for term in TERMS if term not in texts] == []
