"""Masks: the pruned channels and weights stay in the network but are silent, and stay silent while training goes on."""

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..networks.kinds import filters, layers_with_channels, plain_layers, read_anew, rows, width
from ..networks.models import copy_of
from ..networks.tracing import OUTPUTS
from .cutting import silent_entries
from .groups import Groups, groups_of, hand_on
from .silence import ChannelMask, WeightMask, live_channels, mask_on, mask_on_layer
from .thresholds import threshold_at


def mask(model: nn.Module, keep: dict[str, Tensor], *, example_inputs=None) -> nn.Module:
    """Return a copy of ``model`` in which the channels that ``keep`` drops are silent: weights and bias read as zero.

    ``keep``: {name of a layer: bool (channels,)}, True where the channel stays, with the names of ``importance``. Layers
    that ``keep`` does not name are untouched. Where all that flows into an entry of a normalisation is silent, its scale and
    shift are masked too: otherwise its shift would make silent channels speak again. What was masked before stays masked.
    The copy holds its masks through training, ``copy.deepcopy``, ``state_dict`` and ``save_model``.

    ``example_inputs``: a small batch of what ``model`` takes, to follow its channels: a tensor, a tuple (handed over as
    several arguments) or a dictionary (as keyword arguments). None tries inputs that the first layer takes.

    Raises ValueError or TypeError that names the layer if ``keep`` does not fit the model, would silence a whole layer, or
    drops channels that could never be removed (``unprunable``), other than outputs; and ValueError as ``unprunable`` does.
    """
    groups = groups_of(model, example_inputs)  # of the original, so that the next mask on it need not find them again
    masked = copy_of(model)
    hand_on(model, masked)
    _add_channel_masks(masked, keep, groups)
    return masked


def mask_weights(model: nn.Module, keep: dict[str, Tensor]) -> nn.Module:
    """Return a copy of ``model`` in which the single weights that ``keep`` drops read as zero; biases are untouched.

    ``keep``: {name of a convolution or Linear: bool, the shape of its weight}, True where the weight stays. In all else like
    ``mask``, with which it may be combined.
    """
    masked = copy_of(model)
    hand_on(model, masked)
    for name, stays in _checked(masked, keep, WeightMask).items():
        layer = masked.get_submodule(name)
        _put([(layer, "weight")], WeightMask(_combined(layer, name, stays, WeightMask)))
    return masked


def mask_(model: nn.Module, keep: dict[str, Tensor], *, example_inputs=None) -> None:
    """Do what ``mask`` does to ``model`` itself, even in the middle of training: an optimiser keeps its parameters."""
    _add_channel_masks(model, keep, groups_of(model, example_inputs))


def prune_network(model: nn.Module, attention_weights: dict[str, Tensor], threshold: float | dict[str, float]) -> nn.Module:
    """Return a copy of ``model`` without what lies below the threshold: the texts' function, made right.

    ``attention_weights``: {layer name: values}. One value per channel, shape (channels,), as ``importance`` returns
    them, prunes filters and neurons. One value per weight, the weight's shape, as the function ``attention_weights``
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


def sparsity(model: nn.Module) -> pd.DataFrame:
    """Report what is pruned, a row for each layer of ``model`` with channels and one for ``"all"`` of them, with the columns

    - ``channels``, ``kept_channels``: how many there are, and how many no mask silences;
    - ``pruning_ratio``: share of channels that a mask silences, 0–1;
    - ``weights``, ``nonzero_weights``: how many there are (without biases), and how many do not read as zero;
    - ``sparsity``: share of weights that read as zero, 0–1, whatever made them so.
    """
    live = live_channels(model)
    counts = {}
    for name, layer in layers_with_channels(model).items():
        weights = filters(layer).detach()
        counts[name] = {
            "channels": width(layer),
            "kept_channels": int(live[name].sum()),
            "weights": weights.numel(),
            "nonzero_weights": int(weights.count_nonzero()),
        }
    table = pd.DataFrame(counts, index=["channels", "kept_channels", "weights", "nonzero_weights"]).T.astype(int)
    table.loc["all"] = table.sum()
    table.insert(2, "pruning_ratio", 1 - table.kept_channels / table.channels)
    table["sparsity"] = 1 - table.nonzero_weights / table.weights
    return table


def _add_channel_masks(model: nn.Module, keep: dict[str, Tensor], groups: Groups) -> None:
    """Put masks on ``model``, or tighten those that it has; all are checked before the first is touched."""
    _refuse_unprunable(_checked(model, keep, ChannelMask), groups)
    layers = layers_with_channels(model)
    new = {name: _combined(layers[name], name, stays, ChannelMask) for name, stays in keep.items()}
    for name, stays in new.items():
        mask_layer(layers[name], stays)
    live, flow = {name: stays.tolist() for name, stays in live_channels(model).items()}, groups.flow
    silent = {number for number, (name, channel) in enumerate(flow.producers) if not live[name][channel]} if new else set()
    for name in flow.needs_mask:
        stays = ~silent_entries(flow.norms[name], silent)
        if not stays.all():
            norm = model.get_submodule(name)
            vectors = [part for part, tensor in norm.named_parameters(recurse=False) if tensor.ndim]
            masked = getattr(norm, "parametrizations", {})
            _put([(norm, part) for part in [*masked, *vectors]], ChannelMask(stays))


def mask_layer(layer, keep: Tensor) -> None:
    """Silence the channels of one layer where ``keep`` (channels,) is False, and nothing behind it."""
    parts, dim, run = rows(layer)
    _put(parts, ChannelMask(keep, dim, run))


def _put(parts: list[tuple[nn.Module, str]], new: ChannelMask | WeightMask) -> None:
    """Mask the ``parts``, (module, parameter), all by the very same ``new``; or tighten the mask of this kind on them."""
    module, part = parts[0]
    new.to(next(module.parameters()).device)
    if (existing := mask_on(module, type(new), part=part)) is not None:
        existing.keep.copy_(new.keep)
        return
    for module, part in parts:
        # Unsafe means: torch does not look whether shape and type remain, which a mask leaves alone.
        parametrize.register_parametrization(module, part, new, unsafe=True)
        if isinstance(module, nn.RNNBase):
            read_anew(module)


def _refuse_unprunable(keep: dict[str, Tensor], groups: Groups) -> None:
    for name, stays in keep.items():
        reason = groups.stays.get(name)
        # An output may be silent; it is only that nobody can remove it.
        if reason is not None and not reason.endswith(OUTPUTS) and not stays.all():
            raise ValueError(
                f"keep drops channels of {name!r}, which cannot be removed: {reason}. Leave it out of keep (in "
                "importance: ignored_layers), or mask its single weights with mask_weights"
            )


def _combined(layer: nn.Module, name: str, stays: Tensor, kind: type) -> Tensor:
    """What both this keep and the mask already on the layer keep."""
    existing = mask_on_layer(layer, kind)
    if existing is None:
        return stays
    both = stays.to(existing.keep.device) & existing.keep
    if not both.any():
        what = "channel" if kind is ChannelMask else "weight"
        raise ValueError(f"keep and the mask already on {name!r} have no {what} in common; at least one must stay")
    return both


def _checked(model: nn.Module, keep: dict[str, Tensor], kind: type) -> dict[str, Tensor]:
    layers, have = layers_with_channels(model), "with channels"
    if kind is WeightMask:
        layers, have = plain_layers(model), "with one weight"
    for name, stays in keep.items():
        if name not in layers:
            raise ValueError(f"keep names {name!r}, but the layers of this model {have} are {list(layers)}")
        if not isinstance(stays, Tensor) or stays.dtype != torch.bool:
            raise TypeError(f"keep[{name!r}] must be a bool tensor, got {getattr(stays, 'dtype', type(stays).__name__)}")
        layer = layers[name]
        shape, what = ((width(layer),), "channels") if kind is ChannelMask else (tuple(layer.weight.shape), "weights")
        if stays.shape != shape:
            raise ValueError(f"keep[{name!r}] must have the shape {shape}, got {tuple(stays.shape)}")
        if not stays.any():
            raise ValueError(f"keep[{name!r}] drops all {stays.numel()} {what}; at least one must stay")
    return keep
