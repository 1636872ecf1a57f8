"""Kinds of layers: what a channel is in each of them, and where its numbers lie.

A convolution has filters, a ``Linear`` layer neurons, a recurrent layer units, multi-head attention heads. The rest of the
library calls all of them channels, and asks here which *rows* of which parameters a channel owns, and which *columns* read
what comes in.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from .attention_layer import Attention, is_torch_attention

Layer = _ConvNd | nn.Linear  # a module with one weight, whose channels are its outputs
Recurrent = nn.RNN | nn.GRU | nn.LSTM
Heads = Attention | nn.MultiheadAttention


@dataclass(frozen=True)
class Units:
    """One layer of a recurrent ``module``, in one direction. ``suffix``: what torch ends the names of its weights with, such
    as ``"_l0"`` or ``"_l1_reverse"``."""

    module: nn.RNNBase
    suffix: str

    def part(self, name: str) -> str:
        """The parameter called ``name`` (``"weight_ih"``, ``"weight_hh"``, …) of this layer and direction."""
        return f"{name}{self.suffix}"


class Rows(NamedTuple):
    """Where a layer keeps what belongs to its channels.

    ``parts``: (module, name of a parameter) of each weight and bias, at least one, a weight first. Dimension ``dim`` of a
    weight (a bias has but one) goes through all channels once or, for the gates of units, several times, and each time a
    channel has ``run`` neighbouring entries: one, or for a head its width.
    """

    parts: list[tuple[nn.Module, str]]
    dim: int = 0
    run: int = 1

    def tensors(self) -> Iterator[Tensor]:
        """The weights and biases, as they read."""
        return (getattr(module, part) for module, part in self.parts)


class Reader(NamedTuple):
    """A weight that reads: the input channels of dimension ``dim`` of the parameter ``part`` of ``module`` are those that a
    ``Flow`` knows under ``key``."""

    key: str
    module: nn.Module
    part: str
    dim: int


def entries(channels: Tensor, size: int, run: int = 1) -> Tensor:
    """``channels`` (channels,) in the order of ``size`` rows: each ``run`` times, and all of them as often as they fit."""
    spread = channels.repeat_interleave(run) if run > 1 else channels
    return spread if len(spread) == size else spread.repeat(size // len(spread))


def along(values: Tensor, dim: int, tensor: Tensor) -> Tensor:
    """``values`` in the shape that meets a weight ``tensor`` along its dimension ``dim``, or a vector entry by entry."""
    shape = [1] * tensor.ndim
    shape[dim if tensor.ndim > 1 else 0] = -1
    return values.view(shape)


def layers_with_channels(model: nn.Module) -> dict[str, nn.Module | Units]:
    """Return {name: layer} of everything in ``model`` that has channels, in the order of definition.

    Each convolution (1d to 3d, also transposed) and ``Linear`` is there as it is. So is each ``Attention`` and
    ``nn.MultiheadAttention``, for its heads; the layers that make a head's query, key and value are part of it and not there
    themselves. ``nn.RNN``, ``nn.GRU`` and ``nn.LSTM`` are there as ``Units``, such as ``"gru.l0"`` and ``"gru.l1_reverse"``.
    """
    found: dict[str, nn.Module | Units] = {}
    parts: set[nn.Module] = set()
    for name, module in model.named_modules():
        if isinstance(module, Layer):
            if module not in parts:
                found[name] = module
        elif isinstance(module, Attention):
            found[name] = module
            parts |= {module.q_proj, module.k_proj, module.v_proj}
        elif isinstance(module, nn.MultiheadAttention):
            if is_torch_attention(module):
                found[name] = module
        elif isinstance(module, Recurrent):
            found |= {f"{name}.{suffix}" if name else suffix: Units(module, f"_{suffix}") for suffix in _suffixes(module)}
    return found


def plain_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Return {name: layer} of every convolution and ``Linear`` of ``layers_with_channels``."""
    return {name: layer for name, layer in layers_with_channels(model).items() if isinstance(layer, Layer)}


def _suffixes(module: nn.RNNBase) -> list[str]:
    directions = ("", "_reverse") if module.bidirectional else ("",)
    return [f"l{layer}{direction}" for layer in range(module.num_layers) for direction in directions]


@functools.singledispatch
def width(layer) -> int:
    """The number of channels of a layer: filters, neurons, units or heads."""
    raise TypeError(f"layer must be one that layers_with_channels knows, got {type(layer).__name__}")


@functools.singledispatch
def rows(layer) -> Rows:
    """What belongs to the channels of a layer."""
    raise TypeError(f"layer must be one that layers_with_channels knows, got {type(layer).__name__}")


@functools.singledispatch
def readers(layer, name: str) -> list[Reader]:
    """What reads the channels before a layer, which is called ``name``; empty where none of them can go alone."""
    return []


@functools.singledispatch
def note_sizes(layer) -> None:
    """Let a module whose weights have been cut know its new sizes."""


@width.register
def _(layer: nn.Linear) -> int:
    return layer.out_features


@rows.register
def _(layer: nn.Linear) -> Rows:
    return Rows(_present(layer, "weight", "bias"))


@readers.register
def _(layer: nn.Linear, name: str) -> list[Reader]:
    return [Reader(name, layer, "weight", 1)]


@note_sizes.register
def _(layer: nn.Linear) -> None:
    layer.out_features, layer.in_features = layer.weight.shape


@width.register
def _(layer: _ConvNd) -> int:
    return layer.out_channels


@rows.register
def _(layer: _ConvNd) -> Rows:
    return Rows(_present(layer, "weight", "bias"), output_dim(layer))


@readers.register
def _(layer: _ConvNd, name: str) -> list[Reader]:
    return [Reader(name, layer, "weight", 1 - output_dim(layer))] if layer.groups == 1 else []


@note_sizes.register
def _(layer: _ConvNd) -> None:
    depthwise, dim = is_depthwise(layer), output_dim(layer)
    layer.out_channels = layer.weight.shape[dim]
    layer.in_channels = layer.out_channels if depthwise else layer.weight.shape[1 - dim] * layer.groups
    layer.groups = layer.out_channels if depthwise else layer.groups


@width.register
def _(layer: Units) -> int:
    return layer.module.hidden_size


@rows.register
def _(layer: Units) -> Rows:
    biases = ("bias_ih", "bias_hh") if layer.module.bias else ()
    return Rows([(layer.module, layer.part(name)) for name in ("weight_ih", "weight_hh", *biases)])


@readers.register
def _(layer: Units, name: str) -> list[Reader]:
    path = name.rpartition(layer.suffix[1:])[0]  # of the module, with a dot behind it
    return [Reader(path + part, layer.module, part, 1) for part in map(layer.part, ("weight_ih", "weight_hh"))]


@note_sizes.register
def _(layer: Units) -> None:
    layer.module.input_size = layer.module.weight_ih_l0.shape[1]
    if not layer.module.proj_size:  # with projections all units stay, and they read no units
        layer.module.hidden_size = layer.module.weight_hh_l0.shape[1]


@width.register(Attention)
@width.register(nn.MultiheadAttention)
def _(layer) -> int:
    return layer.num_heads


@rows.register
def _(layer: Attention) -> Rows:
    projections = (layer.q_proj, layer.k_proj, layer.v_proj)
    return Rows([part for one in projections for part in _present(one, "weight", "bias")], run=layer.head_dim)


@readers.register
def _(layer: Attention, name: str) -> list[Reader]:
    projections = {"q_proj": layer.q_proj, "k_proj": layer.k_proj, "v_proj": layer.v_proj}
    return [Reader(f"{name}.{part}" if name else part, one, "weight", 1) for part, one in projections.items()]


@note_sizes.register
def _(layer: Attention) -> None:
    for projection in (layer.q_proj, layer.k_proj, layer.v_proj):
        note_sizes(projection)
    layer.num_heads = layer.q_proj.out_features // layer.head_dim


@rows.register
def _(layer: nn.MultiheadAttention) -> Rows:
    weights = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
    return Rows(_present(layer, *weights, "in_proj_bias"), run=layer.head_dim)


def _present(module: nn.Module, *names: str) -> list[tuple[nn.Module, str]]:
    return [(module, name) for name in names if getattr(module, name) is not None]


def channel_dim(layer: nn.Module, tensor: Tensor) -> int:
    """The dimension of the inputs or outputs of ``layer`` that counts channels; what stands before it is the batch."""
    return tensor.ndim - 1 - len(layer.kernel_size) if isinstance(layer, _ConvNd) else tensor.ndim - 1


def output_dim(layer: nn.Module) -> int:
    """The dimension of the weight of ``layer`` that counts its output channels; a transposed convolution has it second."""
    return int(isinstance(layer, _ConvTransposeNd) and layer.groups == 1)


def filters(layer: nn.Module | Units, tensor: Tensor | None = None) -> Tensor:
    """The weights of ``layer`` as (channels, weights of a channel); or a ``tensor`` of the shape of its one weight."""
    if not isinstance(layer, Layer):
        return torch.cat([by_channel(weight, layer) for weight in rows(layer).tensors() if weight.ndim > 1], dim=1)
    weight = layer.weight if tensor is None else tensor
    if isinstance(layer, _ConvTransposeNd):  # (inputs, channels of a group, …)
        weight = weight.unflatten(0, (layer.groups, -1)).transpose(1, 2).flatten(0, 1)
    return weight.flatten(1)


def by_channel(tensor: Tensor, layer: nn.Module | Units, dim: int = 0) -> Tensor:
    """A ``tensor`` whose dimension ``dim`` goes through the channels of ``layer``, as (channels, entries of a channel)."""
    run = rows(layer).run
    return tensor.movedim(dim, 0).unflatten(0, (-1, width(layer), run)).transpose(0, 1).flatten(1)


def is_depthwise(layer: nn.Module) -> bool:
    """Does each channel of this convolution read just the one input channel of its own number?"""
    return getattr(layer, "groups", 1) > 1 and layer.groups == layer.in_channels == layer.out_channels


def modules_of(layer: nn.Module | Units) -> list[nn.Module]:
    """The modules that hold what belongs to the channels of a layer."""
    return list(dict.fromkeys(module for module, _ in rows(layer).parts))


def one_by_one(module: nn.RNNBase) -> list[nn.RNNBase]:
    """The layers of a recurrent ``module`` as modules of their own, with copies of its weights; each takes the states of
    the one before it."""
    options = {"bias": module.bias, "batch_first": module.batch_first, "bidirectional": module.bidirectional}
    if isinstance(module, nn.RNN):
        options["nonlinearity"] = module.nonlinearity
    if module.proj_size:  # which none but an LSTM takes
        options["proj_size"] = module.proj_size
    alone = []
    for level in range(module.num_layers):
        inputs = getattr(module, f"weight_ih_l{level}").shape[1]
        with torch.random.fork_rng(devices=[]):  # for first weights that nobody will see
            layer = type(module)(inputs, module.hidden_size, **options).to(module.weight_ih_l0)
        layer.load_state_dict({name: getattr(module, name.replace("_l0", f"_l{level}")) for name in layer.state_dict()})
        alone.append(layer.train(module.training))
    return alone


def padded(module: nn.RNNBase, x: Tensor | PackedSequence) -> Tensor:
    """The inputs or outputs of a recurrent ``module`` as a tensor with a dimension for steps; a short sequence ends in 0."""
    return pad_packed_sequence(x, batch_first=module.batch_first)[0] if isinstance(x, PackedSequence) else x


def read_anew(module: nn.RNNBase) -> None:
    """Let a recurrent ``module`` with parametrised weights read them at every pass.

    It keeps a list of its weights, which would hold on to the graph of an earlier pass, and cannot be copied then.
    """
    names = property(lambda self: [getattr(self, name) for name in self._flat_weights_names], lambda self, value: None)
    type(module)._flat_weights = names  # its class is its own, since it has a parametrisation
