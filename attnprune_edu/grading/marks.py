"""Everybody's points, and the tables that a spreadsheet, Moodle and Canvas read."""

import csv
import datetime
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..coursework import Exercise
from .collecting import Collection, File, moodle_number
from .overrides import Override
from .records import GRADED, UNREADABLE, Record, write_text
from .roster import Roster, Student, same_id
from .text import printable

NOTHING, WAITING = "nothing handed in", "not graded yet"
MOST_CELLS = 5  # that stopped, in a line of a table


@dataclass(frozen=True)
class Mark:
    """What one ``student`` gets.

    ``points``: {check: points, to two decimals}, None while nobody can say; ``of``: {check: the most}. ``notes``: on the
    file and the notebook. ``kept``: whether the file was graded in an earlier run and is not among those given now.
    """

    student: Student
    state: str
    points: dict[str, float | None]
    of: dict[str, int]
    notes: list[str]
    record: Record | None = None
    overrides: dict[str, Override] = field(default_factory=dict)
    kept: bool = False

    @property
    def total(self) -> float | None:
        """The sum of the points, None while one of them is not known."""
        points = list(self.points.values())
        return None if None in points else round(sum(points), 2)

    @property
    def grade(self) -> float | None:
        """As ``total``, but None for whoever handed in nothing: systems of others take that for no grade yet."""
        return None if self.state == NOTHING and not self.overrides else self.total

    @property
    def exercises(self) -> dict[str, str]:
        """{check: what students know it as, such as "Exercise 1"}."""
        return {check: f"Exercise {number}" for number, check in enumerate(self.points, start=1)}

    @property
    def stopped(self) -> list[str]:
        """The code cells, from 1, that stopped, whatever stopped them, and why."""
        if not self.record:
            return []
        faults = [(int(place), fault) for place, fault in self.record.faults.items() if place.isdecimal()]
        cells = sorted([*((place, f"it {fault}") for place, fault in faults), *map(tuple, self.record.errors)])
        return [f"code cell {place + 1} stopped: {why}" for place, why in cells]

    @property
    def decided(self) -> list[str]:
        """What the teacher decided by hand."""
        return [
            f"{self.exercises[check]}: {own.points:g} of {self.of[check]} points, given by the teacher: {own.reason}"
            for check, own in self.overrides.items()
        ]

    @property
    def remarks(self) -> list[str]:
        """Everything that is to be said in a line of a table."""
        faults = self.record.faults if self.record else {}
        unjudged = [
            f"{name}: calling the answer {faults[check]}" for check, name in self.exercises.items() if check in faults
        ]
        return [*self.notes, *_the_first(self.stopped), *unjudged, *self.decided]


def _the_first(sentences: list[str]) -> list[str]:
    more = len(sentences) - MOST_CELLS
    return sentences if more <= 0 else [*sentences[:MOST_CELLS], f"{more} more code cell{'s' if more > 1 else ''} stopped"]


def marks_of(
    exercises: Sequence[Exercise],
    roster: Roster,
    collection: Collection,
    records: Mapping[str, Record],
    overrides: Mapping[tuple[str, str], Override],
    deadline: datetime.datetime | None = None,
) -> list[Mark]:
    """A mark for everybody on the roster, in its order, and then for whoever else handed something in, now or before.

    ``records``: {student: record}. One on another file than the one that was chosen does not count; where no file was
    chosen, it is on what the student handed in before. ``deadline``: in local time.
    """
    return [
        _mark(student, exercises, roster, collection, records.get(student), overrides, deadline)
        for student in everybody(roster, collection, records)
    ]


def everybody(roster: Roster, collection: Collection, records: Iterable[str] = ()) -> list[str]:
    """The ids of the roster, in its order, and then of whoever else handed something in, now or, by ``records``, before."""
    return list(dict.fromkeys([*roster.students, *sorted({*collection.chosen, *collection.without, *records})]))


def _mark(student, exercises, roster, collection, record, overrides, deadline) -> Mark:
    file, notes = collection.chosen.get(student), []
    if record and file and record.about["file"] != file.sha256:
        record = None
    if student in collection.without:
        notes.append(collection.without[student])
    if record:
        state = record.state
    elif file:
        state = WAITING
    else:
        state = UNREADABLE if student in collection.without else NOTHING
    kept = record is not None and file is None
    if kept:
        notes.append("from an earlier run: no file among those given now")
    if file:
        notes += _about_others(student, file, collection)
    time = file.time if file else record.time if record else 0
    if deadline and (late := time - deadline.timestamp()) > 0:
        notes.append(f"late by {_duration(late)}")
    if roster.students and student not in roster.students:
        notes.append("not on the roster")
    if record:
        notes += [*record.notes, *_about_run(record)]
    own = {one.check: overrides[student, one.check] for one in exercises if (student, one.check) in overrides}
    points: dict[str, float | None] = {}
    for exercise in exercises:
        if exercise.check in own:
            points[exercise.check] = own[exercise.check].points
        elif state == GRADED and (verdict := record.verdicts.get(exercise.check)):
            points[exercise.check] = round(verdict.share * exercise.points, 2)
        else:
            points[exercise.check] = 0.0 if state in (NOTHING, UNREADABLE) else None
    who = roster.students.get(student, Student(student))
    return Mark(who, state, points, {one.check: one.points for one in exercises}, notes, record, own, kept)


def _about_others(student: str, file: File, collection: Collection) -> list[str]:
    others = sum(other.student == student and other.became.startswith("superseded") for other in collection.files)
    return [f"{others + 1} notebooks handed in, {file.name} was graded"] if others else []


def _about_run(record: Record) -> list[str]:
    notes = []
    if record.declared is not None and same_id(record.declared) != record.student:
        notes.append(f"the notebook names the id {record.declared[:80]!r}")
    if record.about["sandbox"] == "no" and record.state == GRADED:
        notes.append("graded without a sandbox (--unsafe)")
    return notes


def _duration(seconds: float) -> str:
    """In words, such as "2 h 5 min"; a part of a minute counts as one."""
    minutes = int(-(-seconds // 60))
    parts = [(minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min")]
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def write_marks(folder: Path, lesson: str, marks: Sequence[Mark], collection: Collection) -> None:
    """Write ``marks.csv``, ``moodle.csv``, ``canvas.csv`` and ``ledger.csv`` into ``folder``."""
    checks = list(marks[0].points) if marks else []
    table = [["student", "name", *checks, "total", "of", "state", "notes"]]
    moodle = [["Identifier", "Full name", "Email address", "ID number", "Grade", "Maximum Grade", "Feedback comments"]]
    column = f"Coursework on lesson {lesson}"
    of = sum(marks[0].of.values()) if marks else ""
    canvas = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", column]]
    canvas.append(["Points Possible", "", "", "", "", of])
    for mark in marks:
        who, grade = mark.student, _number(mark.grade)
        points = [_number(value) for value in mark.points.values()]
        table.append([who.id, who.name, *points, _number(mark.total), of, mark.state, "; ".join(mark.remarks)])
        number = who.participant or (mark.record and moodle_number(mark.record.shown))
        moodle.append(
            [f"Participant {number}" if number else "", who.name, who.email, who.id, grade, of, "; ".join(_comment(mark))]
        )
        canvas.append([who.name or who.id, "", "", who.id, "", grade])
    for name, rows in (("marks", table), ("moodle", moodle), ("canvas", canvas), ("ledger", _ledger(marks, collection))):
        write_text(folder / f"{name}.csv", as_csv(rows))


def _comment(mark: Mark) -> list[str]:
    """What each exercise brought, for a student who sees a line only; or why there is nothing to see."""
    if mark.grade is None:
        return []
    if mark.state == UNREADABLE:
        return [*mark.notes, *mark.decided]
    verdicts = mark.record.verdicts if mark.record else {}
    brought = []
    for check, name in mark.exercises.items():
        tried = check in mark.overrides or check not in verdicts or verdicts[check].solved is not None
        by = " (given by the teacher)" if check in mark.overrides else ""
        brought.append(f"{name}: " + (f"{_number(mark.points[check])} of {mark.of[check]}{by}" if tried else "not tried"))
    return brought


def _ledger(marks: Sequence[Mark], collection: Collection) -> list[list]:
    states = {mark.student.id: mark.state for mark in marks}
    rows = [["file", "student", "changed", "what became of it", "sha256"]]
    for file in collection.files:
        became = states[file.student] if file.became == GRADED else file.became
        rows.append([file.shown, file.student, _moment(file.time), became, file.sha256])
    for mark in marks:
        if mark.kept:
            record, became = mark.record, f"{mark.state}, from an earlier run: no file among those given now"
            rows.append([record.shown, mark.student.id, _moment(record.time), became, record.about["file"]])
        elif mark.state == NOTHING:
            rows.append(["", mark.student.id, "", NOTHING, ""])
    return rows


def _moment(time: float) -> str:
    return datetime.datetime.fromtimestamp(time).isoformat(" ", "seconds") if time else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}".rstrip("0").rstrip(".")


def as_csv(rows: Sequence[Sequence]) -> str:
    """The ``rows`` as a spreadsheet reads them, and none of it as a formula."""
    text = io.StringIO()
    text.write("\ufeff")  # without it a spreadsheet takes UTF-8 for something older
    csv.writer(text, lineterminator="\r\n").writerows([[_harmless(str(cell)) for cell in row] for row in rows])
    return text.getvalue()


def _harmless(cell: str) -> str:
    # Where a comma is the decimal point, spreadsheets begin a new cell at each semicolon.
    return printable(re.sub(r"(^|;)(?=[ \n]*[=+\-@\t\r])", r"\1'", cell))
