"""Figures of what a network can do and what it costs, as bars."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .style import KEPT, LINES, ORANGE, PRUNED, READABLE, SKY, clean, reference_line


def plot_accuracies(
    accuracies: dict[str, float], chance: float | None = None, reference: tuple[str, float] | None = None
) -> Figure:
    """Draw {what: accuracy (0–1)} as bars with their values.

    Dashed lines mark ``chance``, what guessing would reach, and ``reference``, (label, accuracy).
    """
    figure = Figure(figsize=(1.6 * len(accuracies) + 1.5, 3))
    axis = figure.subplots()
    bars = axis.bar(list(accuracies), [100 * value for value in accuracies.values()], width=0.6, **KEPT)
    axis.bar_label(bars, fmt="%.1f %%", padding=1, bbox=READABLE)
    if chance is not None:
        reference_line(axis, "guessing", 100 * chance)
    if reference:
        reference_line(axis, reference[0], 100 * reference[1])
    axis.set_ylim(0, 100)
    axis.set_ylabel("accuracy in %")
    clean(axis)
    return figure


def plot_costs(table: pd.DataFrame, reference: str = "dense") -> Figure:
    """Draw what ``compare`` measured, as shares of the network called ``reference``: parameters, MACs, bytes, latency."""
    if reference not in table.index:
        raise ValueError(f"reference must be one of {list(table.index)}, got {reference!r}")
    costs = {"params": "parameters", "macs": "MACs", "bytes": "bytes", "latency_ms": "latency"}
    shares = 100 * table[list(costs)] / table.loc[reference, list(costs)]
    figure = Figure(figsize=(7.5, 3))
    axis = figure.subplots()
    width = 0.8 / len(table)
    styles = [
        KEPT,
        {"color": ORANGE, "edgecolor": "black", "hatch": "//"},
        {"color": SKY, "edgecolor": "black", "hatch": ".."},
    ]
    for number, name in enumerate(table.index):
        places = np.arange(len(costs)) + (number - (len(table) - 1) / 2) * width
        bars = axis.bar(places, shares.loc[name], width, label=name, **styles[number % len(styles)])
        axis.bar_label(bars, fmt="%.0f", fontsize=8)
    axis.set_xticks(range(len(costs)), costs.values())
    axis.set_ylabel(f"% of {reference}")
    axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    clean(axis)
    return figure


def plot_factors(factors: dict[str, float], lines: list[str] | None = None, *, x_label: str, axis=None) -> Figure:
    """Draw {what: how many times less it is than before} as up to six bars with their values, the first at the top.

    ``lines``: the names of the lines in a figure beside it, whose colours the bars then have; bars keep their thickness when
    some of the lines have none. Draws on ``axis`` if one is given.
    """
    lines = list(factors) if lines is None else lines
    if not factors or len(lines) > len(LINES) or not set(factors) <= set(lines):
        raise ValueError(f"factors must name 1 to {len(LINES)} bars, each one of the lines {lines}, got {list(factors)}")
    if axis is None:
        axis = Figure(figsize=(4, 3.6), layout="constrained").subplots()
    colors = [LINES[lines.index(name)]["color"] for name in factors]
    bars = axis.barh(range(len(factors)), list(factors.values()), height=0.6, color=colors)
    axis.bar_label(bars, fmt="%.1f times", padding=4)
    axis.set_yticks(range(len(factors)), factors)
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.set_xlim(0, 1.35 * max(factors.values()))  # room for the value behind the longest bar
    axis.set_xlabel(x_label)
    clean(axis)
    return axis.figure


def plot_layers(
    kept: dict[str, int], channels: dict[str, int], shares: dict[str, float], before: dict[str, float] | None = None
) -> Figure:
    """Draw how many channels of each layer are kept, beside bars of what is left of the network.

    ``kept``, ``channels``: {layer name: channels kept, all its channels}; ``shares``: {what: share (0–1)}, and ``before``,
    {what: share before pruning}, some of them again, each a black line.
    """
    if not channels or kept.keys() != channels.keys():
        raise ValueError(f"kept and channels must name the same layers, got {list(kept)} and {list(channels)}")
    if wrong := [name for name in channels if not 0 <= kept[name] <= channels[name] or not channels[name]]:
        raise ValueError(f"kept must lie between 0 and the layer's channels, got {kept[wrong[0]]} of {channels[wrong[0]]}")
    if unknown := set(before or {}) - set(shares):
        raise ValueError(f"before must name some of {list(shares)}, got {sorted(unknown)}")
    figure = Figure(figsize=(10, 0.45 * max(len(channels), len(shares)) + 1), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = list(channels)
    parts = [kept[name] / channels[name] for name in names]
    left.barh(names, parts, height=0.6, label="kept", **KEPT)
    left.barh(names, [1 - part for part in parts], height=0.6, left=parts, label="pruned", **PRUNED)
    for place, name in enumerate(names):
        left.annotate(
            f"{kept[name]:,} of {channels[name]:,}", (1, place), xytext=(5, 0), textcoords="offset points", va="center"
        )
    left.set_xlabel("channels kept")
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=2, frameon=False)
    before = before or {}
    ticks = [f"{what}\n(before: {before[what]:.1%})" if what in before else what for what in shares]
    bars = right.barh(ticks, list(shares.values()), height=0.6, **KEPT)
    right.bar_label(bars, labels=[f"{share:.1%}" for share in shares.values()], padding=5)
    for place, what in enumerate(shares):
        if what in before:
            right.vlines(before[what], place - 0.4, place + 0.4, color="black", linewidth=2)
    for axis in (left, right):
        axis.set_xlim(0, 1)
        axis.xaxis.set_major_formatter(PercentFormatter(1.0))
        axis.set_ylim(max(len(channels), len(shares)) - 0.4, -0.6)  # bars of one thickness on both sides, from the top
        clean(axis)
    return figure
