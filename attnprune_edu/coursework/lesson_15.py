"""Lesson 15, the capstone, as coursework: everybody has a task of one's own."""

from random import Random

from .exercise import Exercise
from .numbers import one_of, whole

SECONDS = 60  # of the processor's time for a cell: it plans, repairs and trains a network
LEAST_GAP = 0.05  # between the shares that two budgets allow, so that it is clear which one binds


def _budgets(numbers: Random) -> dict:
    """Three budgets, of which one binds clearly, and not at the lesson's share."""
    while True:
        params, macs = (whole(numbers, 5, 60) / 100 for _ in range(2))
        fixed = one_of(numbers, (10, 15, 20, 25, 30)) / 100
        latency = whole(numbers, 30, 85) / 100
        alone = sorted([params**0.5, macs**0.5, (latency - fixed) / (1 - fixed)])
        apart = min(alone[1] - alone[0], alone[2] - alone[1])
        # Neither the lesson's share nor a half, where the share that goes is the one that stays.
        own = all(abs(alone[0] - other) > 0.02 for other in (0.3, 0.5))
        if alone[0] >= 0.1 and apart >= LEAST_GAP and own:
            return {"params": params, "macs": macs, "latency": latency, "fixed": fixed}


def _budgets_task(params: float, macs: float, latency: float, fixed: float) -> str:
    return (
        f"Allowed are {100 * params:.0f} % of the parameters, {100 * macs:.0f} % of the MACs and {100 * latency:.0f} % "
        f"of the time, of which {100 * fixed:.0f} % stays however narrow the layers are."
    )


def _number(numbers: Random) -> dict:
    return {"number": whole(numbers, 1_000, 999_999)}


def _number_task(number: int) -> str:
    return f"Make a network for the task of number {number}."


EXERCISES = (
    Exercise("share_within_budgets", "answer_1", 1, _budgets, _budgets_task, seconds=SECONDS),
    Exercise("capstone", "my_network", 6, _number, _number_task, seconds=SECONDS),
)
