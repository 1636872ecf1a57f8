"""What measurements say of a claim: that it holds, that it is refuted, or that it is undecided."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from .uncertainty import mean_interval


class Judgement(NamedTuple):
    """A ``verdict``, "holds", "refuted" or "undecided", and the mean difference and its 95 % interval on which it rests."""

    verdict: str
    estimate: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.verdict}: {self.estimate:+.2f} ({self.low:+.2f} to {self.high:+.2f})"


def judge_claim(differences: Sequence[float], at_least: float = 0) -> Judgement:
    """Judge the claim that a difference is ``at_least`` so large, from the ``differences`` of several paired runs.

    It holds if the whole 95 % interval of their mean (``mean_interval``) does what it says, it is refuted if no part of the
    interval does, and otherwise it is undecided. "Loses at most 1 point" is the claim that the change is at least −1.
    A single run decides nothing. Raises ValueError if there is no difference, or a number is not finite.
    """
    if not math.isfinite(at_least):
        raise ValueError(f"at_least must be a finite number, got {at_least}")
    interval = mean_interval(differences)
    return Judgement(verdict_on(interval.low, interval.high, at_least), *interval)


def verdict_on(low: float, high: float, at_least: float) -> str:
    """What an interval from ``low`` to ``high`` says of the claim that what it is of is ``at_least`` so large."""
    return "holds" if low >= at_least else "refuted" if high < at_least else "undecided"
