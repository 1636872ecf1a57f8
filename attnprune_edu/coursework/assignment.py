"""What a student's notebook calls: the tasks with the student's own numbers, and the checks of the lesson with them."""

from importlib import import_module
from pathlib import Path

from .. import checks
from ..checks.verdict import Verdict
from .exercise import Exercise
from .numbers import stream

LESSONS = tuple(sorted(path.stem.removeprefix("lesson_") for path in Path(__file__).parent.glob("lesson_*.py")))


def exercises_of(lesson: str) -> tuple[Exercise, ...]:
    """The exercises of a ``lesson``, by its number such as ``"02"``. Raises ValueError for one that has no coursework."""
    if lesson not in LESSONS:
        raise ValueError(f"lesson must be one of {', '.join(LESSONS)}, got {lesson!r}")
    return import_module(f".lesson_{lesson}", __package__).EXERCISES


class Coursework:
    """One student's coursework on one lesson.

    ``lesson``: its number, such as ``"02"``. ``student``: the id on the teacher's list. Raises ValueError for a lesson that
    has no coursework, and for an empty id or one that still is the three dots; TypeError for one that is no text.
    """

    def __init__(self, lesson: str, student: str):
        if not isinstance(student, str):
            raise TypeError(f'student must be your id, as text in quotes such as "s1234", got {student!r}')
        if not student.strip(" ."):
            raise ValueError(
                f"student must be your id, in the place of the three dots, got {student!r}; then run again from here"
            )
        self.lesson, self.student = lesson, student
        self.exercises = exercises_of(lesson)

    def __repr__(self) -> str:
        return f"Coursework on lesson {self.lesson} of {self.student}: {len(self.exercises)} exercises"

    def given(self, number: int) -> dict:
        """The student's own numbers in exercise ``number``, from 1: {keyword of the check: value}."""
        exercise = self._exercise(number)
        return exercise.given(stream(self.student, exercise.check))

    def task(self, number: int):
        """The text of exercise ``number``, from 1, with the student's own numbers, as a notebook shows it."""
        from IPython.display import Markdown

        return Markdown(self._exercise(number).task(**self.given(number)))

    def variables(self, number: int) -> tuple:
        """What the cell of exercise ``number``, from 1, works with, in the order of its names."""
        exercise = self._exercise(number)
        return tuple((exercise.variables(**self.given(number)) if exercise.variables else {}).values())

    def check(self, number: int, answer) -> Verdict:
        """What the lesson's check says about the ``answer`` to exercise ``number``, from 1, with the student's numbers."""
        return getattr(checks, self._exercise(number).check)(answer, **self.given(number))

    def _exercise(self, number: int) -> Exercise:
        if number not in range(1, len(self.exercises) + 1):
            raise ValueError(f"number must be from 1 to {len(self.exercises)}, got {number!r}")
        return self.exercises[number - 1]
