"""Everybody's points, and the tables that a spreadsheet, Moodle and Canvas read."""

import csv
import datetime
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..coursework import Exercise
from .collecting import Collection, File
from .overrides import Override
from .records import GRADED, UNREADABLE, Record, write_text
from .roster import Roster, Student, same_id
from .text import printable

NOTHING, WAITING = "nothing handed in", "not graded yet"


@dataclass(frozen=True)
class Mark:
    """What one ``student`` gets. ``points``: {check: points, to two decimals}, None while nobody can say."""

    student: Student
    state: str
    points: dict[str, float | None]
    of: int
    notes: list[str]
    record: Record | None = None
    overrides: dict[str, Override] = field(default_factory=dict)

    @property
    def total(self) -> float | None:
        """The sum of the points, None while one of them is not known."""
        points = list(self.points.values())
        return None if None in points else round(sum(points), 2)


def marks_of(
    exercises: Sequence[Exercise],
    roster: Roster,
    collection: Collection,
    records: Mapping[str, Record],
    overrides: Mapping[tuple[str, str], Override],
    deadline: datetime.datetime | None = None,
) -> list[Mark]:
    """A mark for everybody on the roster, in its order, and then for whoever else handed something in.

    ``records``: {student: record}, of which only those on the file that was chosen count. ``deadline``: in local time.
    """
    return [
        _mark(student, exercises, roster, collection, records.get(student), overrides, deadline)
        for student in everybody(roster, collection)
    ]


def everybody(roster: Roster, collection: Collection) -> list[str]:
    """The ids of the roster, in its order, and then of whoever else handed something in."""
    return list(dict.fromkeys([*roster.students, *sorted({*collection.chosen, *collection.without})]))


def _mark(student, exercises, roster, collection, record, overrides, deadline) -> Mark:
    file, notes = collection.chosen.get(student), []
    if record and (file is None or record.about["file"] != file.sha256):
        record = None
    if file:
        state = record.state if record else WAITING
        notes += _about_file(student, file, collection, deadline)
    elif student in collection.without:
        state = UNREADABLE
        notes.append(collection.without[student])
    else:
        state = NOTHING
    if roster.students and student not in roster.students:
        notes.append("not on the roster")
    if record:
        notes += [*record.notes, *_about_run(record)]
    own = {check: override for (whose, check), override in overrides.items() if whose == student}
    points: dict[str, float | None] = {}
    for exercise in exercises:
        if exercise.check in own:
            points[exercise.check] = own[exercise.check].points
            notes.append(
                f"{exercise.check}: {own[exercise.check].points:g} points by the teacher: {own[exercise.check].reason}"
            )
        elif state == GRADED and (verdict := record.verdicts.get(exercise.check)):
            points[exercise.check] = round(verdict.share * exercise.points, 2)
        else:
            points[exercise.check] = 0.0 if state in (NOTHING, UNREADABLE) else None
    who = roster.students.get(student, Student(student))
    return Mark(who, state, points, sum(exercise.points for exercise in exercises), notes, record, own)


def _about_file(student: str, file: File, collection: Collection, deadline: datetime.datetime | None) -> list[str]:
    notes = []
    if others := sum(other.student == student and other.became.startswith("superseded") for other in collection.files):
        notes.append(f"{others + 1} notebooks handed in, {file.name} was graded")
    if deadline and (late := file.time - deadline.timestamp()) > 0:
        notes.append(f"late by {_duration(late)}")
    return notes


def _about_run(record: Record) -> list[str]:
    notes = []
    if record.declared is not None and same_id(record.declared) != record.student:
        notes.append(f"the notebook names the id {record.declared[:80]!r}")
    for place, fault in record.faults.items():
        notes.append(f"{f'code cell {int(place) + 1}' if place.isdecimal() else place} {fault}")
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
    of = marks[0].of if marks else ""
    canvas = [["Student", "ID", "SIS User ID", "SIS Login ID", "Section", column]]
    canvas.append(["Points Possible", "", "", "", "", of])
    for mark in marks:
        who, notes = mark.student, "; ".join(mark.notes)
        points = [_number(value) for value in mark.points.values()]
        table.append([who.id, who.name, *points, _number(mark.total), mark.of, mark.state, notes])
        number = f"Participant {who.participant}" if who.participant else ""
        moodle.append(
            [number, who.name, who.email, who.id, _number(mark.total), mark.of, f"{mark.state}; {notes}".strip("; ")]
        )
        canvas.append([who.name or who.id, "", "", who.id, "", _number(mark.total)])
    for name, rows in (("marks", table), ("moodle", moodle), ("canvas", canvas), ("ledger", _ledger(marks, collection))):
        write_text(folder / f"{name}.csv", as_csv(rows))


def _ledger(marks: Sequence[Mark], collection: Collection) -> list[list]:
    states = {mark.student.id: mark.state for mark in marks}
    rows = [["file", "student", "changed", "what became of it", "sha256"]]
    for file in collection.files:
        became = states[file.student] if file.became == GRADED else file.became
        changed = datetime.datetime.fromtimestamp(file.time).isoformat(" ", "seconds") if file.time else ""
        rows.append([file.shown, file.student, changed, became, file.sha256])
    return rows + [["", mark.student.id, "", NOTHING, ""] for mark in marks if mark.state == NOTHING]


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
