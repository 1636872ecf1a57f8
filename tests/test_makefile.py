"""What the Makefile promises, as far as it can be seen without installing everything once more."""

import re
import shutil
import subprocess

import pytest
from conftest import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments, **variables):
    command = ["make", "--no-print-directory", *arguments, *(f"{name}={value}" for name, value in variables.items())]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_make_alone_prints_what_there_is():
    listed = re.findall(r"^  make (\w+)", make().stdout, flags=re.MULTILINE)
    assert {"lab", "demo", "test", "zoo", "data", "notebooks", "checkpoints", "bench", "clean"} <= set(listed)


def test_lab_opens_lesson_00_on_the_port_asked_for():
    command = make("-n", "lab", PORT=9999).stdout
    assert "--port=9999" in command
    assert "default_url=/lab/tree/notebooks/00_start_here.ipynb" in command


def test_a_second_run_installs_nothing():
    if not (ROOT / ".venv" / ".ready").exists():
        pytest.skip("this environment was not made by make")
    assert make("-q", ".venv/.ready").returncode == 0
    assert "uv" not in make("-n", "test").stdout
