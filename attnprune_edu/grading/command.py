"""The command ``attnprune-edu grade`` from its arguments to the last file."""

import dataclasses
import datetime
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from types import EllipsisType

from ..coursework import exercises_of
from . import sandbox
from .batch import Job, grade_all
from .collecting import Collection, collect
from .feedback import write_feedback, write_for_moodle
from .key import read_key
from .marks import Mark, everybody, marks_of, write_marks
from .nbgrader import into_gradebook
from .overrides import read_overrides
from .records import FAILED, about_file, prints_of, read_record, read_records, to_grade
from .roster import Roster, read_roster, same_id
from .running import run_and_judge
from .settings import read_settings, write_settings
from .summary import summarise, write_summary


def grade_course(
    lesson: str,
    submissions: Sequence[str | Path],
    *,
    key: str | Path,
    roster: str | Path | None = None,
    out: str | Path | None = None,
    jobs: int = 1,
    only: Sequence[str] = (),
    deadline: datetime.datetime | EllipsisType | None = ...,
    solutions: bool | EllipsisType = ...,
    unsafe: bool = False,
    gradebook: str | Path | None = None,
    executor: Executor | None = None,
    run: Callable = run_and_judge,
) -> bool:
    """Grade the coursework on a ``lesson`` such as ``"02"`` and write all results into the folder ``out``.

    Graded is what has no record yet, or one that holds no longer; with ``only``, these students and no other. Whoever has a
    record and no file among the ``submissions`` keeps the mark. The points in ``overrides.csv`` there have the last word.

    ``key``: the file with the course's secret, made if it is missing. ``roster``: a CSV file. ``deadline``: in local time,
    None for none; ``solutions``: whether the feedback shows them; both are remembered in ``settings.json``, and ``...``
    leaves them. ``unsafe``: run students' code without a sandbox. ``gradebook``: a gradebook of nbgrader's that gets the
    marks as well. ``executor``: as ``ap.sweep`` takes it; its workers must share the folders. None: as many processes as
    ``jobs``. ``run``: what runs and judges one submission.

    Returns whether everything could be graded that is to be. Raises ValueError, OSError or RuntimeError, before anything is
    run, for arguments and files that cannot be used.
    """
    lesson = f"{int(lesson):02}" if lesson.isdecimal() else lesson
    exercises = exercises_of(lesson)
    out = Path(out or Path("graded", lesson))
    known = read_roster(roster) if roster else Roster()
    collection = collect(submissions, known, lesson)
    results, by_hand = out / "results", out / "overrides.csv"
    students = everybody(known, collection, read_records(results))
    decided = read_overrides(by_hand, exercises, students) if by_hand.is_file() else {}
    chosen_now = {"deadline": deadline, "solutions": solutions}
    settings = dataclasses.replace(
        read_settings(out / "settings.json"), **{name: value for name, value in chosen_now.items() if value is not ...}
    )
    chosen = {same_id(student): student for student in only}
    if strangers := [written for student, written in chosen.items() if student not in collection.chosen]:
        raise ValueError(f"--only must name students who handed in a notebook, got {', '.join(map(repr, strangers))}")
    if not unsafe and run is run_and_judge and (problem := sandbox.problem()):
        raise RuntimeError(problem)
    secret, prints = read_key(key), prints_of(exercises)
    write_settings(out / "settings.json", settings)
    waiting = []
    for student, file in collection.chosen.items():
        about = about_file(file.sha256, secret, unsafe)
        if chosen:
            checks = list(prints) if student in chosen else []
        else:
            checks = to_grade(read_record(results, student), about, prints)
        if checks:
            where = (lesson, student, file.shown, file.source, results.absolute(), about)
            waiting.append(Job(*where, prints, tuple(checks), secret, unsafe, run, file.time))
    if waiting:
        grade_all(waiting, executor, jobs)
    marks = marks_of(exercises, known, collection, read_records(results), decided, settings.deadline)
    write_marks(out, lesson, marks, collection)
    write_feedback(out / "feedback", lesson, exercises, marks, settings.solutions)
    write_for_moodle(out / "moodle_feedback.zip", out / "feedback", lesson, marks)
    if gradebook:
        into_gradebook(gradebook, lesson, {mark.student.id: mark.points for mark in marks if mark.grade is not None})
    summary = summarise(exercises, marks)
    write_summary(out / "summary.html", lesson, summary, marks)
    already = len(collection.chosen) - len(waiting)
    print(f"{len(waiting)} submissions graded now, {already} left as they were. Results: {out}")
    by_hand = f"points by hand: {len(decided)}, from {by_hand}" if decided else ""
    for line in filter(None, [_beside(marks, collection), str(settings), by_hand]):
        print(line)
    print("\n".join(summary.lines()).encode("utf-8", "replace").decode())
    failed = [mark.student.id for mark in marks if mark.state == FAILED]
    if failed:
        print(f"The grader failed on {', '.join(failed)}; ledger.csv has all files. Run the same command again to retry.")
    return not failed


def _beside(marks: Sequence[Mark], collection: Collection) -> str:
    """How many are not graded as the others are, "" if all are."""
    kept = sum(mark.kept for mark in marks)
    said = [f"{kept} kept from an earlier run: no file of theirs among those given now"] if kept else []
    if collection.strangers:
        said.append(
            f"refused, as no line of the roster fits: {len(collection.strangers)} of Moodle's (ledger.csv names them)"
        )
    return "; ".join(said)
