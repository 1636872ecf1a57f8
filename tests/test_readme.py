import re

import pytest
from conftest import ROOT

import attnprune_edu as ap
import course

README = (ROOT / "README.md").read_text(encoding="utf-8")
MORE = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")


def test_the_story_runs_as_the_readme_tells_it(monkeypatch):
    monkeypatch.setenv("ATTNPRUNE_DATA", "shapes")
    story = re.search(r"```python\n(.*?)```", README, flags=re.DOTALL)[1]
    assert len([line for line in story.splitlines() if line.strip()]) == 9, "an import and eight steps"
    told = {}
    exec(story.replace("ap.compare(", "table = ap.compare("), told)  # the last line's value is what a notebook shows
    table = told["table"]
    assert list(table.index) == ["dense", "masked", "removed"]
    assert table.accuracy["masked"] == table.accuracy["removed"] > table.accuracy["dense"] - 0.2
    assert table.params["removed"] < 0.3 * table.params["dense"]
    assert ap.accuracy(told["model"], told["data"]) == table.accuracy["dense"], (
        "training the masked copy leaves the dense one"
    )


def test_the_sweep_runs_as_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("ATTNPRUNE_DATA", "shapes")
    monkeypatch.chdir(tmp_path)
    code = next(block for block in re.findall(r"```python\n(.*?)```", MORE, flags=re.DOTALL) if "ap.sweep" in block)
    for long, short in {
        '["l1", "attention"]': '["l1"]',
        "[0.3, 0.5, 0.7]": "[0.5]",
        "range(3)": "[0]",
        "=True": "=False",
    }.items():
        assert long in code
        code = code.replace(long, short)
    told = {"__name__": "__main__"}
    exec(code, told)
    assert len(told["table"]) == len(list((tmp_path / "my-sweep").iterdir())) == 1


def test_a_network_of_ones_own_is_cut_as_it_is_told():
    told = {}
    exec(
        next(block for block in re.findall(r"```python\n(.*?)```", MORE, flags=re.DOTALL) if "ap.unprunable" in block),
        told,
    )
    assert ap.count_params(told["small"]) < 0.9 * ap.count_params(told["net"])
    assert "'features.0.2' mixes channels" in ap.unprunable(told["net"], told["images"])["features.0.0"]


def headings(text):
    """The anchors that a code host gives the headings of a page."""
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)", text, re.M)}


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "benchmarks/README.md", "lessons/questions.md"])
def test_what_a_page_links_to_exists(page):
    path = ROOT / page
    links = [link for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")) if not link.startswith("http")]
    for link in links:
        file, _, place = link.partition("#")
        target = (path.parent / file) if file else path
        assert target.exists(), link
        assert not place or place in headings(target.read_text(encoding="utf-8")), link
    assert links or page == "CONTRIBUTING.md"


def test_the_readme_names_every_lesson_and_steps_that_there_are():
    assert set(re.findall(r"\(lessons/(\w+)\.md\)", README)) == {path.stem for path in (ROOT / "lessons").glob("*.md")}
    steps = re.findall(r"`(?:make|python3 course\.py|py course\.py) (\w+)`", README)
    assert {"lab", "test", "data", "demo"} <= set(steps) <= set(course.STEPS)


def test_every_public_name_exists_and_has_a_docstring():
    for name in ap.__all__:
        assert getattr(ap, name).__doc__, name
