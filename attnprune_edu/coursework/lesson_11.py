"""Lesson 11, one budget for several levels, as coursework."""

from random import Random

from .exercise import Exercise
from .numbers import one_of, whole


def _layer(numbers: Random) -> dict:
    """A layer of more weights than the lesson's. Where a quarter is not zero, two slips would be one."""
    thousands, percent = whole(numbers, 9, 60), one_of(numbers, [*range(5, 25), *range(26, 41)])
    return {"weights": 1000 * thousands, "nonzero": 10 * thousands * percent}


def _layer_task(weights: int, nonzero: int) -> str:
    return (
        f"A layer has {weights:,} weights, and {nonzero:,} of them are not zero. Its file holds the non-zero numbers, 4 "
        f"bytes each, and a bit map with one bit for *each* of the {weights:,} places. How many bytes are that in all?"
    )


def _power(numbers: Random) -> dict:
    return {"power": whole(numbers, 110, 250) / 100}


def _power_task(power: float) -> str:
    return (
        "**Your version:** a large loss in one layer is worse than small ones in several. So wherever losses are added up, "
        rf"in all three steps, add up $\text{{loss}}^{{{power:g}}}$ of each instead."
    )


EXERCISES = (
    Exercise("bytes_of_single_weights", "answer_1", 1, _layer, _layer_task),
    Exercise("knapsack_by_hand", "my_knapsack", 6, _power, _power_task, added=True),
)
