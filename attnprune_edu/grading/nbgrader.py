"""For teachers who use nbgrader: source notebooks for its course folder, and marks for its gradebook.

nbgrader's tests run in the student's own kernel, where they can be read and replaced; what comes out of that is not safe
(see the guide for teachers). So marks can also come from the grader of this course, and nbgrader keeps and shows them.
"""

import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell

from .._course import COURSE
from ..coursework import Exercise, exercises_of
from .key import secret_seed
from .lesson_text import lesson_file
from .release import PLACEHOLDER, release_notebook, write_all
from .solutions import solution_of

TEACHER = "teacher"

CONFIG = """c = get_config()

c.ClearSolutions.code_stub = {"python": "# your code goes where the dots are"}
c.IncludeHeaderFooter.header = ""
c.ExecutePreprocessor.timeout = 60
"""


def assignment_of(lesson: str) -> str:
    """The name of a lesson's assignment in nbgrader, such as "lesson_02"."""
    return f"lesson_{lesson}"


def write_source(lessons: Sequence[str], folder: str | Path, key: bytes, *, course: Path = COURSE) -> list[Path]:
    """Write the source notebook of each of the ``lessons`` into nbgrader's course ``folder``; return the files written.

    ``key``: the secret of the course, of which the hidden tests' inputs are made. ``nbgrader_config.py`` is written where it
    is missing. Raises ValueError where a lesson and its coursework disagree; then nothing is written.
    """
    made = {}
    for lesson in lessons:
        file = lesson_file(lesson, course)
        notebook = source_notebook(lesson, file.read_text(encoding="utf-8"), key)
        made[f"source/{assignment_of(lesson)}/{file.stem}.ipynb"] = nbformat.writes(notebook) + "\n"
    if not (Path(folder) / "nbgrader_config.py").exists():
        made["nbgrader_config.py"] = CONFIG
    return write_all(made, Path(folder))


def source_notebook(lesson: str, text: str, key: bytes) -> nbformat.NotebookNode:
    """The released notebook of a ``lesson`` with solutions and hidden tests, which nbgrader takes out for the students.

    The solutions are those of a student called ``TEACHER``, whose id nbgrader takes out as well.
    """
    notebook = release_notebook(lesson, text, checked=False)
    exercises = {exercise.check.replace("_", "-"): exercise for exercise in exercises_of(lesson)}
    cells = []
    for cell in notebook.cells:
        name = cell.id.removesuffix("-answer")
        if cell.id == "student-id":
            own = f'STUDENT = "{PLACEHOLDER}"  # your id, as your teacher has it'
            cells.append(_answer_cell(own, f'STUDENT = "{TEACHER}"', "student-id"))
            cell.source, cell.id = cell.source.split("  #")[0].replace(f'"{PLACEHOLDER}"', "STUDENT"), "coursework"
            cells.append(_locked(cell))
        elif name in exercises and cell.id.endswith("-answer"):
            number, exercise = list(exercises).index(name) + 1, exercises[name]
            cells.append(_answer_cell(cell.source, solution_of(lesson, exercise, TEACHER), cell.id))
            cells.append(_test_cell(number, name, exercise, key))
        else:
            cells.append(_locked(cell))
    notebook.cells = cells
    return notebook


def _answer_cell(blank: str, solution: str, name: str):
    # The blank stands above the solution: nbgrader knows one blank for a solution, and a lesson may have several.
    code = f"{blank}\n\n### BEGIN SOLUTION\n{solution}\n### END SOLUTION"
    return _graded(new_code_cell(code, id=name), solution=True, locked=False)


def _test_cell(number: int, name: str, exercise: Exercise, key: bytes):
    seed = secret_seed(TEACHER, exercise.check, key)
    code = (
        f"verdict = mine.check({number}, {exercise.answer})\nprint(verdict)\nassert verdict.solved\n"
        "### BEGIN HIDDEN TESTS\n"
        f"assert ap.checks.{exercise.check}({exercise.answer}, seed={seed}, **mine.given({number})).solved\n"
        "### END HIDDEN TESTS"
    )
    return _graded(new_code_cell(code, id=f"{name}-test"), grade=True, points=exercise.points)


def _graded(cell, **settings):
    """The ``cell`` with what nbgrader must know about it."""
    cell.metadata["nbgrader"] = {
        "schema_version": 3,
        "grade_id": cell.id,
        "grade": False,
        "solution": False,
        "locked": True,
        "task": False,
        **settings,
    }
    return cell


def _locked(cell):
    cell.metadata["editable"] = cell.metadata["deletable"] = False
    return _graded(cell)


def into_gradebook(
    gradebook: str | Path, lesson: str, marks: Mapping[str, Mapping[str, float]], *, course: Path = COURSE
) -> None:
    """Put marks into nbgrader's ``gradebook``, a path such as ``course/gradebook.db``, which is made where missing.

    ``marks``: {student: {check: points}}. What was there for these students and this lesson is replaced, in the place of
    marks by hand, so that nbgrader's own autograding does not overwrite it. Raises ImportError without nbgrader.
    """
    try:
        from nbgrader.api import Gradebook, MissingEntry
    except ImportError as error:
        raise ImportError("a gradebook needs nbgrader: pip install 'attnprune-edu[nbgrader]'") from error
    assignment, notebook = assignment_of(lesson), lesson_file(lesson, course).stem
    with _surroundings(), Gradebook(f"sqlite:///{Path(gradebook).resolve()}") as book:
        book.update_or_create_assignment(assignment)
        book.update_or_create_notebook(notebook, assignment)
        cells = {exercise.check: f"{exercise.check.replace('_', '-')}-test" for exercise in exercises_of(lesson)}
        for exercise in exercises_of(lesson):
            book.update_or_create_grade_cell(
                cells[exercise.check], notebook, assignment, max_score=exercise.points, cell_type="code"
            )
        for student, points in marks.items():
            book.update_or_create_student(student)
            try:
                book.find_submission(assignment, student)
            except MissingEntry:
                book.add_submission(assignment, student)
            for check, value in points.items():
                grade = book.find_grade(cells[check], notebook, assignment, student)
                grade.manual_score, grade.needs_manual_grade = value, False
            book.db.commit()


@contextmanager
def _surroundings() -> Iterator[None]:
    """What nbgrader needs: the programs beside this Python, as it calls ``alembic`` by its name, and no one who is told
    of the relations between its tables that SQLAlchemy warns about.
    """
    from sqlalchemy.exc import SAWarning

    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)
            yield
    finally:
        os.environ["PATH"] = before
