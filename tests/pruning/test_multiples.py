"""Widths in multiples against lists of all that are allowed."""

import itertools

import pytest

from attnprune_edu.pruning.multiples import narrower, nearest_width, wider, width_within


@pytest.mark.parametrize("round_to", [1, 2, 5, 8])
def test_steps_and_rounding_go_to_the_widths_that_are_allowed(round_to):
    for channels in range(1, 21):
        allowed = [width for width in range(1, channels + 1) if width % round_to == 0 or width == channels]
        for below, above in itertools.pairwise([0, *allowed]):
            assert wider(below, channels, round_to) == above and narrower(above, round_to) == below
        assert wider(channels, channels, round_to) == channels
        for quarter in range(4 * channels + 1):
            width = quarter / 4
            assert width_within(width, channels, round_to) == max((w for w in allowed if w <= width), default=allowed[0])
            nearest = min(allowed, key=lambda w, width=width: (abs(w - width), -w))
            assert nearest_width(width, channels, round_to) == nearest
