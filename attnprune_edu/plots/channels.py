"""Figures of what decides about a layer's channels and weights: importance, weights and attention."""

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from ..pruning.attention import attention_scores, attention_weights
from .style import KEPT, PRUNED, clean, heat_map


def plot_importance(values: Tensor, keep: Tensor, axis=None):
    """Draw importance (channels,) as bars, the highest first: filled where ``keep`` is True, hatched where the channel goes.

    Draws on ``axis`` if one is given. Returns the figure.
    """
    if axis is None:
        axis = Figure(figsize=(7, 3)).subplots()
    order = values.argsort(descending=True, stable=True)
    heights, stays = values[order].numpy(), keep[order].numpy()
    places = np.arange(len(heights))
    axis.bar(places[stays], heights[stays], label=f"kept: {stays.sum()}", **KEPT)
    axis.bar(places[~stays], heights[~stays], label=f"pruned: {(~stays).sum()}", **PRUNED)
    axis.set_xlabel("channel, most important first")
    axis.set_ylabel("importance")
    axis.legend(frameon=False)
    clean(axis)
    return axis.figure


def plot_weights(weights: dict[str, Tensor]) -> Figure:
    """Draw the weights of each layer, {layer name: tensor}, as a histogram, and the zone within a tenth of the largest."""
    figure = Figure(figsize=(3.1 * len(weights), 2.8))
    for axis, (name, weight) in zip(figure.subplots(1, len(weights), squeeze=False).flat, weights.items(), strict=True):
        values = weight.detach().flatten().cpu()
        tenth = values.abs().max().item() / 10
        axis.hist(values.numpy(), bins=61, **KEPT)
        axis.axvspan(-tenth, tenth, facecolor="none", edgecolor="black", hatch="...", linewidth=1)
        share = (values.abs() < tenth).double().mean().item()
        axis.set_title(f"{name}: {share:.0%} within a tenth\nof the largest", fontsize=9)
        axis.set_xlabel("weight")
        clean(axis)
    figure.axes[0].set_ylabel("number of weights")
    figure.tight_layout()
    return figure


def plot_attention(weights: Tensor, temperature: float = 1.0, *, signed: bool = False) -> Figure:
    """Draw a small matrix (rows, columns), the attention weights of its rows with their numbers, and the rows' scores."""
    weights = weights.detach().cpu()
    rows, columns = weights.shape
    alpha = attention_weights(weights, temperature, signed=signed)
    scores = attention_scores(weights, temperature, signed=signed)
    figure = Figure(figsize=(2.2 * columns + 3, 0.8 * rows + 1.2))
    left, middle, right = figure.subplots(1, 3, width_ratios=[columns, columns, 2.5])
    largest = max(weights.abs().max().item(), 1e-12)
    _numbers(left, weights, -largest, largest, "weights w")
    _numbers(middle, alpha, 0, 1, "attention α, each row sums to 1")
    right.barh(range(rows), scores.numpy(), **KEPT)
    right.bar_label(right.containers[0], fmt="%.3f", padding=3)
    right.set_yticks(range(rows), [""] * rows)
    right.invert_yaxis()
    right.axvline(0, color="black", linewidth=1)
    right.margins(x=0.5)
    right.set_title("scores Σ α·" + ("w" if signed else "|w|"), fontsize=10)
    clean(right)
    figure.tight_layout()
    return figure


def _numbers(axis, values: Tensor, low: float, high: float, title: str) -> None:
    """Draw a small matrix as a heat map, from dark at ``low`` to bright at ``high``, with its numbers."""
    texts = np.vectorize("{:.3g}".format)(values.numpy())
    heat_map(axis, values.numpy(), texts, low, high)
    axis.set_title(title, fontsize=10)
    axis.set_xticks(range(values.shape[1]), range(1, values.shape[1] + 1))
    axis.set_yticks(range(values.shape[0]), [f"row {row + 1}" for row in range(values.shape[0])])


def cut_histogram(axis, values: Tensor, keep: Tensor, bins: int, gone: str, edge: float | None = None) -> None:
    """Draw all ``values`` as a histogram: those that ``keep`` drops hatched, on top of the others.

    ``edge``: a value, such as θ, at which one bar should end and the next begin.
    """
    numbers, stays = values.detach().flatten().cpu().numpy(), keep.flatten().numpy()
    edges = np.histogram_bin_edges(numbers, bins)
    if edge is not None and edges[0] < edge < edges[-1]:
        edges = np.union1d(edges, edge)
    kept, dropped = np.histogram(numbers[stays], edges)[0], np.histogram(numbers[~stays], edges)[0]
    axis.bar(edges[:-1], kept, np.diff(edges), align="edge", label=f"kept: {stays.sum():,}", **KEPT)
    axis.bar(edges[:-1], dropped, np.diff(edges), align="edge", bottom=kept, label=f"{gone}: {(~stays).sum():,}", **PRUNED)
    axis.legend(frameon=False, fontsize=8)
    clean(axis)
