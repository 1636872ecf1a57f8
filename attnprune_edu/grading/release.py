"""What students get: one notebook for everybody, in which each finds numbers of their own, and a page that says how."""

import ast
import builtins
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from .._course import COURSE
from ..coursework import Exercise, exercises_of
from .lesson_text import Part, agreed, lesson_file, lesson_values, title_of
from .records import write_text
from .session import Limits

SETUP = "import copy\nimport math\n\nimport attnprune_edu as ap  # before torch\nimport torch"
KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}
PLACEHOLDER = "..."


def write_release(
    lessons: Sequence[str], folder: str | Path, *, hints: bool = True, checked: bool = True, course: Path = COURSE
) -> list[Path]:
    """Write the release of each of the ``lessons``, by their numbers, into ``folder``, and return the files written.

    ``hints``: with the lesson's folded hints. ``checked``: with the lesson's check behind each blank, which answers at once.
    Files that are there already are replaced. Raises ValueError where a lesson and its coursework disagree; then nothing is
    written.
    """
    made = {}
    for lesson in lessons:
        file = lesson_file(lesson, course)
        text = file.read_text(encoding="utf-8")
        notebook = release_notebook(lesson, text, hints=hints, checked=checked)
        # Not the lesson's own name: students keep both in one folder.
        made[f"{lesson}_coursework.ipynb"] = nbformat.writes(notebook) + "\n"
    seconds = {lesson: max(exercise.seconds for exercise in exercises_of(lesson)) for lesson in lessons}
    made["README.md"] = _readme(sorted(made), seconds, checked, course)
    return write_all(made, Path(folder))


def write_all(made: Mapping[str, str], folder: Path) -> list[Path]:
    """Write the texts that were ``made``, {path in ``folder``: text}, and return the paths of the files."""
    for name, text in made.items():
        write_text(folder / name, text)
    return [folder / name for name in made]


def release_notebook(lesson: str, text: str, *, hints: bool = True, checked: bool = True) -> nbformat.NotebookNode:
    """The notebook that students of a ``lesson`` get, made of its ``text``. Raises ValueError as ``agreed`` does."""
    title = title_of(text)
    name = title.partition(" · ")[2] or title
    cells = [
        new_markdown_cell(
            f"# Coursework {title}\n\nThe tasks speak of lesson {lesson}, *{name}*: have it open beside this. They are "
            "those of the lesson, with numbers of your own. Put your id in the place of the first three dots, run the "
            "notebook from the top, and put your answers in the place of the others.",
            id="title",
        ),
        new_code_cell(SETUP, id="setup"),
        new_code_cell(
            "from attnprune_edu.coursework import Coursework\n\n"
            f'mine = Coursework("{lesson}", student="{PLACEHOLDER}")  # your id, as your teacher\'s list has it; '
            "then run again from here",
            id="student-id",
        ),
    ]
    for number, (part, exercise) in enumerate(agreed(lesson, text), start=1):
        cells += _exercise_cells(number, part, exercise, hints, checked)
    return new_notebook(cells=cells, metadata=KERNEL)


def _exercise_cells(number: int, part: Part, exercise: Exercise, hints: bool, checked: bool) -> list:
    """The cells of one exercise."""
    name = exercise.check.replace("_", "-")
    pieces = running_alone(part.before)
    show = new_code_cell(f"mine.task({number})", id=f"{name}-task")
    cells = []
    for place, piece in enumerate(pieces):
        if place % 2:
            cells.append(new_code_cell(piece, id=f"{name}-given-{place}"))
            continue
        texts = [piece] if exercise.added else piece.split(exercise.task(**lesson_values(exercise)), 1)
        texts = [
            ("" if place or turn else f"### {part.heading} · {_points(exercise.points)}\n\n") + said.strip()
            for turn, said in enumerate(texts)
        ]
        for turn, said in enumerate(texts):
            if turn:
                cells.append(show)
            if said.strip():
                cells.append(new_markdown_cell(said.strip(), id=f"{name}-text-{place}{'-on' if turn else ''}"))
    if exercise.added:
        cells.append(show)
    blank = part.blank
    if exercise.variables:
        names = list(exercise.variables(**lesson_values(exercise)))
        cells.append(
            new_code_cell(
                f'{", ".join(names)} = mine.variables({number})\nprint({", ".join(names)}, sep="\\n")',
                id=f"{name}-variables",
            )
        )
        blank = _without(blank, names)
    check = f"\n\n\nmine.check({number}, {part.answer})" if checked else ""
    cells.append(new_code_cell(blank + (check if "\n" in blank else check[2:]), id=f"{name}-answer"))
    if hints and part.hint:
        cells.append(new_markdown_cell(f"<details><summary>Hint</summary>\n\n{part.hint}\n\n</details>", id=f"{name}-hint"))
    return cells


def _points(points: int) -> str:
    return f"{points} point{'s' if points > 1 else ''}"


def _without(code: str, names: Sequence[str]) -> str:
    """``code`` without the statements that define one of ``names``."""
    lines = code.split("\n")
    for node in reversed(ast.parse(code).body):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in names:
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines).strip()


def running_alone(pieces: Sequence[str]) -> list[str]:
    """The texts and codes before a blank, without the code that needs what stands earlier in the lesson.

    The sentence that announces such a code, up to its colon, goes as well.
    """
    known = set(dir(builtins)) | _defined(SETUP)
    texts, codes = [pieces[0]], []
    for code, text in zip(pieces[1::2], pieces[2::2], strict=True):
        if _needed(code) <= known:
            known |= _defined(code)
            codes.append(code)
            texts.append(text)
        else:
            announced = re.sub(r"(^|(?<=[.!?)]) )[^.!?]*:$", "", texts[-1])
            texts[-1] = f"{announced.strip()}\n\n{text}".strip()
    return [texts[0], *(piece for pair in zip(codes, texts[1:], strict=True) for piece in pair)]


def _defined(code: str) -> set[str]:
    tree = ast.parse(code)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    names |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return names | {(alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names}


def _needed(code: str) -> set[str]:
    """The names that ``code`` reads and does not define."""
    read = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return read - _defined(code)


def _readme(notebooks: Sequence[str], seconds: Mapping[str, int], checked: bool, course: Path) -> str:
    """What students read first."""
    several = len(notebooks) > 1
    address = re.search(r"git clone (\S+)", (course / "README.md").read_text(encoding="utf-8"))[1]
    files = "\n".join(f"- `{name}`" for name in notebooks)
    least = min(seconds.values())
    longer = [f"{most} in lesson {lesson}" for lesson, most in seconds.items() if most > least]
    a_cell = f"a cell may compute for {', '.join([f'{least} seconds', *longer])}"
    at_once = (
        "5. The last line of such a cell checks your answer and says at once what is amiss. It tries a function with some\n"
        "   inputs; the grading tries it with others, so write it for any.\n"
        if checked
        else ""
    )
    return f"""# Coursework

{"These notebooks are" if several else "This notebook is"} for you to solve and hand in:

{files}

1. Set up the course as its README says (<{address}>), copy the {"notebooks" if several else "notebook"}
   into its folder `workbook/`, and open JupyterLab with `make lab` (on Windows: `py course.py lab`).
2. Put your id, as your teacher's list has it, in the place of the three dots in the second code cell.
3. Run the cells from the top. Each task appears with **numbers of your own**: what is right for another student, or in the
   lesson, is wrong for you.
4. Put your answers in the place of the other dots. You may add cells, and use everything that the lesson uses.
{at_once}
Before you hand in: *Kernel → Restart Kernel and Run All Cells…* shows what your notebook does from a fresh start, which is
how it is graded. Then save it, and hand in the `.ipynb` file under its own name.

What is graded is what your variables and functions hold after all code cells have run, one after the other; outputs that are
stored in the file do not count. On one core, {a_cell}, and all
cells together for {Limits.cpu_seconds}. What you write in text cells is not read by the grader.
"""
