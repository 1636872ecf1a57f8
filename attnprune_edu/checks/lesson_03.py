"""Checks of lesson 03, choosing the threshold."""

import math
import warnings
from collections.abc import Callable
from numbers import Real

import torch
from torch import Tensor

from ..data.seeds import generator_for
from ..pruning.thresholds import threshold_by_budget
from .verdict import Answered, Verdict, a_kind, exercise, number_of, returned_by, right, wrong

MOST_QUESTIONS = 30  # to the cost; halving 1,120 channels needs 11 of them


@exercise
def stay_above_the_mean(answer) -> Verdict:
    """How many of 0.9, 0.8, 0.6, 0.1, 0.1 are at least the mean of the three highest?"""
    answer = number_of(answer)
    if answer == 2:
        return right("the mean is 0.77. Fewer than k = 3 stay, because the three are not all equal.")
    if answer == 3:
        return wrong(
            "that is k, or the number above the mean of all five. θ is the mean of the three highest: is 0.6 above it?"
        )
    if answer == 1:
        return wrong(
            "is θ the sum of all five divided by 3? That is the printed equation; here only the three highest count."
        )
    if answer == 0:
        return wrong("a mean is never above its largest number, so at least one channel stays.")
    if abs(answer - 0.767) < 0.01:
        return wrong("that is θ. How many scores are at least that high?")
    if abs(answer - 0.5) < 0.03:
        return wrong("that is the mean of all five, and not a number of channels. θ is the mean of the three highest.")
    if abs(answer - 0.833) < 0.01:
        return wrong("that is the printed equation, the sum of all five divided by 3. Only the three highest count.")
    if answer == int(answer) and 3 < answer <= 5:
        return wrong("fewer than k = 3 stay: at least one of the three highest is below their mean.")
    return wrong("θ = (0.9 + 0.8 + 0.6) / 3. Count the scores that are at least θ.")


@exercise
def theta_of_ratio(function) -> Verdict:
    """A function (scores, ratio) → the θ at which the share ``ratio`` of the scores, all different, goes."""
    scores = torch.tensor([0.31, 0.05, 0.92, 0.44, 0.18, 0.67, 0.71, 0.26, 0.83, 0.59])
    thetas, stops = {}, {}
    for ratio in (0.1, 0.3, 0, 0.27, 0.12, 0.18, 0.84):
        try:
            thetas[ratio] = _one_number(returned_by(function, scores, ratio))
        except Answered as end:
            if end.__cause__ is None:  # the function came to an end, and what it returned is no θ
                raise
            stops[ratio] = end.verdict.message
    goes = {ratio: int((scores < theta).sum()) for ratio, theta in thetas.items()}
    expected = {ratio: round(ratio * len(scores)) for ratio in thetas}
    if goes == expected and not stops:
        return right("`torch.quantile` does nearly the same, but puts θ between two scores.")
    low, high = scores.sort().values, scores.sort(descending=True).values
    n = expected.__getitem__
    slips: list[tuple[Callable[[float], Tensor], str]] = [
        (lambda ratio: torch.tensor(ratio), "θ is a score, not the ratio. Find the score that parts the channels."),
        (lambda ratio: torch.tensor(n(ratio)), "that is how many go. θ is a score: the lowest one that stays."),
        (lambda ratio: scores.quantile(ratio), "that is the quantile, which need not cut off the number asked for. Count."),
        (
            lambda ratio: scores.quantile(1 - ratio),
            "the ratio is the share that *goes*; you use it as the share that stays. And a quantile need not cut off the "
            "number asked for.",
        ),
        (lambda ratio: low[round(ratio * 9)], "take the ratio of all scores, len(scores), not of one fewer."),
        (lambda ratio: low[int(ratio * 10)], "you round down the number that goes; round it to the nearest whole number."),
        (lambda ratio: low[math.ceil(ratio * 10)], "you round up the number that goes; round it to the nearest one."),
        (
            lambda ratio: scores[n(ratio)],
            "you take that place of the scores as they come. Sort them from low to high.",
        ),
        (
            lambda ratio: high[n(ratio)],
            "you count from the high end, so the most important ones go. Count from the low end.",
        ),
        (
            lambda ratio: high[n(ratio) - 1],
            "you count from the highest score, or use the ratio as the share that stays. It is the share that *goes*, "
            "counted from the lowest score.",
        ),
        (
            lambda ratio: low[min(10 - n(ratio), 9)],
            "the ratio is the share that *goes*; you use it as the share that stays.",
        ),
        (
            lambda ratio: low[n(ratio) - 1],
            "that is the highest score that goes. θ is the lowest that stays: one further. With a ratio of 0 nothing goes, "
            "so θ is the lowest score of all.",
        ),
        (lambda ratio: low[max(n(ratio) - 1, 0)], "that is the highest score that goes. θ is the lowest that stays."),
        (
            lambda ratio: low[n(ratio) + 1],
            "one channel too many goes. Places count from 0: if n go, place n is the first to stay.",
        ),
        (
            lambda ratio: low[0] + ratio * (low[-1] - low[0]),
            "you go that share of the way from the lowest to the highest score. How many scores lie below depends on how "
            "they are spread; count them instead.",
        ),
        (lambda ratio: ratio * low[-1], "that is a share of the highest score. How many scores lie below? Count instead."),
        (
            lambda ratio: ratio * scores.mean(),
            "that is a share of the mean. How many scores lie below? Count instead.",
        ),
        (lambda ratio: low[n(ratio) :].mean(), "that is the mean of those that stay, so some of them are below it."),
        (lambda ratio: scores.mean(), "that is the mean of all scores, whatever the ratio."),
        (lambda ratio: scores.median(), "that is the median of all scores, whatever the ratio."),
        (
            lambda ratio: scores.argsort()[n(ratio)],
            "`argsort` says where the scores stand. θ is the score that stands there.",
        ),
    ]
    for slip, message in slips:
        if len(thetas) > 1 and all(abs(theta - float(slip(ratio))) < 1e-6 for ratio, theta in thetas.items()):
            return wrong(message)
    if stops:
        ratio, message = next(iter(stops.items()))
        return wrong(f"with ten scores and a ratio of {ratio}: {message}")
    ratio = next(ratio for ratio in thetas if goes[ratio] != expected[ratio])
    return wrong(f"with ten scores and a ratio of {ratio}, {expected[ratio]} should go; with your θ it is {goes[ratio]}.")


def _one_number(theta) -> float:
    """θ as a number; anything else ends the check."""
    if isinstance(theta, Real) and not isinstance(theta, bool):
        return float(theta)
    if not isinstance(theta, Tensor):
        raise Answered(wrong(f"your function returns {a_kind(theta)}; it should return a tensor or a Python number."))
    if theta.dtype == torch.bool:
        raise Answered(wrong("you return which channels stay. Return θ itself, one number."))
    if theta.numel() != 1:
        indices = " `sort()` returns the values and their places: take `.values`." if theta.dtype == torch.int64 else ""
        raise Answered(wrong(f"θ is a single number; yours has the shape {tuple(theta.shape)}.{indices}"))
    return float(theta)


@exercise
def budget_by_hand(function) -> Verdict:
    """A function (importance, budget, cost) → ``keep`` with global scope, with few calls of ``cost``."""
    generator = generator_for("importance in lesson 03")
    small = {"a": torch.tensor([0.9, 0.3, 0.8, 0.7]), "b": torch.tensor([0.1, 0.5, 0.2])}
    lopsided = {"a": torch.tensor([0.6, 0.9, 0.8, 0.7]), "b": torch.tensor([0.1, 0.3, 0.2])}
    large = {
        name: torch.rand(channels, generator=generator) * scale
        for name, channels, scale in [("first", 32, 1.0), ("second", 64, 0.8), ("third", 500, 0.6)]
    }
    for importance, budget, cost, situation in [
        (small, 7, _channels, "where everything fits"),
        (small, 4, _channels, "where 4 of 7 channels fit"),
        (lopsided, 3, _channels, "where one layer has all the lowest scores"),
        (large, 20_000, _weights, "with three layers of 32, 64 and 500 channels"),
    ]:
        questions = []

        def counted(keep, cost=cost, questions=questions):
            questions.append(keep)
            return cost(keep)

        keep = returned_by(function, given := {name: values.clone() for name, values in importance.items()}, budget, counted)
        if given.keys() != importance.keys() or any(not given[name].equal(importance[name]) for name in given):
            return wrong("your function changes the importance that it is given. Make new tensors instead.")
        if slip := _keep_slip(importance, keep) or _budget_slip(importance, budget, cost, keep):
            return wrong(f"{situation}: {slip}")
        if len(questions) > MOST_QUESTIONS:
            return wrong(
                f"{situation} your `keep` is right, but you asked for the cost {len(questions)} times, which takes long on "
                "a real network. Halve: try the middle of what is still possible, and go on in the half that is left."
            )
    return right(f"{len(questions)} calls of `cost` were enough for {sum(map(len, large.values()))} channels.")


def _channels(keep: dict[str, Tensor]) -> int:
    return sum(int(stays.sum()) for stays in keep.values())


def _weights(keep: dict[str, Tensor]) -> int:
    """The weights of three linear layers, one behind the other, for 10 inputs."""
    first, second, third = (int(stays.sum()) for stays in keep.values())
    return 10 * first + first * second + second * third


def _keep_slip(importance: dict[str, Tensor], keep) -> str | None:
    """Why ``keep`` is no ``keep`` for ``importance``, or None if it is one."""
    if isinstance(keep, tuple):
        return "you return several things; `keep` alone is asked for."
    if not isinstance(keep, dict):
        return f"you return {a_kind(keep)}; `keep` is a dictionary {{layer name: True where a channel stays}}."
    if keep.keys() != importance.keys():
        return f"`keep` should have the layers {', '.join(importance)}; yours has {', '.join(map(str, keep)) or 'none'}."
    for name, stays in keep.items():
        channels = len(importance[name])
        if not isinstance(stays, Tensor):
            return f"the entry of {name} is {a_kind(stays)}; it should be a tensor of True and False."
        if stays.dtype != torch.bool or stays.shape != (channels,):
            return (
                f"the entry of {name} should be True or False for each of its {channels} channels, and it is "
                f"{stays.dtype} of the shape {tuple(stays.shape)}."
            )
    return None


def _budget_slip(
    importance: dict[str, Tensor], budget: float, cost: Callable[[dict[str, Tensor]], float], keep: dict[str, Tensor]
) -> str | None:
    """What is wrong with a ``keep`` for ``budget``, or None if it is the right one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where a layer would be emptied is what one of the cases is about
        expected = threshold_by_budget(importance, budget, cost, "global").keep
        local = threshold_by_budget(importance, budget, cost).keep
    if _same(keep, expected):
        return None
    if _same(keep, {name: ~stays for name, stays in expected.items()}):
        return "True and False are swapped: True means that a channel stays."
    if _same(keep, local):
        return "you take the same share of each layer. Here all channels stand in one list, wherever they come from."
    if empty := [name for name, stays in keep.items() if not stays.any()]:
        return f"no channel of {empty[0]} stays, and a layer without channels computes nothing. Keep its best one."
    spent = f"a cost of {cost(keep):,}, and the budget is {budget:,}"
    for name, stays in keep.items():
        if stays.all():
            continue
        best_gone, lowest = importance[name][~stays].max(), importance[name][stays].min()
        if best_gone > lowest:
            return f"in {name}, a channel of importance {best_gone:.2g} goes while one of {lowest:.2g} stays."
    # Within the layers the order is right; the best of a layer stays whatever its importance.
    others = {name: stays & (importance[name] < importance[name].max()) for name, stays in keep.items()}
    gone = torch.cat([importance[name][~stays] for name, stays in keep.items()])
    staying = torch.cat([importance[name][stays] for name, stays in others.items()])
    if len(gone) and len(staying) and gone.max() > staying.min():
        return f"a channel of importance {gone.max():.2g} goes while one of {staying.min():.2g} stays in another layer."
    if cost(keep) > budget:
        return f"too much stays: {spent}. (The best channel of a layer, which always stays, costs as well.)"
    return f"you have {spent}, but one channel more would fit."


def _same(keep: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(stays.equal(other[name]) for name, stays in keep.items())
