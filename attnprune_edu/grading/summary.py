"""What a teacher should know of a whole course: marks, misconceptions, and what looks copied."""

import base64
import io
import itertools
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import checks
from ..coursework import Exercise, stream
from . import wire
from .feedback import template
from .marks import NOTHING, Mark
from .records import GRADED, write_text
from .roster import same_id

BY_CHANCE = 3  # an answer that is right for more others than that says nothing about any of them


@dataclass(frozen=True)
class Summary:
    """``states``: how many there are of each. ``totals``: points of those graded, ``of`` so many. ``shares``: {check: the
    mean share of the points}. ``seconds``: of grading, all processes added up. All others are rows of tables:

    ``misconceptions``: (check, how many, sentence); ``identical``: students with equal notebooks; ``borrowed``: (student,
    check, whose numbers a wrong answer fits); ``declared``: (student, another id in the notebook); ``not_graded``: (student,
    state, why).
    """

    states: Counter
    totals: list[float]
    of: int
    shares: dict[str, float]
    seconds: float
    misconceptions: list[tuple[str, int, str]]
    identical: list[tuple[str]]
    borrowed: list[tuple[str, str, str]]
    declared: list[tuple[str, str]]
    not_graded: list[tuple[str, str, str]]

    def lines(self) -> list[str]:
        """The whole in at most ten lines."""
        lines = [f"{self.states.total()} students: " + ", ".join(f"{n} {state}" for state, n in self.states.most_common())]
        if self.totals:
            mean, median = statistics.mean(self.totals), statistics.median(self.totals)
            between = f"from {min(self.totals):g} to {max(self.totals):g}"
            lines.append(f"points of those graded: mean {mean:.3g}, median {median:g}, {between}, of {self.of}")
            lines.append("share of the points: " + ", ".join(f"{check} {share:.0%}" for check, share in self.shares.items()))
        lines += [f"{count} × {check}: {message}" for check, count, message in self.misconceptions[:3]]
        lines.append(
            f"groups of equal notebooks: {len(self.identical)}; wrong answers that are right for others: "
            f"{len(self.borrowed)}; notebooks with another id: {len(self.declared)}"
        )
        lines.append(f"time: {self.seconds:.0f} s of running and judging")
        return lines


def summarise(exercises: Sequence[Exercise], marks: Sequence[Mark]) -> Summary:
    """The summary of all ``marks`` on the ``exercises`` of a lesson."""
    graded = [mark for mark in marks if mark.state == GRADED]
    messages: Counter = Counter()
    notebooks = defaultdict(list)
    for mark in graded:
        verdicts = mark.record.verdicts
        messages.update((check, blanked(said.message)) for check, said in verdicts.items() if said.solved is False)
        if any(said.solved is not None for said in verdicts.values()):  # what nobody touched is equal for everybody
            notebooks[mark.record.same_as].append(mark.student.id)
    known = [mark for mark in graded if mark.total is not None]
    return Summary(
        states=Counter(mark.state for mark in marks),
        totals=[mark.total for mark in known],
        of=sum(exercise.points for exercise in exercises),
        shares={
            exercise.check: sum(mark.points[exercise.check] for mark in known) / len(known) / exercise.points
            for exercise in exercises
            if known
        },
        seconds=sum(mark.record.seconds for mark in graded),
        misconceptions=[(check, count, message) for (check, message), count in messages.most_common()],
        identical=[(", ".join(students),) for students in notebooks.values() if len(students) > 1],
        borrowed=_borrowed(exercises, graded, [mark.student.id for mark in marks]),
        declared=[
            (mark.student.id, mark.record.declared)
            for mark in graded
            if mark.record.declared is not None and same_id(mark.record.declared) != mark.student.id
        ],
        not_graded=[
            (mark.student.id, mark.state, "; ".join(mark.notes)) for mark in marks if mark.state not in (GRADED, NOTHING)
        ],
    )


def blanked(message: str) -> str:
    """A check's sentence without its numbers, so that the same misconception reads the same for everybody."""
    return re.sub(r"(?<![A-Za-z])-?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?", "…", message)[:200]


def _borrowed(exercises: Sequence[Exercise], graded: Sequence[Mark], students: Sequence[str]) -> list[tuple[str, str, str]]:
    """Wrong plain answers that are right with the numbers of a few other students."""
    found = []
    for exercise in exercises:
        check = getattr(checks, exercise.check)
        given = {student: exercise.given(stream(student, exercise.check)) for student in students}
        for mark in graded:
            verdict = mark.record.verdicts.get(exercise.check)
            if exercise.check not in mark.record.answers or not verdict or verdict.solved is not False:
                continue
            try:
                answer = wire.decode(mark.record.answers[exercise.check])
            except ValueError:  # an answer that no version reads any more
                continue
            others = (other for other in students if other != mark.student.id)
            fits = list(itertools.islice((other for other in others if check(answer, **given[other]).solved), BY_CHANCE + 1))
            if 0 < len(fits) <= BY_CHANCE:
                found.append((mark.student.id, exercise.check, ", ".join(fits)))
    return found


def write_summary(path: Path, lesson: str, summary: Summary) -> None:
    """Write the summary as one HTML page."""
    picture = base64.b64encode(_picture(summary)).decode("ascii") if summary.totals else None
    shares = ", ".join(f"{check} {share:.0%}" for check, share in summary.shares.items())
    counts = Counter(int(total) for total in summary.totals)
    reached = ", ".join(f"{points} points: {count} students" for points, count in sorted(counts.items()))
    alt = f"Histogram of the points, {reached}. Bars of the mean share of the points in each exercise, {shares}."
    text = template("summary").render(lesson=lesson, summary=summary, picture=picture, alt=alt)
    write_text(path, text)


def _picture(summary: Summary) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3), layout="constrained")
    marks, exercises = figure.subplots(1, 2)
    marks.hist(summary.totals, bins=range(summary.of + 2), align="left", rwidth=0.9)
    marks.set(xlabel=f"points of {summary.of}", ylabel="students")
    marks.yaxis.get_major_locator().set_params(integer=True)
    exercises.barh(list(summary.shares), [100 * share for share in summary.shares.values()])
    exercises.set(xlabel="mean share of the points in %", xlim=(0, 100))
    exercises.invert_yaxis()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()
