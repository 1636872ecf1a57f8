"""Silence: how a network holds its masks, and how to read them or to have a plain network again.

A mask is a parametrisation (``torch.nn.utils.parametrize``): whoever reads ``layer.weight``, the forward pass included, gets
zeros in place of what is pruned, whatever an optimiser does to the numbers behind. That is why no pruned weight becomes
non-zero again.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..networks.kinds import along, entries, layers_with_channels, rows, width
from ..networks.models import copy_of


class ChannelMask(nn.Module):
    """Passes on the channels where ``keep`` (channels,) is True and puts zeros in place of the others.

    ``dim``: the dimension that counts channels, of tensors that have several; ``run``: entries of a channel side by side, as
    in ``Rows``.
    """

    def __init__(self, keep: Tensor, dim: int = 0, run: int = 1):
        super().__init__()
        self.register_buffer("keep", keep.clone())
        self.dim, self.run = dim, run

    def forward(self, tensor: Tensor) -> Tensor:
        """Mask ``tensor``, which has so many entries for each channel along ``dim``."""
        size = tensor.shape[self.dim if tensor.ndim > 1 else 0]
        # Not a product: zero times a weight that has run off to infinity would be NaN.
        return torch.where(along(entries(self.keep, size, self.run), self.dim, tensor), tensor, 0.0)


class WeightMask(nn.Module):
    """Passes on the single weights where ``keep`` is True; ``keep`` has the shape of the layer's weight."""

    def __init__(self, keep: Tensor):
        super().__init__()
        self.register_buffer("keep", keep.clone())

    def forward(self, tensor: Tensor) -> Tensor:
        """Mask ``tensor``, which has the shape of ``keep``."""
        return torch.where(self.keep, tensor, 0.0)


def masks_of(model: nn.Module) -> dict[str, Tensor]:
    """Return {layer name: bool (channels,)} of the channel masks on ``model``, empty if it has none."""
    return _kept(model, ChannelMask)


def live_channels(model: nn.Module) -> dict[str, Tensor]:
    """Return {layer name: bool (channels,)}, True where no mask silences the channel, for every layer with channels."""
    masks = masks_of(model)
    return {
        name: masks[name] if name in masks else torch.ones(width(layer), dtype=torch.bool, device=_device(layer))
        for name, layer in layers_with_channels(model).items()
    }


def _device(layer) -> torch.device:
    return next(rows(layer).tensors()).device


def weight_masks_of(model: nn.Module) -> dict[str, Tensor]:
    """Return {layer name: bool, the weight's shape} of the masks on single weights of ``model``, empty if it has none."""
    return _kept(model, WeightMask)


def unmask(model: nn.Module) -> nn.Module:
    """Return a plain copy of ``model`` that computes the same: what is pruned is ordinary zeros, nothing holds them."""
    return _without_masks(model, lambda layer, name: getattr(layer, name))


def before_masks(model: nn.Module) -> nn.Module:
    """Return a plain copy of ``model`` with the weights behind its masks: right after ``mask``, the network before it."""
    return _without_masks(model, lambda layer, name: layer.parametrizations[name].original)


def mask_on(module: nn.Module, *kinds: type, part: str | None = None) -> ChannelMask | WeightMask | None:
    """The mask of one of these kinds on a module, or on its parameter ``part``: all parameters of a layer share one."""
    if not parametrize.is_parametrized(module, part):
        return None
    masked = module.parametrizations.values() if part is None else [module.parametrizations[part]]
    return next((step for steps in masked for step in steps if type(step) in kinds), None)


def mask_on_layer(layer, kind: type) -> ChannelMask | WeightMask | None:
    """The mask of this kind on a layer with channels."""
    module, part = rows(layer).parts[0]
    return mask_on(module, kind, part=part)


def drop_parametrizations(module: nn.Module, kind: type[nn.Module], parameters: dict[str, nn.Parameter]) -> None:
    """Make ``module`` a plain one of its ``kind`` again, with ``parameters`` in place of those that were parametrised.

    Torch's remove_parametrizations would edit the module's class, which a deep copy shares with its original.
    """
    module.__class__ = kind
    del module.parametrizations
    for part, parameter in parameters.items():
        module.register_parameter(part, parameter)


def _without_masks(model: nn.Module, value) -> nn.Module:
    masked = {name: module for name, module in model.named_modules() if mask_on(module, ChannelMask, WeightMask) is not None}
    # The masks, which are most of the work, stay behind.
    plain = copy_of(model, {id(module.parametrizations): None for module in masked.values()})
    for name, module in masked.items():
        parameters = {
            part: nn.Parameter(value(module, part).detach().clone(), requires_grad=masks.original.requires_grad)
            for part, masks in module.parametrizations.items()
        }
        drop_parametrizations(plain.get_submodule(name), type(module).__base__, parameters)
    return plain


def _kept(model: nn.Module, kind: type) -> dict[str, Tensor]:
    found = {name: mask_on_layer(layer, kind) for name, layer in layers_with_channels(model).items()}
    return {name: layer_mask.keep.clone() for name, layer_mask in found.items() if layer_mask is not None}
