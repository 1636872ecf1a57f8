"""What students get: everybody's own numbers, no solution and no key; and what the same lessons are in nbgrader."""

import ast
import re

import nbformat
import pytest
from conftest import ROOT, only_in_proofs

from attnprune_edu.coursework import LESSONS, Coursework, exercises_of
from attnprune_edu.grading import nbgrader, release
from attnprune_edu.grading.lesson_text import agreed, lesson_file
from attnprune_edu.grading.solutions import solution_of

KEY = b"a key for these tests, 32 bytes."


def text_of(lesson):
    return lesson_file(lesson).read_text(encoding="utf-8")


def codes_of(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_release_holds_tasks_blanks_and_checks_but_no_solution_no_key_and_no_pair(lesson, tmp_path):
    files = release.write_release([lesson], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in files)
    assert {path.suffix for path in files} == {".ipynb", ".md"}
    notebook = nbformat.read(files[0], as_version=4)
    nbformat.validate(notebook)
    written = files[0].read_text(encoding="utf-8")
    assert "jupytext" not in written and "outputs_hidden" not in written
    codes = codes_of(notebook)
    for number, (part, exercise) in enumerate(agreed(lesson, text_of(lesson)), start=1):
        shown = {line.strip() for code in codes for line in code.split("\n")}
        telling = {line.strip() for line in part.solution.split("\n") if len(line.strip()) > 12} - set(
            map(str.strip, part.blank.split("\n"))
        )
        given = {line.strip() for code in part.before[1::2] for line in code.split("\n")}
        assert not (telling - given) & shown, (telling & shown, exercise.check)
        assert f"mine.task({number})" in codes and any(f"mine.check({number}, {part.answer})" in code for code in codes)
    for code in codes:
        ast.parse(code)
    if lesson == "02":
        assert "\\ln 4" not in written, "the lesson's own numbers are gone"


@pytest.mark.parametrize("lesson", [pytest.param(lesson, marks=only_in_proofs(exercises_of(lesson))) for lesson in LESSONS])
def test_a_released_notebook_runs_unsolved_and_its_solution_solves_it(lesson):
    student = "s0042"
    notebook = release.release_notebook(lesson, text_of(lesson))
    codes = [code.replace('student="..."', f'student="{student}"') for code in codes_of(notebook)]
    said = run_cells(codes)
    assert [verdict.solved for verdict in said] == [None] * len(exercises_of(lesson))
    for exercise in exercises_of(lesson):
        place = next(place for place, code in enumerate(codes) if re.search(rf"mine\.check\(\d, {exercise.answer}\)", code))
        call = codes[place].split("\n")[-1]
        codes[place] = f"{solution_of(lesson, exercise, student)}\n{call}"
    assert all(verdict.solved for verdict in run_cells(codes))


def run_cells(codes):
    """Run ``codes`` as cells of one notebook and return what the checks said."""
    verdicts, there = [], {}
    for code in codes:
        tree = ast.parse(code)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "cell", "exec"), there)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), there)
            if hasattr(value, "solved"):
                verdicts.append(value)
    return verdicts


def test_options_leave_hints_and_checks_out():
    plain = release.release_notebook("02", text_of("02"), hints=False, checked=False)
    everything = "".join(cell.source for cell in plain.cells)
    assert "lesson 02, *The attention formula*: have it open" in everything and "run again from here" in everything
    assert "Hint" not in everything and "mine.check" not in everything and "mine.task(3)" in everything


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("the two weights", "these two weights"), "no longer says"),
        (lambda text: text.replace("ap.checks.score_by_hand(", "ap.checks.two_temperatures("), "and its coursework for"),
        (lambda text: text.replace("answer_1 = 1.109", "1.109"), "no code is found"),
    ],
)
def test_a_lesson_that_its_coursework_does_not_fit_is_refused_and_nothing_is_written(change, says, tmp_path):
    (tmp_path / "lessons").mkdir()
    for lesson in ("00", "02"):
        text = text_of(lesson)
        (tmp_path / "lessons" / lesson_file(lesson).name).write_text(
            change(text) if lesson == "02" else text, encoding="utf-8"
        )
    with pytest.raises(ValueError, match=says):
        release.write_release(["00", "02"], tmp_path / "out", course=tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("student", "error"), [("...", ValueError), ("  ", ValueError), (17, TypeError), (..., TypeError)])
def test_an_id_that_is_none_is_refused(student, error):
    with pytest.raises(error, match="your id"):
        Coursework("02", student)


def test_what_is_not_there_is_refused_with_what_is():
    with pytest.raises(ValueError, match=f"{LESSONS[0]}.*'77'"):
        Coursework("77", "s1")
    with pytest.raises(ValueError, match="from 1 to 3, got 4"):
        Coursework("02", "s1").task(4)


def test_the_page_for_students_says_where_the_course_is(tmp_path):
    release.write_release(["02", "03"], tmp_path)
    address = re.search(r"git clone (\S+)", (ROOT / "README.md").read_text(encoding="utf-8"))[1]
    assert f"<{address}>" in (tmp_path / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("lessons", "says"), [(["03", "02"], "10 seconds"), (["02", "15"], "10 seconds, 60 in lesson 15")])
def test_the_page_for_students_says_how_long_a_cell_may_compute(lessons, says, tmp_path):
    release.write_release(lessons, tmp_path)
    assert f"a cell may compute for {says}, and all" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_an_id_in_capitals_is_the_same_student():
    assert Coursework("02", " S0042 ").given(1) == Coursework("02", "s0042").given(1) != Coursework("02", "s0043").given(1)


def test_a_source_for_nbgrader_holds_the_released_tasks_with_solutions_and_hidden_tests():
    notebook = nbgrader.source_notebook("02", text_of("02"), KEY)
    settings = [cell.metadata.nbgrader for cell in notebook.cells]
    assert len({one.grade_id for one in settings}) == len(settings) and sum(one.get("points", 0) for one in settings) == 9
    for cell in notebook.cells:
        hidden = "BEGIN HIDDEN TESTS" in cell.source
        assert (
            hidden is cell.metadata.nbgrader.grade and ("BEGIN SOLUTION" in cell.source) is cell.metadata.nbgrader.solution
        )
        assert not hidden or ("assert verdict.solved" in cell.source and "seed=" in cell.source)
    assert nbgrader.source_notebook("02", text_of("02"), KEY[::-1]).cells != notebook.cells, (
        "the key makes the hidden inputs"
    )
    there = {}
    for code in codes_of(notebook):
        exec(code, there)  # with the solutions all assertions hold
