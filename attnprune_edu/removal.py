"""Removal: cut the silent channels out of a masked network, so that it is really smaller and computes the same."""

import torch
from torch import nn

from .masks import masks_of, unmask
from .models import ArticleNet


@torch.no_grad()
def remove(masked: nn.Module) -> ArticleNet:
    """Return a new, smaller ``ArticleNet`` with the outputs of ``masked``, whose silent channels are gone.

    A channel that is cut from one layer's outputs must be cut from the next layer's inputs as well. A silent channel
    is zero behind its ReLU, so the next layer loses nothing but products with zero. Layers without a mask keep their width.

    Raises TypeError if ``masked`` is not an ``ArticleNet``, and ValueError if its output layer is masked.
    """
    if not isinstance(masked, ArticleNet):
        raise TypeError(f"masked must be an ArticleNet, got {type(masked).__name__}")
    stays, plain = masks_of(masked), unmask(masked)
    if "fc2" in stays:
        raise ValueError("the output layer 'fc2' is masked; its neurons are the classes and cannot be removed")

    def kept(name):
        layer = plain.get_submodule(name)
        return stays.get(name, torch.ones(len(layer.weight), dtype=torch.bool)).to(layer.weight.device)

    conv1, conv2, hidden = kept("conv1"), kept("conv2"), kept("fc1")
    small = ArticleNet(
        **plain.architecture | {"conv_channels": (int(conv1.sum()), int(conv2.sum())), "hidden": int(hidden.sum())}
    ).to(plain.conv1.weight)  # its device and type

    # The flatten lays each channel of conv2 out as a run of positions, 25 for 32×32 images: they go or stay together.
    positions = plain.fc1.in_features // plain.conv2.out_channels
    flat = conv2.repeat_interleave(positions)  # (channels · positions,)

    _copy(small.conv1, plain.conv1.weight[conv1], plain.conv1.bias[conv1])
    _copy(small.conv2, plain.conv2.weight[conv2][:, conv1], plain.conv2.bias[conv2])
    _copy(small.fc1, plain.fc1.weight[hidden][:, flat], plain.fc1.bias[hidden])
    _copy(small.fc2, plain.fc2.weight[:, hidden], plain.fc2.bias)
    return small.train(masked.training)


def _copy(layer, weight, bias):
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
