import re

from conftest import ROOT

import attnprune_edu as ap

README = (ROOT / "README.md").read_text(encoding="utf-8")


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


def test_the_sweep_runs_as_the_readme_tells_it(monkeypatch, tmp_path):
    monkeypatch.setenv("ATTNPRUNE_DATA", "shapes")
    monkeypatch.chdir(tmp_path)
    code = next(block for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "ap.sweep" in block)
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


def test_a_network_of_ones_own_is_cut_as_the_readme_tells_it():
    told = {}
    exec(
        next(block for block in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if "ap.unprunable" in block),
        told,
    )
    assert ap.count_params(told["small"]) < 0.9 * ap.count_params(told["net"])
    assert "'features.0.2' mixes channels" in ap.unprunable(told["net"], told["images"])["features.0.0"]


def test_every_file_the_readme_links_to_exists():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith(("http", "mailto"))]
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_every_public_name_exists_and_has_a_docstring():
    for name in ap.__all__:
        assert getattr(ap, name).__doc__, name
