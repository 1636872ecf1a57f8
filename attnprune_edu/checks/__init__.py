"""Instant answers to the lessons' exercises, a module a lesson.

A check takes the reader's answer and returns a ``Verdict``. An exercise that still holds ``...`` is "not tried yet"; a wrong
answer is met by the misconception that most likely led to it.
"""

from .lesson_00 import channels_left, keep_for_fc1, weights_left
from .verdict import Verdict

__all__ = ["Verdict", "channels_left", "keep_for_fc1", "weights_left"]
