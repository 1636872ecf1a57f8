"""What a network costs as a function of its widths, in terms that the knapsack can add up without building a network."""

import functools
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from ..data.images import ImageData
from ..networks.inference import call, evaluating, network_inputs
from ..networks.kinds import is_depthwise, plain_layers, width
from ..networks.macs import count_macs
from ..networks.models import copy_of
from .cutting import cut
from .groups import Groups, groups_of
from .knapsack import Term, total_cost
from .latency import batch_of, layer_ms, parts_ms, stairs
from .silence import unmask

COSTS = ("macs", "params", "latency")
SHARES = (1 / 4, 1 / 2, 1)  # of the inputs at which a layer is timed, and one: close to a straight line


def cost_terms(model: nn.Module, data: ImageData, cost: str, blocks: list[str], *, batch_size: int = 64) -> list[Term]:
    """What ``model`` costs, as terms of its widths and of which ``blocks`` it has.

    A term's names are those of groups of coupled layers, each called by its first layer and worth its number of channels,
    and of blocks, worth 1 if the block is there and 0 if it is not. ``cost``: ``"macs"`` for one image as ``count_macs``
    counts them, ``"params"``, or ``"latency"``: milliseconds for a batch of ``batch_size`` images on this machine. Each
    layer has a table of them for a grid of widths with straight lines in between, in units of what it takes in the network;
    what is done until the next layer (normalisation, addition, pooling) is timed in networks with fewer channels.

    What belongs to no convolution or Linear that is called, such as a recurrent layer or attention, has a term without
    names: what it costs in ``model``. Where it reads channels that go, or lies in a block that goes, the terms add up to
    more than the network that results costs, never to less.

    Raises ValueError for an unknown ``cost`` or a ``batch_size`` below 1.
    """
    if cost not in COSTS:
        raise ValueError(f"cost must be one of {', '.join(map(repr, COSTS))}, got {cost!r}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    plain = unmask(model)
    counted = _Counted(plain, groups_of(model, data.example_inputs), blocks)
    if cost == "latency":
        return _latency_terms(counted, data, batch_size)
    if cost == "params":
        return _parameter_terms(counted)
    pixels = network_inputs(plain, data, data.validation.images[:1])
    terms = [
        counted.term(name, functools.partial(_products, counted.weights_of(name) * positions))
        for name, (_, positions) in _seen(plain, pixels).items()
    ]
    return _completed(counted, terms, count_macs(plain, example_inputs=pixels))


def dense_choice(model: nn.Module, data: ImageData, blocks: list[str]) -> dict[str, int]:
    """{name: its value in ``model`` itself} of each group, by its first layer, and of each block. Groups of units and
    of heads are not among them."""
    groups, layers = groups_of(model, data.example_inputs).names, plain_layers(model)
    return {group[0]: width(layers[group[0]]) for group in groups if group[0] in layers} | dict.fromkeys(blocks, 1)


class _Counted:
    """The layers of a network, and which groups of channels go in and come out of each."""

    def __init__(self, plain: nn.Module, groups: Groups, blocks: list[str]):
        self.plain, self.flow, self.blocks = plain, groups.flow, blocks
        self.layers = {name: layer for name, layer in plain_layers(plain).items() if name in groups.flow.first}
        self.group_of = {layer: group[0] for group in groups.names for layer in group if group[0] in self.layers}

    def counts(self, entries: list[frozenset[int]]) -> Counter:
        """{group: how many of the ``entries`` its channels flow into; None: entries that nothing prunable flows into}."""
        sources = (self.flow.producers[next(iter(entry))][0] if entry else None for entry in entries)
        return Counter(self.group_of.get(source) for source in sources)

    def weights_of(self, name: str) -> float:
        """Weights for each pair of an input and an output channel; of a depthwise layer for each output channel."""
        layer = self.layers[name]
        window = layer.weight[0, 0].numel()
        return window if is_depthwise(layer) else window / getattr(layer, "groups", 1)

    def term(self, name: str, cost: Callable) -> Term:
        """The term of a layer, with ``cost(outputs, inputs)`` of its widths; inputs is 1 for a depthwise layer."""
        layer, own = self.layers[name], self.group_of.get(name)
        entries = Counter() if is_depthwise(layer) else self.counts(self.flow.inputs[name])
        fixed = entries.pop(None, 0) or int(is_depthwise(layer))
        each = {group: count / width(self.plain.get_submodule(group)) for group, count in entries.items()}
        around = self.around(name)
        names = tuple(dict.fromkeys([*([own] if own else []), *each, *around]))

        def of_values(*values):
            at = dict(zip(names, values, strict=True))
            inputs = fixed + sum(at[group] * count for group, count in each.items())
            there = functools.reduce(lambda product, block: product * at[block], around, 1)
            return there * cost(at[own] if own else width(layer), inputs)

        return Term(names, of_values)

    def ladder(self) -> list[dict[str, int]]:
        """{group: width} of networks in which all groups grow together, from one channel up to all of them."""
        of = {group: stairs(width(self.plain.get_submodule(group))) for group in dict.fromkeys(self.group_of.values())}
        steps = np.linspace(0, 1, max(map(len, of.values()), default=1))
        return [{group: widths[round(step * (len(widths) - 1))] for group, widths in of.items()} for step in steps]

    @torch.no_grad()
    def narrowed(self, widths: dict[str, int]) -> nn.Module:
        """The network with the first channels of each group alone, as many as ``widths`` says; no channels are better."""
        gone = {
            self.flow.first[name] + channel
            for name, group in self.group_of.items()
            for channel in range(widths[group], width(self.layers[name]))
        }
        narrow = copy_of(self.plain)
        cut(narrow, self.flow, gone)
        return narrow

    def around(self, name: str) -> list[str]:
        """The blocks that a module is in."""
        return [block for block in self.blocks if name.startswith(f"{block}.")]


def _products(each: float, outputs, inputs, *, bias: int = 0):
    return outputs * (each * inputs + bias)


def _parameter_terms(counted: _Counted) -> list[Term]:
    terms = []
    for name, layer in counted.layers.items():
        bias = int(layer.bias is not None)
        terms.append(counted.term(name, functools.partial(_products, counted.weights_of(name), bias=bias)))
    for name, entries in counted.flow.norms.items():
        vectors = sum(1 for parameter in counted.plain.get_submodule(name).parameters() if parameter.ndim)
        for group, count in counted.counts(entries).items():
            each = vectors * count / (width(counted.plain.get_submodule(group)) if group else 1)
            names = (*([group] if group else []), *counted.around(name))
            terms.append(Term(names, lambda *values, each=each: functools.reduce(np.multiply, values, each)))
    return _completed(counted, terms, sum(parameter.numel() for parameter in counted.plain.parameters()))


def _completed(counted: _Counted, terms: list[Term], whole: int) -> list[Term]:
    """``terms``, and one for what they leave of the cost of the ``whole`` dense network."""
    dense = {group: width(counted.plain.get_submodule(group)) for group in counted.group_of.values()}
    others = whole - total_cost(terms, dense | dict.fromkeys(counted.blocks, 1))
    return [*terms, Term((), lambda: others)]


@torch.no_grad()
def _seen(plain: nn.Module, pixels: Tensor) -> dict[str, tuple[Tensor, float]]:
    """{layer: (its inputs without their values, for how many positions of an image it multiplies, in all its calls)}."""
    seen = {}

    def note(name, layer, inputs, output):
        counted, channels = (inputs[0], layer.in_channels) if isinstance(layer, _ConvTransposeNd) else (output, width(layer))
        before = seen[name][1] if name in seen else 0
        seen[name] = inputs[0].to("meta"), before + counted.numel() / channels / len(pixels)

    layers = plain_layers(plain)
    hooks = [layer.register_forward_hook(functools.partial(note, name)) for name, layer in layers.items()]
    with evaluating(plain):
        call(plain, pixels)
    for hook in hooks:
        hook.remove()
    return seen


def _latency_terms(counted: _Counted, data: ImageData, batch_size: int) -> list[Term]:
    plain, pixels = counted.plain, batch_of(counted.plain, data, batch_size)
    ladder = counted.ladder()
    after_each = []
    for widths in ladder:
        inside, after = parts_ms(counted.narrowed(widths), pixels)
        after_each.append(after)
    seen, known, terms = _seen(plain, pixels), {}, []
    for name, layer in counted.layers.items():
        if name not in seen:  # torch's attention reads the weights of its layers without calling them
            continue
        own, entries = counted.group_of.get(name), counted.counts(counted.flow.inputs[name])
        inputs = [1] if is_depthwise(layer) else _grid(entries.total(), entries.keys() != {None})
        outputs = stairs(width(layer)) if own else [width(layer)]
        table = np.empty((len(inputs), len(outputs)))
        for row, column in np.ndindex(table.shape):
            of_width = (outputs[column] if is_depthwise(layer) else inputs[row]), outputs[column]
            case = (_alike(layer), seen[name][0].shape, *of_width)  # many layers of a network are of one kind
            if case not in known:
                known[case] = layer_ms(layer, seen[name][0], *of_width)
            table[row, column] = known[case]
        table *= inside[name] / table[-1, -1]
        look_up = RegularGridInterpolator((inputs, outputs), table, bounds_error=False, fill_value=None)
        steps = {widths[own] if own else width(layer): after[name] for widths, after in zip(ladder, after_each, strict=True)}
        terms.append(counted.term(name, functools.partial(_looked_up, look_up, list(steps), list(steps.values()))))
    known_ms = total_cost(terms, ladder[-1] | dict.fromkeys(counted.blocks, 1))
    others = sum(inside.values()) + sum(after.values()) - known_ms  # of the last network, the dense one
    return [*terms, Term((), lambda: others)]


def _grid(full: int, varies: bool) -> list[int]:
    return sorted({1, *(round(share * full) for share in SHARES)} - {0}) if varies else [full]


def _looked_up(look_up: RegularGridInterpolator, widths: list[int], after: list[float], outputs, inputs) -> np.ndarray:
    """Milliseconds in a layer, by its table, and until the next layer, from those at some ``widths``."""
    points = np.stack(np.broadcast_arrays(inputs, outputs), axis=-1).astype(float)
    return look_up(points).reshape(np.shape(outputs * inputs)) + np.interp(outputs, widths, after)


def _alike(layer: nn.Module) -> tuple:
    window = ("kernel_size", "stride", "padding", "dilation")
    return type(layer), *(getattr(layer, name, None) for name in window), is_depthwise(layer)
