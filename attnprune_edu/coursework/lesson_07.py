"""Lesson 07, smaller and faster, as coursework."""

from random import Random

from .exercise import Exercise
from .numbers import one_of, whole


def _cut(numbers: Random) -> dict:
    return {
        "kept": whole(numbers, 10, 14),
        "filters": one_of(numbers, [32, 36, 40, 48]),
        "kept2": whole(numbers, 17, 29),
        "filters2": one_of(numbers, [64, 72, 80, 96]),
        "kernel": one_of(numbers, [3, 5, 7]),
    }


def _cut_task(kept: int, filters: int, kept2: int, filters2: int, kernel: int) -> str:
    return (
        f"`conv1` keeps {kept} of its {filters} filters, `conv2` keeps {kept2} of its {filters2}. The kernels are "
        f"{kernel}×{kernel}. How many parameters (weights and biases) has `conv2` after the removal?"
    )


def _speedup(numbers: Random) -> dict:
    return {
        "percent": one_of(numbers, [62, 65, 68, 70, 74, 76, 78, 82, 84, 86, 88]),
        "times": one_of(numbers, [3, 5, 6, 8, 10]),
    }


def _speedup_task(percent: int, times: int) -> str:
    return (
        f"A convolution takes {percent} % of a network's time. After pruning, this layer is {times} times as fast; the rest "
        "takes as long as before. How many times as fast is the whole network? Two decimals are enough."
    )


def _factor(numbers: Random) -> dict:
    return {"factor": whole(numbers, 15, 50) / 10}


def _factor_task(factor: float) -> str:
    return (
        "**Your version:** multiply what stays of the first convolution, weights and biases, by "
        f"{factor:g}, and divide the weights of the second convolution by {factor:g}. A positive factor passes through ReLU "
        "and pooling, so the small network still computes the same."
    )


EXERCISES = (
    Exercise("params_of_cut_conv", "answer_1", 1, _cut, _cut_task),
    Exercise("overall_speedup", "answer_2", 2, _speedup, _speedup_task),
    Exercise("removal_by_hand", "remove_channels", 6, _factor, _factor_task, added=True),
)
