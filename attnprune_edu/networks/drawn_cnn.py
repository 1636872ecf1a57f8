"""Convolutional networks that a number decides: how deep, how wide, which kernels, with or without batch normalisation."""

import numpy as np
from torch import nn

from .macs import count_macs

SIDE = 16  # pixels of an image
WIDTHS = (16, 24, 32, 48, 64)  # output channels of a convolution; they need not grow, so there are bottlenecks
HIDDEN = (0, 48, 64, 96, 128)  # neurons before the classes; 0: no such layer
PARAMS, MACS = (50_000, 200_000), (900_000, 1_800_000)


def drawn_cnn(number: int, image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    """Draw an untrained network of torch's own layers from a ``number``, the same on every machine, weights aside.

    Three or four times ``conv (→ BatchNorm) → ReLU``, two of them with a pooling behind, and one or two ``Linear`` layers.
    For images of ``image_shape`` (channels, 16, 16) it has 50,000 to 200,000 parameters and takes 0.9 to 1.8 million MACs.
    Raises ValueError for images of another size, for which there may be no such network.
    """
    if tuple(image_shape[1:]) != (SIDE, SIDE):
        raise ValueError(f"image_shape must be (channels, {SIDE}, {SIDE}), got {tuple(image_shape)}")
    rng = np.random.RandomState([number, 2])  # its draws are the same for ever
    while True:
        network = _drawn(rng, image_shape, num_classes)
        params = sum(parameter.numel() for parameter in network.parameters())
        if PARAMS[0] <= params <= PARAMS[1] and MACS[0] <= count_macs(network, image_shape) <= MACS[1]:
            return network


def _drawn(rng: np.random.RandomState, image_shape: tuple[int, int, int], num_classes: int) -> nn.Sequential:
    channels, height, width = image_shape
    depth, normalised, pool = 3 + rng.randint(2), bool(rng.randint(2)), (nn.MaxPool2d, nn.AvgPool2d)[rng.randint(2)]
    pooled_after = sorted(rng.permutation(depth)[:2])
    layers: list[nn.Module] = []
    for level in range(depth):
        outputs, kernel = WIDTHS[rng.randint(len(WIDTHS))], (3, 5)[rng.randint(2)]
        layers.append(nn.Conv2d(channels, outputs, kernel, padding=kernel // 2, bias=not normalised))
        layers += [nn.BatchNorm2d(outputs)] if normalised else []
        layers.append(nn.ReLU())
        layers += [pool(2)] if level in pooled_after else []
        channels = outputs
    layers.append(nn.Flatten())
    features, hidden = channels * (height // 4) * (width // 4), HIDDEN[rng.randint(len(HIDDEN))]
    if hidden:
        layers += [nn.Linear(features, hidden), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(hidden or features, num_classes))
