import json
from importlib import import_module
from pathlib import Path

import pytest
import torch
from conftest import ROOT

import attnprune_edu as ap
from attnprune_edu import checks
from attnprune_edu.grading.lesson_text import parts_of
from attnprune_edu.report.evaluation import count_params

NAMES = [name for name in checks.__all__ if name != "Verdict"]
TRAINED = {"capstone"}  # its right answers take a training: test_lesson_15.py has them
QUICK = [name for name in NAMES if name not in TRAINED]


@pytest.mark.parametrize(
    ("solved", "shown"),
    [(True, "✓ Right. So it is."), (False, "✗ Not yet: so it is."), (None, "… Not tried yet: so it is.")],
)
def test_a_verdict_says_first_how_the_answer_stands(solved, shown):
    assert repr(checks.Verdict(solved, "so it is.")) == shown


@pytest.mark.parametrize("name", NAMES)
def test_three_dots_are_not_tried_yet(name):
    assert getattr(checks, name)(...).solved is None


def cases_of(name):
    """The cases of a check, from its lesson's test file."""
    of_lessons = [import_module(path.stem).CASES for path in Path(__file__).parent.glob("test_lesson_*.py")]
    return [case for cases in of_lessons for case in cases if case[0] is getattr(checks, name)]


@pytest.mark.parametrize("name", QUICK)
def test_every_check_has_a_right_case_and_wrong_ones(name):
    verdicts = [solved for _, _, solved, _ in cases_of(name)]
    assert True in verdicts and verdicts.count(False) >= 3


@pytest.mark.parametrize("name", QUICK)
def test_a_check_draws_no_numbers_that_others_would_draw(name):
    check, answer = next((check, answer) for check, answer, solved, _ in cases_of(name) if solved)
    before = torch.get_rng_state()
    check(answer)
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("lesson", sorted((ROOT / "lessons").glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_the_solution_in_the_lesson_solves_its_exercise(lesson):
    """Run the lesson's solutions through its checks: in the text as it is, not as somebody copied it here."""
    model = ap.ArticleNet()
    surroundings = {"ap": ap, "torch": torch, "importance": ap.importance(model)}
    surroundings["params"] = lambda keep: count_params(ap.remove(ap.mask(model, keep)))
    exercises = parts_of(lesson.read_text(encoding="utf-8"))
    assert len(exercises) >= 2
    for exercise in (one for one in exercises if one.check not in TRAINED):
        exec(exercise.solution, surroundings)
        assert getattr(checks, exercise.check)(surroundings[exercise.answer]).solved, exercise.check


def test_the_library_agrees_with_the_checks():
    """The solutions are what the library computes, not what somebody once typed."""
    model = ap.ArticleNet()
    importance = ap.importance(model)
    small = ap.remove(ap.mask(model, ap.keep_by_ratio(importance, 0.5)))
    assert checks.weights_left(small.conv2.weight.numel() / model.conv2.weight.numel()).solved
    keep = ap.keep_by_ratio({name: importance[name] for name in ("conv1", "conv2")}, 0.75)
    small = ap.remove(ap.mask(model, keep))
    assert checks.params_of_cut_conv(count_params(small.conv2)).solved
    low, high = ap.wilson(round(0.8 * 24_586), 24_586)
    assert round((high - low) / 2, 5) == 0.005, "so many pictures reach half a point to either side"


QUIZZES = sorted((ROOT / "attnprune_edu" / "quizzes").glob("*.json"))


@pytest.mark.parametrize("file", QUIZZES, ids=lambda file: file.name)
def test_a_quiz_has_three_questions_one_right_answer_each_and_explains_all(file):
    questions = json.loads(file.read_text(encoding="utf-8"))
    assert len(questions) == 3
    for question in questions:
        assert sum(answer["correct"] for answer in question["answers"]) == 1
        assert len(question["answers"]) >= 3
        assert all(len(answer["feedback"]) > 20 for answer in question["answers"])


def test_unknown_quiz_names_the_known_ones():
    with pytest.raises(ValueError, match="00_start_here"):
        ap.quiz("99_nothing")
