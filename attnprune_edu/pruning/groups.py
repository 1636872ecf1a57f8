"""Groups of coupled layers: what a residual addition or a depthwise convolution ties together can only be pruned together.

Which layers those are is followed through a forward pass (``networks.dataflow``), and then measured: a few channels of every
group are really cut out of a copy. Where the network would compute something else, because its code counts on a number of
channels, the group stays.
"""

import contextlib
import inspect
import itertools
import time
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..networks.attention_layer import take_over, why_not_ours
from ..networks.dataflow import Flow, follow
from ..networks.inference import call, evaluating, inputs_for
from ..networks.kinds import Layer, Recurrent, layers_with_channels, readers, rows, width
from ..networks.measuring import settings
from ..networks.models import copy_of
from .cutting import TOLERANCE, apart, cut, outputs_of, silence
from .silence import unmask

SIDES = (32, 64, 224)  # pixels or steps of example inputs to try first, where nobody hands any over
MOST = 320
PATIENCE = 5.0  # seconds to look for them


@dataclass(frozen=True)
class Groups:
    """What is known about the channels of a network.

    ``names``: a tuple of layer names for each group that can be pruned, in the network's order; ``stays``: {any other layer:
    why its channels cannot go}; ``flow``: where they flow; ``classes``: for each of its producers a number that those share
    which can only go together; ``tried``: has it been made sure, by cutting, that the groups can be pruned?
    """

    flow: Flow
    classes: list[int]
    names: list[tuple[str, ...]] = field(default_factory=list)
    stays: dict[str, str] = field(default_factory=dict)
    tried: bool = False

    def gone(self, live: dict[str, Tensor]) -> set[int]:
        """The producers that can be cut: silent in all layers of their group. ``live``: {layer: bool (channels,)}."""
        free = {name: live[name].tolist() for group in self.names for name in group}
        speaks = {
            kind
            for (name, channel), kind in zip(self.flow.producers, self.classes, strict=True)
            if name not in free or free[name][channel]
        }
        return self.even({number for number, kind in enumerate(self.classes) if kind not in speaks})

    def even(self, gone: set[int]) -> set[int]:
        """``gone`` without the channels that stay because others of the same module do: torch holds one number of units for
        all layers and directions of a recurrent module."""
        while True:
            lost = [
                [[one for one in gone if self.flow.producers[one][0] == name] for name in names]
                for names in self.flow.one_width
            ]
            excess = [max(each) for module in lost for each in module if len(each) > min(map(len, module))]
            if not excess:
                return gone
            gone = {one for one in gone if self.classes[one] != self.classes[excess[0]]}


def coupled_layers(
    model: nn.Module, image_shape: tuple[int, ...] | None = None, *, example_inputs=None, check: bool = True
) -> list[tuple[str, ...]]:
    """Return the names of the layers of ``model`` whose channels go together, a tuple for each group.

    In a plain chain of layers each group has one layer; layers whose outputs are added up share a group. Groups stand in the
    network's order, and so do the layers of a group. Left out is what cannot go: the layers whose channels reach the outputs
    of the network, and all others that ``unprunable`` names.

    ``image_shape``: (channels, height, width) of the images that ``model`` takes; or ``example_inputs``: a tensor, a tuple
    (handed over as several arguments) or a dictionary (as keyword arguments). ``check=False`` leaves out the trial in which
    a few channels of each group are cut out of a copy, here and in what is done with ``model`` afterwards; a network whose
    code counts on a number of channels then fails only when it has been cut. Raises ValueError as ``unprunable`` does.
    """
    if image_shape is not None:
        example_inputs = torch.zeros(2, *image_shape)
    return list(groups_of(model, example_inputs, check=check).names)


def unprunable(model: nn.Module, example_inputs=None) -> dict[str, str]:
    """Return {layer name: why its channels stay} for each layer of ``model`` with channels that cannot be pruned.

    ``example_inputs``: a small batch of what ``model`` takes, with which its forward pass is followed: a tensor, a tuple
    (handed over as several arguments) or a dictionary (as keyword arguments). None tries inputs that the first layer takes.

    Raises ValueError if the forward pass cannot be followed at all: no inputs were found that fit, it fails, or ``model`` is
    in a wrapper that has to come off first.
    """
    return dict(groups_of(model, example_inputs, check=True).stays)


def groups_of(model: nn.Module, example_inputs=None, *, check: bool | None = None) -> Groups:
    """Everything about the channels of ``model``; found once for a network, and again after its structure has changed.

    ``check``: make sure by cutting that the groups can be pruned; None does so unless somebody has decided against it.
    """
    _refuse_wrappers(model)
    structure = _structure(model)
    known = _KNOWN.get(model)
    if known is None or known[0] != structure or (check and not known[1].tried):
        # A copy, even of a network without masks: other threads may be using this one, and must not run into the hooks.
        known = structure, _find_groups(unmask(model), example_inputs, check is not False)
        _KNOWN[model] = known
    return known[1]


def hand_on(model: nn.Module, same: nn.Module) -> None:
    """Let ``same``, a copy of ``model`` with or without masks, know what is known about the channels of ``model``."""
    if model in _KNOWN:
        _KNOWN[same] = _KNOWN[model]


def couple(importance: dict[str, Tensor], groups: Iterable[tuple[str, ...]]) -> dict[str, Tensor]:
    """Return ``importance`` with the same values for all layers of a group, so that they lose the same channels.

    ``importance``: {layer name: (channels,)}; ``groups``: as ``coupled_layers`` returns them. Each layer of a group has an
    equal say: the values are averaged in units of their layer's mean size, and the result gets back the mean of these sizes,
    so that it can be compared with other groups. A group of one layer stays as it is. Layers of a group that have no
    importance get that of the others; a layer in no group, such as what is tied to the output, is left out.

    Raises ValueError if the layers of a group have different numbers of channels.
    """
    coupled = {}
    for group in groups:
        scores = [importance[name] for name in group if name in importance]
        if len({len(values) for values in scores}) > 1:
            raise ValueError(f"importance must have one number of channels for the coupled layers {list(group)}")
        if len(scores) == 1:
            coupled |= dict.fromkeys(group, scores[0])
        elif scores:
            sizes = [values.abs().mean().clamp(min=1e-12) for values in scores]
            shared = torch.stack([values / size for values, size in zip(scores, sizes, strict=True)]).mean(dim=0)
            coupled |= dict.fromkeys(group, shared * torch.stack(sizes).mean())
    return coupled


_KNOWN: weakref.WeakKeyDictionary[nn.Module, tuple[tuple, Groups]] = weakref.WeakKeyDictionary()


def _structure(model: nn.Module) -> tuple:
    """What the flow of channels depends on: kinds, sizes and settings of all modules, not their weights."""
    parts = []
    for name, module in model.named_modules():
        if "parametrizations" not in name:
            kind = type(module).__base__ if parametrize.is_parametrized(module) else type(module)
            parts.append((name, kind, settings(module)))
    return tuple(parts)


def _refuse_wrappers(model: nn.Module) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}")
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise ValueError(f"model is wrapped in {type(model).__name__}: hand over model.module")
    if hasattr(model, "_orig_mod"):
        raise ValueError("model was compiled by torch.compile: hand over the network it was made from, model._orig_mod")
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError("model is a TorchScript module, whose forward pass cannot be followed: hand over the original")
    for name, module in model.named_modules():
        if "weight" in vars(module) and isinstance(vars(module)["weight"], Tensor):  # no parameter: a hook writes it
            how = "prune.remove(layer, 'weight')" if hasattr(module, "weight_mask") else "remove_weight_norm(layer)"
            raise ValueError(
                f"the weight of {name!r} is computed from others by a hook of torch.nn.utils: fold it first, by {how}"
            )


def _computed_weights(plain: nn.Module) -> dict[str, str]:
    """{layer: why it stays} for those whose weight is computed from others at every pass, as by ``weight_norm``."""
    found = {}
    owners: dict[int, str] = {}
    for name, layer in layers_with_channels(plain).items():
        parts = rows(layer).parts
        weights = [getattr(module, part) for module, part in parts if "weight" in part]
        computed = [module.parametrizations for module, part in parts if parametrize.is_parametrized(module, part)]
        if computed:
            steps = [type(step).__name__.strip("_") for steps in computed[0].values() for step in steps]
            found[name] = (
                f"its weight is computed from others ({', '.join(steps)}): fold it first, by "
                "torch.nn.utils.parametrize.remove_parametrizations"
            )
        elif first := next((owners[id(weight)] for weight in weights if id(weight) in owners), None):
            found[name] = f"it shares its weight with {first!r}"
            found.setdefault(first, f"it shares its weight with {name!r}")
        owners |= dict.fromkeys(map(id, weights), name)
    return found


@torch.no_grad()
def _find_groups(plain: nn.Module, example_inputs, check: bool) -> Groups:
    if example_inputs is None:
        example_inputs = inputs_that_fit(plain)
    not_ours = take_over_attention(plain)[1]
    try:
        flow = follow(plain, example_inputs)
    except ValueError:
        raise
    except Exception as error:  # whatever a foreign forward pass raises
        raise ValueError(
            f"the forward pass of model fails for example_inputs, so its channels cannot be followed: {error}"
        ) from error
    classes = flow.classes()
    layers = {name: layer for name, layer in layers_with_channels(plain).items() if name in flow.first}
    for name, reason in _computed_weights(plain).items():
        if name in layers:
            for number in range(width(layers[name])):
                flow.stays.setdefault(flow.first[name] + number, reason)
            for reader in readers(layers[name], name):
                for producer in frozenset().union(*flow.inputs.get(reader.key, [])):
                    flow.stays.setdefault(producer, f"{name!r} reads it, and {reason}")
    reason_of: dict[int, tuple[str, str]] = {}
    for producer, reason in flow.stays.items():
        reason_of.setdefault(classes[producer], (flow.producers[producer][0], reason))

    together: dict[str, set[str]] = {name: {name} for name in layers}
    owners: dict[int, set[str]] = {}
    for (name, _), kind in zip(flow.producers, classes, strict=True):
        owners.setdefault(kind, set()).add(name)
    for sharing in owners.values():
        joined = set().union(*(together[name] for name in sharing))
        together |= dict.fromkeys(joined, joined)

    groups, stays = [], flow.uncalled | not_ours
    for name in layers:
        if name in stays or any(name in group for group in groups):
            continue
        group = tuple(other for other in layers if other in together[name])
        rows = [[classes[flow.first[member] + n] for n in range(width(layers[member]))] for member in group]
        blocked = next((reason_of[kind] for row in rows for kind in row if kind in reason_of), None)
        if blocked is None and (any(row != rows[0] for row in rows) or len(set(rows[0])) != len(rows[0])):
            blocked = name, "its channels are coupled with channels of another number"
        if blocked:
            for member in group:
                stays[member] = blocked[1] if member == blocked[0] else f"coupled with {blocked[0]!r}: {blocked[1]}"
        else:
            groups.append(group)
    found = _of_one_width(Groups(flow, classes, groups, stays))
    return _tried(plain, found, example_inputs) if check else found


def take_over_attention(plain: nn.Module) -> tuple[list[str], dict[str, str]]:
    """Put ``Attention``, which can lose heads, in the place of torch's own; return the names of those, and {name: why} of
    those that must stay."""
    taken_over, refused = [], {}
    for name, layer in layers_with_channels(plain).items():
        if isinstance(layer, nn.MultiheadAttention):
            reason = why_not_ours(layer) if name else "it is the whole network, and nothing else can take its place"
            if reason:
                refused[name] = reason
            else:
                take_over(plain, name)
                taken_over.append(name)
    return taken_over, refused


def _of_one_width(groups: Groups) -> Groups:
    """``groups`` without layers of a recurrent module that has others whose units stay."""
    free, stays = list(groups.names), dict(groups.stays)
    while True:
        held = [(names, next((name for name in names if name in stays), None)) for names in groups.flow.one_width]
        lost = {group: first for names, first in held if first for group in free if not set(group).isdisjoint(names)}
        if not lost:
            return replace(groups, names=free, stays=stays)
        for group, first in lost.items():
            free.remove(group)
            stays |= dict.fromkeys(group, f"torch holds one number of units for it and {first!r}: {stays[first]}")


def _tried(plain: nn.Module, groups: Groups, example_inputs) -> Groups:
    """``groups`` without those that cannot be cut out of ``plain`` by removing entries of its layers and normalisations."""
    if not groups.names or _can_be_cut(plain, groups, groups.names, example_inputs):
        return replace(groups, tried=True)
    good, stays = [], dict(groups.stays)
    for group in groups.names:
        if _can_be_cut(plain, groups, [*good, group], example_inputs):
            good.append(group)
        else:
            stays |= dict.fromkeys(group, "the forward pass counts on its number of channels")
    found = _of_one_width(replace(groups, names=good, stays=stays, tried=True))
    order = list(layers_with_channels(plain))
    return replace(found, stays={name: found.stays[name] for name in order if name in found.stays})


def _can_be_cut(plain: nn.Module, groups: Groups, names: list[tuple[str, ...]], example_inputs) -> bool:
    """Does ``plain`` without some channels of the groups ``names`` compute what it does with these channels silent?

    That must not hang on its weights, which may be zero, tiny or NaN: random ones take their place.
    """
    generator, gone, layers = torch.Generator().manual_seed(0), set(), layers_with_channels(plain)
    for group in names:
        half = width(layers[group[0]]) // 2
        if half:
            # Of each group another number, and from its first half alone: code that splits or shuffles channels in equal
            # parts must not find its parts equal by chance.
            count = int(torch.randint(1, half // 2 + 2, (), generator=generator))
            some = torch.randperm(half, generator=generator)[:count].tolist()
            gone |= {groups.flow.first[name] + channel for name in group for channel in some}
    gone = groups.even(gone)
    trial = copy_of(plain)
    for parameter in trial.parameters():
        values = torch.empty(parameter.shape)
        many = parameter.ndim > 1
        nn.init.kaiming_uniform_(values, generator=generator) if many else values.uniform_(generator=generator)
        parameter.copy_(values)
    silence(trial, groups.flow, gone)
    try:
        before = outputs_of(trial, example_inputs)
        cut(trial, groups.flow, gone)
        return apart(before, outputs_of(trial, example_inputs)) <= TOLERANCE
    except Exception:  # whatever a forward pass raises that finds fewer channels than it counts on
        return False


@torch.no_grad()
def inputs_that_fit(plain: nn.Module) -> tuple[Tensor, ...]:
    """Random numbers that the forward pass takes: a batch of 2 for each of its arguments, of shapes that its layers take."""
    start = time.monotonic()
    asked = inspect.signature(plain.forward).parameters.values()
    count = sum(1 for one in asked if one.default is one.empty and one.kind is one.POSITIONAL_OR_KEYWORD) or 1
    kinds = [module for module in plain.modules() if isinstance(module, Layer | Recurrent | nn.Embedding)]
    sides = (*SIDES, *(side for side in range(1, MOST + 1) if side not in SIDES))
    shapes = (dict.fromkeys(shape for module in kinds for shape in _shapes_for(module, side)) for side in sides)
    for chosen in itertools.chain.from_iterable(itertools.product(some, repeat=count) for some in shapes):
        if time.monotonic() - start > PATIENCE:
            break
        generator = torch.Generator().manual_seed(0)
        inputs = tuple(
            torch.randint(tokens, shape, generator=generator) if tokens else torch.randn(shape, generator=generator)
            for shape, tokens in chosen
        )
        with evaluating(plain), contextlib.suppress(Exception):  # whatever a foreign forward pass raises
            call(plain, inputs_for(plain, inputs))
            return inputs
    raise ValueError("model must be followed through a forward pass, and no inputs were found that fit: give example_inputs")


def _shapes_for(module: nn.Module, side: int) -> list[tuple[tuple[int, ...], int]]:
    """Shapes of inputs that ``module`` takes, each with the number of tokens to draw from, 0 for numbers."""
    if isinstance(module, nn.Embedding):
        return [((2, side), module.num_embeddings)]
    if isinstance(module, nn.Linear):
        return [((2, module.in_features), 0), ((2, side, module.in_features), 0)]
    if isinstance(module, Recurrent):
        return [((2, side, module.input_size), 0)]
    return [((2, module.in_channels, *[side] * len(module.kernel_size)), 0)]
