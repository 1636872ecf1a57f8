"""Lesson 10, adaptive attention, as coursework."""

from random import Random

from .exercise import Exercise
from .numbers import one_of


def _mean(numbers: Random) -> dict:
    """A decay and a mean such that three decimals tell what is left from ``behind``, and no slip has as many steps."""
    return {
        "decay": one_of(numbers, [0.91, 0.93, 0.94, 0.96, 0.97, 0.98]),
        "behind": one_of(numbers, [0.14, 0.16, 0.17, 0.19, 0.21]),
    }


def _mean_task(decay: float, behind: float) -> str:
    return (
        f"The running mean of a channel is 1.0, that of another one is {behind:g}, the decay is {decay:g}. From now on the "
        f"first channel gives 0 in every step, while the mean of the other stays at {behind:g}. After how many steps is the "
        "first one behind for the first time?"
    )


def _slow(numbers: Random) -> dict:
    # Not 0.5, which is also what it takes away from an epoch.
    return {"slow": one_of(numbers, [percent / 100 for percent in range(11, 61) if percent != 50])}


def _slow_task(slow: float) -> str:
    return (
        "**Your version:** the ramp does not stand still, it goes on slowly. An epoch that follows an accuracy below "
        f"`wanted` counts as {slow:g} epochs of the ramp. When the ramp is over, the share stays at `ratio`."
    )


def _power(numbers: Random) -> dict:
    # Not 2, the lesson's square.
    return {"power": one_of(numbers, [percent / 100 for percent in range(105, 301) if percent != 200])}


def _power_task(power: float) -> str:
    return f"**Your version:** in step 1, the attention has the power {power:g} where this lesson's has the square."


EXERCISES = (
    Exercise("steps_until_overtaken", "answer_1", 1, _mean, _mean_task),
    Exercise("held_ramp", "held_ramp", 2, _slow, _slow_task, added=True),
    Exercise("running_gate", "running_gate", 6, _power, _power_task, added=True),
)
