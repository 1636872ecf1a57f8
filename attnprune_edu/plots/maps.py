"""Figures of attention maps, laid over the pictures that they belong to."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from .style import without_ticks

OPACITY = 0.75  # of a map: bright and dark are the map's rather than the picture's, which still shows through
GREY_OF = torch.tensor([0.299, 0.587, 0.114])  # how bright red, green and blue seem


def plot_attention_maps(images: Tensor, maps: Mapping[str, Tensor], titles: Sequence[str] = ()) -> Figure:
    """Draw ``images`` and, for each of ``maps``, all of them again in grey with their maps laid over them.

    ``images``: uint8 (N, 1 or 3, height, width). ``maps``: {name: (N, any height, any width)}, 0–1, as ``attention_maps``
    returns them, such as one for a network before and one after pruning. They are stretched to the images' size, which moves
    places a little where layers without padding have no outputs for the margin. Dark is little attention, bright is much, in
    colours that keep their order in grey and for the colour-blind. ``titles``: one for each image. Several images stand side
    by side, a row for each name; a single one is larger, with its maps beside it.

    Raises ValueError unless there are images and maps, and they fit.
    """
    _check(images, maps, titles)
    size = images.shape[2:]
    colours = ScalarMappable(cmap="cividis")
    colours.set_clim(0, 1)
    rows = {"picture": [_pixels(image) for image in images]}
    for name, values in maps.items():
        scaled = F.interpolate(values[:, None].float(), size=size, mode="bilinear", align_corners=False)[:, 0]
        rows[name] = [
            _laid_over(image, torch.from_numpy(colours.to_rgba(one.numpy())[..., :3]))
            for image, one in zip(images, scaled, strict=True)
        ]
    alone = len(images) == 1
    columns, lines, side = (len(rows), 1, 2.2) if alone else (len(images), len(rows), 1.15)
    figure = Figure(figsize=(side * columns + 0.9, side * lines + 0.4), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    without_ticks(axes)
    for place, (name, pictures) in enumerate(rows.items()):
        for axis, picture in zip(axes[:, place] if alone else axes[place], pictures, strict=True):
            axis.imshow(picture.numpy())
        if alone:
            axes[0, place].set_title(titles[0] if titles and not place else name, fontsize=10)
        else:
            axes[place, 0].set_ylabel(name, fontsize=10)
    for axis, title in zip(() if alone else axes[0], titles, strict=False):
        axis.set_title(title, fontsize=9)
    figure.colorbar(colours, ax=axes, label="attention", shrink=0.8)
    return figure


def _pixels(image: Tensor) -> Tensor:
    """The picture as (height, width, 3), 0–1."""
    return image.cpu().float().expand(3, -1, -1).permute(1, 2, 0) / 255


def _laid_over(image: Tensor, colours: Tensor) -> Tensor:
    grey = (_pixels(image) @ GREY_OF)[..., None]
    return OPACITY * colours.float() + (1 - OPACITY) * grey


def _check(images: Tensor, maps: Mapping[str, Tensor], titles: Sequence[str]) -> None:
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or not len(images):
        raise ValueError(f"images must be uint8 (N, 1 or 3, height, width), got {images.dtype} {tuple(images.shape)}")
    if not maps:
        raise ValueError("maps must hold at least one name with its maps, got none")
    for name, values in maps.items():
        if values.ndim != 3 or len(values) != len(images):
            raise ValueError(
                f"maps must be (N, height, width) for the {len(images)} images, got {tuple(values.shape)} for {name!r}"
            )
        low, high = values.min().item(), values.max().item()
        if not 0 <= low <= high <= 1:
            raise ValueError(f"maps must lie between 0 and 1, got {low:.3g} to {high:.3g} for {name!r}")
    if titles and len(titles) != len(images):
        raise ValueError(f"titles must hold one title for each of the {len(images)} images, got {len(titles)}")
