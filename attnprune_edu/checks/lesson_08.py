"""Checks of lesson 08, evaluate honestly."""

import functools
import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from .verdict import NOT_TRIED, Answered, Verdict, a_kind, exercise, number_of, result_of, right, wrong


@exercise
def images_for_half_a_point(answer, *, percent: int = 80, points: float = 0.5) -> Verdict:
    """An accuracy near ``percent``: how many test pictures until its 95 % interval reaches ``points`` to either side?"""
    answer, p, reach = number_of(answer), percent / 100, points / 100
    q, squared = 1 - p, reach**2
    variance = p * q
    needed = 1.96**2 * variance / squared
    if 0.996 * needed <= answer <= 1.0045 * 2**2 * variance / squared:  # who takes 2 for 1.96 is right, too
        if answer != round(answer):
            return wrong("nearly: there are only whole pictures. Round up, so that the interval reaches no further.")
        if answer < (1 - 1e-9) * needed:  # needed may be a whole number, but for rounding
            return wrong(f"nearly: {answer:,.0f} reach a hair further than {_points(points)}. Round up.")
        four_times = round(4 * needed, 1 - math.floor(math.log10(4 * needed)))  # two digits of it
        return right(
            f"half the reach takes four times the pictures: for {_points(points / 2)} it would be about {four_times:,.0f}."
        )
    if answer == 10_000:
        there = 100 * 1.96 * (variance / answer) ** 0.5
        return wrong(
            f"CIFAR-10 has so many test pictures, and there the interval reaches {there:.2g} points to either side."
        )
    if answer in (reach, points):
        return wrong("that is how far the interval should reach. Asked for is the number of pictures.")
    if abs(answer - variance / squared) < 1:
        return wrong("the 1.96 is missing: one standard deviation to either side holds only 68 % of the cases.")
    under_the_root = f"{p:g} · {q:.2g}"
    for z in (1.96, 2):
        square_all = f"square both sides of the formula: the {z} and the {reach:g} are squared, too."
        root = f"the root is forgotten: the formula has √({under_the_root} / n), and that times {z} should be {reach:g}."
        squared_once = f"p (1 − p) stands under the root. Once both sides are squared, it is {variance:.4g}"
        misconceptions = [
            (
                z**2 * variance / (reach / 2) ** 2,
                f"then the whole interval is {_points(points)} wide. It should reach so far to either side.",
            ),
            (
                z**2 * variance / (2 * reach) ** 2,
                f"then it reaches {_points(2 * points)} to either side. Asked for is a reach of {points:g}, or {reach:g}.",
            ),
            (
                z**2 * 0.25 / squared,
                f"you take p = 0.5, the worst case. Near {percent} % it is p (1 − p) = {under_the_root}, and fewer are "
                "enough.",
            ),
            (z**2 * p / squared, f"you take p for p (1 − p). The formula has {under_the_root} under the root."),
            (z**2 * q / squared, f"you take 1 − p for p (1 − p). The formula has {under_the_root} under the root."),
            (z**2 * variance**0.5 / squared, f"{squared_once} and not {variance**0.5:.3g}."),
            (z**2 * variance**2 / squared, f"{squared_once}, not {variance:.4g}²."),
            (z * variance / squared, square_all),
            (z**2 * variance / reach, square_all),
            (z * variance / reach, root),
            (z * variance / (2 * reach), root),
            (z * variance**0.5 / reach, "that is the root of n. Square it."),
            (
                z**2 * variance / (10 * reach) ** 2,
                f"{_points(points)} is {reach:g} as a share. With {10 * reach:g} the interval reaches "
                f"{_points(10 * points)} to either side.",
            ),
            (
                z**2 * 2 * variance / squared,
                "so many are for the difference of two networks on different pictures. Here it is one network.",
            ),
            (
                z**2 * percent * (100 - percent) / squared,
                f"{percent} and {100 - percent} are percent, and {reach:g} is a share. Take {p:g} and {q:.2g}.",
            ),
            (
                z**2 * variance / points**2,
                f"{_points(points)} is {reach:g} as a share. You divide by {points:g}, which is {_points(100 * points)}.",
            ),
        ]
        for pictures, message in misconceptions:
            if abs(answer - pictures) < max(1, 0.4 + 0.01 * pictures):
                return wrong(message)
    equation = f"set 1.96 · √({under_the_root} / n) to {reach:g} and solve for n."
    if not answer > 0:
        return wrong(equation)
    reached = 1.96 * (variance / answer) ** 0.5
    return wrong(f"with {answer:,.0f} pictures the interval reaches {reached:.3g} to either side: {equation}")


def _points(number: float) -> str:
    return f"{number:g} point{'' if number == 1 else 's'}"


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
def paired_bootstrap(function, *, level: float = 95, per: int = 1) -> Verdict:
    """A function (first (pictures,), second (pictures,), draws, generator) → (2,), the bootstrap interval of ``level`` %.

    It is the interval of ``per`` · (accuracy of first − accuracy of second): how many more are correct in so many pictures.
    """
    asked = _Asked(level, per)
    for pictures, better, worse, both in ((1000, 70, 20, 700), (700, 15, 55, 480)):
        first, second = _correct(pictures, better, worse, both)
        result = _drawn(function, first, second, DRAWS)
        if verdict := _amiss(result, function, first, second, asked):
            if per != 1 and not verdict.share:
                as_shares = _amiss(result, function, first, second, _Asked(level, 1))
                if as_shares is None or as_shares.share:
                    counted = f"Your version counts in {per} pictures: take {per} times that."
                    return wrong(f"these are differences of accuracies, from −1 to 1. {counted}")
            return verdict
    if not (_drawn(function, first, first, FEW) == 0).all():
        return wrong("right where the two differ. If they are right on the same pictures, both ends should be 0.", 2 / 3)
    return right("no formula was needed, so the same lines work for a recall, a median, or whatever you can compute.")


@dataclass(frozen=True)
class _Asked:
    """The ``level`` of the interval in percent, and in how many pictures the difference is counted."""

    level: float
    per: int

    @property
    def tail(self) -> str:
        """The percent to either side of the interval."""
        return f"{(100 - self.level) / 2:g}"

    @property
    def z(self) -> float:
        """How many standard deviations the interval reaches to either side."""
        return NormalDist().inv_cdf(0.5 + self.level / 200)


def _correct(pictures: int, better: int, worse: int, both: int) -> tuple[Tensor, Tensor]:
    """On which ``pictures`` two networks are correct: only the first on ``better``, only the second on ``worse`` of them."""
    place = torch.randperm(pictures)  # numbers that are fixed, as a chance difference of 0 would hide a reversed sign
    only_second = (better <= place) & (place < better + worse)
    of_both = (better + worse <= place) & (place < better + worse + both)
    return (place < better) | of_both, only_second | of_both


def _drawn(function, first: Tensor, second: Tensor, draws: int) -> Tensor:
    """What the reader's function returns, as a tensor; two numbers may come as a tuple or a list."""
    generator = torch.Generator().manual_seed(torch.randint(2**31, ()).item())
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


def _amiss(result: Tensor, function, first: Tensor, second: Tensor, asked: _Asked) -> Verdict | None:
    """The step that is not done yet, or the misconception behind the ``result`` of the function; None if it is right.

    Everything is looked at as a share: what is counted in ``asked.per`` pictures is divided by them.
    """
    result = result / asked.per
    n, difference = len(first), first.double() - second.double()
    if result.isnan().any():
        return wrong("your result is NaN: not a number. Is a mean taken of nothing?")
    if result.numel() == 1:
        some = torch.stack([_drawn(function, first, second, FEW).flatten()[0] / asked.per for _ in range(100)])
        if problem := _amiss_in_redraws(some, first, second, asked, 0.25, "that is one number; an interval has two."):
            return wrong(problem)
        done = "step 1 of 3 is done: that is the difference on pictures drawn anew. Now return `draws` such differences."
        return wrong(done, 1 / 3)
    if result.shape in ((DRAWS, n), (n, DRAWS)):
        shape = tuple(result.shape)
        return wrong(f"you return a number for each picture of each redraw, {shape}. Take the mean over the pictures.")
    if result.shape == (DRAWS,):
        if problem := _amiss_in_redraws(result, first, second, asked, 0.1):
            return wrong(problem)
        between = f"Between which two numbers lie {asked.level:g} % of them?"
        return wrong(f"step 2 of 3 is done: these are the differences in all redraws. {between}", 2 / 3)
    if result.shape == (n,):
        draws = f"`draws` says how many redraws there are, {DRAWS}."
        return wrong(f"you return {n} numbers, as many as there are pictures. {draws}")
    if result.shape != (2,):
        return wrong(f"the result has the shape {tuple(result.shape)}; it should be (2,), the low and the high end.")
    low, high = result.tolist()
    if {low, high} <= {-1, 0, 1} and low != high:
        return wrong("your ends are numbers of single pictures. First take the mean over the pictures of each redraw.")
    accuracies = torch.stack([first.double().mean(), second.double().mean()])
    if ((result - accuracies).abs() < 0.05).all():
        return wrong("these are the accuracies of the two. Asked for is their difference on each draw: first − second.")
    verdict = _amiss_in_ends((low + high) / 2, (high - low) / 2, first, second, asked)
    if verdict:
        # Ten shorter runs tell what one cannot: how the ends spread, and whether they depend on the number of draws.
        runs = torch.stack([_drawn(function, first, second, 5 * FEW) / asked.per for _ in range(FEW // 2)])
        if _are_single_redraws(runs, difference):
            quantiles = f"Take the {asked.tail} % and the {100 - float(asked.tail):g} % quantile of all of them."
            return wrong(f"these are only two of the redraws. {quantiles}", 1 / 3)
        if abs(low - difference.mean().item()) < min(1e-3, 0.1 * abs(high - low)):
            return wrong("your first number is the difference itself. Return the two ends of its interval.")
        if _are_extremes(runs, low, high, difference):
            between = f"Between them lie all; take {asked.tail} % away on either side."
            return wrong(f"are these the lowest and the highest redraw? {between}", 2 / 3)
    if low > high and (verdict is None or verdict.share):
        return wrong("the two ends are swapped: the low one comes first.", 2 / 3)
    return verdict


def _are_single_redraws(runs: Tensor, difference: Tensor) -> bool:
    """Whether the two ends, in ``runs`` (runs, 2), spread as single redraws do, around the difference itself."""
    right = difference.std().item() / len(difference) ** 0.5
    around = (runs.mean(dim=0) - difference.mean()).abs() < right
    two = (runs[:, 0] != runs[:, 1]).any()
    return bool(two & (around & (runs.std(dim=0) > 0.5 * right)).all())


def _are_extremes(runs: Tensor, low: float, high: float, difference: Tensor) -> bool:
    """Whether the ends lie around the difference, and closer together in ``runs`` (runs, 2) of fewer draws.

    So do the lowest and the highest redraw, while quantiles stay where they are.
    """
    width, middle = high - low, (low + high) / 2
    around = abs(middle - difference.mean().item()) < 0.25 * width
    return around and 0.5 * width < (runs[:, 1] - runs[:, 0]).mean().item() < 0.85 * width


def _amiss_in_middle(
    middle: float, slack: float, first: Tensor, second: Tensor, asked: _Asked, otherwise: str | None = None
) -> str | None:
    """Around what the redraws lie, if it is not within ``slack`` of the difference of the two accuracies; else None.

    ``otherwise``: what to say where no misconception fits.
    """
    n, difference = len(first), first.double() - second.double()
    mean, per = difference.mean().item(), asked.per
    if per == 1:
        shares, alone = "Give shares: 0.01 is one point.", "the accuracy"
    else:
        shares, alone = f"Your version counts in {per} pictures.", f"how many of {per} pictures are correct"
    for value, message in (
        (mean, None),
        (
            -mean,
            "the sign is reversed: you take second − first. Asked for is first − second."
            if mean > 0  # this case comes first
            else "without `abs`: where `second` is better, the difference is negative.",
        ),
        (100 * mean / per, f"these are points, as in percent. {shares}"),
        (n * mean / per, f"these are counts of pictures, of all {n}. Take the mean, so that they become shares."),
        (
            first.double().mean().item(),
            f"that is {alone} of `first` alone. Asked for is the difference, first − second.",
        ),
        (
            second.double().mean().item(),
            f"that is {alone} of `second` alone. Asked for is the difference, first − second.",
        ),
        (0.0, "your numbers lie around 0. They should lie around the difference of the two accuracies."),
        (difference.abs().mean().item(), "you count where the two differ. Where only `second` is right it should be −1."),
        (difference[difference != 0].mean().item(), "draw from all pictures, not only from those on which the two differ."),
    ):
        if abs(middle - value) < slack + 0.02 * abs(value):
            return message
    return otherwise or f"the middle of your numbers is {per * middle:.4g}; it should be about {per * mean:.4g}."


SAME = "all your redraws are the same. Draw inside the loop, so that each has pictures of its own."


def _amiss_in_redraws(
    redraws: Tensor, first: Tensor, second: Tensor, asked: _Asked, tolerance: float, otherwise: str | None = None
) -> str | None:
    """What is wrong with differences in pictures drawn anew; None if nothing is."""
    n, difference = len(first), first.double() - second.double()
    right = difference.std().item() / n**0.5
    spread = redraws.std().item()
    slack = 0.0005 + 4 * spread / len(redraws) ** 0.5
    if spread < 1e-9 and abs(redraws[0] - difference.mean()) > 1e-6 and len(redraws) == DRAWS:
        return SAME
    if problem := _amiss_in_middle(redraws.mean().item(), slack, first, second, asked, otherwise):
        return problem
    if spread < 0.1 * right:
        return "every redraw gives the same. Draw with replacement, so that a picture may come twice and another not at all."
    if abs(spread / right - 1) < tolerance:
        return None
    return (
        _nearest(spread / right, _spreads(first, second), tolerance)
        or _few_pictures(spread / right, n)
        or (
            f"your redraws spread by {asked.per * spread:.4g}; with {n} pictures in each, drawn from all, it should be "
            f"about {asked.per * right:.4g}."
        )
    )


def _nearest(ratio: float, misconceptions: dict[float, str], tolerance: float) -> str | None:
    """Which of the ``misconceptions``, {how many times too wide it makes the result: message}, fits the ``ratio`` best."""
    value = min(misconceptions, key=lambda value: abs(ratio / value - 1))
    return misconceptions[value] if abs(ratio / value - 1) < tolerance else None


def _spreads(first: Tensor, second: Tensor) -> dict[float, str]:
    """{How many times too wide: what was drawn in place of as many pictures as there are, for both at once}."""
    n, paired = len(first), (first.double() - second.double()).var().item()
    apart = ((first.double().var().item() + second.double().var().item()) / paired) ** 0.5
    return {
        apart: "you draw pictures for each of the two. Both are asked about the same pictures: draw once, use them twice.",
        FEW**-0.5: "that is the mean of all redraws, hardly more than the difference itself. Return all of them.",
        n**0.5: f"each redraw is a single picture. Draw {n} of them, as many as there are, and take their mean.",
        (n / DRAWS) ** 0.5: (
            f"each redraw has `draws` pictures. It should have {n}, as many as there are; `draws` is how often."
        ),
    }


def _few_pictures(ratio: float, n: int) -> str | None:
    """How many pictures a redraw has that spreads so many times too wide, if that is wider than all usual intervals."""
    if ratio > 2.7:
        return f"each redraw seems to have about {float(f'{n / ratio**2:.1g}'):.0f} pictures; it should have {n}."
    return None


def _amiss_in_ends(middle: float, half: float, first: Tensor, second: Tensor, asked: _Asked) -> Verdict | None:
    """What is wrong with an interval of this ``middle`` that reaches ``half`` to either side; None if nothing is."""
    difference, per = first.double() - second.double(), asked.per
    deviation = difference.std().item() / len(difference) ** 0.5
    if half == 0 and abs(middle - difference.mean()) > 1e-6:
        return wrong(SAME)
    half, reach = abs(half), asked.z * deviation
    if problem := _amiss_in_middle(middle, max(0.0015, 0.1 * half), first, second, asked):
        return wrong(problem)
    ratio = half / reach
    if abs(ratio - 1) < 0.1:
        return None
    quantiles = functools.partial(wrong, share=2 / 3)  # the redraws are right
    for root, name in ((math.sqrt(DRAWS), "draws"), (math.sqrt(len(difference)), "n")):
        if abs(ratio * root - 1) < 0.1:
            return quantiles(
                f"the standard deviation of the redraws is the uncertainty already. Do not divide it by √{name}."
            )
    if ratio < 0.1:
        return wrong("both ends are nearly the same. Do all your redraws give the same? Draw with replacement.")
    spreads = _spreads(first, second)
    away = f"Asked for are {asked.level:g} %: take {asked.tail} % away on either side."
    levels = {
        NormalDist().inv_cdf(0.5 + level / 200) / asked.z: f"between your ends lie {level:g} % of the redraws. {away}"
        for level in {50, 80, 90, 95, 2 * asked.level - 100} - {asked.level}
    }
    levels[1 / asked.z] = "one standard deviation to either side holds only 68 % of the redraws. Take the quantiles."
    message = _nearest(ratio, spreads | levels, 0.08)
    if message in levels.values():
        return quantiles(message)
    if message := message or _few_pictures(ratio, len(difference)):
        return wrong(message)
    return quantiles(
        f"the middle is right, but it reaches {per * half:.4g} to either side; it should be about {per * reach:.4g}."
    )


# The rules, and why a report does not have what none of its claims speaks of.
SILENT = {
    "several pruning ratios": "it does not say at which ratios it prunes.",
    "several seeds, with their spread": "it names no seed, and says of no number how much it varies from run to run.",
    "a random baseline": "it compares with nothing, and so not with channels chosen at random either.",
    "the pruned shape from scratch": "it trains no small network from the start to compare with.",
    "accuracy before and after fine-tuning": "it gives no accuracy, neither before nor after.",
    "parameters or MACs in numbers": "it gives no number of either.",
    "time with batch size and threads": "it measures no time.",
}
RATIOS, SEEDS, RANDOM, SCRATCH, ACCURACY, SIZE, TIME = SILENT
# {what a report claims: {rule: (whether the claim gives all that the rule names, why)}}
ARTICLE = {
    "The article prunes at 10, 20 and 30 %.": {RATIOS: (True, "it names three: 10, 20 and 30 %.")},
    "The accuracy falls somewhat, by less and less.": {
        ACCURACY: (False, "that it falls, by less and less, gives no accuracy, neither before nor after.")
    },
    "Computation and storage fall clearly, most at high ratios.": {
        SIZE: (False, "that computation and storage fall clearly is a statement, and no number.")
    },
    "On a phone, a network became 30 % faster with no clear loss.": {
        TIME: (False, "30 % faster is a number, but with which batch size and how many threads it does not say.")
    },
}
CLAIMS = ARTICLE | {
    "We prune at 20, 40 and 60 %, each with five seeds, and give the mean and the range.": {
        RATIOS: (True, "it names three: 20, 40 and 60 %."),
        SEEDS: (True, "five seeds, and their range."),
    },
    "We prune at four ratios from 15 to 60 %; each number is the mean of three seeds ± their standard deviation.": {
        RATIOS: (True, "four ratios, from 15 to 60 %."),
        SEEDS: (True, "three seeds, and their standard deviation."),
    },
    "We prune half of the channels, with five seeds, and give the mean and the range.": {
        RATIOS: (False, "half of the channels is one ratio."),
        SEEDS: (True, "five seeds, and their range."),
    },
    "We prune at 40 %; each number is the mean of three seeds ± their standard deviation.": {
        RATIOS: (False, "40 % is one ratio."),
        SEEDS: (True, "three seeds, and their standard deviation."),
    },
    "We prune half of the channels; the seed is 42.": {
        RATIOS: (False, "half of the channels is one ratio."),
        SEEDS: (False, "42 is one seed. It shows no spread."),
    },
    "We prune at 40 % and report the best of five seeds.": {
        RATIOS: (False, "40 % is one ratio."),
        SEEDS: (False, "of five seeds only the best is told, and no spread."),
    },
    "Where the channels are chosen at random, twice as many points are lost.": {
        RANDOM: (True, "channels chosen at random, pruned as well.")
    },
    "With a random choice of the channels the accuracy is 4 points lower.": {
        RANDOM: (True, "a random choice of the channels, pruned as well.")
    },
    "With L1 in place of attention the accuracy is 2 points lower.": {
        RANDOM: (False, "L1 is another criterion; nothing is compared with channels chosen at random.")
    },
    "The dense network starts from random weights.": {
        RANDOM: (False, "its start is random, as that of every network. No channels are chosen at random.")
    },
    "A network of the pruned shape, trained from random weights for as many epochs, ends 1.5 points lower.": {
        SCRATCH: (True, "a network of the pruned shape, trained from random weights.")
    },
    "Built as small from the start and trained for as long, the network ends 2 points lower.": {
        SCRATCH: (True, "built as small from the start, and trained for as long.")
    },
    "The dense network is trained from scratch for 30 epochs.": {
        SCRATCH: (False, "that is the dense network. One of the pruned shape should be trained from scratch.")
    },
    "The pruned network is trained for ten more epochs.": {
        SCRATCH: (False, "that is fine-tuning: it goes on from the weights that it has.")
    },
    "Right after pruning the accuracy is 61.0 %, after fine-tuning 84.2 %.": {
        ACCURACY: (True, "61.0 % before fine-tuning, 84.2 % after it.")
    },
    "Pruning takes the accuracy down to 58.3 %, and fine-tuning brings it up to 83.9 %.": {
        ACCURACY: (True, "58.3 % before fine-tuning, 83.9 % after it.")
    },
    "After fine-tuning the accuracy is 84.2 %.": {
        ACCURACY: (False, "84.2 % is after fine-tuning. The accuracy before it is missing.")
    },
    "Fine-tuning recovers most of what pruning costs.": {
        ACCURACY: (False, "most of it is no accuracy, neither before nor after.")
    },
    "Of 2.3 million parameters 0.9 million are left.": {SIZE: (True, "2.3 and 0.9 million parameters.")},
    "The MACs fall from 41 to 17 million.": {SIZE: (True, "41 and 17 million MACs.")},
    "The network becomes much smaller.": {SIZE: (False, "much smaller is a statement, and no number.")},
    "It computes far less, and the file is compressed well.": {SIZE: (False, "far less is a statement, and no number.")},
    "On a laptop, with one thread, a batch of 64 takes 21 ms and took 35 before.": {
        TIME: (True, "a batch of 64, and one thread.")
    },
    "With four threads, a single picture takes 1.9 ms and took 2.6 before.": {
        TIME: (True, "a batch of one picture, and four threads.")
    },
    "It runs 40 % faster on a phone.": {
        TIME: (False, "40 % faster is a number, but with which batch size and how many threads it does not say.")
    },
    "On a laptop, a batch of 32 takes 12 ms and took 19 before.": {
        TIME: (False, "a batch of 32, yes, but on how many threads it does not say.")
    },
}


@exercise
def what_the_article_reports(answer, *, claims: tuple[str, ...] = tuple(ARTICLE)) -> Verdict:
    """A dictionary {rule: True where one of the ``claims``, some of ``CLAIMS``, has what it asks for}."""
    reported = {rule: (False, why) for rule, why in SILENT.items()}
    for claim in claims:
        reported |= CLAIMS[claim]
    if not isinstance(answer, dict):
        return wrong(f"the answer is a dictionary {{rule: True where a claim has it}}, and this is {a_kind(answer)}.")
    if unknown := [str(rule) for rule in answer if rule not in reported]:
        return wrong(f'"{unknown[0]}" is none of the rules here. Leave the texts before the colons as they are.')
    if missing := [rule for rule in reported if rule not in answer]:
        return wrong(f'missing: "{missing[0]}". The answer has a line for each of the {len(reported)} rules.')
    blanks = sum(value is ... for value in answer.values())
    if blanks == len(reported):
        return NOT_TRIED
    if blanks:
        return wrong(f"three dots are left at {blanks} of {len(reported)} rules. Write True or False there as well.")
    for rule, (has, why) in reported.items():
        if answer[rule] not in (True, False):
            return wrong(f'write True or False, without quotes; at "{rule}" stands {str(answer[rule])!r}.')
        if answer[rule] != has:
            return wrong(f'"{rule}": {why}')
    count = sum(has for has, _ in reported.values())
    return right(f"{count} of {len(reported)} rules. What comes without numbers can be neither checked nor refuted.")
