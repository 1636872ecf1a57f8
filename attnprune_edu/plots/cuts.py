"""Figures of one cut: what stays of a layer, beside the accuracy that is left."""

from matplotlib.figure import Figure
from torch import Tensor

from .channels import cut_histogram, plot_importance
from .curves import plot_lines
from .images import plot_filters


def plot_ratio(values: Tensor, keep: Tensor, accuracy_by_ratio: dict[float, float], ratio: float) -> Figure:
    """Draw one layer's importance with its ``keep`` beside the curve {pruning ratio: accuracy}, with ``ratio`` marked."""
    figure = Figure(figsize=(9, 3))
    left, right = figure.subplots(1, 2)
    plot_importance(values, keep, left)
    plot_lines({"": accuracy_by_ratio}, "pruning ratio", "validation accuracy", percent="xy", mark=("", ratio), axis=right)
    figure.tight_layout()
    return figure


def plot_weight_cut(
    weights: Tensor, keep: Tensor, curves: dict[str, dict[float, float]], how: str, share: float, layer: str = "layer"
) -> Figure:
    """Draw which ``weights`` of one layer stay (``keep``, bool, as many), beside accuracy curves by share removed.

    ``curves``: {how weights were chosen: {share removed: accuracy}}; the point of ``how`` at ``share`` is marked.
    """
    figure = Figure(figsize=(9.5, 3.2))
    left, right = figure.subplots(1, 2)
    cut_histogram(left, weights, keep, bins=61, gone="zero")
    left.set_xlabel(f"weight in {layer}, before any is set to zero")
    left.set_ylabel("number of weights")
    x_label, y_label = "share of weights set to zero", "validation accuracy"
    plot_lines(curves, x_label, y_label, percent="xy", mark=(how, share), axis=right)
    figure.tight_layout()
    return figure


def plot_threshold(
    weight: Tensor, importance: Tensor, keep: Tensor, theta: float, accuracy_by_kept: dict[int, float] | None = None
) -> Figure:
    """Draw the importance of a first layer as a histogram with θ, its filters, and the accuracy that is left.

    ``weight``, ``importance``, ``keep`` as for ``plot_filters``; ``accuracy_by_kept``: {channels kept: accuracy (0–1)}.
    """
    figure = Figure(figsize=(9, 7.8))
    top, bottom = figure.subfigures(2, 1, height_ratios=[3, 4.8])
    left, right = top.subplots(1, 2) if accuracy_by_kept else (top.subplots(), None)
    top.subplots_adjust(bottom=0.2, wspace=0.3)
    cut_histogram(left, importance, keep, bins=16, gone="pruned", edge=theta)
    if importance.max() < theta:  # far above all values it would squeeze them into a corner
        left.annotate(f"θ = {theta:.3g} →", (0.98, 0.6), xycoords="axes fraction", ha="right")
    else:
        left.axvline(theta, color="black", linestyle="--")
        left.annotate(f" θ = {theta:.3g}", (theta, 1), xycoords=("data", "axes fraction"), va="bottom", ha="center")
    left.set_xlabel("importance")
    left.set_ylabel("channels")
    if right:
        kept = int(keep.sum())
        plot_lines({"": accuracy_by_kept}, "channels kept", "validation accuracy", percent="y", mark=("", kept), axis=right)
    plot_filters(weight, importance, keep, columns=8, figure=bottom)
    return figure
