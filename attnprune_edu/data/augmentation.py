"""What training may do to images: shift them, mirror them. Which of it is usual for a data set, the data say themselves."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Augmentation = Callable[[Tensor, torch.Generator], Tensor]


def flip_and_crop(
    images: Tensor, generator: torch.Generator, padding: int = 4, size: tuple[int, int] | None = None
) -> Tensor:
    """Mirror each image with probability ½ and cut a window out of it at random, after a black margin was put around it.

    ``images``: uint8 (N, channels, height, width). ``padding``: pixels of margin on each side. ``size``: height and width of
    the window, by default those of the image, which is thereby shifted by up to ``padding`` pixels. The result is uint8
    (N, channels, *size). Raises ValueError if the window is larger than the image with its margin.
    """
    shifted = crop(images, generator, padding, size)
    mirror = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirror[:, None, None, None], shifted.flip(3), shifted)


def crop(images: Tensor, generator: torch.Generator, padding: int = 4, size: tuple[int, int] | None = None) -> Tensor:
    """``flip_and_crop`` without mirroring, for what must not be mirrored: writing, or a chest with its heart on the left.

    One indexing step cuts all N windows, which is why no data loader with worker processes is needed.
    """
    count, _, *image_size = images.shape
    height, width = size or image_size
    padded = F.pad(images, (padding,) * 4)
    rows, columns = padded.shape[2] - height + 1, padded.shape[3] - width + 1  # places for the window's corner
    if rows < 1 or columns < 1:
        raise ValueError(f"size must be at most {tuple(padded.shape[2:])}, the image with its margin, got {size}")
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # (N, channels, rows, columns, height, width), a view
    top = torch.randint(rows, (count,), generator=generator)
    left = torch.randint(columns, (count,), generator=generator)
    return windows[torch.arange(count), :, top, left]  # (N, channels, height, width)
