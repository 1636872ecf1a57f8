"""Both directions, for hundreds of students: the solution earns everything; a copied answer and every slip earn nothing."""

import copy
import os
from collections import Counter
from importlib import import_module

import pytest
import torch
from conftest import only_in_proofs

import attnprune_edu as ap
from attnprune_edu.checks.verdict import Verdict
from attnprune_edu.coursework import LESSONS, exercises_of, stream
from attnprune_edu.grading.judging import judge
from attnprune_edu.grading.lesson_text import lesson_file, lesson_values, parts_of
from attnprune_edu.grading.solutions import solution_of

KEY = b"a key for these tests, 32 bytes."
EXERCISES = [pytest.param(lesson, exercise, id=exercise.check) for lesson in LESSONS for exercise in exercises_of(lesson)]
TRIED = [
    pytest.param(lesson, exercise, id=exercise.check, marks=only_in_proofs([exercise]))
    for lesson in LESSONS
    for exercise in exercises_of(lesson)
]
# A function's answers are tried out, and some of them train a network: few students here, all of them in `make proofs`.
MANY, FOR_SLIPS = 500, 200
FOR_FUNCTIONS = int(os.environ.get("PROOF_STUDENTS", "6"))


def students_for(exercise, count=MANY):
    function, most = not exercise.answer.startswith("answer"), FOR_FUNCTIONS
    if exercise.check == "capstone":
        most = max(2, FOR_FUNCTIONS // 10)
    return [f"s{number:04d}" for number in range(min(count, most) if function else count)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _networks_are_kept_from_test_to_test(monkeypatch, cache, _own_surroundings):
    monkeypatch.setenv("ATTNPRUNE_CACHE", str(cache))


def answer_by(code, exercise, student):
    """What ``code`` leaves in the variable of the exercise, where the student's own variables are defined."""
    there = {"torch": torch, "ap": ap, "copy": copy}
    if exercise.variables:
        there |= exercise.variables(**exercise.given(stream(student, exercise.check)))
    exec(code, there)
    return there[exercise.answer]


def share(exercise, student, answer):
    return judge(exercise, student, answer, KEY).share


def published(lesson, exercise):
    """The solution that stands folded in the lesson; all exercises before it may be needed."""
    there = {"torch": torch, "ap": ap, "copy": copy}
    for part in parts_of(lesson_file(lesson).read_text(encoding="utf-8")):
        exec(part.solution, there)
    return there[exercise.answer]


@pytest.mark.parametrize(("lesson", "exercise"), TRIED)
def test_the_solution_earns_everything_and_a_copy_next_to_nothing(lesson, exercise):
    students = students_for(exercise)
    of_lesson = published(lesson, exercise)
    copied, neighbours = [], []
    for student, neighbour in zip(students, students[1:] + students[:1], strict=True):
        answer = answer_by(solution_of(lesson, exercise, student), exercise, student)
        verdict = judge(exercise, student, answer, KEY)
        assert verdict.solved and verdict.share == 1, (student, verdict)
        neighbours.append(share(exercise, neighbour, answer))
        copied.append(share(exercise, student, of_lesson))
    assert sum(copied) / len(students) <= 0.05 and sum(neighbours) / len(students) <= max(0.05, 1 / len(students))


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES)
def test_the_blank_is_not_tried_yet(lesson, exercise):
    assert judge(exercise, "s0001", ..., KEY) == Verdict(None, judge(exercise, "s0001", ..., KEY).message, 0.0)


@pytest.mark.parametrize(("lesson", "exercise"), TRIED)
def test_every_slip_is_called_what_it_is_whatever_the_numbers(lesson, exercise):
    """Each slip: what a student answers, of the student's own numbers, and what the verdict should say about it."""
    slips = import_module(f"slips_{lesson}").SLIPS[exercise.check]
    assert len(slips) >= 3
    for slip, says in slips:
        said = Counter()
        for student in students_for(exercise, FOR_SLIPS):
            verdict = judge(exercise, student, slip(**exercise.given(stream(student, exercise.check))), KEY)
            assert verdict.share < 1 and not verdict.solved, (student, says, verdict)
            said[says in verdict.message] += 1
        # Two slips may lead to the same number by chance: then the other one is named.
        assert said[False] <= max(1, 0.1 * said.total()), (says, said, verdict.message)


@pytest.mark.parametrize(("lesson", "exercise"), EXERCISES)
def test_the_lesson_itself_is_no_students_exercise(lesson, exercise):
    defaults = lesson_values(exercise)
    assert set(defaults) == set(exercise.given(stream("s0000", exercise.check)))
    text = lesson_file(lesson).read_text(encoding="utf-8")
    assert exercise.added or exercise.task(**defaults) in text
    assert all(exercise.given(stream(f"s{number}", exercise.check)) != defaults for number in range(MANY))
