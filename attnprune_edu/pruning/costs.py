"""What a network costs as a function of its widths, in terms that the knapsack can add up without building a network."""

import functools
from collections import Counter
from collections.abc import Callable

import numpy as np
import torch
from scipy.interpolate import RegularGridInterpolator
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd
from torch.utils.benchmark import Timer

from ..data.images import ImageData
from ..networks.inference import call, evaluating, fast_layout, network_inputs
from ..networks.kinds import channel_dim, is_depthwise, output_dim, plain_layers, width
from ..networks.models import copy_of
from .groups import Groups, groups_of
from .knapsack import Term, total_cost
from .silence import unmask

COSTS = ("macs", "params", "latency")
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4, 1)  # of the widths at which a layer is timed
TURNS = 5  # of timing; the shortest counts, for a busy machine only ever adds


def cost_terms(model: nn.Module, data: ImageData, cost: str, blocks: list[str], *, batch_size: int = 64) -> list[Term]:
    """What ``model`` costs, as terms of its widths and of which ``blocks`` it has.

    A term's names are those of groups of coupled layers, each called by its first layer and worth its number of channels,
    and of blocks, worth 1 if the block is there and 0 if it is not. ``cost``: ``"macs"`` of convolutions and Linear layers
    for one image, ``"params"``, or ``"latency"``: milliseconds for a batch of ``batch_size`` images on this machine. These
    are measured layer by layer, each with the normalisation behind it and a ReLU, for a grid of widths with straight lines
    in between, and scaled so that together they take as long as the whole network.

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
    outputs = _seen(plain, network_inputs(plain, data, data.validation.images[:1]))
    return [
        counted.term(name, functools.partial(_products, counted.weights_of(name) * outputs[name][1])) for name in outputs
    ]


def dense_choice(model: nn.Module, data: ImageData, blocks: list[str]) -> dict[str, int]:
    """{name: its value in ``model`` itself} of each group, by its first layer, and of each block. Groups of units and of heads
    are not among them."""
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
    dense = {group: width(counted.plain.get_submodule(group)) for group in counted.group_of.values()}
    known = total_cost(terms, dense | dict.fromkeys(counted.blocks, 1))
    others = sum(parameter.numel() for parameter in counted.plain.parameters()) - known
    return [*terms, Term((), lambda: others)]


@torch.no_grad()
def _seen(plain: nn.Module, pixels: Tensor) -> dict[str, tuple[tuple[int, ...], float]]:
    """{layer: (the shape of its inputs, for how many positions of an image it multiplies, in all its calls)}."""
    seen = {}

    def note(name, layer, inputs, output):
        counted, channels = (inputs[0], layer.in_channels) if isinstance(layer, _ConvTransposeNd) else (output, width(layer))
        before = seen[name][1] if name in seen else 0
        seen[name] = tuple(inputs[0].shape), before + counted.numel() / channels / len(pixels)

    layers = plain_layers(plain)
    hooks = [layer.register_forward_hook(functools.partial(note, name)) for name, layer in layers.items()]
    with evaluating(plain):
        call(plain, pixels)
    for hook in hooks:
        hook.remove()
    return seen


def _latency_terms(counted: _Counted, data: ImageData, batch_size: int) -> list[Term]:
    plain, images = counted.plain, data.validation.images
    pixels = network_inputs(plain, data, images[torch.arange(batch_size) % len(images)])
    layout = fast_layout(plain, data)
    pixels = pixels.contiguous(memory_format=layout)
    seen, known, terms = _seen(plain, pixels), {}, []
    for name, layer in counted.layers.items():
        norm = next((plain.get_submodule(norm) for norm in counted.flow.norms_of(name)), None)
        entries = counted.counts(counted.flow.inputs[name])
        inputs = [1] if is_depthwise(layer) else _grid(entries.total(), entries.keys() != {None})
        outputs = _grid(width(layer), name in counted.group_of)
        times = np.empty((len(inputs), len(outputs)))
        for row, column in np.ndindex(times.shape):
            of_width = (outputs if is_depthwise(layer) else inputs)[column if is_depthwise(layer) else row], outputs[column]
            case = (_alike(layer, norm), seen[name][0], *of_width)  # many layers of a network are of one kind
            if case not in known:
                known[case] = _milliseconds(layer, norm, seen[name][0], *of_width, layout)
            times[row, column] = known[case]
        look_up = RegularGridInterpolator((inputs, outputs), times, bounds_error=False, fill_value=None)
        terms.append(counted.term(name, functools.partial(_looked_up, look_up)))
    with evaluating(plain):
        whole = _shortest(plain, pixels)
    dense = {group: width(plain.get_submodule(group)) for group in counted.group_of.values()}
    scale = whole / total_cost(terms, dense | dict.fromkeys(counted.blocks, 1))
    return [Term(term.names, lambda *values, cost=term.cost: scale * cost(*values)) for term in terms]


def _grid(full: int, varies: bool) -> list[int]:
    return sorted({max(1, round(share * full)) for share in SHARES}) if varies else [full]


def _looked_up(look_up: RegularGridInterpolator, outputs, inputs) -> np.ndarray:
    return look_up(np.stack(np.broadcast_arrays(inputs, outputs), axis=-1).astype(float)).reshape(np.shape(outputs * inputs))


def _alike(layer: nn.Module, norm: nn.Module | None) -> tuple:
    window = ("kernel_size", "stride", "padding", "dilation")
    return type(layer), *(getattr(layer, name, None) for name in window), is_depthwise(layer), type(norm)


@torch.no_grad()
def _milliseconds(layer, norm, shape: tuple[int, ...], inputs: int, outputs: int, layout: torch.memory_format) -> float:
    """Of ``layer`` with fewer ``inputs`` and ``outputs``, the ``norm`` behind it and a ReLU, for a batch of this shape."""
    parts = [copy_of(layer), *([copy_of(norm)] if norm is not None else []), nn.ReLU()]
    shape = list(shape)
    shape[channel_dim(layer, torch.empty(shape))] = inputs
    weight = layer.weight.movedim(output_dim(layer), 0)[:outputs]
    weight = weight if is_depthwise(layer) else weight[:, :inputs] if getattr(layer, "groups", 1) == 1 else weight
    parts[0].weight = nn.Parameter(weight.movedim(0, output_dim(layer)).contiguous())
    if is_depthwise(layer):
        parts[0].groups = outputs
    for part in parts[: 1 if norm is None else 2]:
        for name, tensor in [*part.named_parameters(), *part.named_buffers()]:
            if tensor.ndim == 1:
                smaller = tensor[:outputs].clone()
                setattr(part, name, nn.Parameter(smaller) if isinstance(tensor, nn.Parameter) else smaller)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(layer.weight)
    return _shortest(nn.Sequential(*parts).eval(), x.contiguous(memory_format=layout) if x.ndim == 4 else x)


def _shortest(module: nn.Module, x: Tensor) -> float:
    """The shortest of some turns of a forward pass in milliseconds."""
    code = "with torch.inference_mode(): module(x)"
    timer = Timer(code, globals={"torch": torch, "module": module, "x": x}, num_threads=torch.get_num_threads())
    passes = min(50, max(1, int(0.003 / timer.timeit(1).mean)))
    return 1000 * min(timer.timeit(passes).mean for _ in range(TURNS))
