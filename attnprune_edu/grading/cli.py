"""What teachers do with the command ``attnprune-edu``: ``assignment``, ``grade`` and ``nbgrader``."""

import datetime
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import EllipsisType

KEY = Path("coursework.key")


def add_to(commands) -> None:
    """Add the teachers' commands to those of a parser."""
    _add_assignment(commands)
    _add_grade(commands)
    _add_nbgrader(commands)


def _add_assignment(commands) -> None:
    assignment = commands.add_parser("assignment", help="for teachers: write what students get of a lesson as coursework")
    _lessons_of(assignment)
    assignment.add_argument(
        "--out", type=Path, default=Path("assignment"), metavar="FOLDER", help="where it goes; default: assignment"
    )
    assignment.add_argument("--no-hints", dest="hints", action="store_false", help="without the lesson's folded hints")
    assignment.add_argument("--no-checks", dest="checked", action="store_false", help="without checks that answer at once")


def _add_nbgrader(commands) -> None:
    nbgrader = commands.add_parser("nbgrader", help="for teachers: write source notebooks for a course of nbgrader's")
    _lessons_of(nbgrader)
    nbgrader.add_argument("--course", type=Path, default=Path(), metavar="FOLDER", help="nbgrader's; default: this folder")
    _key_of(nbgrader)


def _lessons_of(parser) -> None:
    parser.add_argument("lessons", nargs="+", metavar="LESSON", help="their numbers, such as 02")


def _key_of(parser) -> None:
    parser.add_argument(
        "--key",
        type=Path,
        default=KEY,
        metavar="FILE",
        help=f"the secret of the course, of which hidden inputs are made; made if it is not there; default: {KEY}",
    )


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
    _key_of(grade)
    cores = os.cpu_count() or 1
    grade.add_argument(
        "--jobs", type=_at_least_one, default=cores, metavar="N", help=f"how many at a time; default: {cores}"
    )
    grade.add_argument(
        "--only", action="extend", nargs="+", default=[], metavar="ID", help="grade these again, and no other"
    )
    grade.add_argument(
        "--deadline",
        default=...,
        metavar="TIME",
        help="such as '2026-12-01 18:00', by this computer's clock; what is later is noted as late, and loses no points; "
        "remembered until it is given again; 'none' takes it back",
    )
    solutions = grade.add_mutually_exclusive_group()
    solutions.add_argument(
        "--without-solutions",
        dest="solutions",
        action="store_false",
        default=...,
        help="no worked solutions in the feedback; remembered",
    )
    solutions.add_argument(
        "--with-solutions", dest="solutions", action="store_true", default=..., help="takes --without-solutions back"
    )
    grade.add_argument(
        "--unsafe", action="store_true", help="run students' code without a sandbox: it can do whatever you can"
    )
    grade.add_argument(
        "--gradebook", type=Path, metavar="FILE", help="put the marks into this gradebook of nbgrader's as well"
    )


def _at_least_one(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def _assignment(lessons: list[str], out: Path, **options) -> int:
    from .release import write_release

    try:
        _say(write_release(_numbers(lessons), out, **options))
    except (OSError, ValueError) as error:
        return _failed("assignment", error)
    return 0


def _nbgrader(lessons: list[str], course: Path, key: Path) -> int:
    from .key import read_key
    from .nbgrader import write_source

    try:
        _say(write_source(_numbers(lessons), course, read_key(key)))
    except (OSError, ValueError) as error:
        return _failed("nbgrader", error)
    return 0


def _deadline(text: str | EllipsisType) -> datetime.datetime | EllipsisType | None:
    if text is ... or text == "none":
        return None if text == "none" else ...
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"--deadline must be a time such as '2026-12-01 18:00', or none; got {text!r}") from None


def _grade(deadline: str | EllipsisType, **chosen) -> int:
    try:
        from .command import grade_course

        return 0 if grade_course(deadline=_deadline(deadline), **chosen) else 1
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        return _failed("grade", error)
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to go on from here.", file=sys.stderr)
        return 130


COMMANDS = {"assignment": _assignment, "grade": _grade, "nbgrader": _nbgrader}


def _numbers(lessons: Iterable[str]) -> list[str]:
    """The lessons' numbers as their files have them: "2" is "02"."""
    return [f"{int(lesson):02}" if lesson.isdecimal() else lesson for lesson in lessons]


def _say(written: Iterable[Path]) -> None:
    for path in written:
        print(path)


def _failed(command: str, error: Exception) -> int:
    print(f"attnprune-edu {command}: {error}", file=sys.stderr)
    return 1
