"""Whose numbers are whose: random numbers that follow from a student's id, the same on every machine."""

import hashlib
import hmac
import random
from collections.abc import Sequence
from typing import TypeVar

Option = TypeVar("Option")


def stream(student: str, exercise: str, key: bytes = b"") -> random.Random:
    """The random numbers of a ``student`` for an ``exercise``; capitals and spaces around the id do not count.

    Without a ``key`` anybody can draw them: they give the numbers in a student's text. With a course's secret key they give
    the inputs that a student's function is graded with. Whoever draws should use ``whole``, ``one_of`` and ``shuffled``:
    Python promises the same stream on every version for ``random()`` alone.
    """
    text = f"{student.strip().lower()}\0{exercise}".encode()
    return random.Random(int.from_bytes(hmac.new(key or b"public", text, hashlib.sha256).digest(), "big"))


def whole(numbers: random.Random, low: int, high: int) -> int:
    """A whole number from ``low`` to ``high``, both included."""
    return low + int(numbers.random() * (high - low + 1))


def one_of(numbers: random.Random, options: Sequence[Option]) -> Option:
    """One of the ``options``."""
    return options[whole(numbers, 0, len(options) - 1)]


def shuffled(numbers: random.Random, options: Sequence[Option]) -> list[Option]:
    """The ``options`` in an order of chance."""
    keys = [numbers.random() for _ in options]
    return [options[place] for place in sorted(range(len(options)), key=keys.__getitem__)]
