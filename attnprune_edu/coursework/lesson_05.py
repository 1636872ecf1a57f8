"""Lesson 05, prune the CNN, as coursework."""

from random import Random

from .exercise import Exercise
from .numbers import one_of, whole


def _optimiser(numbers: Random) -> dict:
    return {
        "momentum": one_of(numbers, [0.5, 0.6, 0.7, 0.8]),
        "learning_rate": one_of(numbers, [0.01, 0.02, 0.05, 0.2, 0.3]),
        "buffer": one_of(numbers, [0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 1.5, 3]),
    }


def _optimiser_task(momentum: float, learning_rate: float, buffer: float) -> str:
    return (
        f"On paper: a weight has just been set to 0. SGD has a momentum of {momentum:g} and a learning rate of "
        f"{learning_rate:g}; the momentum buffer of this weight stands at {buffer:g}. "
        "The gradient is 0, now and in the next step. What is the weight after **two** steps?"
    )


def _allowed(numbers: Random) -> dict:
    return {"times": one_of(numbers, [0.5, 0.75, 1.25, 1.5, 2, 2.5, 3]), "more": whole(numbers, 3, 12)}


def _allowed_task(times: float, more: int) -> str:
    return f"**Your version:** a ratio may cost up to {times:g} · `lost` + {more} pictures, where the text says `lost`."


def _constant(numbers: Random) -> dict:
    return {"constant": one_of(numbers, [-1, 1]) * whole(numbers, 4, 19) / 20}


def _constant_task(constant: float) -> str:
    return (
        f"**Your version:** a pruned channel answers `{constant:g}` instead of 0, at every place of its output, "
        "in all four steps."
    )


EXERCISES = (
    Exercise("weight_after_two_steps", "answer_1", 1, _optimiser, _optimiser_task),
    Exercise("safe_ratio", "safe_ratio", 2, _allowed, _allowed_task, added=True),
    Exercise("masked_convolution", "MaskedConv2d", 6, _constant, _constant_task, added=True),
)
