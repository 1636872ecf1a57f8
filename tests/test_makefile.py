"""The Makefile hands every step to course.py."""

import shutil
import subprocess

import pytest
from conftest import ROOT

import course

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments, **variables):
    command = ["make", "--no-print-directory", *arguments, *(f"{name}={value}" for name, value in variables.items())]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def test_make_alone_prints_what_there_is():
    assert "set everything up and open lesson 00 in JupyterLab" in make()


def test_every_step_has_its_target():
    handed_over = [line.split() for line in make("-n", *course.STEPS, PYTHON="py").splitlines()]
    assert handed_over == [["py", "course.py", name] for name in course.STEPS]


@pytest.mark.parametrize(
    ("target", "variables", "arguments"),
    [
        ("lab", {"PORT": 9999}, "--port=9999"),
        ("mutants", {"ONLY": "a.py", "SAMPLE": 0}, "--sample=0 a.py"),
        ("assignment", {"LESSON": "02 03", "OPTIONS": "--no-hints"}, "02 03 --no-hints"),
        ("nbgrader", {"LESSON": "02", "COURSE": "my course"}, '02 --course "my course"'),
        (
            "grade",
            {"LESSON": "02", "SUBMISSIONS": 'a.zip "my in"', "ROSTER": "my r.csv"},
            '02 a.zip "my in" --roster "my r.csv"',
        ),
    ],
)
def test_variables_become_options(target, variables, arguments):
    assert make("-n", target, **variables).endswith(f"course.py {target} {arguments}")
