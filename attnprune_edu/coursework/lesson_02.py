"""Lesson 02, the attention formula, as coursework."""

import math
from random import Random

from .exercise import Exercise
from .numbers import one_of, shuffled, whole


def _row(numbers: Random) -> dict:
    light = whole(numbers, 1, 6)
    return {"light": light, "heavy": whole(numbers, 2 * light + 3, 2 * light + 15)}


def _row_task(light: int, heavy: int) -> str:
    def log(number):
        return rf"$\ln {number}" + (" = 0$" if number == 1 else rf" \approx {math.log(number):.3f}$")

    return (
        f"By hand: a row has the two weights {log(light)} and {log(heavy)}. What is its score, by the printed formula? "
        "Three decimals are enough."
    )


def _filters(numbers: Random) -> dict:
    """Six filters: one with the highest mean, another one with the largest size, and four that are close behind."""
    size = one_of(numbers, [0.3, 0.4, 0.5, 0.6])
    peak = round(size * one_of(numbers, [2.2, 2.6, 3.0, 3.4]), 2)
    behind = [
        (round(0.9 * peak, 2), 0.0, 0.0, 0.0),
        (round(0.8 * size, 2),) * 4,
        (0.0, round(0.7 * peak, 2), 0.0, round(0.1 * peak, 2)),
        (round(1.5 * size, 2), round(1.5 * size, 2), 0.0, 0.0),
    ]
    return {"filters": tuple(shuffled(numbers, [(size,) * 4, (0.0, 0.0, 0.0, peak), *behind]))}


def _filters_task(filters: tuple[tuple[float, ...], ...]) -> str:
    named = [f"{name} = ({', '.join(f'{w:g}' for w in row)})" for name, row in zip("ABCDEFGH", filters, strict=False)]
    count, higher = {2: ("Two", "higher"), 6: ("Six", "highest")}[len(filters)]
    return (
        f"{count} filters with four weights each: {', '.join(named[:-1])} and {named[-1]}. Which one has the {higher} score "
        'at a very **high** temperature, and which at a very **low** one? Answer with two letters, such as `("A", "A")`.'
    )


def _version(numbers: Random) -> dict:
    powers = [0.5, 1.5, 2, 2.5, 3]
    return {"power": one_of(numbers, powers), "multiple": one_of(numbers, [0.25, 0.5, 2, 3, 4, 5])}


def _version_task(power: float, multiple: float) -> str:
    return (
        f"**Your version:** wherever the formula has the size $|w|$, take $|w|^{{{power}}}$; wherever it has $\\tau$, take "
        f"${multiple}\\,\\tau$."
    )


EXERCISES = (
    Exercise("score_by_hand", "answer_1", 1, _row, _row_task),
    Exercise("two_temperatures", "answer_2", 2, _filters, _filters_task),
    Exercise("attention_importance", "my_importance", 6, _version, _version_task, added=True),
)
