"""Cutting: take channels out of a plain network, out of every layer and normalisation that has an entry for them."""

import copy
import functools
import math

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..networks.attention_layer import take_over
from ..networks.dataflow import Flow
from ..networks.inference import call, evaluating, floating_type, inputs_for, plain_outputs, without_fast_path
from ..networks.kinds import entries, layers_with_channels, note_sizes, readers, rows, width

HALF = (torch.float16, torch.bfloat16)
TOLERANCE = 1e-4  # of the largest output: more than rounding changes in float32, and far less than a wrong cut does
WIDTHS = ("num_features", "num_parameters", "num_channels")  # what modules with a vector for each channel call its length


def silence(plain: nn.Module, flow: Flow, gone: set[int]) -> None:
    """Put zeros in place of the channels ``gone`` (producers of ``flow``), and of what makes them speak again behind."""
    for name, layer in layers_with_channels(plain).items():
        silent = ~_left(name, layer, flow, gone)
        if silent.any():
            parts, dim, run = rows(layer)
            for module, part in parts:
                data = getattr(module, part).data
                data = data.movedim(dim, 0) if data.ndim > 1 else data
                data[entries(silent, len(data), run)] = 0
    for name in flow.needs_mask:
        norm = plain.get_submodule(name)
        silent = silent_entries(flow.norms[name], gone)
        for parameter in norm.parameters():
            if parameter.ndim:
                parameter.data[silent.to(parameter.device)] = 0


def silent_entries(labels: list[frozenset[int]], gone: set[int]) -> Tensor:
    """bool (entries,): True where all that flows in is ``gone``; what nothing known flows into is not silent."""
    return torch.tensor([bool(label) and label <= gone for label in labels], dtype=torch.bool)


def cut(plain: nn.Module, flow: Flow, gone: set[int], single: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Cut the channels ``gone`` (producers of ``flow``, whole classes of them) out of ``plain``, in place.

    ``single``: {layer: bool, its weight's shape}, masks on single weights, which are cut in the same way and returned.
    """
    single = dict(single or {})
    _take_over_attention(plain, flow, gone)
    smaller = []
    for name, layer in layers_with_channels(plain).items():
        parts, dim, run = rows(layer)
        outputs = _left(name, layer, flow, gone)
        cuts = []
        for module, part in parts:
            tensor = getattr(module, part)
            cuts.append((module, part, dim, entries(outputs, tensor.shape[dim if tensor.ndim > 1 else 0], run)))
        for reader in readers(layer, name):
            if reader.key in flow.inputs:
                cuts.append((reader.module, reader.part, reader.dim, ~silent_entries(flow.inputs[reader.key], gone)))
        cuts = [one for one in cuts if not one[-1].all()]
        for module, part, along, stays in cuts:
            _replace(module, part, functools.partial(_select, stays=stays, dim=along))
            if name in single and part == "weight":
                single[name] = _select(single[name], stays, along)
        if cuts:
            smaller.append(layer)
    for layer in smaller:  # at the end, for the layers of a recurrent module share theirs
        note_sizes(layer)
    for name, labels in flow.norms.items():
        norm, stays = plain.get_submodule(name), ~silent_entries(labels, gone)
        if stays.all():
            continue
        for part, tensor in [*norm.named_parameters(recurse=False), *norm.named_buffers(recurse=False)]:
            if tensor.ndim:
                _replace(norm, part, lambda tensor, stays=stays: tensor[stays.to(tensor.device)].clone())
        for size in WIDTHS:
            if getattr(norm, size, None) == len(stays):
                setattr(norm, size, int(stays.sum()))
    return single


def _left(name: str, layer, flow: Flow, gone: set[int]) -> Tensor:
    """bool (channels,): which channels of a layer are not ``gone``."""
    first = flow.first.get(name)
    return torch.tensor([first is None or first + channel not in gone for channel in range(width(layer))])


def _select(tensor: Tensor, stays: Tensor, dim: int) -> Tensor:
    return tensor.index_select(dim if tensor.ndim > 1 else 0, stays.nonzero().flatten().to(tensor.device))


def _take_over_attention(plain: nn.Module, flow: Flow, gone: set[int]) -> None:
    """Put ``Attention`` in the place of each of torch's own that is about to lose something, for torch's cannot."""
    for name, layer in layers_with_channels(plain).items():
        if isinstance(layer, nn.MultiheadAttention) and name in flow.first:
            around = [*flow.inputs[f"{name}.q_proj"], *flow.inputs[f"{name}.k_proj"], *flow.inputs[f"{name}.v_proj"]]
            lost = not all(_left(one, plain.get_submodule(one), flow, gone).all() for one in (name, f"{name}.out_proj"))
            if lost or silent_entries(around, gone).any():
                take_over(plain, name)


def _replace(module: nn.Module, part: str, change) -> None:
    old = getattr(module, part)
    new = change(old.detach())
    if isinstance(old, nn.Parameter):
        module.register_parameter(part, nn.Parameter(new, requires_grad=old.requires_grad))
    else:
        setattr(module, part, new)


def disagreement(one: nn.Module, other: nn.Module, example_inputs) -> float:
    """How far the outputs of two networks lie apart, as a share of the largest; infinite if one of them gives NaN.

    Networks in half precision are compared in float32, so that rounding does not hide a difference.
    """
    return apart(outputs_of(one, example_inputs), outputs_of(other, example_inputs))


def apart(before: list[Tensor], after: list[Tensor]) -> float:
    """How far outputs lie apart, as a share of the largest; infinite if one is NaN, or their number or shapes differ."""
    worst = 0.0 if len(before) == len(after) else math.inf
    for one, other in zip(before, after, strict=False):
        if one.shape != other.shape or not (one.isfinite().all() and other.isfinite().all()):
            return math.inf
        size = one.abs().max().item() if one.numel() else 0.0
        difference = (one - other).abs().max().item() if one.numel() else 0.0
        worst = max(worst, difference / size if size else math.inf if difference else 0.0)
    return worst


@torch.no_grad()
def outputs_of(model: nn.Module, example_inputs) -> list[Tensor]:
    """All output tensors of ``model`` in evaluation mode, computed in float32 where its weights are in half precision."""
    model = _in_single(model)
    with evaluating(model), without_fast_path():  # which leaves other numbers in the place of padding
        leaves = tree_leaves(plain_outputs(call(model, inputs_for(model, example_inputs))))
    return [leaf.float() if leaf.dtype in HALF else leaf for leaf in leaves if isinstance(leaf, Tensor)]


def _in_single(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).float() if floating_type(model) in HALF else model
