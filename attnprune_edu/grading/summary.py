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

from markupsafe import Markup, escape

from .. import checks
from ..coursework import Exercise, stream
from . import wire
from .feedback import has_page, page_name, template
from .marks import Mark
from .records import GRADED, write_text
from .roster import same_id

OUTCOMES = {"right": "#0072b2", "partly right": "#cc79a7", "wrong": "#d55e00", "not tried": "#7f7f7f"}  # and colours
LIGHT, DARK = "#1a1a1a", "#e8e8ea"  # ink on pages in light and in dark colours
BY_CHANCE = 3  # an answer that is right for more others than that says nothing about any of them


@dataclass(frozen=True)
class Summary:
    """``states``: how many there are of each. ``totals``: points of those graded, ``of`` so many. All others are rows:

    ``outcomes``: {check: how many got it right, partly right, wrong, or have not tried it}. ``misconceptions``: (check, how
    many, what the check said to one of them); ``identical``: students with equal notebooks; ``borrowed``: (student, check,
    students for whom the wrong answer is right); ``declared``: (student, another id in the notebook); ``not_graded``:
    (student, state, why).
    """

    states: Counter
    totals: list[float]
    of: int
    outcomes: dict[str, Counter]
    misconceptions: list[tuple[str, int, str]]
    identical: list[list[str]]
    borrowed: list[tuple[str, str, list[str]]]
    declared: list[tuple[str, str]]
    not_graded: list[tuple[str, str, str]]

    @property
    def exercises(self) -> dict[str, str]:
        """{check: what students know it as, such as "Exercise 1"}."""
        return {check: f"Exercise {number}" for number, check in enumerate(self.outcomes, start=1)}

    @property
    def points(self) -> str:
        """How the points are distributed, in a line."""
        mean, median = statistics.mean(self.totals), statistics.median(self.totals)
        between = f"from {min(self.totals):g} to {max(self.totals):g}"
        return f"points of those graded: mean {mean:.3g}, median {median:g}, {between}, of {self.of}"

    @property
    def students(self) -> str:
        """How many students there are, in a line."""
        return f"{self.states.total()} students: " + ", ".join(f"{n} {state}" for state, n in self.states.most_common())

    def lines(self) -> list[str]:
        """The whole in at most ten lines."""
        lines = [self.students]
        if self.totals:
            right = ", ".join(f"{name} {self.outcomes[check]['right']}" for check, name in self.exercises.items())
            lines += [self.points, f"how many got it right: {right}"]
        lines += [f"{count} × {self.exercises[check]}: {message}" for check, count, message in self.misconceptions[:3]]
        lines.append(
            f"groups of equal notebooks: {len(self.identical)}; wrong answers that are right for others: "
            f"{len(self.borrowed)}; notebooks with another id: {len(self.declared)}"
        )
        return lines


def summarise(exercises: Sequence[Exercise], marks: Sequence[Mark]) -> Summary:
    """The summary of all ``marks`` on the ``exercises`` of a lesson."""
    graded = [mark for mark in marks if mark.state == GRADED]
    messages, notebooks = defaultdict(list), defaultdict(list)
    for mark in graded:
        verdicts = mark.record.verdicts
        for check, said in verdicts.items():
            if said.solved is False:
                messages[check, blanked(said.message)].append(said.message)
        if any(said.solved is not None for said in verdicts.values()):  # what nobody touched is equal for everybody
            notebooks[mark.record.same_as].append(mark.student.id)
    frequent = sorted(messages.items(), key=lambda item: -len(item[1]))
    return Summary(
        states=Counter(mark.state for mark in marks),
        totals=[mark.total for mark in graded if mark.total is not None],
        of=sum(exercise.points for exercise in exercises),
        outcomes={one.check: Counter(_outcome(mark, one.check) for mark in graded) for one in exercises},
        misconceptions=[(check, len(said), said[0]) for (check, _), said in frequent],
        identical=[students for students in notebooks.values() if len(students) > 1],
        borrowed=_borrowed(exercises, graded, [mark.student.id for mark in marks]),
        declared=[
            (mark.student.id, mark.record.declared)
            for mark in graded
            if mark.record.declared is not None and same_id(mark.record.declared) != mark.student.id
        ],
        not_graded=[(mark.student.id, mark.state, "; ".join(mark.remarks)) for mark in marks if mark.state != GRADED],
    )


def _outcome(mark: Mark, check: str) -> str:
    """Which of ``OUTCOMES`` an exercise ended in."""
    verdict = mark.record.verdicts.get(check)
    if check not in mark.overrides and (verdict is None or verdict.solved is None):
        return "not tried"
    points = mark.points[check]
    return "right" if points == mark.of[check] else "partly right" if points else "wrong"


def blanked(message: str) -> str:
    """The start of a check's sentence, without numbers, so that the same misconception reads the same for everybody."""
    return re.sub(r"(?<![A-Za-z])-?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?", "…", message)[:200]


def _borrowed(
    exercises: Sequence[Exercise], graded: Sequence[Mark], students: Sequence[str]
) -> list[tuple[str, str, list[str]]]:
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
                found.append((mark.student.id, exercise.check, fits))
    return found


def write_summary(path: Path, lesson: str, summary: Summary, marks: Sequence[Mark]) -> None:
    """Write the summary as one HTML page, which links to the students' pages in the folder ``feedback`` beside it."""
    picture = _picture(summary) if summary.totals else ""
    counts = Counter(int(total) for total in summary.totals)
    reached = ", ".join(f"{points} points: {count} students" for points, count in sorted(counts.items()))
    alt = f"Histogram of the points, {reached}. Bars of how the exercises ended, with the numbers of the table below."
    text = template("summary").render(
        lesson=lesson,
        summary=summary,
        tables=_tables(summary, marks),
        pictures=[_as_address(picture.replace(LIGHT, ink)) for ink in (LIGHT, DARK)] if picture else [],
        alt=alt,
        zip=zip,
    )
    write_text(path, text)


@dataclass(frozen=True)
class _Table:
    """A table of the page, with a sentence above it or ""."""

    title: str
    intro: str
    head: Sequence[str]
    rows: Sequence[Sequence]


def _tables(summary: Summary, marks: Sequence[Mark]) -> list[_Table]:
    who = {mark.student.id: _named(mark) for mark in marks}
    points = {mark.student.id: Markup("{} ({:g} of {})").format(_named(mark), mark.total or 0, summary.of) for mark in marks}
    numbers = {check: name.split()[-1] for check, name in summary.exercises.items()}
    several = Markup(", ").join
    return [
        _Table(
            "How the exercises ended",
            "Of those graded.",
            ["Exercise", *OUTCOMES],
            [
                (f"{numbers[check]}, {check}", *(ended[kind] for kind in OUTCOMES))
                for check, ended in summary.outcomes.items()
            ],
        ),
        _Table(
            "What went wrong, and how often",
            "Each sentence is what the check said to one of them; to the others it said the same with other numbers.",
            ["Exercise", "Students", "What the check said"],
            [(numbers[check], count, message) for check, count, message in summary.misconceptions],
        ),
        _Table(
            "Equal notebooks",
            "All code cells are equal, comments and ids aside. Whose the answers are, the points may tell.",
            ["Students"],
            [(several(points[student] for student in students),) for students in summary.identical],
        ),
        _Table(
            "Wrong answers that are right for others",
            f"It may be chance: an answer that fits more than {BY_CHANCE} others is not listed.",
            ["Student", "Exercise", "Right for"],
            [(who[student], numbers[check], several(map(who.get, fits))) for student, check, fits in summary.borrowed],
        ),
        _Table(
            "Another id in the notebook",
            "Everybody was graded with the numbers of the id under which the file was collected.",
            ["Student", "Id in the notebook"],
            [(who[student], declared) for student, declared in summary.declared],
        ),
        _Table(
            "Not graded",
            "",
            ["Student", "State", "Why"],
            [(who[student], state, why) for student, state, why in summary.not_graded],
        ),
    ]


def _named(mark: Mark) -> Markup:
    """A student's id, which leads to the student's page if there is one, and name."""
    known = mark.student
    link = Markup('<a href="feedback/{}">{}</a>').format(page_name(mark), known.id) if has_page(mark) else escape(known.id)
    return link + f" {known.name}" if known.name else link


def _as_address(svg: str) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()}"


def _picture(summary: Summary) -> str:
    """The distribution of points, and how each exercise ended, as an SVG with ink for light pages and no paper."""
    import matplotlib
    from matplotlib.figure import Figure

    inked = dict.fromkeys(["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"], LIGHT)
    # Text stays text, and the same course gives the same file.
    with matplotlib.rc_context(inked | {"svg.fonttype": "none", "svg.hashsalt": "summary", "font.size": 12}):
        figure = Figure(figsize=(4.6, 5), layout="constrained")  # one below the other, so that a telephone can show it
        marks, exercises = figure.subplots(2, 1)
        marks.hist(summary.totals, bins=range(summary.of + 2), align="left", rwidth=0.9, color=OUTCOMES["right"])
        marks.set(xlabel=f"points of {summary.of}", ylabel="students")
        marks.yaxis.get_major_locator().set_params(integer=True)
        names, before = list(summary.exercises.values()), [0] * len(summary.outcomes)
        for outcome, colour in OUTCOMES.items():
            counts = [ended[outcome] for ended in summary.outcomes.values()]
            exercises.barh(names, counts, left=before, label=outcome, color=colour)
            before = [start + count for start, count in zip(before, counts, strict=True)]
        exercises.set(xlabel="students")
        exercises.xaxis.get_major_locator().set_params(integer=True)
        exercises.invert_yaxis()
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
        picture = io.StringIO()
        figure.savefig(picture, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return picture.getvalue()
