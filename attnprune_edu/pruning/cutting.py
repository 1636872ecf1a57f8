"""Cutting: take channels out of a plain network, out of every layer and normalisation that has an entry for them."""

import copy
import math

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..networks.dataflow import Flow
from ..networks.inference import call, evaluating, floating_type, inputs_for, plain_outputs
from ..networks.models import is_depthwise, layers_with_channels, output_dim, width

HALF = (torch.float16, torch.bfloat16)
TOLERANCE = 1e-4  # of the largest output: more than rounding changes in float32, and far less than a wrong cut does
WIDTHS = ("num_features", "num_parameters", "num_channels")  # what modules with a vector for each channel call its length


def silence(plain: nn.Module, flow: Flow, gone: set[int]) -> None:
    """Put zeros in place of the channels ``gone`` (producers of ``flow``), and of what makes them speak again behind."""
    for name, layer in layers_with_channels(plain).items():
        if name in flow.first:
            first = flow.first[name]
            silent = torch.tensor([first + channel in gone for channel in range(width(layer))], device=layer.weight.device)
            if silent.any():
                layer.weight.data.movedim(output_dim(layer), 0)[silent] = 0
            if silent.any() and layer.bias is not None:
                layer.bias.data[silent] = 0
    for name in flow.needs_mask:
        norm = plain.get_submodule(name)
        silent = silent_entries(flow.norms[name], gone)
        for parameter in norm.parameters():
            if parameter.ndim:
                parameter.data[silent.to(parameter.device)] = 0


def silent_entries(entries: list[frozenset[int]], gone: set[int]) -> Tensor:
    """bool (entries,): True where all that flows in is ``gone``; what nothing known flows into is not silent."""
    return torch.tensor([bool(entry) and entry <= gone for entry in entries], dtype=torch.bool)


def cut(plain: nn.Module, flow: Flow, gone: set[int], single: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Cut the channels ``gone`` (producers of ``flow``, whole classes of them) out of ``plain``, in place.

    ``single``: {layer: bool, its weight's shape}, masks on single weights, which are cut in the same way and returned.
    """
    single = dict(single or {})
    for name, layer in layers_with_channels(plain).items():
        if name not in flow.first:
            continue
        first, out = flow.first[name], output_dim(layer)
        outputs = [n for n in range(width(layer)) if first + n not in gone]
        inputs = (~silent_entries(flow.inputs[name], gone)).nonzero().flatten().tolist()
        if len(outputs) == width(layer) and len(inputs) == len(flow.inputs[name]):
            continue
        one_by_one = is_depthwise(layer)

        def cut_weight(tensor, outputs=outputs, inputs=inputs, out=out, one_by_one=one_by_one):
            if one_by_one:  # (channels, 1, …), transposed ones too
                return tensor[outputs].clone()
            return tensor.movedim(out, 0)[outputs][:, inputs].movedim(0, out).contiguous()

        _replace(layer, "weight", cut_weight)
        if layer.bias is not None:
            _replace(layer, "bias", lambda tensor, outputs=outputs: tensor[outputs].clone())
        if name in single:
            single[name] = cut_weight(single[name])
        if isinstance(layer, nn.Linear):
            layer.in_features, layer.out_features = len(inputs), len(outputs)
        else:
            layer.in_channels, layer.out_channels = len(inputs), len(outputs)
            layer.groups = len(outputs) if one_by_one else layer.groups
    for name, entries in flow.norms.items():
        norm, stays = plain.get_submodule(name), ~silent_entries(entries, gone)
        if stays.all():
            continue
        for part, tensor in [*norm.named_parameters(recurse=False), *norm.named_buffers(recurse=False)]:
            if tensor.ndim:
                _replace(norm, part, lambda tensor, stays=stays: tensor[stays.to(tensor.device)].clone())
        for size in WIDTHS:
            if getattr(norm, size, None) == len(stays):
                setattr(norm, size, int(stays.sum()))
    return single


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
    with evaluating(model):
        leaves = tree_leaves(plain_outputs(call(model, inputs_for(model, example_inputs))))
    return [leaf.float() if leaf.dtype in HALF else leaf for leaf in leaves if isinstance(leaf, Tensor)]


def _in_single(model: nn.Module) -> nn.Module:
    return copy.deepcopy(model).float() if floating_type(model) in HALF else model
