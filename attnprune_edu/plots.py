"""Figures from results. Each function returns a matplotlib figure; ``show`` puts one into a notebook with its description.

Kept and pruned differ by brightness and hatching as well as by colour, so the figures read in grey and for the colour-blind.
"""

import io

import numpy as np
import pandas as pd
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure
from torch import Tensor

from .data import ImageData

# From the palette of Okabe and Ito (2008), which people with each kind of colour blindness can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#E69F00", "#009E73", "#BBBBBB"
KEPT = {"color": BLUE, "edgecolor": BLUE}
PRUNED = {"color": "white", "edgecolor": GREY, "hatch": "////"}


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


def plot_filters(weight: Tensor, importance: Tensor, keep: Tensor, columns: int = 8) -> Figure:
    """Draw the filters of a first layer as small pictures, the most important first; pruned ones are crossed out.

    ``weight``: (channels, 1 or 3, height, width), ``importance`` (channels,), ``keep`` bool (channels,).
    """
    if weight.ndim != 4 or weight.shape[1] not in (1, 3):
        raise ValueError(f"weight must have the shape (channels, 1 or 3, height, width), got {tuple(weight.shape)}")
    rows = -(-len(weight) // columns)
    figure = Figure(figsize=(1.05 * columns, 1.25 * rows))
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
            axis.plot([0, 1], [0, 1], transform=axis.transAxes, color="black", linewidth=1.5)
            axis.plot([0, 1], [1, 0], transform=axis.transAxes, color="black", linewidth=1.5)
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
        {"color": GREEN, "edgecolor": "black", "hatch": ".."},
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
    ratios, accuracies = zip(*sorted(accuracy_by_ratio.items()), strict=True)
    right.plot([100 * r for r in ratios], [100 * a for a in accuracies], color=GREY, marker="o")
    right.plot(100 * ratio, 100 * accuracy_by_ratio[ratio], color=BLUE, marker="D", markersize=10)
    right.annotate(
        f"{accuracy_by_ratio[ratio]:.1%}",
        (100 * ratio, 100 * accuracy_by_ratio[ratio]),
        xytext=(8, 10),
        textcoords="offset points",
    )
    right.set_xlim(-3, 103)
    right.set_ylim(0, 100)
    right.set_xlabel("pruning ratio in %")
    right.set_ylabel("validation accuracy in %")
    _clean(right)
    figure.tight_layout()
    return figure


def _clean(axis) -> None:
    axis.spines[["top", "right"]].set_visible(False)


def _without_ticks(axes) -> None:
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
