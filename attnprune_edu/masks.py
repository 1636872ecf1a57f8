"""Masks: the pruned channels stay in the network but are silent, and stay silent while training goes on.

A mask is a parametrisation (``torch.nn.utils.parametrize``): whoever reads ``layer.weight``, the forward pass included, gets
zeros in place of the pruned channels, whatever an optimiser does to the numbers behind. That is why zeros cannot revive.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from .models import layers_with_channels


class ChannelMask(nn.Module):
    """Passes on the channels where ``keep`` (channels,) is True and puts zeros in place of the others."""

    def __init__(self, keep: Tensor):
        super().__init__()
        self.register_buffer("keep", keep.clone())

    def forward(self, tensor: Tensor) -> Tensor:
        """Mask ``tensor`` (channels, …) along its first dimension."""
        # Not a product: zero times a weight that has run off to infinity would be NaN.
        return torch.where(self.keep.view(-1, *[1] * (tensor.ndim - 1)), tensor, 0.0)


def mask(model: nn.Module, keep: dict[str, Tensor]) -> nn.Module:
    """Return a copy of ``model`` in which the channels that ``keep`` drops are silent: weights and bias read as zero.

    ``keep``: {name of a Conv2d or Linear: bool (channels,)}, True where the channel stays. Layers that ``keep`` does not
    name are untouched. A model that is masked already keeps only what both masks keep. The copy holds its masks through
    training, ``copy.deepcopy``, ``state_dict`` and ``save_model``.

    Raises ValueError or TypeError that names the layer if ``keep`` does not fit the model or would silence a whole layer.
    """
    _check_keep(model, keep)
    masked = copy.deepcopy(model)
    for name, stays in keep.items():
        layer = masked.get_submodule(name)
        if (existing := _mask_of(layer)) is not None:
            existing.keep &= stays.to(existing.keep.device)
            if not existing.keep.any():
                raise ValueError(f"keep and the mask already on {name!r} have no channel in common; at least one must stay")
            continue
        channel_mask = ChannelMask(stays.to(layer.weight.device))
        for parameter in ("weight", "bias"):
            if getattr(layer, parameter) is not None:
                parametrize.register_parametrization(layer, parameter, channel_mask)
    return masked


def masks_of(model: nn.Module) -> dict[str, Tensor]:
    """Return {layer name: bool (channels,)} of the masks on ``model``, empty if it has none."""
    return {
        name: channel_mask.keep.clone()
        for name, layer in model.named_modules()
        if (channel_mask := _mask_of(layer)) is not None
    }


def unmask(model: nn.Module) -> nn.Module:
    """Return a plain copy of ``model`` that computes the same: pruned channels are ordinary zeros, nothing holds them."""
    plain = copy.deepcopy(model)
    for layer in plain.modules():
        if _mask_of(layer) is not None:
            values = {name: getattr(layer, name).detach().clone() for name in layer.parametrizations}
            # torch's remove_parametrizations would edit the layer's class, which a deep copy shares with its original.
            layer.__class__ = type(layer).__base__
            del layer.parametrizations
            for name, value in values.items():
                layer.register_parameter(name, nn.Parameter(value))
    return plain


def _mask_of(layer: nn.Module) -> ChannelMask | None:
    """The mask on a layer's weight; its bias shares the very same one."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    return next((step for step in layer.parametrizations.weight if isinstance(step, ChannelMask)), None)


def _check_keep(model: nn.Module, keep: dict[str, Tensor]) -> None:
    layers = layers_with_channels(model)
    for name, stays in keep.items():
        if name not in layers:
            raise ValueError(f"keep names {name!r}, but the Conv2d and Linear layers of this model are {list(layers)}")
        if not isinstance(stays, Tensor) or stays.dtype != torch.bool:
            raise TypeError(f"keep[{name!r}] must be a bool tensor, got {getattr(stays, 'dtype', type(stays).__name__)}")
        channels = len(layers[name].weight)
        if stays.shape != (channels,):
            raise ValueError(f"keep[{name!r}] must have the shape ({channels},), got {tuple(stays.shape)}")
        if not stays.any():
            raise ValueError(f"keep[{name!r}] drops all {channels} channels; at least one must stay")
