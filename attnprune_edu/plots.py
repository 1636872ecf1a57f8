"""Figures from results. Each function returns a matplotlib figure; ``show`` puts one into a notebook with its description.

Kept and pruned differ by brightness and hatching as well as by colour, so the figures read in grey and for the colour-blind.
"""

import io

import numpy as np
import pandas as pd
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from .attention import attention_scores, attention_weights
from .data import ImageData

# From the palette of Okabe and Ito (2008), without its green: the tests found it too close to blue for the tritanopic.
BLUE, ORANGE, SKY, GREY = "#0072B2", "#E69F00", "#56B4E9", "#BBBBBB"
KEPT = {"color": BLUE, "edgecolor": BLUE}
PRUNED = {"color": "white", "edgecolor": GREY, "hatch": "////"}
# Lines differ in colour, in dashes and in markers, so that any one of the three is enough.
LINES = [
    {"color": BLUE, "linestyle": "-", "marker": "o"},
    {"color": ORANGE, "linestyle": "--", "marker": "s"},
    {"color": SKY, "linestyle": ":", "marker": "^"},
    {"color": "black", "linestyle": "-.", "marker": "x"},
]


def show(figure: Figure, alt: str) -> None:
    """Display ``figure`` in a notebook, with ``alt``, one sentence that says what is to be seen, as its text and caption."""
    if not alt.strip():
        raise ValueError("alt must be a sentence that says what the figure shows, got an empty text")
    # JupyterLab drops the alternative text of pictures, so the sentence stands below as well, for everybody.
    display(Image(data=png(figure), alt=alt), Markdown(f"*{alt}*"))


def png(figure: Figure) -> bytes:
    """Return ``figure`` as the bytes of a PNG picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def plot_images(data: ImageData, per_class: int = 6) -> Figure:
    """Draw the first ``per_class`` training images of each class, a column a class."""
    figure = Figure(figsize=(1.1 * len(data.class_names), 1.0 * per_class))
    axes = figure.subplots(per_class, len(data.class_names), squeeze=False)
    images, labels = data.train
    for column, name in enumerate(data.class_names):
        axes[0, column].set_title(name, fontsize=9)
        chosen = images[labels == column][:per_class]
        for axis, image in zip(axes[:, column], chosen, strict=False):
            axis.imshow(image.permute(1, 2, 0).squeeze(-1).numpy(), cmap="gray")
    _without_ticks(axes)
    return figure


def plot_filters(weight: Tensor, importance: Tensor, keep: Tensor, columns: int = 8, figure=None) -> Figure:
    """Draw the filters of a first layer as small pictures, the most important first; pruned ones are crossed out.

    ``weight``: (channels, 1 or 3, height, width), ``importance`` (channels,), ``keep`` bool (channels,). Draws into
    ``figure``, a figure or a part of one, if it is given. Returns the figure.
    """
    if weight.ndim != 4 or weight.shape[1] not in (1, 3):
        raise ValueError(f"weight must have the shape (channels, 1 or 3, height, width), got {tuple(weight.shape)}")
    rows = -(-len(weight) // columns)
    figure = figure or Figure(figsize=(1.05 * columns, 1.25 * rows))
    axes = figure.subplots(rows, columns, squeeze=False)
    _without_ticks(axes)
    pictures = weight.detach().cpu().permute(0, 2, 3, 1).squeeze(-1).numpy()
    largest = abs(pictures).max()
    order = importance.argsort(descending=True, stable=True).tolist()
    for axis, channel in zip(axes.flat, order, strict=False):
        axis.imshow(0.5 + 0.5 * pictures[channel] / largest, cmap="gray", vmin=0, vmax=1)
        stays = bool(keep[channel])
        axis.set_title(f"{channel}: {importance[channel]:.3f}", fontsize=8, color="black" if stays else "dimgray")
        if not stays:
            axis.plot([0, 1], [0, 1], transform=axis.transAxes, color="black", linewidth=1)
            axis.plot([0, 1], [1, 0], transform=axis.transAxes, color="black", linewidth=1)
    for axis in axes.flat[len(weight) :]:
        axis.set_visible(False)
    figure.subplots_adjust(hspace=0.35)
    return figure


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
    _clean(axis)
    return axis.figure


def plot_accuracies(accuracies: dict[str, float], chance: float | None = None) -> Figure:
    """Draw {what: accuracy (0–1)} as bars with their values; a dashed line marks ``chance``, what guessing would reach."""
    figure = Figure(figsize=(1.6 * len(accuracies) + 1.5, 3))
    axis = figure.subplots()
    bars = axis.bar(list(accuracies), [100 * value for value in accuracies.values()], width=0.6, **KEPT)
    axis.bar_label(bars, fmt="%.1f %%")
    if chance is not None:
        axis.axhline(100 * chance, color="black", linestyle="--", linewidth=1)
        axis.annotate(
            "guessing",
            (1, 100 * chance),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
        )
    axis.set_ylim(0, 100)
    axis.set_ylabel("accuracy in %")
    _clean(axis)
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
    _clean(axis)
    return figure


def plot_ratio(values: Tensor, keep: Tensor, accuracy_by_ratio: dict[float, float], ratio: float) -> Figure:
    """Draw one layer's importance with its ``keep`` beside the curve {pruning ratio: accuracy}, with ``ratio`` marked."""
    figure = Figure(figsize=(9, 3))
    left, right = figure.subplots(1, 2)
    plot_importance(values, keep, left)
    plot_lines({"": accuracy_by_ratio}, "pruning ratio", "validation accuracy", percent="xy", mark=("", ratio), axis=right)
    figure.tight_layout()
    return figure


def plot_lines(
    curves: dict[str, dict[float, float]],
    x_label: str,
    y_label: str,
    *,
    percent: str = "",
    log: bool = False,
    mark: tuple[str, float] | None = None,
    axis=None,
) -> Figure:
    """Draw {name: {x: y}} as up to four lines, told apart by colour, dashes and markers; an empty name gets no legend.

    ``percent``: the axes, ``"x"``, ``"y"`` or ``"xy"``, whose values are shares (0–1) to be shown from 0 to 100 %.
    ``log``: a logarithmic x axis. ``mark``: (name, x) of a point that gets a diamond and its value in percent.
    Draws on ``axis`` if one is given. Returns the figure.
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
        readable = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}  # also where it covers the line
        axis.annotate(f"{y:.1%}", (x, y), xytext=(8, 10), textcoords="offset points", bbox=readable)
    if "x" in percent:
        axis.set_xlim(-0.03, 1.03)
        axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    if "y" in percent:
        axis.set_ylim(0, 1)
        axis.yaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        axis.set_ylim(bottom=min(0, *(y for curve in curves.values() for y in curve.values())))
    if log:
        axis.set_xscale("log")
    axis.set_xlabel(x_label)
    axis.set_ylabel(y_label)
    if any(curves):
        axis.legend(frameon=False)
    _clean(axis)
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
        _clean(axis)
    figure.axes[0].set_ylabel("number of weights")
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
    _cut_histogram(left, weights, keep, bins=61, gone="zero")
    left.set_xlabel(f"weight in {layer}, before any is set to zero")
    left.set_ylabel("number of weights")
    x_label, y_label = "share of weights set to zero", "validation accuracy"
    plot_lines(curves, x_label, y_label, percent="xy", mark=(how, share), axis=right)
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
    _plot_numbers(left, weights, -largest, largest, "weights w")
    _plot_numbers(middle, alpha, 0, 1, "attention α, each row sums to 1")
    right.barh(range(rows), scores.numpy(), **KEPT)
    right.bar_label(right.containers[0], fmt="%.3f", padding=3)
    right.set_yticks(range(rows), [""] * rows)
    right.invert_yaxis()
    right.axvline(0, color="black", linewidth=1)
    right.margins(x=0.5)
    right.set_title("scores Σ α·" + ("w" if signed else "|w|"), fontsize=10)
    _clean(right)
    figure.tight_layout()
    return figure


def _cut_histogram(axis, values: Tensor, keep: Tensor, bins: int, gone: str, edge: float | None = None) -> None:
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
    _clean(axis)


def _plot_numbers(axis, values: Tensor, low: float, high: float, title: str) -> None:
    """Draw a small matrix as a heat map, from dark at ``low`` to bright at ``high``, with its numbers."""
    axis.imshow(values.numpy(), cmap="cividis", vmin=low, vmax=high)
    for (row, column), value in np.ndenumerate(values.numpy()):
        dark = value < (low + high) / 2
        axis.text(column, row, f"{value:.3g}", ha="center", va="center", color="white" if dark else "black")
    axis.set_title(title, fontsize=10)
    axis.set_xticks(range(values.shape[1]), range(1, values.shape[1] + 1))
    axis.set_yticks(range(values.shape[0]), [f"row {row + 1}" for row in range(values.shape[0])])


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
    _cut_histogram(left, importance, keep, bins=16, gone="pruned", edge=theta)
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


def _clean(axis) -> None:
    axis.spines[["top", "right"]].set_visible(False)


def _without_ticks(axes) -> None:
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
