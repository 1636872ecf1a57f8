"""Checks of lesson 00, start here."""

import torch
from torch import Tensor

from .verdict import Verdict, exercise, require_keep, right, wrong


@exercise
def channels_left(answer) -> Verdict:
    """How many of 64 channels stay at a pruning ratio of 0.3?"""
    if answer == 45:
        return right("0.3 · 64 = 19.2, so 19 channels go; `keep_by_ratio` rounds to the nearest whole number.")
    if answer in (19, 19.2):
        return wrong("that many channels go. The pruning ratio is the share removed; how many stay?")
    if answer == 20:
        return wrong("that counts the channels that go, and 19.2 is rounded to the nearest whole number. How many stay?")
    if isinstance(answer, float) and abs(answer - 44.8) < 0.01:
        return wrong("a channel stays or goes as a whole. Round the number of channels that go.")
    if answer == 44:
        return wrong("you rounded 19.2 up. `keep_by_ratio` rounds to the nearest whole number.")
    return wrong("the pruning ratio is the share of channels removed: 0.3 of 64 go, rounded to a whole number.")


@exercise
def weights_left(answer) -> Verdict:
    """Which share of conv2's weights stays when conv1 and conv2 both lose half of their channels?"""
    answer = float(answer)
    if abs(answer - 0.25) < 1e-6:
        return right("conv2 loses half of its filters, and each filter that stays loses half of its inputs: ½ · ½.")
    if abs(answer - 0.5) < 1e-6:
        return wrong("that counts conv2's own filters. Each of them also reads the channels of conv1: how many are left?")
    if abs(answer - 0.75) < 1e-6:
        return wrong("that is the share that goes. Which share stays?")
    if abs(answer - 25) < 1e-6:
        return wrong("25 what? Give the share as a number between 0 and 1.")
    return wrong("conv2's weight has the shape (its channels, conv1's channels, 5, 5). Which of these numbers are halved?")


@exercise
def keep_for_fc1(answer) -> Verdict:
    """A ``keep`` that prunes fc1 alone, by 90 %."""
    require_keep(answer)
    if set(answer) - {"fc1"}:
        names = ", ".join(sorted(answer))
        return wrong(f"this names {names}. It should name fc1 only: give `keep_by_ratio` a dictionary with that one entry.")
    stays = answer["fc1"]
    if not isinstance(stays, Tensor) or stays.dtype != torch.bool or stays.ndim != 1:
        return wrong("these are not True and False for each channel. Pass the importance through `keep_by_ratio`.")
    left, channels = int(stays.sum()), len(stays)
    if left == channels - round(0.9 * channels):
        return right(
            f"{left} of {channels} neurons stay. Most of this network's parameters sit in fc1, so this alone removes "
            "nearly nine tenths of them, but only about a sixth of the MACs: most multiplications are in the convolutions."
        )
    if left == round(0.9 * channels):
        return wrong(f"{left} of {channels} neurons stay, so 10 % go. The pruning ratio is the share removed.")
    return wrong(
        f"{left} of {channels} neurons stay; at a pruning ratio of 0.9 it would be {channels - round(0.9 * channels)}."
    )
