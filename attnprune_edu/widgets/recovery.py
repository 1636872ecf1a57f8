"""A widget that compares ways of pruning or of recovering, each run with several seeds."""

import itertools

import pandas as pd
from matplotlib.figure import Figure

from .. import plots
from ..plots.curves import lines_of
from .picture_widget import PictureWidget, as_percent, check_chosen, share_slider, tick_boxes


def recovery_explorer(
    table: pd.DataFrame,
    x: str = "pruning_ratio",
    y: str = "accuracy",
    by: str = "method",
    reference: tuple[str, float] | None = None,
) -> PictureWidget:
    """Move along ``x`` and choose which lines to compare, by their means and from where to where their runs reach.

    On the right the runs at the chosen ``x`` alone, on an axis of their own.

    ``table``, ``reference``: as for ``plot_spread``; the columns ``x`` and ``y`` hold shares (0–1).
    """
    _check(table, x, y, by)
    names = lines_of(table[by])

    def draw(at, **ticked):
        chosen = list(itertools.compress(names, ticked.values()))
        return recovery_picture(table, at, chosen, x, y, by, reference)

    return PictureWidget(draw, at=share_slider(set(table[x]), x.replace("_", " ")), **tick_boxes(names))


def recovery_picture(
    table: pd.DataFrame,
    at: float,
    chosen: list,
    x: str = "pruning_ratio",
    y: str = "accuracy",
    by: str = "method",
    reference: tuple[str, float] | None = None,
) -> tuple[bytes, str]:
    """The picture behind ``recovery_explorer`` for one x and the ``chosen`` lines, and the sentence that describes it."""
    _check(table, x, y, by)
    names = lines_of(table[by])
    check_chosen(at, table[x], chosen, names)
    # Categorical, so that a line keeps its style while others come and go.
    rows = table[table[by].isin(chosen)].assign(**{by: lambda rows: pd.Categorical(rows[by], names)})
    x_label, y_label = x.replace("_", " "), y.replace("_", " ")
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    plots.plot_spread(
        rows, x, y, by, x_label=x_label, y_label=y_label, percent="xy", mark=at, reference=reference, axis=left
    )
    plots.plot_ranges(rows[rows[x] == at], y, by, y_label=f"{y_label} at {x_label} {as_percent(at)}", axis=right)
    here = rows[rows[x] == at].groupby(by, observed=True)[y].agg(["mean", "min", "max"])
    said = [
        f"{name} {here['mean'][name]:.1%} ({here['min'][name]:.1%}–{here['max'][name]:.1%})"
        if name in here.index
        else f"{name} was not run"
        for name in chosen
    ]
    dashed = f"; {reference[0]}: {reference[1]:.1%}" if reference else ""
    alt = f"At {x_label} {as_percent(at)}, mean {y_label} (lowest–highest): {', '.join(said)}{dashed}."
    return plots.png(figure), alt


def _check(table: pd.DataFrame, x: str, y: str, by: str) -> None:
    if missing := {x, y, by} - set(table.columns):
        raise ValueError(f"table must have the columns {x!r}, {y!r} and {by!r}, it lacks {sorted(missing)}")
    if not len(table):
        raise ValueError("table must have at least one row, got none")
