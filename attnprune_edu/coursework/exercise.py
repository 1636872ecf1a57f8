"""What coursework makes of an exercise of a lesson: numbers of a student's own, and the sentence that names them."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Exercise:
    """One exercise of a lesson as coursework. No answer stands here: students have this file.

    ``check``: the name of the lesson's check, which judges the answer. ``answer``: the variable that is handed to it.
    ``points``: what it is worth. ``given``: a student's random numbers → that student's own values of the check's keywords,
    such that the lesson's own answer is wrong. ``task``: those values → a text in Markdown. With the lesson's values it
    stands literally in the lesson, and there the student's own takes its place; if ``added``, it is instead the text of a
    version that stands below the lesson's. ``variables``: those values → {name: value} of what the lesson's
    cell defines above the blank, where it does. ``seconds``: of the processor's time that a cell of its notebook may take.
    """

    check: str
    answer: str
    points: int
    given: Callable[[Random], dict]
    task: Callable[..., str]
    added: bool = False
    variables: Callable[..., dict] | None = None
    seconds: int = 10
