"""A figure of what mattered in a search for widths."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .style import KEPT, clean


def plot_search_importance(importance: Mapping[str, float]) -> Figure:
    """Draw how much the width of each group decides about the loss, the most important at the top.

    ``importance``: {group: share (0–1)}, as ``search_ratios`` returns it. Raises ValueError if it is empty, as it is after
    too few finished trials.
    """
    if not len(importance):
        raise ValueError("importance must hold a share for each group, got none: the search finished too few trials")
    shares = dict(sorted(importance.items(), key=lambda pair: pair[1], reverse=True))
    figure = Figure(figsize=(6, 0.35 * len(shares) + 0.9), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh(range(len(shares)), list(shares.values()), height=0.6, **KEPT)
    axis.bar_label(bars, fmt=lambda share: f"{share:.0%}", padding=4)
    axis.set_yticks(range(len(shares)), shares)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.15 * max(shares.values()) or 1)  # room for the number behind the longest bar
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axis.set_xlabel("share in what decides about the loss")
    clean(axis)
    return figure
