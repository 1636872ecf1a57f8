"""A teacher's own decisions: points that stand whatever the check says, each with its reason."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..coursework import Exercise
from .roster import rows, same_id

FIELDS = ["student", "exercise", "points", "reason"]


@dataclass(frozen=True)
class Override:
    """The ``points`` that a student gets for an exercise, and the ``reason``, which the student reads too."""

    points: float
    reason: str


def read_overrides(
    path: str | Path, exercises: Sequence[Exercise], students: Collection[str]
) -> dict[tuple[str, str], Override]:
    """{(student, check): override} in the CSV file ``path`` with the columns student, exercise, points, reason.

    An exercise goes by its number, from 1, or by the name of its check. ``students``: the ids that may stand there.

    Raises ValueError that names the line and the field for anything that cannot be followed.
    """
    path = Path(path)
    lines = list(rows(path))
    header = [name.strip().lower() for name in (lines[0][1] if lines else [])]
    if header != FIELDS:
        raise ValueError(f"{path.name} must have the columns {', '.join(FIELDS)}; its first line is {', '.join(header)!r}")
    named = {exercise.check: exercise for exercise in exercises}
    named |= {str(number): exercise for number, exercise in enumerate(exercises, start=1)}
    found: dict[tuple[str, str], Override] = {}
    for number, cells in lines[1:]:

        def refused(field, problem, number=number):
            return ValueError(f"{path.name}, line {number}, {field}: {problem}")

        if len(cells) != len(FIELDS):
            raise refused("fields", f"there must be {len(FIELDS)}, got {len(cells)}; a reason with a comma needs quotes")
        student, name, points, reason = (cell.strip() for cell in cells)
        student = same_id(student)
        if student not in students:
            raise refused("student", f"{student!r} is neither on the roster nor has handed in anything")
        if name not in named:
            raise refused("exercise", f"must be one of {', '.join(named)}, got {name!r}")
        exercise = named[name]
        try:
            value = float(points)
        except ValueError:
            value = math.nan
        if not 0 <= value <= exercise.points:
            raise refused("points", f"must be a number from 0 to {exercise.points}, got {points!r}")
        if not reason:
            raise refused("reason", "must say why, in a sentence for the student")
        if (student, exercise.check) in found:
            raise refused("student", f"{student!r} has a line for {exercise.check} already")
        found[student, exercise.check] = Override(value, reason)
    return found
