"""The command ``attnprune-edu``: ``lesson`` copies lessons, ``data`` downloads CIFAR-10, ``doctor`` looks around here.

For teachers, ``grade`` grades what their students handed in.
"""

import argparse
import datetime
import os
import sys
from pathlib import Path


def main(arguments: list[str] | None = None) -> int:
    """Run the command with ``arguments`` (default: those of the command line); return its exit status, 0 if all is well."""
    parser = argparse.ArgumentParser(prog="attnprune-edu", description="Helpers for the course on pruning with attention.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    lesson = commands.add_parser("lesson", help="copy lessons into workbook/, where you may change what you like")
    lesson.add_argument("lessons", nargs="*", metavar="NN", help="their numbers, such as 02; without any, all of them")
    lesson.add_argument("--fresh", action="store_true", help="a clean copy; the one you had keeps a dated name beside it")
    commands.add_parser("data", help="download CIFAR-10 (170 MB) into the cache folder; run again to resume")
    commands.add_parser("doctor", help="check versions, data, networks and kernel, and say what to do")
    _add_grade(commands)
    chosen = vars(parser.parse_args(arguments))
    command = chosen.pop("command")
    if command is None:
        parser.print_help()
        return 0
    return {"lesson": _lesson, "data": _data, "doctor": _doctor, "grade": _grade}[command](**chosen)


def _add_grade(commands) -> None:
    grade = commands.add_parser("grade", help="for teachers: grade the coursework on a lesson that students handed in")
    grade.add_argument("lesson", metavar="LESSON", help="its number, such as 02")
    grade.add_argument(
        "submissions",
        nargs="+",
        type=Path,
        metavar="SUBMISSIONS",
        help="folders or zips, as Moodle, nbgrader and GitHub Classroom make them, or notebooks named after students",
    )
    grade.add_argument("--roster", type=Path, metavar="CSV", help="the list of students, with a column 'student' for the id")
    grade.add_argument("--out", type=Path, metavar="FOLDER", help="where the results go; default: graded/LESSON")
    grade.add_argument(
        "--key",
        type=Path,
        default=Path("coursework.key"),
        metavar="FILE",
        help="the secret of the course, of which hidden inputs are made; made if it is not there; default: coursework.key",
    )
    cores = os.cpu_count() or 1
    grade.add_argument(
        "--jobs", type=_at_least_one, default=cores, metavar="N", help=f"how many at a time; default: {cores}"
    )
    grade.add_argument(
        "--only", action="extend", nargs="+", default=[], metavar="ID", help="grade these again, and no other"
    )
    grade.add_argument(
        "--overrides", type=Path, metavar="CSV", help="points of your own: columns student, exercise, points, reason"
    )
    grade.add_argument(
        "--deadline",
        type=datetime.datetime.fromisoformat,
        metavar="TIME",
        help="such as '2026-12-01 18:00'; what is later is noted as late, and loses no points",
    )
    grade.add_argument(
        "--without-solutions", dest="solutions", action="store_false", help="no worked solutions in the feedback"
    )
    grade.add_argument(
        "--unsafe", action="store_true", help="run students' code without a sandbox: it can do whatever you can"
    )


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def _grade(**chosen) -> int:
    from .grading import command

    try:
        return 0 if command.grade_course(**chosen) else 1
    except (OSError, ValueError, RuntimeError) as error:
        print(f"attnprune-edu grade: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on from here.", file=sys.stderr)
        return 130


def _lesson(lessons: list[str], fresh: bool) -> int:
    from . import workbook

    try:
        for notebook, became in workbook.copy_lessons(lessons, fresh=fresh):
            if lessons or became != workbook.AS_IT_WAS:
                print(f"{notebook.relative_to(workbook.COURSE)}: {became}")
    except (OSError, ValueError) as error:
        print(f"attnprune-edu lesson: {error}", file=sys.stderr)
        return 1
    return 0


def _doctor() -> int:
    from . import doctor

    findings = []
    for finding in doctor.examine():
        print(finding)
        findings.append(finding)
    failed = sum(not finding.in_order for finding in findings)
    print(f"\n{failed} of {len(findings)} checks failed." if failed else f"\nAll {len(findings)} checks passed.")
    return 1 if failed else 0


def _data() -> int:
    from .data.download import download_cifar10
    from .data.images import cache_folder

    try:
        folder = download_cifar10(cache_folder())
    except OSError as error:
        print(f"attnprune-edu data: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on from here.", file=sys.stderr)
        return 130
    print(f"CIFAR-10 is in {folder}")
    return 0
