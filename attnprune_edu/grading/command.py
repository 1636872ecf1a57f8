"""The command ``attnprune-edu grade`` from its arguments to the last file."""

import datetime
import os
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from ..coursework import exercises_of
from . import sandbox
from .batch import Job, grade_all
from .collecting import collect
from .feedback import write_feedback
from .marks import everybody, marks_of, write_marks
from .nbgrader import into_gradebook
from .overrides import read_overrides
from .records import FAILED, about_file, prints_of, read_record, to_grade
from .roster import Roster, read_roster, same_id
from .running import run_and_judge
from .summary import summarise, write_summary

SHORTEST_KEY = 16  # bytes


def grade_course(
    lesson: str,
    submissions: Sequence[str | Path],
    *,
    key: str | Path,
    roster: str | Path | None = None,
    out: str | Path | None = None,
    jobs: int = 1,
    only: Sequence[str] = (),
    overrides: str | Path | None = None,
    deadline: datetime.datetime | None = None,
    solutions: bool = True,
    unsafe: bool = False,
    gradebook: str | Path | None = None,
    executor: Executor | None = None,
    run: Callable = run_and_judge,
) -> bool:
    """Grade the coursework on a ``lesson`` such as ``"02"`` and write all results into the folder ``out``.

    Graded is what has no record yet, or one that holds no longer; with ``only``, these students and no other. ``key``: the
    file with the course's secret, made if it is missing. ``roster``, ``overrides``: CSV files. ``deadline``: in local time.
    ``solutions``: whether the feedback shows them. ``unsafe``: run students' code without a sandbox. ``gradebook``:
    a gradebook of nbgrader's that gets the marks as well. ``executor``: as
    ``ap.sweep`` takes it; its workers must share the folders. None: as many processes as ``jobs``. ``run``: what runs and
    judges one submission.

    Returns whether everything could be graded that is to be. Raises ValueError, OSError or RuntimeError, before anything is
    run, for arguments and files that cannot be used.
    """
    lesson = f"{int(lesson):02}" if lesson.isdecimal() else lesson
    exercises = exercises_of(lesson)
    out = Path(out or Path("graded", lesson))
    known = read_roster(roster) if roster else Roster()
    collection = collect(submissions, known, lesson)
    students = everybody(known, collection)
    decided = read_overrides(overrides, exercises, students) if overrides else {}
    chosen = {same_id(student): student for student in only}
    if strangers := [written for student, written in chosen.items() if student not in collection.chosen]:
        raise ValueError(f"--only must name students who handed in a notebook, got {', '.join(map(repr, strangers))}")
    if not unsafe and run is run_and_judge and (problem := sandbox.problem()):
        raise RuntimeError(problem)
    secret, results, prints = read_key(key), out / "results", prints_of(exercises)
    waiting = []
    for student, file in collection.chosen.items():
        about = about_file(file.sha256, secret, unsafe)
        if chosen:
            checks = list(prints) if student in chosen else []
        else:
            checks = to_grade(read_record(results, student), about, prints)
        if checks:
            where = (lesson, student, file.shown, file.source, results.absolute(), about)
            waiting.append(Job(*where, prints, tuple(checks), secret, unsafe, run))
    if waiting:
        grade_all(waiting, executor, jobs)
    records = {student: record for student in students if (record := read_record(results, student))}
    marks = marks_of(exercises, known, collection, records, decided, deadline)
    write_marks(out, lesson, marks, collection)
    write_feedback(out / "feedback", lesson, exercises, marks, solutions)
    if gradebook:
        into_gradebook(gradebook, lesson, {mark.student.id: mark.points for mark in marks if mark.total is not None})
    summary = summarise(exercises, marks)
    write_summary(out / "summary.html", lesson, summary)
    already = len(collection.chosen) - len(waiting)
    print(f"{len(waiting)} submissions graded now, {already} left as they were. Results: {out}")
    print("\n".join(summary.lines()).encode("utf-8", "replace").decode())
    failed = [mark.student.id for mark in marks if mark.state == FAILED]
    if failed:
        print(f"The grader failed on {', '.join(failed)}; ledger.csv has all files. Run the same command again to retry.")
    return not failed


def read_key(path: str | Path) -> bytes:
    """The secret in the file ``path``, which is made, for its owner's eyes only, where there is none.

    Raises ValueError for a file that holds less than 16 bytes.
    """
    path = Path(path)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        print(f"{path} is new: keep it, and keep it secret. Without it nobody can grade again with the same hidden inputs.")
    key = path.read_bytes()
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"key must be a file of at least {SHORTEST_KEY} bytes, and {path} has {len(key)}")
    return key
