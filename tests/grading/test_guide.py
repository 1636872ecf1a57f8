"""The guide for teachers speaks of commands, options and files that there are."""

import re
import shlex
from pathlib import Path

import pytest
from conftest import ROOT

import course
from attnprune_edu import cli
from attnprune_edu.coursework import LESSONS, exercises_of
from attnprune_edu.grading import command

GUIDE = (ROOT / "TEACHING.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"^```\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE) for line in block.splitlines()]


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make ")])
def test_every_command_is_one_of_the_makefiles_with_its_variables(line):
    step, *variables = shlex.split(line)[1:]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert step in course.STEPS
    recipe = re.search(rf"^{step}:\n\t(.*)$", makefile, re.MULTILINE)[1]
    for variable in variables:
        assert f"$({variable.split('=')[0]})" in recipe, variable


def test_every_option_is_one_of_its_command(capsys):
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", GUIDE))
    known = set()
    for step in ("assignment", "grade", "nbgrader"):
        with pytest.raises(SystemExit):
            cli.main([step, "--help"])
        known |= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert options and options <= known


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", GUIDE):
        file, _, heading = target.partition("#")
        assert (ROOT / file).is_file(), target
        text = (ROOT / file).read_text(encoding="utf-8")
        headings = {
            re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", text, re.M)
        }
        assert not heading or heading in headings, target


def test_points_and_lessons_are_those_of_the_coursework():
    worth = {"★": 1, "★★": 2, "★★★": 6}
    for lesson in LESSONS:
        text = next((ROOT / "lessons").glob(f"{lesson}_*.md")).read_text(encoding="utf-8")
        stars = re.findall(r"^### Exercise \d · (★+) ·", text, re.MULTILINE)
        assert [worth[star] for star in stars] == [exercise.points for exercise in exercises_of(lesson)]
    first, last, alone = re.search(r"lessons (\d\d) to (\d\d) and (\d\d) can be assigned", GUIDE).groups()
    assert (*(f"{number:02}" for number in range(int(first), int(last) + 1)), alone) == LESSONS
    assert "1 point for ★, 2 for ★★, and 6 for ★★★" in GUIDE


def test_the_files_it_names_are_those_that_are_written(tmp_path, monkeypatch):
    import fakes

    monkeypatch.chdir(tmp_path)
    fakes.hand_in(Path("in/s1/x.ipynb"), "score_by_hand: right")
    command.grade_course("02", ["in"], key="coursework.key", run=fakes.answers_at_once)
    named = [*re.findall(r"^\| `([^`]+)`", GUIDE, re.MULTILINE), "moodle.csv", "canvas.csv", "results/s1.json"]
    assert len(named) >= 8 and all((tmp_path / "graded" / "02" / name).exists() for name in named)
