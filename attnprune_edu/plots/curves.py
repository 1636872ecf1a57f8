"""Figures of curves: accuracy by pruning ratio, what happened in training, and runs with several seeds."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, PercentFormatter

from .style import BLUE, LINES, READABLE, clean, in_percent, reference_line


def plot_lines(
    curves: dict[str, dict[float, float]],
    x_label: str,
    y_label: str,
    *,
    percent: str = "",
    log: bool = False,
    mark: tuple[str, float] | None = None,
    reference: tuple[str, float] | None = None,
    axis=None,
) -> Figure:
    """Draw {name: {x: y}} as up to six lines, told apart by colour, dashes and markers; an empty name gets no legend.

    ``percent``: the axes, ``"x"``, ``"y"`` or ``"xy"``, whose values are shares (0–1) to be shown from 0 to 100 %.
    ``log``: a logarithmic x axis, with a tick at each of up to eight whole numbers. ``mark``: (name, x) of a point that
    gets a diamond and its value in percent. ``reference``: (label, y) of a dashed horizontal line. Draws on ``axis`` if one
    is given. Returns the figure.
    """
    if not 1 <= len(curves) <= len(LINES) or not all(curves.values()):
        raise ValueError(f"curves must be 1 to {len(LINES)} lines with at least one point each, got {curves}")
    if axis is None:
        axis = Figure(figsize=(7, 3.2)).subplots()
    styles = dict(zip(curves, LINES, strict=False))
    for name, curve in curves.items():
        x, y = zip(*sorted(curve.items()), strict=True)
        axis.plot(x, y, label=name or None, **styles[name])
    if mark:
        name, x = mark
        y = curves[name][x]
        axis.plot(x, y, color=styles[name]["color"], marker="D", markersize=10)
        axis.annotate(f"{y:.1%}", (x, y), xytext=(8, 10), textcoords="offset points", bbox=READABLE)
    if reference:
        reference_line(axis, *reference)
    in_percent(axis, percent)
    if "y" not in percent:
        axis.set_ylim(bottom=min(0, *(y for curve in curves.values() for y in curve.values())))
    places = {x for curve in curves.values() for x in curve}
    whole = all(isinstance(x, int) for x in places)
    if log:
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")  # 100, not 10²
        if whole and len(places) <= 8:
            axis.set_xticks(sorted(places))
            axis.minorticks_off()
    elif whole and "x" not in percent:
        axis.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))  # there is no half epoch
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    if any(curves):
        axis.legend(frameon=False)
    clean(axis)
    return axis.figure


def plot_history(histories: dict[str, pd.DataFrame], y: str = "validation_accuracy") -> Figure:
    """Draw what training went through, {name: what ``train`` returned}, up to six lines by epoch.

    ``y``: the column to draw, ``"validation_accuracy"``, ``"loss"``, ``"lr"`` or ``"seconds"``.
    """
    labels = {
        "validation_accuracy": "validation accuracy",
        "loss": "training loss",
        "lr": "learning rate",
        "seconds": "seconds for the epoch",
    }
    if y not in labels:
        raise ValueError(f"y must be one of {list(labels)}, got {y!r}")
    for name, history in histories.items():
        if missing := {"epoch", y} - set(history.columns):
            raise ValueError(f"histories[{name!r}] must have the columns 'epoch' and {y!r}, it lacks {sorted(missing)}")
    curves = {name: dict(zip(history["epoch"], history[y], strict=True)) for name, history in histories.items()}
    return plot_lines(curves, "epoch", labels[y], percent="y" if y == "validation_accuracy" else "")


def plot_spread(
    table: pd.DataFrame,
    x: str,
    y: str,
    by: str,
    *,
    x_label: str,
    y_label: str,
    percent: str = "",
    log_y: bool = False,
    legend_above: bool = False,
    mark: float | None = None,
    reference: tuple[str, float] | None = None,
    axis=None,
) -> Figure:
    """Draw several runs, one a row of ``table``, as a line through their means with bars from the lowest to the highest.

    ``x``, ``y``: columns of numbers; ``by``: the column that tells the lines apart, with up to six values. If it is
    categorical, a line keeps its style when the rows of another are gone. ``percent`` as for ``plot_lines``. ``log_y``: a
    logarithmic y axis. ``legend_above``: the legend above the axis, where it covers nothing and stays when ``mark`` moves.
    ``mark``: an x that gets a thin vertical line; ``reference``: (label, y) of a dashed horizontal one. Draws on ``axis`` if
    one is given.
    """
    if missing := {x, y, by} - set(table.columns):
        raise ValueError(f"table must have the columns {x!r}, {y!r} and {by!r}, it lacks {sorted(missing)}")
    if not len(table) or table[[x, y, by]].isna().any(axis=None):
        raise ValueError(f"table must have at least one row and no gaps in {x!r}, {y!r} and {by!r}, got {len(table)} rows")
    for letter, column in (("x", x), ("y", y)):
        low, high = table[column].min(), table[column].max()
        if letter in percent and not 0 <= low <= high <= 1:
            raise ValueError(f"{column!r} must hold shares from 0 to 1 to be shown in percent, got {low} to {high}")
    if log_y and table[y].min() <= 0:
        raise ValueError(f"{y!r} must be above 0 to be shown on a logarithmic axis, got {table[y].min()}")
    names = lines_of(table[by])
    if len(names) > len(LINES):
        raise ValueError(f"{by!r} must have 1 to {len(LINES)} different values, got {len(names)}")
    if axis is None:
        axis = Figure(figsize=(7, 3.6)).subplots()
    if log_y:
        axis.set_yscale("log")
    # Set a little aside of each other: bars at one x would hide what stands behind them.
    aside = 0.006 * (table[x].max() - table[x].min())
    for place, (name, style) in enumerate(zip(names, LINES, strict=False)):
        runs = table[table[by] == name].groupby(x)[y].agg(["mean", "min", "max"])
        if len(runs):
            at = runs.index + aside * (place - (len(names) - 1) / 2)
            axis.plot(at, runs["mean"], label=str(name), **style)
            axis.vlines(at, runs["min"], runs["max"], color=style["color"], linewidth=2.5, alpha=0.7)
    in_percent(axis, percent)
    if mark is not None:
        axis.axvline(mark, color="black", linewidth=0.8, zorder=0)
    if reference:
        reference_line(axis, *reference)
    if log_y:
        low, high = axis.get_ylim()
        # 1, 2, 5, 10, 20 …, of which a short axis might show a single one.
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > 5 * low else MaxNLocator(6, steps=[1, 2, 5, 10]))
        axis.yaxis.set_major_formatter("{x:g}")  # 20, not 2 × 10¹
        axis.yaxis.set_minor_locator(NullLocator())
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 3}
    axis.legend(frameon=False, fontsize=9, **(above if legend_above else {}))
    clean(axis)
    return axis.figure


def plot_ranges(table: pd.DataFrame, y: str, by: str, *, y_label: str, axis=None) -> Figure:
    """Draw several runs, one a row of ``table``, as a point at their mean and a bar from the lowest to the highest.

    One line of the figure for each value of ``by``, in the colours of ``plot_spread``. ``y``: a column of shares (0–1); the
    axis shows no more of them than is needed, so that small differences can be seen. Draws on ``axis`` if one is given.
    """
    if axis is None:
        axis = Figure(figsize=(4, 3.6)).subplots()
    names = lines_of(table[by])
    shown = [name for name in names if (table[by] == name).any()]
    for place, name in enumerate(shown):
        style, runs = LINES[names.index(name)], table.loc[table[by] == name, y]
        axis.hlines(place, runs.min(), runs.max(), color=style["color"], linewidth=2.5, alpha=0.7)
        axis.plot(runs.mean(), place, color=style["color"], marker=style["marker"], markersize=8)
        axis.annotate(f"{runs.mean():.1%}", (runs.mean(), place), xytext=(0, 8), textcoords="offset points", ha="center")
    axis.set_yticks(range(len(shown)), shown)
    axis.set_ylim(len(shown) - 0.5, -0.7)  # from the top, with room for the first number
    axis.margins(x=0.15)
    axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_xlabel(y_label)
    clean(axis)
    return axis.figure


def plot_differences(differences: pd.DataFrame, *, x_label: str, y_label: str, percent: str = "", axis=None) -> Figure:
    """Draw what ``paired_difference`` found: a point at each x with its interval, beside a line at zero.

    Filled points: the interval does not reach zero. Open ones: it does, so that the difference may as well be chance. A
    dotted line from end to end: a single run, whose interval is infinite. The differences are drawn in points, 100 times as
    large. ``percent="x"``: x holds shares (0–1). Draws on ``axis`` if one is given.
    """
    if missing := {"difference", "low", "high"} - set(differences.columns):
        raise ValueError(f"differences must have the columns 'difference', 'low' and 'high', it lacks {sorted(missing)}")
    if axis is None:
        axis = Figure(figsize=(4, 3.6), layout="constrained").subplots()
    points = 100 * differences
    clear = (points.low > 0) | (points.high < 0)
    for shown, face in ((clear, BLUE), (~clear, "white")):
        rows = points[shown]
        known = rows[np.isfinite(rows.low)]
        axis.vlines(known.index, known.low, known.high, color=BLUE, linewidth=2.5, alpha=0.7, zorder=1)
        for x in rows.index.difference(known.index):
            axis.axvline(x, color=BLUE, linestyle=":", zorder=1)
        axis.scatter(rows.index, rows.difference, s=50, facecolor=face, edgecolor=BLUE, linewidth=1.5, zorder=2)
    axis.axhline(0, color="black", linewidth=1, zorder=0)
    in_percent(axis, percent)
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    clean(axis)
    return axis.figure


def lines_of(column: pd.Series) -> list:
    """The values of ``column``, each a line: the categories in their order, or in the order in which they come."""
    return list(column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.unique())
