"""From importance to ``keep``: which channels stay."""

import warnings

import torch
from torch import Tensor


def keep_by_ratio(importance: dict[str, Tensor], pruning_ratio: float) -> dict[str, Tensor]:
    """Keep the most important channels of each layer and drop the share ``pruning_ratio`` (0–1) of them.

    ``importance``: {layer name: (channels,)}. Returns {layer name: bool (channels,)}, True where the channel stays. The
    number dropped is ``pruning_ratio`` times the number of channels, rounded to the nearest whole number. Of equally
    important channels the one with the lower index stays. A layer always keeps one channel; where the ratio asks for
    more, a warning says so.

    Raises ValueError for a ratio outside 0–1, NaN importance, or nothing to choose from.
    """
    if isinstance(pruning_ratio, bool) or not isinstance(pruning_ratio, int | float):
        raise TypeError(f"pruning_ratio must be a number between 0 and 1, got {pruning_ratio!r}")
    if not 0 <= pruning_ratio <= 1:
        raise ValueError(f"pruning_ratio must lie between 0 and 1, got {pruning_ratio}")
    _check_importance(importance)
    keep = {}
    for name, values in importance.items():
        stays = len(values) - round(pruning_ratio * len(values))
        if stays < 1:
            warnings.warn(
                f"pruning_ratio={pruning_ratio} would empty layer {name!r} ({len(values)} channels); "
                "its most important channel stays",
                stacklevel=2,
            )
        keep[name] = _keep_highest(values, max(stays, 1))
    return keep


def _keep_highest(values: Tensor, count: int) -> Tensor:
    """True for the ``count`` highest entries of ``values`` (channels,); of equal ones the lower index wins."""
    order = values.argsort(descending=True, stable=True)
    keep = torch.zeros(len(values), dtype=torch.bool)
    keep[order[:count]] = True
    return keep


def _check_importance(importance: dict[str, Tensor]) -> None:
    if not isinstance(importance, dict):
        raise TypeError(f"importance must be a dictionary {{layer name: values}}, got {type(importance).__name__}")
    if not importance:
        raise ValueError("importance must name at least one layer, got an empty dictionary")
    for name, values in importance.items():
        if values.ndim != 1 or not len(values):
            raise ValueError(f"importance of {name!r} must have the shape (channels,), got {tuple(values.shape)}")
        if torch.isnan(values).any():
            raise ValueError(f"importance of {name!r} holds NaN, so its channels cannot be ranked")
