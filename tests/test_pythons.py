"""The course on other Pythons than the one that runs these tests: the oldest and the newest that this machine has.

Without torch, which is there for one Python only, no lesson can run on them; but whatever the reader starts must be
understood by all.
"""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SUPPORTED = [
    (int(found[1]), int(found[2]))
    for line in PROJECT["project"]["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (\d)\.(\d+)", line))
]
# Where Pythons lie that are not on the PATH: those of pyenv and of uv.
ELSEWHERE = (".pyenv/versions/*/bin", ".local/share/uv/python/*/bin")

COMPILE = """
import pathlib, re, sys
for path in map(pathlib.Path, sys.argv[1:]):
    text = path.read_text(encoding="utf-8")
    codes = re.findall(r"^```python\\n(.*?)^```", text, re.DOTALL | re.MULTILINE) if path.suffix == ".md" else [text]
    for code in codes:
        try:
            compile(code, str(path), "exec")
        except (SyntaxError, Warning) as error:
            print(f"{path}: {error}")
"""


@cache
def interpreters() -> dict[tuple[int, int], Path]:
    """{version: program} of the Pythons on this machine on which the course can be installed."""
    folders = [Path(name) for name in os.environ["PATH"].split(os.pathsep)]
    folders += [folder for pattern in ELSEWHERE for folder in sorted(Path.home().glob(pattern))]
    found = {sys.version_info[:2]: Path(sys.executable)}
    for version in SUPPORTED:
        for folder in folders:
            program = folder / f"python{version[0]}.{version[1]}"
            if version in found or not program.is_file():
                continue
            asked = [program, "-c", "import sys; print(*sys.version_info[:2])"]
            answer = subprocess.run(asked, capture_output=True, text=True)  # pyenv's own programs may refuse
            if answer.stdout.split() == [str(number) for number in version]:
                found[version] = program
    return found


@pytest.fixture(params=[min, max], ids=["oldest", "newest"])
def python(request):
    """A function that runs another Python at the root of the course, without the packages that it may have."""
    version = request.param(interpreters())
    if version == sys.version_info[:2]:
        here = ", ".join(f"{major}.{minor}" for major, minor in sorted(interpreters()))
        pytest.skip(f"no other Python is the {request.node.callspec.id} here, where there is {here}")
    command = [interpreters()[version], "-S", "-W", "error"]
    return lambda *arguments: subprocess.run([*command, *arguments], cwd=ROOT, capture_output=True, text=True)


def test_all_code_is_understood_without_a_warning(python):
    sources = [*ROOT.glob("*.py"), *ROOT.glob("attnprune_edu/**/*.py"), *ROOT.glob("lessons/*.md")]
    sources += [path for folder in ("benchmarks", "book", "tools") for path in ROOT.glob(f"{folder}/*.py")]
    assert len(sources) > 230
    done = python("-c", COMPILE, *sources)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_what_has_no_packages_yet_says_what_to_do(python):
    steps = python("course.py")
    assert steps.returncode == 0 and "open lesson 00 in JupyterLab" in steps.stdout, steps.stderr
    command = python("attnprune_edu_command.py", "doctor")
    assert command.returncode == 1 and "Install it again" in command.stderr


def test_what_is_said_to_be_supported_begins_where_the_installation_and_the_linter_begin():
    major, minor = SUPPORTED[0]
    assert sorted(SUPPORTED) == SUPPORTED == [(major, minor + step) for step in range(len(SUPPORTED))]
    assert PROJECT["project"]["requires-python"] == f">={major}.{minor}"
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py{major}{minor}"
