"""Lesson 00, start here, as coursework."""

from random import Random

from .exercise import Exercise
from .numbers import one_of


def _channels(numbers: Random) -> dict:
    """How many channels go: never half of a layer nor the same share of both, which would make two slips one."""
    return {
        "first": one_of(numbers, [4, 6, 8, 10, 12, 14, 18, 20, 22, 24, 26, 28]),
        "second": one_of(numbers, [6, 10, 14, 18, 22, 26, 38, 42, 46, 50, 54, 58]),
    }


def _channels_task(first: int, second: int) -> str:
    return (
        f"`conv1` loses {first} of its 32 channels, and `conv2` loses {second} of its 64. Which share of `conv2`'s "
        "**weights** is left, as a number between 0 and 1? (Leave the biases out.)"
    )


def _factor(numbers: Random) -> dict:
    return {"factor": one_of(numbers, [percent / 100 for percent in range(40, 96, 2)])}


def _factor_task(factor: float) -> str:
    return (
        f"**Your version:** the layer loses only {factor} times the ratio. At a ratio of 0.5 that is a share of "
        f"{factor / 2:g} of its channels."
    )


def _version(numbers: Random) -> dict:
    powers = [0.5, 1.5, 2, 2.5, 3]
    return {"power": one_of(numbers, powers), "temperature": one_of(numbers, [0.2, 0.25, 0.5, 2, 3, 5])}


def _version_task(power: float, temperature: float) -> str:
    return (
        f"**Your version:** in step 1 the size of a weight is $|w|^{{{power}}}$, and the softmax sees the sizes divided by "
        f"${temperature}$. So the shares of a row are the softmax of its $|w|^{{{power}}} / {temperature}$, and the "
        f"importance is the mean of its sizes $|w|^{{{power}}}$, weighted by these shares."
    )


EXERCISES = (
    Exercise("weights_left", "answer_1", 1, _channels, _channels_task),
    Exercise("keep_for_one_layer", "keep_for_one_layer", 2, _factor, _factor_task, added=True),
    Exercise("six_steps", "six_steps", 6, _version, _version_task, added=True),
)
