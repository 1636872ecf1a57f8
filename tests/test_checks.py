import json
from importlib import resources

import pytest
import torch

import attnprune_edu as ap
from attnprune_edu import checks
from attnprune_edu.evaluation import count_macs, count_params


def keep(left, name="fc1", total=1024):
    return {name: torch.arange(total) < left}


CASES = [
    (checks.channels_left, 45, True, "19 channels go"),
    (checks.channels_left, torch.tensor(45), True, "19 channels go"),
    (checks.channels_left, 19, False, "how many stay"),
    (checks.channels_left, 19.2, False, "how many stay"),
    (checks.channels_left, 44.8, False, "as a whole"),
    (checks.channels_left, 44, False, "rounded 19.2 up"),
    (checks.channels_left, 64, False, "rounded to a whole number"),
    (checks.channels_left, 20, False, "nearest whole number"),
    (checks.channels_left, "45", False, "a text in quotes"),
    (checks.weights_left, 0.25, True, "half of its inputs"),
    (checks.weights_left, 1 / 4, True, "half of its inputs"),
    (checks.weights_left, 0.5, False, "channels of conv1"),
    (checks.weights_left, 0.75, False, "share that goes"),
    (checks.weights_left, 25, False, "between 0 and 1"),
    (checks.weights_left, 0.1, False, "Which of these numbers are halved"),
    (checks.weights_left, [0.25], False, "cannot read"),
    (checks.keep_for_fc1, keep(102), True, "102 of 1024"),
    (checks.keep_for_fc1, keep(922), False, "share removed"),
    (checks.keep_for_fc1, keep(512), False, "it would be 102"),
    (checks.keep_for_fc1, keep(102) | keep(3, "conv1", 32), False, "conv1, fc1"),
    (checks.keep_for_fc1, {"fc1": torch.rand(1024)}, False, "not True and False"),
    (checks.keep_for_fc1, torch.ones(1024), False, "is a dictionary"),
    (checks.keep_for_fc1, {}, False, "cannot read"),
]


@pytest.mark.parametrize(("check", "answer", "solved", "says"), CASES)
def test_each_answer_gets_the_verdict_it_deserves(check, answer, solved, says):
    verdict = check(answer)
    assert verdict.solved is solved and says in verdict.message
    assert repr(verdict).startswith("✓" if solved else "✗") and "\n" not in repr(verdict)


@pytest.mark.parametrize("check", sorted({case[0] for case in CASES}, key=lambda check: check.__name__))
def test_an_untouched_exercise_is_not_tried_yet(check):
    verdict = check(...)
    assert verdict.solved is None and "Not tried yet" in repr(verdict)


def test_the_library_agrees_with_the_checks():
    """The solutions are what the library computes, not what somebody once typed."""
    model = ap.ArticleNet()
    importance = ap.importance(model)
    assert checks.channels_left(int(ap.keep_by_ratio(importance, 0.3)["conv2"].sum())).solved
    small = ap.remove(ap.mask(model, ap.keep_by_ratio(importance, 0.5)))
    assert checks.weights_left(small.conv2.weight.numel() / model.conv2.weight.numel()).solved
    keep = ap.keep_by_ratio({"fc1": importance["fc1"]}, 0.9)
    assert checks.keep_for_fc1(keep).solved
    small = ap.remove(ap.mask(model, keep))
    assert 0.12 < count_params(small) / count_params(model) < 0.14, "nearly nine tenths of the parameters go"
    assert 0.82 < count_macs(small, (3, 32, 32)) / count_macs(model, (3, 32, 32)) < 0.84, "a sixth of the MACs goes"


QUIZZES = sorted((resources.files("attnprune_edu") / "quizzes").iterdir(), key=lambda entry: entry.name)


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
