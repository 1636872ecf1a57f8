"""Masks: the pruned channels and weights stay in the network but are silent, and stay silent while training goes on.

A mask is a parametrisation (``torch.nn.utils.parametrize``): whoever reads ``layer.weight``, the forward pass included, gets
zeros in place of what is pruned, whatever an optimiser does to the numbers behind. That is why zeros cannot revive.
"""

import copy

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..networks.dataflow import norms_behind
from ..networks.models import layers_with_channels
from .thresholds import threshold_at


class ChannelMask(nn.Module):
    """Passes on the channels where ``keep`` (channels,) is True and puts zeros in place of the others."""

    def __init__(self, keep: Tensor):
        super().__init__()
        self.register_buffer("keep", keep.clone())

    def forward(self, tensor: Tensor) -> Tensor:
        """Mask ``tensor`` (channels, …); ``keep`` has its shape or only the first of its dimensions."""
        # Not a product: zero times a weight that has run off to infinity would be NaN.
        return torch.where(self.keep.view(*self.keep.shape, *[1] * (tensor.ndim - self.keep.ndim)), tensor, 0.0)


class WeightMask(ChannelMask):
    """Passes on the single weights where ``keep`` is True; ``keep`` has the shape of the layer's weight."""


def mask(model: nn.Module, keep: dict[str, Tensor]) -> nn.Module:
    """Return a copy of ``model`` in which the channels that ``keep`` drops are silent: weights and bias read as zero.

    ``keep``: {name of a Conv2d or Linear: bool (channels,)}, True where the channel stays. Layers that ``keep`` does not
    name are untouched. The scale and shift of a normalisation behind a layer are masked with it: otherwise its shift would
    make a silent channel speak again. What was masked before stays masked. The copy holds its masks through training,
    ``copy.deepcopy``, ``state_dict`` and ``save_model``.

    Raises ValueError or TypeError that names the layer if ``keep`` does not fit the model or would silence a whole layer,
    and ValueError if the model has a normalisation that cannot be masked, because it has no scale and shift for each channel
    or serves several layers, or if ``torch.fx`` cannot follow the forward pass to see what a normalisation follows.
    """
    masked = copy.deepcopy(model)
    mask_(masked, keep)
    return masked


def mask_weights(model: nn.Module, keep: dict[str, Tensor]) -> nn.Module:
    """Return a copy of ``model`` in which the single weights that ``keep`` drops read as zero; biases are untouched.

    ``keep``: {name of a Conv2d or Linear: bool, the shape of its weight}, True where the weight stays. In all else like
    ``mask``, with which it may be combined.
    """
    masked = copy.deepcopy(model)
    _add_masks(masked, keep, WeightMask)
    return masked


def mask_(model: nn.Module, keep: dict[str, Tensor]) -> None:
    """Do what ``mask`` does to ``model`` itself, even in the middle of training: an optimiser keeps its parameters."""
    _add_masks(model, keep, ChannelMask)


def prune_network(model: nn.Module, attention_weights: dict[str, Tensor], threshold: float | dict[str, float]) -> nn.Module:
    """Return a copy of ``model`` without what lies below the threshold: the texts' function, made right.

    ``attention_weights``: {name of a Conv2d or Linear: values}. One value per channel, shape (channels,), as ``importance``
    returns them, prunes filters and neurons. One value per weight, the weight's shape, as the function ``attention_weights``
    returns them, prunes single weights. ``threshold``: one θ for all layers, or {name: θ}, such as ``Threshold.theta``.

    What is at least θ stays just as it was; the texts divide it by its attention, which changes what the network computes.
    What is below is masked and cannot come back. A layer that would lose everything keeps its best, and a warning says so.
    Raises ValueError or TypeError as ``threshold_at`` and ``mask`` do. Source: questions and answers, task 8.
    """
    if not isinstance(attention_weights, dict):
        raise TypeError(
            f"attention_weights must be a dictionary {{layer name: values}}, got {type(attention_weights).__name__}"
        )
    theta = threshold if isinstance(threshold, dict) else dict.fromkeys(attention_weights, threshold)
    if isinstance(threshold, dict) and threshold.keys() != attention_weights.keys():
        raise ValueError(f"threshold must name the layers {list(attention_weights)}, got {list(threshold)}")
    by_channel, by_weight = {}, {}
    for name, values in attention_weights.items():
        unit, found = ("channel", by_channel) if values.ndim == 1 else ("weight", by_weight)
        kept = threshold_at({name: values.flatten()}, {name: theta[name]}, unit=unit).keep[name]
        found[name] = kept.view_as(values)
    return mask_weights(mask(model, by_channel), by_weight)


def masks_of(model: nn.Module) -> dict[str, Tensor]:
    """Return {layer name: bool (channels,)} of the channel masks on ``model``, empty if it has none."""
    return _kept(model, ChannelMask)


def live_channels(model: nn.Module) -> dict[str, Tensor]:
    """Return {layer name: bool (channels,)}, True where no mask silences the channel, of every Conv2d and Linear."""
    masks = masks_of(model)
    return {
        name: masks[name] if name in masks else torch.ones(len(layer.weight), dtype=torch.bool, device=layer.weight.device)
        for name, layer in layers_with_channels(model).items()
    }


def weight_masks_of(model: nn.Module) -> dict[str, Tensor]:
    """Return {layer name: bool, the weight's shape} of the masks on single weights of ``model``, empty if it has none."""
    return _kept(model, WeightMask)


def sparsity(model: nn.Module) -> pd.DataFrame:
    """Report what is pruned, a row for each Conv2d and Linear of ``model`` and one for ``"all"`` of them, with the columns

    - ``channels``, ``kept_channels``: how many there are, and how many no mask silences;
    - ``pruning_ratio``: share of channels that a mask silences, 0–1;
    - ``weights``, ``nonzero_weights``: how many there are (without biases), and how many do not read as zero;
    - ``sparsity``: share of weights that read as zero, 0–1, whatever made them so.
    """
    live = live_channels(model)
    rows = {}
    for name, layer in layers_with_channels(model).items():
        weight = layer.weight.detach()
        rows[name] = {
            "channels": len(weight),
            "kept_channels": int(live[name].sum()),
            "weights": weight.numel(),
            "nonzero_weights": int(weight.count_nonzero()),
        }
    table = pd.DataFrame(rows, index=["channels", "kept_channels", "weights", "nonzero_weights"]).T.astype(int)
    table.loc["all"] = table.sum()
    table.insert(2, "pruning_ratio", 1 - table.kept_channels / table.channels)
    table["sparsity"] = 1 - table.nonzero_weights / table.weights
    return table


def unmask(model: nn.Module) -> nn.Module:
    """Return a plain copy of ``model`` that computes the same: what is pruned is ordinary zeros, nothing holds them."""
    return _without_masks(model, lambda layer, name: getattr(layer, name))


def before_masks(model: nn.Module) -> nn.Module:
    """Return a plain copy of ``model`` with the weights behind its masks: right after ``mask``, the network before it."""
    return _without_masks(model, lambda layer, name: layer.parametrizations[name].original)


def _without_masks(model: nn.Module, value) -> nn.Module:
    masked = {name: layer for name, layer in model.named_modules() if _mask_of(layer, ChannelMask, WeightMask) is not None}
    # A deep copy takes what the memo names as already copied: the masks, which are most of the work, stay behind.
    plain = copy.deepcopy(model, {id(layer.parametrizations): None for layer in masked.values()})
    for name, layer in masked.items():
        copied = plain.get_submodule(name)
        # torch's remove_parametrizations would edit the layer's class, which a deep copy shares with its original.
        copied.__class__ = type(layer).__base__
        del copied.parametrizations
        for part, masks in layer.parametrizations.items():
            tensor = value(layer, part).detach().clone()
            copied.register_parameter(part, nn.Parameter(tensor, requires_grad=masks.original.requires_grad))
    return plain


def _add_masks(model: nn.Module, keep: dict[str, Tensor], kind: type) -> None:
    """Put masks on ``model``, or tighten those of the same kind; all are checked before the first is touched."""
    norms = _norms_to_mask(model, keep) if keep and kind is ChannelMask else {}
    keep = {name: _combined(model, name, stays, kind) for name, stays in _checked(model, keep, kind).items()}
    for name, stays in keep.items():
        layer = model.get_submodule(name)
        if (existing := _mask_of(layer, kind)) is not None:
            existing.keep.copy_(stays)  # the very same tensor masks the bias and the normalisation
            continue
        new = kind(stays.to(layer.weight.device))
        masked = [(layer, "weight")]
        if kind is ChannelMask:
            masked += [(owner, part) for owner in norms.get(name, []) for part in ("weight", "bias")] + [(layer, "bias")]
        for owner, parameter in masked:
            if getattr(owner, parameter) is not None:
                parametrize.register_parametrization(owner, parameter, new)


def _norms_to_mask(model: nn.Module, keep: dict[str, Tensor]) -> dict[str, list[nn.Module]]:
    """The normalisations behind the layers that ``keep`` names, whose scale and shift have an entry for each channel."""
    behind = norms_behind(model)
    found = {name: behind[name] for name in keep if name in behind}
    names = {module: name for name, module in model.named_modules()}
    for name, norms in found.items():
        channels = len(model.get_submodule(name).weight)
        for norm in norms:
            if norm.weight is None or len(norm.weight) != channels:
                raise ValueError(
                    f"{names[norm]!r} normalises the {channels} channels of {name!r} but has no scale and shift for each; "
                    "silent channels would speak again behind it, and cannot be masked"
                )
            if others := [other for other in behind if other != name and norm in behind[other]]:
                raise ValueError(
                    f"{names[norm]!r} normalises both {name!r} and {others[0]!r}; masked for one, it would silence the other"
                )
    return found


def _mask_of(layer: nn.Module, *kinds: type) -> ChannelMask | None:
    """The mask of one of these kinds on a layer's weight; its bias shares the very same one."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    return next((step for step in layer.parametrizations.weight if type(step) in kinds), None)


def _kept(model: nn.Module, kind: type) -> dict[str, Tensor]:
    found = {name: _mask_of(layer, kind) for name, layer in layers_with_channels(model).items()}
    return {name: layer_mask.keep.clone() for name, layer_mask in found.items() if layer_mask is not None}


def _combined(model: nn.Module, name: str, stays: Tensor, kind: type) -> Tensor:
    """What both this keep and the mask already on the layer keep."""
    existing = _mask_of(model.get_submodule(name), kind)
    if existing is None:
        return stays
    both = stays.to(existing.keep.device) & existing.keep
    if not both.any():
        what = "channel" if kind is ChannelMask else "weight"
        raise ValueError(f"keep and the mask already on {name!r} have no {what} in common; at least one must stay")
    return both


def _checked(model: nn.Module, keep: dict[str, Tensor], kind: type) -> dict[str, Tensor]:
    layers = layers_with_channels(model)
    for name, stays in keep.items():
        if name not in layers:
            raise ValueError(f"keep names {name!r}, but the Conv2d and Linear layers of this model are {list(layers)}")
        if not isinstance(stays, Tensor) or stays.dtype != torch.bool:
            raise TypeError(f"keep[{name!r}] must be a bool tensor, got {getattr(stays, 'dtype', type(stays).__name__)}")
        weight = layers[name].weight
        shape, what = (tuple(weight.shape[:1]), "channels") if kind is ChannelMask else (tuple(weight.shape), "weights")
        if stays.shape != shape:
            raise ValueError(f"keep[{name!r}] must have the shape {shape}, got {tuple(stays.shape)}")
        if not stays.any():
            raise ValueError(f"keep[{name!r}] drops all {stays.numel()} {what}; at least one must stay")
    return keep
