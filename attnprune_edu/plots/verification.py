"""Figures of verification: how alike pairs of pictures are, and what each threshold lets in."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ..report.verification import Pairs, error_rates, roc_curve
from .style import BLUE, LINES, STONE, clean, in_percent

BINS = 40


def plot_similarities(pairs: Pairs, threshold: float | None = None, *, axis=None) -> Figure:
    """Draw how alike the ``pairs`` of one person and of two are, as shares of their kind (0–1), and perhaps a ``threshold``.

    Draws on ``axis`` if one is given. Returns the figure.
    """
    if axis is None:
        axis = Figure(figsize=(5, 3), layout="constrained").subplots()
    edges = np.linspace(pairs.similarity.min().item(), pairs.similarity.max().item(), BINS + 1)
    # Filled against an outline over hatching: both are seen where they lie on each other, in grey as well.
    looks = {
        "one person": (pairs.same, {"color": BLUE, "alpha": 0.6}),
        "two people": (~pairs.same, {"histtype": "step", "color": STONE, "hatch": "////", "linewidth": 1.2}),
    }
    for name, (these, look) in looks.items():
        values = pairs.similarity[these].numpy()
        axis.hist(values, edges, weights=np.full(len(values), 1 / len(values)), label=name, **look)
    if threshold is not None:
        axis.axvline(threshold, color="black", linestyle="--", linewidth=1.2, label="threshold")
    axis.set(xlabel="similarity", ylabel="share of such pairs")
    axis.legend(frameon=False, fontsize=9, loc="upper left")
    clean(axis)
    return axis.figure


def plot_roc(networks: Mapping[str, Pairs], threshold: float | None = None, *, axis=None) -> Figure:
    """Draw the ROC curves of {name: its pairs}, up to six, and chance; a diamond marks the first one's ``threshold``.

    Draws on ``axis`` if one is given. Returns the figure. Raises ValueError if there is no network, or more than six.
    """
    if not 1 <= len(networks) <= len(LINES):
        raise ValueError(f"networks must hold 1 to {len(LINES)} names with their pairs, got {len(networks)}")
    if axis is None:
        axis = Figure(figsize=(4, 3.2), layout="constrained").subplots()
    for (name, pairs), line in zip(networks.items(), LINES, strict=False):
        curve = roc_curve(pairs.similarity, pairs.same)
        axis.plot(curve.false_accept_rate, curve.true_accept_rate, label=name, **line | {"marker": ""})
    axis.plot([0, 1], [0, 1], color=STONE, linewidth=0.8, label="chance")
    if threshold is not None:
        false_accepts, false_rejects = error_rates(next(iter(networks.values())), threshold)
        axis.plot(false_accepts, 1 - false_rejects, color="black", marker="D", markersize=8, clip_on=False)
    in_percent(axis, "xy")
    axis.set(xlabel="false accept rate", ylabel="true accept rate")
    axis.legend(frameon=False, fontsize=9, loc="lower right")
    clean(axis)
    return axis.figure
