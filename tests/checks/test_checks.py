import json
import re
from importlib import import_module
from pathlib import Path

import pytest
import torch
from conftest import ROOT

import attnprune_edu as ap
from attnprune_edu import checks
from attnprune_edu.report.evaluation import count_params


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def split(held_in=0, held_out=0, seeded=seeded, finish=lambda train, validation: (train, validation)):
    """The solution of lesson 04's second exercise, with more or fewer in a part, and other slips."""

    def variant(count, held, seed):
        order = torch.randperm(count, generator=seeded(seed))
        return finish(order[held - held_in :], order[: held + held_out])

    return variant


def globally_seeded(count, held_out, seed):
    torch.manual_seed(seed)
    order = torch.randperm(count)
    return order[held_out:], order[:held_out]


def recalls(guesses, labels, classes):
    return torch.stack([(guesses[labels == c] == c).float().mean() for c in range(classes)])


def hits(guesses, labels, classes):
    return labels[guesses == labels].bincount(minlength=classes)


def named_recalls(guesses, labels, classes):
    return torch.stack([(guesses[labels == c] == c).float().mean() for c in guesses.unique()])


def silence(weight, keep):
    """The solution of lesson 05's second exercise."""
    return torch.where(keep[:, None, None, None], weight, 0.0)


def silence_in_place(weight, keep):
    weight[~keep] = 0
    return weight


def silence_three(weight, keep):
    stays = keep[:, None, None, None].expand(3, 3, 3, 3)
    return torch.where(stays[:, : weight.shape[1]], weight, 0.0) if weight.shape[1] == 3 else weight


def safe(loses=lambda dense, value: dense - value, fits=lambda loss, drop: loss <= drop, order=sorted, stop=True, start=0.0):
    """The solution of lesson 05's third exercise, with the slips that the check knows."""

    def variant(curve, drop):
        best = start
        for ratio in order(curve):
            if fits(loses(curve[0.0], curve[ratio]), drop):
                best = ratio
            elif stop:
                break
        return best

    return variant


def first_failure(curve, drop):
    return next((ratio for ratio in sorted(curve) if curve[0.0] - curve[ratio] > drop), max(curve))


def one_before_failure(curve, drop):
    best = None
    for ratio in sorted(curve):
        if curve[0.0] - curve[ratio] > drop:
            return best
        best = ratio


CASES = [
    (checks.recall_by_hand, 0.7, True, "along the row"),
    (checks.recall_by_hand, 70 / 100, True, "along the row"),
    (checks.recall_by_hand, 0.737, False, "precision"),
    (checks.recall_by_hand, 0.74, False, "precision"),
    (checks.recall_by_hand, 0.76, False, "accuracy over all"),
    (checks.recall_by_hand, 0.3, False, "it misses"),
    (checks.recall_by_hand, 70, False, "between 0 and 1"),
    (checks.recall_by_hand, 0.28, False, "pictures of all classes"),
    (checks.recall_by_hand, 0.8, False, "recall of cat"),
    (checks.recall_by_hand, 0.5, False, "sum of the row"),
    (checks.recall_by_hand, [0.7, 0.8], False, "cannot read"),
    (checks.validation_split, split(), True, "in both parts"),
    (checks.validation_split, split(finish=lambda t, v: [t.sort().values, v.int()]), True, "in both parts"),
    (checks.validation_split, split(held_in=2), False, "2 of 50 pictures are in both parts"),
    (checks.validation_split, split(held_in=-2), False, "2 of 50 pictures are in neither"),
    (checks.validation_split, split(held_out=-1), False, "yours are 11"),
    (checks.validation_split, split(finish=lambda t, v: (v, t)), False, "swapped"),
    (checks.validation_split, split(finish=lambda t, v: (t + 1, v + 1)), False, "go from 1 to 50"),
    (checks.validation_split, split(finish=lambda t, v: (t, v * 0)), False, "drawn twice"),
    (checks.validation_split, split(finish=lambda t, v: (t, v.float())), False, "torch.float32"),
    (checks.validation_split, split(finish=lambda t, v: (t, v[None])), False, "shape (1, 12)"),
    (checks.validation_split, split(finish=lambda t, v: t), False, "return two tensors"),
    (checks.validation_split, split(finish=lambda t, v: (t.tolist(), v.tolist())), False, "return two tensors"),
    (checks.validation_split, split(finish=lambda t, v: {"train": t}), False, "return two tensors"),
    (checks.validation_split, split(finish=lambda t, v: (t[:0], v[:0])), False, "yours are 0"),
    (checks.validation_split, lambda n, h, seed: (torch.arange(h, n), torch.arange(h)), False, "sorted by class"),
    (checks.validation_split, lambda n, h, seed: (torch.arange(n - h), torch.arange(n - h, n)), False, "sorted by class"),
    (checks.validation_split, split(seeded=lambda seed: None), False, "two different splits"),
    (checks.validation_split, split(seeded=lambda seed: seeded(0)), False, "every seed"),
    (checks.validation_split, globally_seeded, False, "PyTorch's own generator"),
    (checks.validation_split, lambda n, h: None, False, "stops with TypeError"),
    (checks.validation_split, lambda n, h, seed: None, False, "returns nothing"),
    (checks.validation_split, (torch.arange(3), torch.arange(3)), False, "hand over the function"),
    (checks.recall_of_each_class, recalls, True, "equally many"),
    (checks.recall_of_each_class, lambda g, y, n: hits(g, y, n) / y.bincount(minlength=n), True, "equally many"),
    (checks.recall_of_each_class, lambda g, y, n: hits(g, y, n) / g.bincount(minlength=n), False, "precision"),
    (checks.recall_of_each_class, lambda g, y, n: (g == y).float().mean().expand(n), False, "accuracy over all"),
    (checks.recall_of_each_class, lambda g, y, n: hits(g, y, n) / len(y), False, "number of all pictures"),
    (checks.recall_of_each_class, lambda g, y, n: 1 - recalls(g, y, n), False, "missed"),
    (checks.recall_of_each_class, lambda g, y, n: 100 * recalls(g, y, n), False, "percent"),
    (checks.recall_of_each_class, hits, False, "you count"),
    (checks.recall_of_each_class, lambda g, y, n: hits(g, y, n) // y.bincount(minlength=n), False, "torch.int64"),
    (checks.recall_of_each_class, lambda g, y, n: (g == y).float().mean(), False, "all classes together"),
    (checks.recall_of_each_class, lambda g, y, n: (g == y).float(), False, "yours has (14,)"),
    (checks.recall_of_each_class, named_recalls, False, "never names"),
    (checks.recall_of_each_class, lambda g, y, n: torch.rand(n), False, "8, 4 and 2 pictures"),
    (checks.recall_of_each_class, lambda g, y, n: recalls(g, y, n).tolist(), False, "returns a list"),
    (checks.weight_after_a_step, -0.045, True, "the zero is gone"),
    (checks.weight_after_a_step, 0, False, "earlier gradients"),
    (checks.weight_after_a_step, -0.05, False, "the old buffer"),
    (checks.weight_after_a_step, 0.045, False, "against the buffer"),
    (checks.weight_after_a_step, -0.45, False, "learning rate out"),
    (checks.weight_after_a_step, 0.45, False, "the buffer now"),
    (checks.weight_after_a_step, 1, False, "first the buffer"),
    (checks.mask_by_hand, silence, True, "library's masks"),
    (checks.mask_by_hand, lambda w, k: silence_in_place(w.clone(), k), True, "library's masks"),
    (checks.mask_by_hand, lambda w, k: w * k[:, None, None, None], False, "NaN"),
    (checks.mask_by_hand, silence_in_place, False, "changes the tensor"),
    (checks.mask_by_hand, lambda w, k: silence(w, ~k), False, "swapped"),
    (checks.mask_by_hand, lambda w, k: w * k, False, "a column in every filter"),
    (checks.mask_by_hand, lambda w, k: w * k[:, None], False, "a row in every filter"),
    (checks.mask_by_hand, lambda w, k: w * k[:, None, None], False, "an input of every filter"),
    (checks.mask_by_hand, lambda w, k: silence(w, k) / k.float().mean(), False, "nothing is scaled"),
    (checks.mask_by_hand, lambda w, k: w, False, "filter 1 is pruned"),
    (checks.mask_by_hand, lambda w, k: w[k], False, "took the pruned filters out"),
    (checks.mask_by_hand, lambda w, k: w.sum(), False, "shape ()"),
    (checks.mask_by_hand, lambda w, k: silence(w, k) != 0, False, "torch.bool"),
    (checks.mask_by_hand, silence_three, False, "3 channels and 2 inputs"),
    (checks.safe_ratio, safe(), True, "for each layer"),
    (checks.safe_ratio, lambda curve, drop: torch.tensor(safe()(curve, drop)), True, "for each layer"),
    (checks.safe_ratio, safe(stop=False), False, "come back up"),
    (checks.safe_ratio, safe(loses=lambda dense, value: (dense - value) / dense), False, "in points of accuracy"),
    (checks.safe_ratio, safe(loses=lambda dense, value: abs(dense - value)), False, "not a loss"),
    (checks.safe_ratio, safe(fits=lambda loss, drop: loss < drop or loss == 0), False, "use <="),
    (checks.safe_ratio, safe(order=list), False, "any order"),
    (checks.safe_ratio, safe(order=list, stop=False), False, "any order"),
    (checks.safe_ratio, lambda curve, drop: curve[safe()(curve, drop)], False, "that is an accuracy"),
    (checks.safe_ratio, lambda curve, drop: (0.5, curve[0.5]), False, "a single number"),
    (checks.safe_ratio, first_failure, False, "the one before it"),
    (checks.safe_ratio, one_before_failure, False, "returns nothing"),
    (checks.safe_ratio, safe(loses=lambda dense, value: -value, fits=lambda x, d: -x >= d), False, "with `drop`"),
    (checks.safe_ratio, lambda curve, drop: curve.popitem()[0], False, "changes the curve"),
    (checks.safe_ratio, lambda curve, drop: 0.0, False, "you return 0"),
    (checks.safe_ratio, lambda curve: 0.0, False, "stops with TypeError"),
    (checks.safe_ratio, 0.5, False, "hand over the function"),
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


@pytest.mark.parametrize(
    ("check", "blank"),
    [
        (checks.validation_split, lambda count, held_out, seed: ...),
        (checks.validation_split, lambda count, held_out, seed: (..., ...)),
        (checks.recall_of_each_class, lambda guesses, labels, classes: ...),
        (checks.mask_by_hand, lambda weight, keep: ...),
        (checks.safe_ratio, lambda curve, drop: ...),
    ],
)
def test_a_blank_in_the_shape_of_the_lesson_is_not_tried_yet(check, blank):
    assert check(blank).solved is None


def test_every_check_has_a_right_case_and_wrong_ones():
    of_lessons = [import_module(path.stem).CASES for path in Path(__file__).parent.glob("test_lesson_*.py")]
    cases = [case for cases in [CASES, *of_lessons] for case in cases]
    for name in checks.__all__:
        if name != "Verdict":
            verdicts = [solved for check, _, solved, _ in cases if check is getattr(checks, name)]
            assert True in verdicts and verdicts.count(False) >= 3, name


FOLDED = re.compile(r"<summary>Solution</summary>\n\n(.*?)</details>", re.DOTALL)


@pytest.mark.parametrize("lesson", sorted((ROOT / "lessons").glob("*.md")), ids=lambda path: path.stem)
def test_the_solution_in_the_lesson_solves_its_exercise(lesson):
    """Run the lesson's solutions through its checks: in the text as it is, not as somebody copied it here."""
    model = ap.ArticleNet()
    surroundings = {"ap": ap, "torch": torch, "importance": ap.importance(model)}
    surroundings["params"] = lambda keep: count_params(ap.remove(ap.mask(model, keep)))
    exercises = lesson.read_text(encoding="utf-8").split("### Exercise")[1:]
    for exercise in exercises:
        check = re.search(r"ap\.checks\.(\w+)\((\w+)\)", exercise)
        solution = FOLDED.search(exercise)[1]
        code = re.search(r"```\n(.*?)```", solution, re.DOTALL) or re.search(r"`(answer_\d = [^`]+)`", solution)
        exec(code[1], surroundings)
        assert getattr(checks, check[1])(surroundings[check[2]]).solved, check[0]


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
