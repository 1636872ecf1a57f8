"""What the lessons' "Read on" cites is what lessons/references.bib holds: no more, no less, and nothing else about it."""

import re

import pytest
from conftest import ROOT
from pybtex.database import parse_file

LESSONS = sorted((ROOT / "lessons").glob("[0-9][0-9]_*.md"))
REFERENCES = parse_file(ROOT / "lessons" / "references.bib").entries
BY_TITLE = {
    entry.fields[field]: key
    for key, entry in REFERENCES.items()
    for field in ("title", "shorttitle")
    if field in entry.fields
}
PLACE = ("booktitle", "journal", "volume")
IDENTIFIERS = {"eprint": "[arXiv:{0}](https://arxiv.org/abs/{0})", "doi": "[doi:{0}](https://doi.org/{0})"}
CITED = re.compile(r"(?P<authors>[^*]+): \*(?P<title>[^*]+)\*, (?P<where>.*)")


def read_on(lesson):
    """The items of a lesson's list, without their bullets."""
    return re.findall(r"^- (.+)", lesson.read_text(encoding="utf-8").split("## Read on\n")[1], flags=re.MULTILINE)


def names_of(entry):
    """The authors as the lessons write them: "H. P. Graf"."""
    people = entry.persons["author"]
    return [" ".join([f"{name[0]}." for name in who.first_names + who.middle_names] + who.last_names) for who in people]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_what_a_lesson_cites_agrees_with_the_references(lesson):
    items = read_on(lesson)
    assert 2 <= len(items) <= 4
    for item in items:
        cited = CITED.fullmatch(item)
        assert cited and cited["title"] in BY_TITLE, f"not in references.bib: {item}"
        entry = REFERENCES[BY_TITLE[cited["title"]]]
        fields, names = entry.fields, names_of(entry)
        named, others = re.fullmatch(r"(.+?)( and others| et al\.)?", cited["authors"]).groups()
        named = named.split(", ")
        assert (named == names[: len(named)] and len(named) < len(names)) if others else named == names, item
        links = re.findall(r"\[[^]]+\]\([^)]+\)", cited["where"])
        place = re.split(r"\[|\.(?: |$)", cited["where"])[0]  # behind it the lesson says what the paper is good for
        assert place.startswith(" ".join(fields[name] for name in PLACE if name in fields)), item
        # An arXiv number holds its year, so it may stand alone.
        assert re.findall(r"\b(?:19|20)\d\d\b", place) == ([fields["year"]] if place else []) and (place or links), item
        known = {name: text.format(fields[name]) for name, text in IDENTIFIERS.items() if name in fields}
        assert set(links) <= set(known.values()) and ("eprint" not in known or known["eprint"] in links), item


def test_no_reference_is_unused():
    cited = {BY_TITLE.get(CITED.fullmatch(item)["title"]) for lesson in LESSONS for item in read_on(lesson)}
    assert sorted(REFERENCES.keys() - cited) == []


def test_no_two_references_are_one():
    for field in ("eprint", "doi", "title"):
        values = [entry.fields[field].lower() for entry in REFERENCES.values() if field in entry.fields]
        assert len(values) == len(set(values))
