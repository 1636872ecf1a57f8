"""Checks of lesson 03, choosing the threshold."""

import math
import statistics
from collections.abc import Callable
from numbers import Real

import torch
from torch import Tensor

from ..pruning.thresholds import threshold_by_budget
from .observers import COSTS, budget_spent, observe
from .verdict import Answered, Verdict, a_kind, close_to, exercise, listed, number_of, returned_by, right, wrong

MOST_QUESTIONS = 30  # to the cost; halving 1,120 channels needs 11 of them


@exercise
def stay_above_the_mean(
    answer, *, channels: tuple[tuple[float, int], ...] = ((0.9, 1), (0.8, 1), (0.6, 1), (0.1, 2)), k: int = 3
) -> Verdict:
    """How many scores are at least the mean of the ``k`` highest? ``channels``: (score, how many have it), falling."""
    answer = number_of(answer)
    scores = [score for score, count in channels for _ in range(count)]  # from high to low
    theta, of_all, printed = statistics.fmean(scores[:k]), statistics.fmean(scores), sum(scores) / k
    highest = [(score, count) for score, count in channels if score >= scores[k - 1]]
    of_different = statistics.fmean(score for score, _ in highest)

    def stay(theta):
        return sum(score >= theta for score in scores)

    if answer == stay(theta):
        return right(f"the mean is {theta:.2f}. Fewer than k = {k} stay, because the {k} are not all equal.")
    if answer == k:
        return wrong(
            f"that is k, or the number above the mean of all {len(scores)}. θ is the mean of the {k} highest: is "
            f"{scores[k - 1]} above it?"
        )
    if answer == stay(of_different):
        different = listed([str(score) for score, _ in highest])
        return wrong(f"is θ the mean of {different}? Each of them counts once for every channel that has it.")
    equation = (
        f"is θ the sum of all {len(scores)} divided by {k}? That is the printed equation; here only the {k} highest count."
    )
    if answer == 0:
        return wrong(
            "a mean is never above its largest number, so at least one channel stays."
            + (f" Or {equation}" if stay(printed) == 0 else "")
        )
    if answer == stay(printed):
        return wrong(equation)
    close = close_to(answer, 0.01)
    if close(theta):
        return wrong("that is θ. How many scores are at least that high?")
    if close_to(answer, 0.03)(of_all):
        return wrong(
            f"that is the mean of all {len(scores)}, and not a number of channels. θ is the mean of the {k} highest."
        )
    if close(printed):
        return wrong(
            f"that is the printed equation, the sum of all {len(scores)} divided by {k}. Only the {k} highest count."
        )
    if answer == int(answer) and k < answer <= len(scores):
        return wrong(f"fewer than k = {k} stay: at least one of the {k} highest is below their mean.")
    parts = " + ".join(f"{score}" if count == 1 else f"{count} · {score}" for score, count in highest)
    return wrong(f"θ = ({parts}) / {k}. Count the scores that are at least θ.")


@exercise
def theta_of_ratio(function, *, part: float = 1) -> Verdict:
    """A function (scores, ratio) → the θ at which the share ``ratio`` of the scores, all different, goes.

    θ lies the ``part`` of the way from the highest score that goes to the lowest that stays. Where that is the whole way,
    any θ will do that lets the same scores go. If none goes, θ is the lowest score.
    """
    # Ten steps of uneven height: no share of the way from the lowest to the highest score lets as many of them go.
    low = 0.1 + 0.9 * ((torch.arange(10) + 0.2 + 0.6 * torch.rand(10)) / 10) ** 2  # (10,), rising
    scores, high = low[torch.randperm(10)], low.flip(0)
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
    n = expected.__getitem__

    def between(ordered: Tensor, place: int, part: float = part) -> Tensor:
        """θ if the scores of ``ordered`` before the ``place`` go."""
        return ordered[0] if place == 0 else ordered[place - 1] + part * (ordered[place] - ordered[place - 1])

    def is_theta(theta: float, ratio: float) -> bool:
        return goes[ratio] == n(ratio) if part == 1 else abs(theta - float(between(low, n(ratio)))) < 1e-5

    if not stops and all(is_theta(theta, ratio) for ratio, theta in thetas.items()):
        if part < 1:
            return right("`torch.quantile` goes a part of the way as well, but how far depends on the ratio.")
        return right("`torch.quantile` does nearly the same, but puts θ between two scores.")
    lowest = "the lowest that stays" if part == 1 else f"{part} of the way from it to the lowest that stays"
    slips: list[tuple[Callable[[float], Tensor], str]] = [
        (lambda ratio: torch.tensor(ratio), "θ is a score, not the ratio. Find the score that parts the channels."),
        (lambda ratio: torch.tensor(n(ratio)), "that is how many go. θ is a score: the lowest one that stays."),
        (lambda ratio: scores.quantile(ratio), "that is the quantile, which need not cut off the number asked for. Count."),
        (
            lambda ratio: scores.quantile(1 - ratio),
            "the ratio is the share that *goes*; you use it as the share that stays. And a quantile need not cut off the "
            "number asked for.",
        ),
        (lambda ratio: between(low, round(ratio * 9)), "take the ratio of all scores, len(scores), not of one fewer."),
        (
            lambda ratio: between(low, int(ratio * 10)),
            "you round down the number that goes; round it to the nearest whole number.",
        ),
        (
            lambda ratio: between(low, math.ceil(ratio * 10)),
            "you round up the number that goes; round it to the nearest one.",
        ),
        (
            lambda ratio: between(scores, n(ratio)),
            "you take that place of the scores as they come. Sort them from low to high.",
        ),
        (
            lambda ratio: between(high, n(ratio)),
            "you count from the high end, so the most important ones go. Count from the low end.",
        ),
        (
            lambda ratio: high[n(ratio) - 1],
            "you count from the highest score, or use the ratio as the share that stays. It is the share that *goes*, "
            "counted from the lowest score.",
        ),
        (
            lambda ratio: between(low, min(10 - n(ratio), 9)),
            "the ratio is the share that *goes*; you use it as the share that stays.",
        ),
        (
            lambda ratio: low[n(ratio) - 1],
            f"that is the highest score that goes. θ is {lowest}: one further. With a ratio of 0 nothing goes, "
            "so θ is the lowest score of all.",
        ),
        (lambda ratio: low[max(n(ratio) - 1, 0)], f"that is the highest score that goes. θ is {lowest}."),
        (
            lambda ratio: between(low, n(ratio), 1 - part),
            "you go the way from the wrong end: it begins at the highest score that goes.",
        ),
        (
            lambda ratio: between(low, max(n(ratio) - 1, 0)),
            "one channel too few goes. Places count from 0: if n go, place n - 1 is the last to go.",
        ),
        (
            lambda ratio: between(low, n(ratio) + 1),
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
    for ratio in thetas:
        if goes[ratio] != n(ratio):
            return wrong(f"with ten scores and a ratio of {ratio}, {n(ratio)} should go; with your θ it is {goes[ratio]}.")
    ratio = next(ratio for ratio, theta in thetas.items() if not is_theta(theta, ratio))
    if n(ratio) == 0:
        return wrong(f"if none goes, θ is the lowest score, {low[0]:.4f}; yours is {thetas[ratio]:.4f}.")
    last, first = low[n(ratio) - 1].item(), low[n(ratio)].item()
    return wrong(
        f"as many go as should, but with {last:.4f} as the highest score that goes and {first:.4f} as the lowest that "
        f"stays, θ is {last + part * (first - last):.4f}; yours is {thetas[ratio]:.4f}."
    )


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
def budget_by_hand(function, *, least: int = 1) -> Verdict:
    """A function (importance, budget, cost) → ``keep`` with global scope, with few calls of ``cost``.

    The ``least`` best channels of each layer always stay, all of them if the layer has fewer.
    """
    rand, always = torch.rand, 2 * least  # of two layers so many always stay
    # Of `small` one channel of a and two of b are the lowest three; of `lopsided` all of b are below all of a.
    small = _importance(a=torch.cat([1 + rand(always + 1), rand(1)]), b=torch.cat([1 + rand(always - 1), rand(2)]))
    lopsided = _importance(a=1 + rand(least + 3), b=rand(least + 2))
    large = _importance(first=rand(32), second=0.8 * rand(64), third=0.6 * rand(500))
    channels, questions = 2 * always + 3, {}
    for importance, budget, unit, situation in [
        (small, channels, "channels", "where everything fits"),
        (small, channels - 3, "channels", f"where {channels - 3} of {channels} channels fit"),
        (lopsided, always + 1, "channels", "where one layer has all the lowest scores"),
        (large, 20_000, "weights", "with three layers of 32, 64 and 500 channels"),
    ]:
        keep, questions[situation], changed = _asked(function, importance, budget, unit)
        if changed:
            return wrong("your function changes the importance that it is given. Make new tensors instead.")
        if slip := _keep_slip(importance, keep) or _budget_slip(importance, budget, COSTS[unit], keep, least):
            return wrong(f"{situation}: {slip}")
    most = max(questions, key=questions.__getitem__)
    if questions[most] > MOST_QUESTIONS:
        return wrong(
            f"{most} your `keep` is right, but you asked for the cost {questions[most]} times, which takes long on a real "
            "network. Halve: try the middle of what is still possible, and go on in the half that is left.",
            share=0.5,
        )
    return right(f"{questions[situation]} calls of `cost` were enough for {sum(map(len, large.values()))} channels.")


def _importance(**keys: Tensor) -> dict[str, Tensor]:
    """{layer: (channels,)}, all different, between 0 and 1, in the order of these ``keys``; each layer is shuffled."""
    mixed = {name: values[torch.randperm(len(values))] for name, values in keys.items()}
    standing = torch.cat(list(mixed.values())).argsort().argsort() + 1
    parts = (standing / (len(standing) + 1)).split([len(values) for values in mixed.values()])
    return dict(zip(mixed, parts, strict=True))


def _asked(function, importance: dict[str, Tensor], budget: float, unit: str) -> tuple[object, int, bool]:
    """What the reader's ``function`` returns, how often it asks for the cost, and whether it changes the importance."""
    seen = []

    def observed(*inputs):
        keep, *rest = observe(budget_spent, function, *inputs)
        seen.extend(rest)
        return keep

    keep = returned_by(observed if callable(function) else function, importance, budget, unit)
    return keep, *seen


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
    importance: dict[str, Tensor],
    budget: float,
    cost: Callable[[dict[str, Tensor]], float],
    keep: dict[str, Tensor],
    least: int,
) -> str | None:
    """What is wrong with a ``keep`` for ``budget``, or None if it is the right one."""
    safe = {name: values >= values.topk(min(least, len(values))).values[-1] for name, values in importance.items()}
    # Importance is below 1: with 1 more, those that always stay stand at the head of the list.
    lifted = {name: values + safe[name] for name, values in importance.items()}
    expected = threshold_by_budget(lifted, budget, cost, "global").keep
    if _same(keep, expected):
        return None
    if _same(keep, {name: ~stays for name, stays in expected.items()}):
        return "True and False are swapped: True means that a channel stays."
    if _same(keep, threshold_by_budget(lifted, budget, cost).keep):
        return "you take the same share of each layer. Here all channels stand in one list, wherever they come from."
    if empty := [name for name, stays in keep.items() if not stays.any()]:
        best = "its best one" if least == 1 else f"its best {least}"
        return f"no channel of {empty[0]} stays, and a layer without channels computes nothing. Keep {best}."
    for name, stays in keep.items():
        if stays.all():
            continue
        best_gone, lowest = importance[name][~stays].max(), importance[name][stays].min()
        if best_gone > lowest:
            return f"in {name}, a channel of importance {best_gone:.2g} goes while one of {lowest:.2g} stays."
        if stays.sum() < safe[name].sum():
            return f"of {name} {int(stays.sum())} stay, and its best {int(safe[name].sum())} always do, whatever they cost."
    # Within the layers the order is right; those that always stay do so whatever their importance.
    gone = torch.cat([importance[name][~stays] for name, stays in keep.items()])
    staying = torch.cat([importance[name][stays & ~safe[name]] for name, stays in keep.items()])
    if len(gone) and len(staying) and gone.max() > staying.min():
        return f"a channel of importance {gone.max():.2g} goes while one of {staying.min():.2g} stays in another layer."
    spent = f"a cost of {cost(keep):,}, and the budget is {budget:,}"
    if cost(keep) > budget:
        always = "The best channel of a layer, which always stays, costs" if least == 1 else "Those that always stay cost"
        return f"too much stays: {spent}. ({always} as well.)"
    return f"you have {spent}, but one channel more would fit."


def _same(keep: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(stays.equal(other[name]) for name, stays in keep.items())
