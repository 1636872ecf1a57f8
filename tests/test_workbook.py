"""The reader's own copies: made where missing, never overwritten, and never paired with the lessons."""

import json
import re
import shutil
import subprocess

import nbformat
import pytest
from conftest import ROOT
from jupytext.config import load_jupytext_config

from attnprune_edu import cli, workbook

LESSONS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course with two lessons, in the place of this one."""
    (tmp_path / "notebooks").mkdir()
    for name in LESSONS[:2]:
        shutil.copy(ROOT / "notebooks" / f"{name}.ipynb", tmp_path / "notebooks")
    monkeypatch.setattr(workbook, "COURSE", tmp_path)
    return tmp_path


def copies(course):
    return sorted(path.name for path in (course / "workbook").iterdir())


def test_copies_are_made_where_missing_and_never_overwritten(course, capsys):
    assert cli.main(["lesson"]) == 0
    assert copies(course) == [f"{name}.ipynb" for name in LESSONS[:2]]
    assert capsys.readouterr().out.count("a clean copy") == 2
    mine, other = (course / "workbook" / f"{name}.ipynb" for name in LESSONS[:2])
    mine.write_text("my work")
    other.unlink()
    assert cli.main(["lesson"]) == 0
    assert mine.read_text() == "my work" and other.exists() and len(copies(course)) == 2
    assert mine.name not in capsys.readouterr().out, "only what happened is told"
    assert cli.main(["lesson", "0"]) == 0
    assert f"{mine.name}: left as it was" in capsys.readouterr().out, "and what was asked for by name"


@pytest.mark.parametrize("wanted", ["01", "1", LESSONS[1]])
def test_a_fresh_copy_leaves_the_old_one_under_a_dated_name(course, wanted):
    cli.main(["lesson", wanted])
    assert copies(course) == [f"{LESSONS[1]}.ipynb"]
    mine = course / "workbook" / f"{LESSONS[1]}.ipynb"
    clean = mine.read_text(encoding="utf-8")
    mine.write_text("my work")
    assert cli.main(["lesson", wanted, "--fresh"]) == 0
    assert mine.read_text(encoding="utf-8") == clean
    (kept,) = set(copies(course)) - {mine.name}
    assert re.fullmatch(rf"{LESSONS[1]}_20\d\d-\d\d-\d\d_\d\d-\d\d-\d\d\.ipynb", kept)
    assert (course / "workbook" / kept).read_text() == "my work"


@pytest.mark.parametrize("name", LESSONS)
def test_a_copy_is_the_lesson_under_a_line_about_its_stored_outputs(tmp_path, name):
    (tmp_path / "notebooks").mkdir()
    shipped = ROOT / "notebooks" / f"{name}.ipynb"
    shutil.copy(shipped, tmp_path / "notebooks")
    ((copy, _),) = workbook.copy_lessons([name], course=tmp_path)
    nbformat.validate(nbformat.read(copy, as_version=4))
    copied, shipped = (json.loads(path.read_text(encoding="utf-8")) for path in (copy, shipped))
    note = "".join(copied["cells"].pop(0)["source"])
    assert copied == shipped
    data = re.search(r"outputs below are stored ones, from a run on these data: ([\w-]+ \([\d,]+ .+)$", note)
    assert f"Data in use: {data[1]}" in json.dumps(shipped, ensure_ascii=False)
    assert f"attnprune-edu lesson {name[:2]} --fresh" in note


def test_a_lesson_without_outputs_claims_no_data(course):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    nbformat.write(notebook, course / "notebooks" / "09_new.ipynb")
    ((copy, _),) = workbook.copy_lessons(["9"], course=course)
    assert "stored" not in json.dumps(json.loads(copy.read_text(encoding="utf-8")))


def test_what_cannot_be_copied_is_named(course, capsys):
    assert cli.main(["lesson", "12"]) == 1
    assert "must be one of 00, 01 or a name, got '12'" in capsys.readouterr().err
    shutil.rmtree(course / "notebooks")
    assert cli.main(["lesson"]) == 1
    assert str(course / "notebooks") in capsys.readouterr().err


def test_a_folder_of_ones_own_gets_copies_that_say_how_to_write_them_again(course, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["lessons", "a/mine", "1"]) == 0
    (copy,) = (tmp_path / "a" / "mine").iterdir()
    assert capsys.readouterr().out == f"{copy.relative_to(tmp_path)}: a clean copy\n"
    note = "".join(json.loads(copy.read_text(encoding="utf-8"))["cells"][0]["source"])
    again = re.search(r"`attnprune-edu (.+?)`, in this folder,", note)[1].split()
    copy.write_text("my work")
    monkeypatch.chdir(copy.parent)
    assert cli.main(["lessons", "."]) == 0
    assert copy.read_text() == "my work" and len(list(copy.parent.iterdir())) == 2
    assert cli.main(again) == 0
    assert "my work" not in copy.read_text(encoding="utf-8") and len(list(copy.parent.iterdir())) == 3
    assert not (course / "workbook").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lessons", "02"], "FOLDER comes first"),
        (["lessons", "notebooks"], "one of your own"),
        (["lessons", "taken"], "taken is a file"),
        (["lessons", "new", "77"], "must be one of 00, 01"),
        (["lesson"], "attnprune-edu lessons FOLDER"),
    ],
)
def test_a_folder_that_cannot_be_is_refused(course, monkeypatch, capsys, arguments, said):
    (course / "taken").touch()
    before = sorted(course.rglob("*"))
    monkeypatch.chdir(course)
    monkeypatch.setattr(workbook, "INSIDE", course)  # as if the course had come as a package
    assert cli.main(arguments) == 1
    assert said in capsys.readouterr().err
    assert sorted(course.rglob("*")) == before


def test_lessons_are_paired_with_notebooks_and_not_with_the_readers_copies():
    config = load_jupytext_config(str(ROOT))
    assert config.default_formats(str(ROOT / "notebooks" / "00_start_here.ipynb"))
    assert not config.default_formats(str(ROOT / "workbook" / "00_start_here.ipynb"))


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_git_looks_past_the_workbook():
    assert subprocess.run(["git", "check-ignore", "-q", "workbook/00_start_here.ipynb"], cwd=ROOT).returncode == 0


def test_the_command_alone_lists_what_it_can_do(capsys):
    assert cli.main([]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n    {command} " in listed for command in ("lesson", "lessons", "data", "doctor"))
