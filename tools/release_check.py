"""Is this a release? Builds the wheel, installs it where no repository is, and does there what its readers do.

    python -m tools.release_check

Stops at the first thing that fails, and names it. What was checked is left in dist/, ready to be uploaded. The packages
come from where `course.py` takes them: the newest that fit, with the pair of torch and torchvision of constraints.txt.
"""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import nbformat

import course

DIST = course.ROOT / "dist"
LESSON = "00_start_here.ipynb"
STUDENT = "s1"
NOT_HANDED_ON = ("PYTHON", "ATTNPRUNE_", "JUPYTER_", "VIRTUAL_ENV")  # nothing of this checkout may lead back to it


def main() -> None:
    """Go through all of it."""
    wheel = build()
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        place = Path(name)
        say(f"Installing {wheel.name} into an environment of its own")
        run([sys.executable, "-m", "venv", "--without-pip", place / "env"])
        packages = (f"{wheel}[lab,grading]", "--constraint", str(course.ROOT / "constraints.txt"))
        arguments, environment = course.installation(
            sys.platform, os.environ, course.pip_settings(), place / "env", packages
        )
        run([sys.executable, *arguments], environment=environment)
        python = course.program("python", folder=place / "env")
        run([sys.executable, "-m", "uv", "pip", "check", "--python", python])
        use(python, place)
    say(f"{wheel.name} is in {DIST.name}/, with the archive of sources that it was built from")
    if "OWNER" in description(wheel):
        print("Before it is uploaded, whose repository it is must take the place of OWNER, in README.md and elsewhere.")


def build() -> Path:
    """Build the archive of sources, and from it the wheel; return the wheel."""
    say("Building the archive of sources, and the wheel from it")
    shutil.rmtree(DIST, ignore_errors=True)
    run([sys.executable, "-m", "uv", "build", "--out-dir", DIST, course.ROOT])
    files = sorted(DIST.glob("attnprune_edu-*"))
    for file in files:
        print(f"{file.name}: {file.stat().st_size / 1e6:.1f} MB")
    twine = ("--python", sys.executable, "--from", "twine>=6.1", "twine")
    run([sys.executable, "-m", "uv", "tool", "run", "--quiet", *twine, "check", "--strict", *files])
    (wheel,) = DIST.glob("*.whl")
    return wheel


def use(python: Path, place: Path) -> None:
    """Do in the folder ``place`` what a reader and a teacher do who have only the wheel."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_HANDED_ON)}
    environment |= {"ATTNPRUNE_DATA": "shapes", "ATTNPRUNE_CACHE": str(place / "cache"), "PYTHONSAFEPATH": "1"}
    environment["PATH"] = os.pathsep.join([str(python.parent), environment.get("PATH", "")])
    command = course.program("attnprune-edu", folder=place / "env")

    def here(title: str, *arguments: str | Path) -> None:
        say(title)
        run(arguments, folder=place, environment=environment)

    here("The doctor looks around there", command, "doctor")
    here("All lessons are written into a folder", command, "lessons", "lessons")
    here("Lesson 00 runs", python, "-m", "nbconvert", "--execute", "--to=notebook", "--inplace", place / "lessons" / LESSON)
    if not any(cell.get("execution_count") for cell in nbformat.read(place / "lessons" / LESSON, as_version=4).cells):
        sys.exit(f"{LESSON} was not run")
    here("A lesson is assigned …", command, "assignment", "02")
    handed_in = place / "handed in" / f"{STUDENT}.ipynb"
    handed_in.parent.mkdir()
    assignment = (place / "assignment" / "02_coursework.ipynb").read_text(encoding="utf-8")
    handed_in.write_text(assignment.replace('student=\\"...\\"', f'student=\\"{STUDENT}\\"'), encoding="utf-8")
    roster = place / "roster.csv"
    roster.write_text(f"student\n{STUDENT}\n", encoding="utf-8")
    if shutil.which("bwrap") is None:
        print("… and cannot be graded here: bubblewrap is not installed")
        return
    here("… and graded, with the blanks left", command, "grade", "02", handed_in.parent, "--roster", roster)
    with open(place / "graded" / "02" / "marks.csv", encoding="utf-8-sig", newline="") as file:
        if [line["student"] for line in csv.DictReader(file)] != [STUDENT]:
            sys.exit(f"marks.csv does not have a line for {STUDENT}, and for nobody else")


def description(wheel: Path) -> str:
    """The metadata of ``wheel``."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return archive.read(name).decode()


def run(
    command: list[str | Path] | tuple[str | Path, ...],
    folder: Path = course.ROOT,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run ``command`` in ``folder``; leave with an error that names it if its status is not 0."""
    if status := subprocess.call(command, cwd=folder, env=environment):
        sys.exit(f"this failed with status {status}: {' '.join(str(part) for part in command)}")


def say(title: str) -> None:
    """Print what comes next, before its own output."""
    print(f"\n{title}", flush=True)


if __name__ == "__main__":
    main()
