"""Instant answers to the lessons' exercises, and their quizzes.

A check takes the reader's answer and returns a ``Verdict``. An exercise that still holds ``...`` is "not tried yet"; a wrong
answer is met by the misconception that most likely led to it.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources

from IPython.display import Javascript, display
from jupyterquiz import display_quiz
from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """``solved`` is True, False, or None for "not tried yet"; ``message`` is one line for the reader."""

    solved: bool | None
    message: str

    def __repr__(self) -> str:
        """What the notebook shows."""
        return {True: "✓ Right. ", False: "✗ Not yet: ", None: "… Not tried yet: "}[self.solved] + self.message


def right(message: str) -> Verdict:
    """A right answer, and one thing more that is worth knowing."""
    return Verdict(True, message)


def wrong(message: str) -> Verdict:
    """A wrong answer, and the misconception behind it."""
    return Verdict(False, message)


def exercise(check: Callable[..., Verdict]) -> Callable[..., Verdict]:
    """Make a function a check: the answer ``...`` is not tried yet, and an answer of a strange type raises nothing."""

    @functools.wraps(check)
    def checked(answer) -> Verdict:
        if answer is ...:
            return Verdict(None, "put your answer in the place of the three dots and run the cell again.")
        if isinstance(answer, str):
            return wrong("this is a text in quotes. Write the value itself.")
        try:
            return check(answer)
        except (TypeError, ValueError, AttributeError, KeyError, RuntimeError) as error:
            return wrong(f"this is a {type(answer).__name__}, and the check cannot read it as an answer ({error}).")

    return checked


# Lesson 00, start_here


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
    if not isinstance(answer, dict):
        return wrong(
            f"`keep` is a dictionary {{layer name: True where a channel stays}}, and this is a {type(answer).__name__}."
        )
    if set(answer) - {"fc1"}:
        names = ", ".join(sorted(answer))
        return wrong(f"this names {names}. It should name fc1 only: give `keep_by_ratio` a dictionary with that one entry.")
    stays = answer["fc1"]
    if not isinstance(stays, Tensor) or str(stays.dtype) != "torch.bool" or stays.ndim != 1:
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


# jupyterquiz loads MathJax from the internet if the page's own lacks this function. Our quizzes hold no formulas.
_NO_DOWNLOAD = "if (window.MathJax && !window.MathJax.typeset) window.MathJax.typeset = () => {};"


def quiz(lesson: str) -> None:
    """Show the quiz of ``lesson``, such as ``"00_start_here"``: three questions, each answer explained. Works offline."""
    folder = resources.files(__package__) / "quizzes"
    file = folder / f"{lesson}.json"
    if not file.is_file():
        known = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir())
        raise ValueError(f"lesson must be one of {', '.join(known)}, got {lesson!r}")
    display(Javascript(_NO_DOWNLOAD))
    display_quiz(json.loads(file.read_text(encoding="utf-8")), max_width=750)
