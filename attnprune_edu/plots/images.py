"""Figures that are made of pictures: the data, and the filters of a first layer."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..data.images import ImageData
from .style import without_ticks


def plot_images(data: ImageData, per_class: int = 6) -> Figure:
    """Draw the first ``per_class`` training images of each class, a column a class."""
    figure = Figure(figsize=(1.1 * len(data.class_names), 1.0 * per_class))
    axes = figure.subplots(per_class, len(data.class_names), squeeze=False)
    images, labels = data.train
    for column, name in enumerate(data.class_names):
        axes[0, column].set_title(name, fontsize=9)
        chosen = images[labels == column][:per_class]
        for axis, image in zip(axes[:, column], chosen, strict=False):
            _draw(axis, image)
    without_ticks(axes)
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
    without_ticks(axes)
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


def plot_pictures(images: Tensor, titles: list[str], columns: int = 8) -> Figure:
    """Draw ``images``, uint8 (N, 1 or 3, height, width), each below its title; without any, say "no such picture"."""
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must be uint8 (N, 1 or 3, height, width), got {images.dtype} {tuple(images.shape)}")
    if len(titles) != len(images):
        raise ValueError(f"titles must hold one title for each of the {len(images)} images, got {len(titles)}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    if not titles:
        figure = Figure(figsize=(3, 1.4))
        axis = figure.add_axes((0, 0, 1, 1))
        axis.set_axis_off()
        axis.text(0.5, 0.5, "no such picture", ha="center", va="center", fontsize=12)
        return figure
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    room = 0.2 * max(title.count("\n") + 1 for title in titles)
    figure = Figure(figsize=(1.15 * columns, (1.1 + room) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    without_ticks(axes)
    for axis, image, title in zip(axes.flat, images, titles, strict=False):
        _draw(axis, image)
        axis.set_title(title, fontsize=9)
    for axis in axes.flat[len(images) :]:
        axis.set_visible(False)
    return figure


def _draw(axis, image: Tensor) -> None:
    axis.imshow(image.permute(1, 2, 0).squeeze(-1).cpu().numpy(), cmap="gray", vmin=0, vmax=255)
