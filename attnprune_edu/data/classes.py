"""Data with some of its classes only, for a network that need not know the others."""

import copy
from collections.abc import Iterable

import torch

from .images import ImageData, Images


def only_classes(data: ImageData, names: Iterable[str]) -> ImageData:
    """Return a copy of ``data`` with only the pictures of the classes ``names``, in their order, normalised as before.

    Labels and ``class_names`` stay as they are, so that a network for all classes still fits. Raises ValueError for a name
    that is no class of ``data``, for none at all, or where a part has no picture of them.
    """
    names = list(names)
    if not names or not set(names) <= set(data.class_names):
        raise ValueError(f"names must be one or more of {list(data.class_names)}, got {names}")
    labels = torch.tensor([data.class_names.index(name) for name in names])
    chosen = copy.copy(data)
    for part in ("train", "validation", "test"):
        images, shown = data.part(part)
        such = torch.isin(shown, labels)
        if not such.any():
            raise ValueError(f"names must be classes with pictures in each part, got {names} without any in {part!r}")
        object.__setattr__(chosen, part, Images(images[such], shown[such]))
    return chosen
