"""From a notebook's code cells to verdicts: the cells run in a sandbox, and the checks ask it for the answers."""

import base64
import json
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from ..checks.verdict import Verdict, wrong
from ..coursework import Exercise
from . import sandbox, wire
from .judging import judge
from .session import Ended, Limits, Session
from .text import printable

MOST_STARTS = 8  # of one submission; each fault costs one
LONGEST_MESSAGE = 1000  # of a verdict, which may repeat what the student chose
LONGEST_ANSWER = 10_000  # of those that are remembered to look for others whose answer it is, as JSON
UNREACHED = wrong("no answer arrived, because the notebook could not be run to its end.")


@dataclass
class Run:
    """What came of one submission.

    ``verdicts``: {check: what it said}. ``errors``: (number of a code cell from 0, its error) for cells that stopped.
    ``faults``: {number of a cell, or a check: what it did, in words that go behind "it"}, where the process had to be
    stopped. ``declared``: the id that the notebook names. ``answers``: {check: the answer} where it is
    a short plain value, as the sandbox sent it. ``cpu_seconds``, ``peak_bytes``: of all its processes together.
    """

    verdicts: dict[str, Verdict] = field(default_factory=dict)
    errors: list[tuple[int, str]] = field(default_factory=list)
    faults: dict[int | str, str] = field(default_factory=dict)
    declared: str | None = None
    answers: dict[str, object] = field(default_factory=dict)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


def run_and_judge(
    exercises: Sequence[Exercise],
    cells: Sequence[str],
    student: str,
    key: bytes,
    *,
    unsafe: bool = False,
    limits: Limits | None = None,
) -> Run:
    """Run the code ``cells`` of a ``student`` in a sandbox and judge the answers to the ``exercises``.

    Where a cell or a function brings the process down, it is run again without it, so that the rest still counts. Raises
    RuntimeError where no sandbox can be made or nothing starts in it; with ``unsafe`` the code runs without one, with the
    rights of whoever calls this. ``limits``: None for those that the exercises say.
    """
    if not unsafe and (problem := sandbox.problem()):
        raise RuntimeError(problem)
    limits = limits or Limits(cell_seconds=max(exercise.seconds for exercise in exercises))
    run, began = Run(), time.monotonic()
    for _ in range(MOST_STARTS):
        left = limits.whole - int(time.monotonic() - began)  # of what all starts together may take
        if left <= 0 or run.cpu_seconds > limits.cpu_seconds:
            break
        with Session(replace(limits, whole=left), unsafe) as session:
            again = _run_once(session, exercises, list(cells), student, key, run)
        run.peak_bytes = max(run.peak_bytes, session.peak)
        run.cpu_seconds += session.cpu
        if not again:
            break
    for exercise in exercises:
        run.verdicts.setdefault(exercise.check, UNREACHED)
    run.seconds = time.monotonic() - began
    return run


def _run_once(session: Session, exercises: Sequence[Exercise], cells: list[str], student: str, key: bytes, run: Run) -> bool:
    """Fill ``run`` as far as it goes. True if something brought the process down, so that it is worth another start."""
    at: int | str = "start"
    errors: list[tuple[int, str]] = []
    try:
        session.start(cells, [number for number in run.faults if isinstance(number, int)])
        while "ran" not in (event := session.next()):
            number = event.get("cell", event.get("done"))
            if isinstance(number, int) and 0 <= number < len(cells):
                at = number if "cell" in event else at
                if event.get("error"):
                    errors.append((number, printable(str(event["error"]), 300)))
        if isinstance(event.get("declared"), str):
            run.declared = printable(event["declared"], 80)
        run.errors = errors
        for exercise in exercises:
            if exercise.check not in run.verdicts:
                at = exercise.check
                verdict = _verdict(session, exercise, student, key, run)
                run.verdicts[at] = replace(verdict, message=printable(verdict.message, LONGEST_MESSAGE))
    except Ended as end:
        if not session.ready:  # no code of the student's has run yet
            raise RuntimeError(f"the worker in the sandbox did not start: {session.tail.decode(errors='replace')}") from end
        known = at in run.faults
        run.faults[at] = end.why
        if isinstance(at, str) and at != "start":
            run.verdicts[at] = wrong(f"your answer was not judged: calling it {end.why}.")
        return not known and at != "start"
    return False


def _verdict(session: Session, exercise: Exercise, student: str, key: bytes, run: Run) -> Verdict:
    """Ask for the answer to one exercise, and judge it."""
    event = _asked(session, answer=exercise.answer)
    if "missing" in event:
        return wrong(f"`{exercise.answer}` is nowhere defined. Was its cell deleted, or does it stop with an error before?")
    if "function" in event:
        return judge(exercise, student, AnswerElsewhere(session, exercise.answer), key)
    try:
        value = wire.decode(event["value"])
    except (KeyError, ValueError):
        return wrong(f"the answer cannot be read ({str(event.get('says', 'it is no value'))[:100]}).")
    plain = isinstance(value, bool | int | float | str | list | tuple | dict)
    if plain and len(json.dumps(event["value"])) <= LONGEST_ANSWER:
        run.answers[exercise.check] = event["value"]
    return judge(exercise, student, value, key)


def _asked(session: Session, **order) -> dict:
    """The worker's answer to an order."""
    session.send(**order)
    while "asked" not in session.next():  # what the student's code may have said before
        pass
    return session.next()


class AnswerElsewhere:
    """A student's function, or class, that lives in the sandbox: what a check takes for the function itself."""

    def __init__(self, session: Session, answer: str):
        self._session, self._answer = session, answer
        self._too_slow = False

    def __call__(self, *inputs):
        """Call it there."""
        return self._ask(None, inputs)

    def observed_by(self, observer: Callable, *inputs):
        """Let one of ``checks.observers`` look at it there."""
        return self._ask(observer.__name__, inputs)

    def _ask(self, observer: str | None, inputs: tuple):
        if self._too_slow:
            raise TimeoutError("it computes for too long")
        sent = base64.b64encode(pickle.dumps(inputs)).decode("ascii")
        event = _asked(self._session, answer=self._answer, observer=observer, inputs=sent)
        for place, state in _changes(event):
            if 0 <= place < len(inputs):
                wire.set_state(inputs[place], state)
        if event.get("raised") == "OutOfTime":
            self._too_slow = True
            raise TimeoutError(f"it computes for more than {self._session.limits.cell_seconds} seconds")
        if "raised" in event:
            raise wire.error_of(str(event["raised"]), str(event.get("says", "")))
        return wire.decode(event.get("value"), inputs)


def _changes(event: dict):
    changed = event.get("changed")
    for place, state in changed.items() if isinstance(changed, dict) else ():
        if str(place).isdecimal():
            yield int(place), wire.decode(state)
