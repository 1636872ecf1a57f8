"""Two hundred submissions of a lesson's coursework, as a course may get them, graded unattended; and beside it, by nbgrader.

    python benchmarks/coursework.py [--lesson 02] [--jobs 2] [--nbgrader] [--folder FOLDER]

40 are solved in part, 20 are blank; 15 hold the lesson's own answers, 15 a neighbour's, 10 wrong numbers; each hostile cell
and function of the tests comes once, 7 are damaged files; all others are solved. The table says for each kind how many got
the marks they deserve, and what they cost. With ``--nbgrader``, nbgrader's own autograder gets those of the same kinds that
do no harm without a sandbox.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import pandas as pd

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "grading")]

from hostile import HOSTILE_CELLS, HOSTILE_FUNCTIONS  # noqa: E402

from attnprune_edu.coursework import exercises_of  # noqa: E402
from attnprune_edu.grading.command import grade_course  # noqa: E402
from attnprune_edu.grading.lesson_text import agreed, lesson_file  # noqa: E402
from attnprune_edu.grading.nbgrader import write_source  # noqa: E402
from attnprune_edu.grading.records import read_record  # noqa: E402
from attnprune_edu.grading.release import release_notebook  # noqa: E402
from attnprune_edu.grading.solutions import solution_of  # noqa: E402

EMPTIES = "a transformer that empties later cells"
CHEAT = f"blank, with {EMPTIES}"


def submissions(lesson: str) -> dict[str, tuple[str, bytes, float | None]]:
    """{student: (kind, the file, the points it deserves; None where it cannot be read)}."""
    chance = random.Random(0)
    text = lesson_file(lesson).read_text(encoding="utf-8")
    exercises, parts = exercises_of(lesson), [part for part, _ in agreed(lesson, text)]
    clean = release_notebook(lesson, text)
    whole = sum(exercise.points for exercise in exercises)
    made = {}

    def student_of_next() -> str:
        return f"s{len(made):04d}"

    def filled(answers: dict[str, str], before: str = "") -> nbformat.NotebookNode:
        """A released notebook with ``answers`` {variable: code} in the place of the blanks."""
        notebook = nbformat.from_dict(json.loads(json.dumps(clean)))
        for cell in list(notebook.cells):
            cell.source = cell.source.replace('student="..."', f'student="{student_of_next()}"')
            name = next((one.answer for one in exercises if cell.id == f"{one.check.replace('_', '-')}-answer"), None)
            if name in answers:
                cell.source = f"{answers[name]}\n{cell.source.splitlines()[-1]}"
        if before:
            notebook.cells.insert(3, nbformat.v4.new_code_cell(before, id="inserted"))
        return notebook

    def add(kind: str, notebook, deserved: float | None) -> None:
        data = notebook if isinstance(notebook, bytes) else nbformat.writes(notebook).encode()
        made[student_of_next()] = (kind, data, deserved)

    def solved(student: str | None = None) -> dict[str, str]:
        return {one.answer: solution_of(lesson, one, student or student_of_next()) for one in exercises}

    others = 40 + 20 + 15 + 15 + 10 + len(HOSTILE_CELLS) + len(HOSTILE_FUNCTIONS) + 7
    for _ in range(200 - others):
        add("solved", filled(solved()), whole)
    for _ in range(40):
        chosen = [one for one in exercises if chance.random() < 0.5]
        answers = {one.answer: solved()[one.answer] for one in chosen}
        add("solved in part", filled(answers), sum(one.points for one in chosen))
    for _ in range(20):
        add("blank", filled({}), 0)
    for _ in range(15):
        add("the lesson's answers", filled({part.answer: part.solution for part in parts}), 0)
    for number in range(15):
        add("a neighbour's answers", filled(solved(f"s{number:04d}")), 0)
    for _ in range(10):
        add("wrong numbers", filled({"answer_1": f"answer_1 = {chance.random():.3f} * 1000 + 7777"}), 0)
    for name, (cell, _) in HOSTILE_CELLS.items():
        add(f"cell: {name}", filled(solved(), cell), 0 if name == EMPTIES else whole)
    function = exercises[-1]
    head = next(part.blank for part in parts if part.answer == function.answer).splitlines()[0]
    for name, body in HOSTILE_FUNCTIONS.items():
        body = body.replace("my_importance", function.answer)
        answers = solved() | {function.answer: f"{head}\n    {body}"}
        add(f"function: {name}", filled(answers), whole - function.points)
    plain = nbformat.writes(filled(solved())).encode()
    add("file: empty", b"", None)
    add("file: cut off", plain[: len(plain) // 2], None)
    add("file: BOM and CRLF", b"\xef\xbb\xbf" + nbformat.writes(filled(solved())).replace("\n", "\r\n").encode(), whole)
    notebook = filled(solved())
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="x" * 50_000_000)]
    add("file: 50 MB of output", notebook, whole)
    notebook = filled(solved())
    notebook.metadata.kernelspec["name"] = "ir"
    add("file: another kernel", notebook, whole)
    notebook = filled(solved())
    notebook.cells += notebook.cells[3:]
    add("file: doubled cells", json.dumps(notebook).encode(), whole)
    notebook = filled(solved())
    notebook.cells = [cell for cell in notebook.cells if not cell.id.startswith(function.check.replace("_", "-"))]
    add("file: deleted cells", notebook, whole - function.points)
    return made


def graded(lesson: str, jobs: int, folder: Path) -> None:
    handed_in = submissions(lesson)
    place = folder / "submitted"
    place.mkdir(parents=True, exist_ok=True)
    for student, (_, data, _) in handed_in.items():
        (place / f"{student}.ipynb").write_bytes(data)
    roster = folder / "roster.csv"
    roster.write_text("student\n" + "\n".join([*handed_in, "absent"]) + "\n", encoding="utf-8")
    start = time.perf_counter()
    grade_course(lesson, [place], key=folder / "key", roster=roster, out=folder / "graded", jobs=jobs)
    seconds = time.perf_counter() - start
    marks = pd.read_csv(folder / "graded" / "marks.csv").set_index("student")
    rows = []
    for student, (kind, _, deserved) in handed_in.items():
        record, total = read_record(folder / "graded" / "results", student), marks.loc[student, "total"]
        as_deserved = record.state == "unreadable" if deserved is None else total == deserved
        if kind in ("a neighbour's answers", "the lesson's answers"):
            as_deserved = total <= 3  # a single answer of one's own may be the same by chance
        rows.append((kind.split(":")[0], as_deserved, record.cpu_seconds, record.peak_bytes / 1e6, kind, total, deserved))
    table = pd.DataFrame(rows, columns=["kind", "as deserved", "CPU seconds", "MB", "exactly", "points", "deserved"])
    print(f"\nlesson {lesson}: {len(handed_in)} submissions, {jobs} at once: {seconds:.0f} s; {len(marks)} of")
    print(f"{len(handed_in) + 1} students have a line (one handed in nothing)\n")
    print(
        "| kind | submissions | as deserved | CPU seconds, median (most) | memory, most |\n| --- | --- | --- | --- | --- |"
    )
    for kind, of_kind in table.groupby("kind", sort=False):
        cpu = of_kind["CPU seconds"]
        cost = f"{statistics.median(cpu):.1f} ({cpu.max():.1f}) | {of_kind['MB'].max():.0f} MB"
        print(f"| {kind} | {len(of_kind)} | {of_kind['as deserved'].sum()} | {cost} |")
    if not table["as deserved"].all():
        print("\nnot as deserved:\n", table[~table["as deserved"]][["exactly", "points", "deserved"]].to_string())


HARMLESS = ("os._exit", "sys.exit", "a syntax error", "conflict marks", EMPTIES, "deep recursion", "30 MB of output")


def by_nbgrader(lesson: str, folder: Path) -> None:
    """The same kinds, without those that could harm this machine, through nbgrader's autograder."""
    course = folder / "nbgrader"
    write_source([lesson], course, b"a key of this benchmark")
    nbgrader = [sys.executable, "-m", "nbgrader"]
    assignment = f"lesson_{lesson}"
    subprocess.run([*nbgrader, "generate_assignment", assignment], cwd=course, check=True, capture_output=True)
    released = next((course / "release").rglob("*.ipynb"))
    exercises, whole = exercises_of(lesson), sum(one.points for one in exercises_of(lesson))
    kinds = (
        [("solved", whole)] * 20
        + [("blank", 0)] * 8
        + [(f"cell: {name}", whole) for name in HARMLESS]
        + [("doubled cells", whole), (CHEAT, 0)]
    )
    for number, (kind, _) in enumerate(kinds):
        student = f"n{number:03d}"
        notebook = nbformat.read(released, as_version=4)
        answers = {f"{one.check.replace('_', '-')}-answer": solution_of(lesson, one, student) for one in exercises}
        answers = ({} if kind in ("blank", CHEAT) else answers) | {"student-id": f'STUDENT = "{student}"'}
        for cell in notebook.cells:
            cell.source += f"\n{answers.get(cell.metadata.nbgrader.grade_id, '')}"
        if kind.startswith("cell: "):
            notebook.cells.insert(2, nbformat.v4.new_code_cell(HOSTILE_CELLS[kind.removeprefix("cell: ")][0]))
        if kind == CHEAT:
            notebook.cells.insert(2, nbformat.v4.new_code_cell(HOSTILE_CELLS[EMPTIES][0]))
        if kind == "doubled cells":
            notebook.cells += notebook.cells[3:]
        path = course / "submitted" / student / assignment / released.name
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(notebook), encoding="utf-8")
    start = time.perf_counter()
    done = subprocess.run([*nbgrader, "autograde", assignment], cwd=course, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    finished = {path.parts[-3] for path in (course / "autograded").rglob("*.ipynb")}
    print(f"\nnbgrader: {len(finished)} of {len(kinds)} finished in {seconds:.0f} s, exit status {done.returncode}")
    missing = [kind for number, (kind, _) in enumerate(kinds) if f"n{number:03d}" not in finished]
    print("not reached or given up:", ", ".join(dict.fromkeys(missing)) or "none")
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
        scores = {entry.student.id: entry.score for entry in book.assignment_submissions(assignment)}
    wrong = [kind for number, (kind, due) in enumerate(kinds) if scores.get(f"n{number:03d}", due) != due]
    print("other marks than deserved:", ", ".join(dict.fromkeys(wrong)) or "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lesson", default="02")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--nbgrader", action="store_true")
    parser.add_argument("--folder", type=Path, help="kept, so that an interrupted run goes on; default: a temporary one")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        graded(arguments.lesson, arguments.jobs, folder)
        if arguments.nbgrader:
            by_nbgrader(arguments.lesson, folder)


if __name__ == "__main__":
    main()
