"""A widget that compares how much pruning promises with how much of it arrives as time."""

import itertools

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .. import plots
from .picture_widget import PictureWidget, as_percent, check_chosen, share_slider, tick_boxes


def speedup_explorer(factors: pd.DataFrame) -> PictureWidget:
    """Move along the pruning ratio and choose which costs to compare, each as how many times less it is than dense.

    On the left all ratios, on a logarithmic axis; on the right the factors at the chosen ratio alone.

    ``factors``: one row for each pruning ratio, its index (shares, 0–1), and one column for each cost, up to six, such as
    "parameters", "MACs" or "time, 1 picture"; numbers above 0, where 1 is as much as the dense network needs.
    """
    factors = _checked(factors)

    def draw(at, **ticked):
        return speedup_picture(factors, at, list(itertools.compress(factors, ticked.values())))

    return PictureWidget(draw, at=share_slider(factors.index, "pruning ratio"), **tick_boxes(factors))


def speedup_picture(factors: pd.DataFrame, at: float, chosen: list) -> tuple[bytes, str]:
    """The picture behind ``speedup_explorer`` for one ratio and the ``chosen`` costs, and the sentence that describes it."""
    factors = _checked(factors)
    names = list(factors)
    check_chosen(at, factors.index, chosen, names)
    ratio, less, cost = "pruning ratio", "times less than dense", "cost"
    rows = factors[chosen].rename_axis(ratio).melt(var_name=cost, value_name=less, ignore_index=False).reset_index()
    # Categorical, so that a line keeps its style while others come and go.
    rows[cost] = pd.Categorical(rows[cost], names)
    here = {name: factors.loc[at, name] for name in names if name in chosen}
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    how = {"percent": "x", "log_y": True, "legend_above": True, "mark": at, "reference": ("dense", 1)}
    plots.plot_spread(rows, ratio, less, cost, x_label=ratio, y_label=less, axis=left, **how)
    plots.plot_factors(here, names, x_label=f"{less} at {ratio} {as_percent(at)}", axis=right)
    said = "; ".join(f"{name} {factor:.1f}" for name, factor in here.items())
    return plots.png(figure), f"At {ratio} {as_percent(at)}, {less}: {said}."


def _checked(factors: pd.DataFrame) -> pd.DataFrame:
    (rows, columns), most = factors.shape, len(plots.LINES)
    if not rows or not 1 <= columns <= most:
        raise ValueError(f"factors must have at least one row and 1 to {most} columns, got {rows} and {columns}")
    ratios, names = factors.index, factors.columns
    if not (ratios.is_unique and ratios.dtype.kind in "iuf" and all(0 <= ratio <= 1 for ratio in ratios)):
        raise ValueError(f"factors must have pruning ratios (0–1), each once, as its index, got {list(ratios)}")
    if not names.is_unique:
        raise ValueError(f"factors must have columns of different names, got {list(names)}")
    numbers = factors.apply(pd.to_numeric, errors="coerce").astype(float)
    wrong = np.argwhere(~((numbers > 0) & np.isfinite(numbers)).to_numpy())
    if len(wrong):
        row, column = wrong[0]
        place = f"{names[column]!r} at {as_percent(ratios[row])}"
        raise ValueError(f"factors must be finite numbers above 0, got {factors.iloc[row, column]} for {place}")
    return numbers
