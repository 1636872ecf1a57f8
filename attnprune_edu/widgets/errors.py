"""A widget that shows the pictures which a network confuses."""

import torch
from torch import Tensor

from .. import plots
from ..report.evaluation import count_pairs
from .picture_widget import PictureWidget, as_percent, choice

MOST = 16  # pictures shown at once


def error_explorer(images: Tensor, labels: Tensor, scores: Tensor, class_names: list[str]) -> PictureWidget:
    """Choose a true class and what the network says, and see such pictures; at first its most frequent confusion.

    ``images``: uint8 (N, channels, height, width), ``labels``: int64 (N,), ``scores``: float (N, classes), the class scores
    before softmax; ``class_names``: at least two, in the order of the scores.
    """
    _check(images, labels, scores, class_names)
    confused = count_pairs(labels, scores.argmax(dim=1), len(class_names))
    row, column = divmod(int(confused.fill_diagonal_(-1).argmax()), len(class_names))
    true, guess = choice(class_names, "true class"), choice(class_names, "the network says")
    true.value, guess.value = class_names[row], class_names[column]
    return PictureWidget(
        lambda true, guess: error_picture(images, labels, scores, class_names, true, guess), true=true, guess=guess
    )


def error_picture(
    images: Tensor, labels: Tensor, scores: Tensor, class_names: list[str], true: str, guess: str
) -> tuple[bytes, str]:
    """The picture behind ``error_explorer`` for two of ``class_names``, and the sentence that describes it."""
    _check(images, labels, scores, class_names)
    for argument, name in (("true", true), ("guess", guess)):
        if name not in class_names:
            raise ValueError(f"{argument} must be one of {list(class_names)}, got {name!r}")
    row, column = class_names.index(true), class_names.index(guess)
    of_class = labels == row
    (such,) = torch.where(of_class & (scores.argmax(dim=1) == column))
    sure = scores[such].softmax(dim=1)[:, column]
    order = sure.argsort(descending=True, stable=True)[:MOST]
    figure = plots.plot_pictures(images[such[order]], [f"{probability:.0%}" for probability in sure[order].tolist()])
    figure.suptitle(f"{true}, called {guess}", fontsize=10)  # the picture must also be understood without its controls
    total = int(of_class.sum())
    share = f" ({as_percent(len(such) / total)})" if total else ""
    shown = f"; the {MOST} that the network is surest of are shown" if len(such) > MOST else ""
    alt = f"Of {total:,} pictures of class {true}, the network names {len(such):,}{share} {guess}{shown}."
    return plots.png(figure), alt


def _check(images: Tensor, labels: Tensor, scores: Tensor, class_names: list[str]) -> None:
    if len(class_names) < 2 or len(set(class_names)) < len(class_names):
        raise ValueError(f"class_names must be at least two different names, got {list(class_names)}")
    if images.ndim != 4 or labels.shape != images.shape[:1] or scores.shape != (len(images), len(class_names)):
        raise ValueError(
            "images, labels and scores must have the shapes (N, channels, height, width), (N,) and "
            f"(N, {len(class_names)}), got {tuple(images.shape)}, {tuple(labels.shape)} and {tuple(scores.shape)}"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(class_names):
        raise ValueError(f"labels must lie between 0 and {len(class_names) - 1}, got {labels.min()} to {labels.max()}")
