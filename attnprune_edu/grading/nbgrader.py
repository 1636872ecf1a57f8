"""For teachers who use nbgrader: source notebooks for its course folder, and marks for its gradebook.

nbgrader's tests run in the student's own kernel, where they can be read and replaced; what comes out of that is not safe
(see the guide for teachers). So marks can also come from the grader of this course, and nbgrader keeps and shows them.
"""

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from ..coursework import Exercise, exercises_of
from ..report.checkpoints import atomic_write
from .lesson_text import COURSE, Part, agreed, lesson_file, title_of
from .release import KERNEL, SETUP, running_alone

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

    Everybody has the lesson's own numbers there: nbgrader knows one release for all. ``key``: the secret of the course, of
    which the hidden tests' inputs are made. ``nbgrader_config.py`` is written where it is missing. Raises ValueError where a
    lesson and its coursework disagree; then nothing is written.
    """
    made = {}
    for lesson in lessons:
        file = lesson_file(lesson, course)
        notebook = source_notebook(lesson, file.read_text(encoding="utf-8"), key)
        made[Path("source", assignment_of(lesson), f"{file.stem}.ipynb")] = nbformat.writes(notebook) + "\n"
    if not (Path(folder) / "nbgrader_config.py").exists():
        made[Path("nbgrader_config.py")] = CONFIG
    written = []
    for name, content in made.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as unfinished:
            unfinished.write_text(content, encoding="utf-8")
        written.append(path)
    return written


def source_notebook(lesson: str, text: str, key: bytes) -> nbformat.NotebookNode:
    """nbgrader's source of a ``lesson``: with solutions and hidden tests, which nbgrader takes out for the students."""
    cells = [
        _locked(new_markdown_cell(f"# Coursework {title_of(text)}", id="title")),
        _locked(new_code_cell(SETUP, id="setup")),
    ]
    for part, exercise in agreed(lesson, text):
        name = exercise.check.replace("_", "-")
        for place, piece in enumerate(running_alone(part.before)):
            if piece:
                said = piece if place else f"### {part.heading}\n\n{piece}"
                make = new_code_cell if place % 2 else new_markdown_cell
                cells.append(_locked(make(said, id=f"{name}-given-{place}")))
        cells += [_answer_cell(name, part), _test_cell(name, exercise, key)]
    return new_notebook(cells=cells, metadata=KERNEL)


def _answer_cell(name: str, part: Part):
    # The blank stands above the solution: nbgrader knows one blank for a solution, and a lesson may have several.
    code = f"{part.blank}\n\n### BEGIN SOLUTION\n{part.solution}\n### END SOLUTION"
    return _graded(new_code_cell(code, id=f"{name}-answer"), solution=True, locked=False)


def _test_cell(name: str, exercise: Exercise, key: bytes):
    seed = int.from_bytes(hashlib.sha256(key + exercise.check.encode()).digest()[:6], "big")
    check = f"ap.checks.{exercise.check}({exercise.answer}"
    code = (
        f"verdict = {check})\nprint(verdict)\nassert verdict.solved\n"
        f"### BEGIN HIDDEN TESTS\nassert {check}, seed={seed}).solved\n### END HIDDEN TESTS"
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
    with _commands_of_this_python(), Gradebook(f"sqlite:///{Path(gradebook).resolve()}") as book:
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
def _commands_of_this_python() -> Iterator[None]:
    """Find what is installed beside this Python: nbgrader calls the program ``alembic`` by its name."""
    before = os.environ.get("PATH", "")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before
