"""A drawing of what a plan keeps of a network: each group of channels as wide as it was, and as wide as it stays."""

import math

import pandas as pd
from matplotlib.figure import Figure

from .style import KEPT, PRUNED

A_ROW = 10  # groups side by side
WIDE, HIGH, STEP = 0.5, 1.1, 0.85  # inches: a box, the tallest, from one to the next


def plot_plan(kept: pd.DataFrame) -> Figure:
    """Draw a plan's groups of channels in the network's order, with signals flowing from left to right.

    ``kept``: the table of a ``Plan``: a row for each group (``level`` "filters") and block ("layers") with ``kept`` and
    ``of``. The hatched box is the group as it was, tall as the logarithm of its channels; the filled part stays. A group in
    a block that is gone is empty, and the signal flows over it. Raises ValueError if there is no group.
    """
    groups = kept[kept.level == "filters"]
    if not len(groups):
        raise ValueError("kept must have a row with the level 'filters', got none")
    rows = -(-len(groups) // A_ROW)
    width, row_height = STEP * min(len(groups), A_ROW), HIGH + 0.75
    figure = Figure(figsize=(width, row_height * rows))
    axis = figure.add_axes((0, 0, 1, 1), autoscale_on=False, xlim=(0, width), ylim=(0, row_height * rows))
    axis.set_axis_off()
    tallest = math.log2(1 + groups.of.max())
    for place, (name, group) in enumerate(groups.iterrows()):
        row, column = divmod(place, A_ROW)
        left, middle = STEP * column + (STEP - WIDE) / 2, row_height * (rows - row - 0.5) + 0.05
        full = HIGH * math.log2(1 + group.of) / tallest
        left_over = full * group.kept / group.of
        for height, style in ((full, PRUNED), (left_over, KEPT))[: 2 if left_over else 1]:
            axis.bar(left, height, WIDE, middle - full / 2, align="edge", **style)
        axis.text(
            left + WIDE / 2, middle + full / 2 + 0.05, f"{group.kept}/{group.of}", ha="center", va="bottom", fontsize=9
        )
        label = name.replace(".", "\n", 1) if len(name) > 8 else name
        axis.text(left + WIDE / 2, middle - HIGH / 2 - 0.07, label, ha="center", va="top", fontsize=8, linespacing=0.95)
        if column:
            gone = group.kept == 0  # the shortcut carries the signal over it
            style = {"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0, "connectionstyle": "arc3,rad=-0.5" if gone else None}
            start = left - (STEP - WIDE)
            axis.annotate("", (left + WIDE + 0.05 if gone else left, middle), (start, middle), arrowprops=style)
    return figure
