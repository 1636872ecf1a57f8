"""Widths in multiples: many processors compute channels in groups, such as of 8, and round_to keeps whole groups.

A layer may keep a multiple of ``round_to`` channels, at least one, or all of its channels. So a layer of 20 channels may
keep 8, 16 or 20 of them where ``round_to`` is 8, and a layer of 6 keeps all.
"""

from numbers import Integral


def nearest_width(width: float, channels: int, round_to: int) -> int:
    """The width nearest to ``width`` that a layer of ``channels`` may have; of two equally near ones the larger."""
    below = width_within(width, channels, round_to)
    above = wider(below, channels, round_to)
    return above if abs(above - width) <= abs(below - width) else below


def width_within(width: float, channels: int, round_to: int) -> int:
    """The largest width up to ``width`` that a layer of ``channels`` may have; the smallest of all if there is none."""
    return channels if width >= channels else min(channels, max(1, int(width) // round_to) * round_to)


def wider(width: int, channels: int, round_to: int) -> int:
    """The next width above ``width`` that a layer of ``channels`` may have; ``channels`` itself if there is none."""
    return min(channels, (width // round_to + 1) * round_to)


def narrower(width: int, round_to: int) -> int:
    """The next width below ``width``; 0 if there is none."""
    return (width - 1) // round_to * round_to


def fewest(round_to: int) -> str:
    """The smallest number of channels that a layer keeps, in words."""
    return "one channel" if round_to == 1 else f"{round_to} channels"


def check_round_to(round_to: int) -> None:
    """Raise TypeError or ValueError unless ``round_to`` is a whole number of at least 1."""
    if isinstance(round_to, bool) or not isinstance(round_to, Integral):
        raise TypeError(f"round_to must be a whole number of channels, got {round_to!r}")
    if round_to < 1:
        raise ValueError(f"round_to must be at least 1 channel, got {round_to}")
