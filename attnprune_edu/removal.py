"""Removal: cut the silent channels out of a masked network, so that it is really smaller and computes the same."""

import torch
from torch import nn

from .masks import mask_weights, masks_of, unmask, weight_masks_of
from .models import ArticleNet, architecture_of, rebuild


@torch.no_grad()
def remove(masked: nn.Module) -> ArticleNet:
    """Return a new, smaller ``ArticleNet`` with the outputs of ``masked``, whose silent channels are gone.

    A channel that is cut from one layer's outputs must be cut from the next layer's inputs as well. A silent channel
    is zero behind its ReLU, so the next layer loses nothing but products with zero. Layers without a mask keep their width.
    Masks on single weights go along.

    Raises TypeError if ``masked`` is not an ``ArticleNet``, and ValueError if its output layer is masked or its masks leave
    a layer no weight at all.
    """
    if not isinstance(masked, ArticleNet):
        raise TypeError(f"masked must be an ArticleNet, got {type(masked).__name__}")
    stays, plain, single = masks_of(masked), unmask(masked), weight_masks_of(masked)
    if "fc2" in stays:
        raise ValueError("the output layer 'fc2' is masked; its neurons are the classes and cannot be removed")

    def kept(name):
        layer = plain.get_submodule(name)
        return stays.get(name, torch.ones(len(layer.weight), dtype=torch.bool)).to(layer.weight.device)

    conv1, conv2, hidden = kept("conv1"), kept("conv2"), kept("fc1")
    widths = {"conv_channels": (int(conv1.sum()), int(conv2.sum())), "hidden": int(hidden.sum())}
    small = rebuild(architecture_of(plain) | widths).to(plain.conv1.weight)  # its device and type

    # The flatten lays each channel of conv2 out as a run of positions, 25 for 32×32 images: they go or stay together.
    positions = plain.fc1.in_features // plain.conv2.out_channels
    flat = conv2.repeat_interleave(positions)  # (channels · positions,)

    everything = slice(None)
    cuts = {"conv1": (conv1, everything), "conv2": (conv2, conv1), "fc1": (hidden, flat), "fc2": (everything, hidden)}
    for name, (outputs, inputs) in cuts.items():
        old, new = plain.get_submodule(name), small.get_submodule(name)
        new.weight.copy_(old.weight[outputs][:, inputs])
        new.bias.copy_(old.bias[outputs])
        new.weight.requires_grad_(old.weight.requires_grad)
        new.bias.requires_grad_(old.bias.requires_grad)
    single = {name: keep[cuts[name][0]][:, cuts[name][1]] for name, keep in single.items()}
    if empty := [name for name, keep in single.items() if not keep.any()]:
        raise ValueError(f"the masks on channels and those on single weights together leave {empty} no weight")
    return mask_weights(small, single).train(masked.training)
