"""Networks that can be rebuilt from a few numbers, so that a pruned one can be stored and loaded without pickle."""

import torch
from torch import Tensor, nn


class ArticleNet(nn.Module):
    """The article's CNN for 32×32 colour images, with its widths free.

    ``conv 5×5 → ReLU → pool → conv 5×5 → ReLU → pool → linear → ReLU → linear``. With the default widths, 32 and 64
    channels and 1,024 hidden neurons, it has 1,703,370 parameters (``article.md``, row 7).

    ``conv_channels``: output channels of the two convolutions. ``hidden``: neurons between the two linear layers.
    ``image_size``: height and width of the images in pixels, one number if they are equal; at least 16.
    Raises ValueError if a width is below 1 or the images are too small for two convolutions and two poolings.
    """

    def __init__(
        self,
        conv_channels: tuple[int, int] = (32, 64),
        hidden: int = 1024,
        in_channels: int = 3,
        num_classes: int = 10,
        image_size: int | tuple[int, int] = 32,
    ):
        super().__init__()
        conv_channels = tuple(conv_channels)
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        if len(conv_channels) != 2:
            raise ValueError(f"conv_channels must be two numbers, got {conv_channels}")
        if min(*conv_channels, hidden, in_channels, num_classes) < 1:
            raise ValueError(
                f"every width must be at least 1, got conv_channels={conv_channels}, hidden={hidden}, "
                f"in_channels={in_channels}, num_classes={num_classes}"
            )
        if min(height, width) < 16:
            raise ValueError(f"image_size must be at least 16 pixels, got {image_size}")

        self.architecture = {
            "conv_channels": list(conv_channels),
            "hidden": hidden,
            "in_channels": in_channels,
            "num_classes": num_classes,
            "image_size": [height, width],
        }
        first, second = conv_channels
        self.conv1 = nn.Conv2d(in_channels, first, kernel_size=5)
        self.conv2 = nn.Conv2d(first, second, kernel_size=5)
        self.pool = nn.MaxPool2d(2)
        self.fc1 = nn.Linear(second * _after_two(height) * _after_two(width), hidden)
        self.fc2 = nn.Linear(hidden, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (N, in_channels, height, width) to class scores (N, num_classes)."""
        x = self.pool(self.conv1(images).relu())  # (N, 32, 14, 14)
        x = self.pool(self.conv2(x).relu())  # (N, 64, 5, 5)
        x = self.fc1(x.flatten(1)).relu()  # (N, 1024)
        return self.fc2(x)  # (N, 10)


def _after_two(size: int) -> int:
    """Pixels left of ``size`` after two 5×5 convolutions without padding, each followed by 2×2 pooling."""
    return ((size - 4) // 2 - 4) // 2


def layers_with_channels(model: nn.Module) -> dict[str, nn.Module]:
    """Return {name: layer} of every ``Conv2d`` and ``Linear`` of ``model``, in the network's order."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear)}


ARCHITECTURES = {"ArticleNet": ArticleNet}


def architecture_of(model: nn.Module) -> dict:
    """Return what ``rebuild`` needs to know of ``model``; TypeError if it is no network of ``ARCHITECTURES``."""
    kind = type(model).__name__
    if ARCHITECTURES.get(kind) is not type(model):
        raise TypeError(f"model must be one of {', '.join(ARCHITECTURES)}, got {kind}")
    return {"class": kind, **model.architecture}


def rebuild(architecture: dict) -> nn.Module:
    """Return a network of ``architecture``: {"class": a name in ``ARCHITECTURES``, and the arguments of that class}.

    Its weights are whatever torch begins with. Unlike a plain call, this leaves torch's random numbers as they were, so
    that loading a network in the middle of an experiment does not change the experiment.
    """
    widths = dict(architecture)
    with torch.random.fork_rng(devices=[]):
        return ARCHITECTURES[widths.pop("class")](**widths)
