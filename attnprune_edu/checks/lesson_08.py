"""Checks of lesson 08, evaluate honestly."""

import math

import numpy as np
import torch
from torch import Tensor

from .verdict import NOT_TRIED, Answered, Verdict, a_kind, exercise, number_of, result_of, right, wrong


@exercise
def images_for_half_a_point(answer) -> Verdict:
    """An accuracy near 80 %: how many test pictures until its 95 % interval reaches 0.005 to either side?"""
    answer = number_of(answer)
    if 24_500 <= answer <= 25_700:
        if answer != round(answer):
            return wrong("nearly: there are only whole pictures. Round up, so that the interval reaches no further.")
        if answer < 1.96**2 * 0.16 / 0.005**2:
            return wrong(f"nearly: {answer:,.0f} reach a hair further than half a point. Round up.")
        return right("half the reach takes four times the pictures: for a quarter of a point it would be nearly 100,000.")
    if answer == 10_000:
        return wrong("CIFAR-10 has so many test pictures, and there the interval reaches 0.8 points to either side.")
    squared = 0.005**2
    if abs(answer - 0.16 / squared) < 1:
        return wrong("the 1.96 is missing: one standard deviation to either side holds only 68 % of the cases.")
    for z in (1.96, 2):
        square_all = f"square both sides of the formula: the {z} and the 0.005 are squared, too."
        root = f"the root is forgotten: the formula has √(0.8 · 0.2 / n), and that times {z} should be 0.005."
        misconceptions = [
            (
                z**2 * 0.16 / 0.0025**2,
                "then the whole interval is half a point wide. It should reach half a point to either side.",
            ),
            (z**2 * 0.16 / 0.01**2, "then it reaches a whole point to either side. Asked for is half a point, 0.005."),
            (
                z**2 * 0.25 / squared,
                "you take p = 0.5, the worst case. Near 80 % it is p (1 − p) = 0.8 · 0.2, and fewer are enough.",
            ),
            (z**2 * 0.8 / squared, "you take p for p (1 − p). The formula has 0.8 · 0.2 under the root."),
            (z**2 * 0.2 / squared, "you take 1 − p for p (1 − p). The formula has 0.8 · 0.2 under the root."),
            (z**2 * 0.4 / squared, "p (1 − p) stands under the root. Once both sides are squared, it is 0.16 and not 0.4."),
            (
                z**2 * 0.16**2 / squared,
                "p (1 − p) stands under the root. Once both sides are squared, it is 0.16, not 0.16².",
            ),
            (z * 0.16 / squared, square_all),
            (z**2 * 0.16 / 0.005, square_all),
            (z * 0.16 / 0.005, root),
            (z * 0.16 / 0.01, root),
            (z * 0.4 / 0.005, "that is the root of n. Square it."),
            (z**2 * 0.16 / 0.05**2, "half a point is 0.005. With 0.05 the interval reaches five points to either side."),
            (
                z**2 * 2 * 0.16 / squared,
                "so many are for the difference of two networks on different pictures. Here it is one network.",
            ),
            (z**2 * 80 * 20 / squared, "80 and 20 are percent, and 0.005 is a share. Take 0.8 and 0.2."),
        ]
        for pictures, message in misconceptions:
            if abs(answer - pictures) < 0.4 + 0.01 * pictures:
                return wrong(message)
    if answer in (0.005, 0.5):
        return wrong("that is how far the interval should reach. Asked for is the number of pictures.")
    if 0 < answer < 4:
        return wrong("half a point is 0.005, half of one percent. You divide by 0.5, which is 50 points.")
    equation = "set 1.96 · √(0.8 · 0.2 / n) to 0.005 and solve for n."
    if not answer >= 4:
        return wrong(equation)
    reach = 1.96 * (0.16 / answer) ** 0.5
    return wrong(f"with {answer:,.0f} pictures the interval reaches {reach:.3g} to either side: {equation}")


FEW = 20
NUMBERS = int | float | np.generic | np.ndarray | Tensor
ERRORS = {  # {part of what torch or numpy says: what to say instead}
    "bool tensor": "bool tensors cannot be subtracted. Make numbers of them: `first.double()`",  # torch proposes ^
    "infer output dtype": "whole numbers and bools have no mean. Use `.double()`",
    "no attribute 'quantile'": "a list has no quantile. Use `torch.stack` on it first",
    "got (list": "`torch.quantile` takes no list. Use `torch.stack` on it first",
    "in the range [0, 1]": "a quantile is a share from 0 to 1: 2.5 % is 0.025",
}
DRAWS = 2000  # enough that the ends of an interval settle, few enough to be drawn at once


@exercise
def paired_bootstrap(function) -> Verdict:
    """A function (first (pictures,), second (pictures,), draws, generator) → (2,), the 95 % bootstrap interval."""
    seeds = torch.Generator().manual_seed(0)
    for pictures, leads in ((1000, True), (700, False)):
        better = torch.rand(pictures, generator=seeds) < 0.8
        worse = better ^ (torch.rand(pictures, generator=seeds) < 0.08)
        first, second = (better, worse) if leads else (worse, better)
        if problem := _amiss(_drawn(function, first, second, DRAWS), function, first, second):
            return wrong(problem)
    if not (_drawn(function, better, better, DRAWS) == 0).all():
        return wrong("right where the two differ. If they are right on the same pictures, both ends should be 0.")
    return right("no formula was needed, so the same lines work for a recall, a median, or whatever you can compute.")


def _drawn(function, first: Tensor, second: Tensor, draws: int, seed: int = 0) -> Tensor:
    """What the reader's function returns, as a tensor; two numbers may come as a tuple or a list."""
    generator = torch.Generator().manual_seed(seed)
    untouched = generator.get_state()

    def returned(first, second):
        try:
            result = function(first, second, draws, generator)
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            for part, advice in ERRORS.items():
                if part in str(error):
                    raise type(error)(advice) from error
            raise
        if isinstance(result, tuple | list):
            if any(end is ... for end in result):
                return ...
            if all(isinstance(end, NUMBERS) and torch.as_tensor(end).numel() == 1 for end in result):
                return torch.tensor([float(end) for end in result], dtype=torch.float64)
        return torch.as_tensor(result) if isinstance(result, np.ndarray | np.generic) else result

    result = result_of(returned if callable(function) else function, first, second).double()
    if generator.get_state().equal(untouched):
        raise Answered(wrong("nothing is drawn with `generator`. Hand it on: `torch.randint(…, generator=generator)`."))
    return result


def _amiss(result: Tensor, function, first: Tensor, second: Tensor) -> str | None:
    """The step that is not done yet, or the misconception behind the ``result``; None if it is right."""
    n, difference = len(first), first.double() - second.double()
    if result.isnan().any():
        return "your result is NaN: not a number. Is a mean taken of nothing?"
    if result.numel() == 1:
        some = torch.stack([_drawn(function, first, second, FEW, seed).flatten()[0] for seed in range(100)])
        return _amiss_in_redraws(some, difference, first, second, 0.25, "that is one number; an interval has two.") or (
            "step 1 of 3 is done: that is the difference on pictures drawn anew. Now return `draws` such differences."
        )
    if result.shape in ((DRAWS, n), (n, DRAWS)):
        return (
            f"you return a number for each picture of each redraw, {tuple(result.shape)}. Take the mean over the pictures."
        )
    if result.shape == (DRAWS,):
        return _amiss_in_redraws(result, difference, first, second, 0.1) or (
            "step 2 of 3 is done: these are the differences in all redraws. Between which two numbers lie 95 % of them?"
        )
    if result.shape == (n,):
        return f"you return {n} numbers, as many as there are pictures. `draws` says how many redraws there are, {DRAWS}."
    if result.shape != (2,):
        return f"the result has the shape {tuple(result.shape)}; it should be (2,), the low and the high end."
    low, high = result.tolist()
    if {low, high} <= {-1, 0, 1} and low != high:
        return "your ends are numbers of single pictures. First take the mean over the pictures of each redraw."
    if abs(low - difference.mean().item()) < min(1e-3, 0.1 * abs(high - low)):
        return "your first number is the difference itself. Return the two ends of its interval."
    accuracies = torch.stack([first.double().mean(), second.double().mean()])
    if ((result - accuracies).abs() < 0.05).all():
        return "these are the accuracies of the two. Asked for is their difference on each draw: first − second."
    problem = _amiss_in_ends((low + high) / 2, (high - low) / 2, difference, first, second)
    if problem and low != high and _are_single_redraws(function, difference, first, second):
        return "these are only two of the redraws. Take the 2.5 % and the 97.5 % quantile of all of them."
    return "the two ends are swapped: the low one comes first." if low > high else problem


def _are_single_redraws(function, difference: Tensor, first: Tensor, second: Tensor) -> bool:
    """Whether each end spreads from run to run as a single redraw does, around the difference itself."""
    ends = torch.stack([_drawn(function, first, second, 5 * FEW, seed) for seed in range(FEW // 2)])
    right = difference.std().item() / len(difference) ** 0.5
    around = (ends.mean(dim=0) - difference.mean()).abs() < right
    return bool((around & (ends.std(dim=0) > 0.5 * right)).all())


def _amiss_in_middle(
    middle: float, slack: float, difference: Tensor, first: Tensor, second: Tensor, otherwise: str | None = None
) -> str | None:
    """Around what the redraws lie, if it is not within ``slack`` of the difference of the two accuracies; else None.

    ``otherwise``: what to say where no misconception fits.
    """
    n, mean = len(difference), difference.mean().item()
    for value, message in (
        (mean, None),
        (
            -mean,
            "the sign is reversed: you take second − first. Asked for is first − second."
            if mean > 0  # this case comes first
            else "without `abs`: where `second` is better, the difference is negative.",
        ),
        (100 * mean, "these are points, as in percent. Give shares: 0.01 is one point."),
        (n * mean, "these are counts of pictures. Take the mean, so that they become shares."),
        (
            first.double().mean().item(),
            "that is the accuracy of `first` alone. Asked for is the difference, first − second.",
        ),
        (
            second.double().mean().item(),
            "that is the accuracy of `second` alone. Asked for is the difference, first − second.",
        ),
        (0.0, "your numbers lie around 0. They should lie around the difference of the two accuracies."),
        (difference.abs().mean().item(), "you count where the two differ. Where only `second` is right it should be −1."),
        (difference[difference != 0].mean().item(), "draw from all pictures, not only from those on which the two differ."),
    ):
        if abs(middle - value) < slack + 0.02 * abs(value):
            return message
    return otherwise or f"the middle of your numbers is {middle:.4f}, and the accuracies differ by {mean:.4f}."


SAME = "all your redraws are the same. Draw inside the loop, so that each has pictures of its own."


def _amiss_in_redraws(
    redraws: Tensor,
    difference: Tensor,
    first: Tensor,
    second: Tensor,
    tolerance: float,
    otherwise: str | None = None,
) -> str | None:
    """What is wrong with differences in pictures drawn anew; None if nothing is."""
    n, right = len(difference), difference.std().item() / len(difference) ** 0.5
    spread = redraws.std().item()
    slack = 0.0005 + 4 * spread / len(redraws) ** 0.5
    if spread < 1e-9 and abs(redraws[0] - difference.mean()) > 1e-6 and len(redraws) == DRAWS:
        return SAME
    if problem := _amiss_in_middle(redraws.mean().item(), slack, difference, first, second, otherwise):
        return problem
    if spread < 0.1 * right:
        return "every redraw gives the same. Draw with replacement, so that a picture may come twice and another not at all."
    ratio = spread / right
    if problem := _amiss_in_spread(ratio, first, second, tolerance):
        return problem
    if abs(ratio - 1) < tolerance:
        return None
    return f"your redraws spread by {spread:.4f}; with {n} pictures in each, drawn from all, it should be about {right:.4f}."


def _amiss_in_spread(ratio: float, first: Tensor, second: Tensor, tolerance: float) -> str | None:
    """The misconception that makes the spread ``ratio`` times what it should be; None if there is none that fits."""
    n, paired = len(first), (first.double() - second.double()).var().item()
    apart = ((first.double().var().item() + second.double().var().item()) / paired) ** 0.5
    for value, message in (
        (apart, "you draw pictures for each of the two. Both are asked about the same pictures: draw once, use them twice."),
        (FEW**-0.5, "that is the mean of all redraws, hardly more than the difference itself. Return all of them."),
        (n**0.5, f"each redraw is a single picture. Draw {n} of them, as many as there are, and take their mean."),
        (
            (n / DRAWS) ** 0.5,
            f"each redraw has `draws` pictures. It should have {n}, as many as there are; `draws` is how often.",
        ),
    ):
        if abs(ratio / value - 1) < tolerance:
            return message
    if ratio > 2.2:  # further apart than the lowest and the highest redraw are
        return f"each redraw seems to have about {float(f'{n / ratio**2:.1g}'):.0f} pictures; it should have {n}."
    return None


def _amiss_in_ends(middle: float, half: float, difference: Tensor, first: Tensor, second: Tensor) -> str | None:
    """What is wrong with an interval of this ``middle`` that reaches ``half`` to either side; None if nothing is."""
    reach = 1.96 * difference.std().item() / len(difference) ** 0.5
    if half == 0 and abs(middle - difference.mean()) > 1e-6:
        return SAME
    half = abs(half)
    if problem := _amiss_in_middle(middle, max(0.0015, 0.1 * half), difference, first, second):
        return problem
    ratio = half / reach
    if abs(ratio - 1) < 0.09:
        return None
    for root, name in ((math.sqrt(DRAWS), "draws"), (math.sqrt(len(difference)), "n")):
        if abs(ratio * root - 1) < 0.1:
            return f"the standard deviation of the redraws is the uncertainty already. Do not divide it by √{name}."
    if ratio < 0.1:
        return "both ends are nearly the same. Do all your redraws give the same? Draw with replacement."
    if problem := _amiss_in_spread(ratio, first, second, 0.06):
        return problem
    for value, message in (
        (0.6745 / 1.96, "between your ends lie 50 % of the redraws. Asked for are 95 %; 2.5 % is 0.025."),
        (1.2816 / 1.96, "between your ends lie 80 % of the redraws. Asked for are 95 %; 2.5 % is 0.025."),
        (1.645 / 1.96, "between your ends lie 90 % of the redraws. Take 2.5 % away on either side, not 5 %."),
        (1 / 1.96, "one standard deviation to either side holds only 68 % of the redraws. Take the quantiles."),
        (2, "twice too wide: from the low to the high end there should be 95 % of the redraws."),
        (0.5, "only half as wide as 95 % of the redraws."),
    ):
        if abs(ratio / value - 1) < 0.05:
            return message
    if 1.5 < ratio < 2:
        return "are these the lowest and the highest redraw? Between them lie all; take 2.5 % away on either side."
    return f"the middle is right, but it reaches {half:.4f} to either side; it should be about {reach:.4f}."


# What the article has of each rule, and what to say where the reader thinks otherwise.
ARTICLE = {
    "several pruning ratios": (True, "it names three: 10, 20 and 30 %."),
    "several seeds, with their spread": (
        False,
        "it names no seed, and says of no number how much it varies from run to run.",
    ),
    "a random baseline": (False, "it compares with nothing, and so not with channels chosen at random either."),
    "the pruned shape from scratch": (False, "it trains no small network from the start to compare with."),
    "accuracy before and after fine-tuning": (
        False,
        "it says that the accuracy falls, by less and less, but gives no accuracy, neither before nor after.",
    ),
    "parameters or MACs in numbers": (False, "that computation and storage fall clearly is a statement, and no number."),
    "time with batch size and threads": (
        False,
        "30 % faster is a number, but with which batch size and how many threads it does not say.",
    ),
}


@exercise
def what_the_article_reports(answer) -> Verdict:
    """A dictionary {rule: True where the article has what it asks for}: what does the article report?"""
    if not isinstance(answer, dict):
        return wrong(f"the answer is a dictionary {{rule: True where the article has it}}, and this is {a_kind(answer)}.")
    if unknown := [str(rule) for rule in answer if rule not in ARTICLE]:
        return wrong(f'"{unknown[0]}" is none of the rules here. Leave the texts before the colons as they are.')
    if missing := [rule for rule in ARTICLE if rule not in answer]:
        return wrong(f'missing: "{missing[0]}". The answer has a line for each of the {len(ARTICLE)} rules.')
    blanks = sum(value is ... for value in answer.values())
    if blanks == len(ARTICLE):
        return NOT_TRIED
    if blanks:
        return wrong(f"three dots are left at {blanks} of {len(ARTICLE)} rules. Write True or False there as well.")
    for rule, (has, message) in ARTICLE.items():
        if answer[rule] not in (True, False):
            return wrong(f'write True or False, without quotes; at "{rule}" stands {str(answer[rule])!r}.')
        if answer[rule] != has:
            return wrong(f'"{rule}": {message}')
    return right(
        "one rule of seven. What comes without numbers can be neither checked nor refuted, so this course measures it."
    )
