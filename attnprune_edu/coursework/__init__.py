"""Lessons as coursework: every student's own numbers, and the sentences that name them. No answer stands in here."""

from .assignment import LESSONS, Coursework, exercises_of
from .exercise import Exercise
from .numbers import stream

__all__ = ["LESSONS", "Coursework", "Exercise", "exercises_of", "stream"]
