"""Whole blocks: the levels of a network that can be taken out, because the signal flows around them as well.

A residual block returns relu(x + F(x)). With F silent it returns what it was given, which a ReLU before it made positive
already: nothing is lost by putting the identity in its place. Where that holds is not looked up in a list of known classes
but measured: a block is silenced in a copy, and what comes out of it is compared with what went in.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..networks.inference import call, evaluating, inputs_for
from ..networks.models import copy_of
from .cutting import TOLERANCE
from .groups import hand_on, inputs_that_fit
from .silence import unmask


@torch.no_grad()
def removable_blocks(model: nn.Module, example_inputs=None) -> list[str]:
    """Return the names of the modules of ``model`` that pass on what they are given once their last layer is silent.

    Those are residual blocks whose shortcut is the identity, in the network's order. A block inside another one that can go
    as a whole is not named. ``example_inputs``: a small batch of what ``model`` takes, as for ``remove``; None tries some.
    """
    plain = unmask(model)
    example_inputs = inputs_for(plain, inputs_that_fit(plain) if example_inputs is None else example_inputs)
    found: list[str] = []
    for name, block in plain.named_modules():
        inside = found and name.startswith(f"{found[-1]}.")
        if name and not inside and len(_with_parameters(block)) > 1 and _passes_on(plain, name, example_inputs):
            found.append(name)
    return found


@torch.no_grad()
def silence_blocks(model: nn.Module, blocks: Iterable[str]) -> nn.Module:
    """Return a copy of ``model`` whose ``blocks`` add nothing any more: their last layer or normalisation is zero.

    It computes what ``remove_blocks`` returns, with all layers still in their places, so that it can be repaired. Raises
    ValueError for a name that is no module of ``model`` with layers in it.
    """
    silent = copy_of(model)
    hand_on(model, silent)
    for name in blocks:
        for parameter in _last_of(silent, name).parameters():
            parameter.zero_()
    return silent


def remove_blocks(model: nn.Module, blocks: Iterable[str]) -> nn.Module:
    """Return a copy of ``model`` with ``nn.Identity`` in place of each of its ``blocks``.

    Take names that ``removable_blocks`` returned: only there does the rest of the network still fit together. Raises
    ValueError as ``silence_blocks`` does.
    """
    smaller = copy_of(model)
    for name in blocks:
        _last_of(smaller, name)
        smaller.set_submodule(name, nn.Identity())
    return smaller


def _with_parameters(block: nn.Module) -> list[nn.Module]:
    return [module for module in block.modules() if next(module.parameters(recurse=False), None) is not None]


def _last_of(model: nn.Module, name: str) -> nn.Module:
    """The last layer or normalisation in the block called ``name``, in the order of definition."""
    known = dict(model.named_modules())
    layers = _with_parameters(known[name]) if name in known else []
    if not layers:
        raise ValueError(f"blocks must name modules of this model with layers in them, got {name!r}")
    return layers[-1]


def _passes_on(plain: nn.Module, name: str, example_inputs) -> bool:
    """Does the block called ``name`` return what it is given once its last layer is silent?"""
    silent, seen = silence_blocks(plain, [name]), []

    def compare(_, inputs, output):
        same = len(inputs) == 1 and all(isinstance(part, Tensor) for part in (inputs[0], output))
        same = same and inputs[0].shape == output.shape
        seen.append(bool(same and (output - inputs[0]).abs().max() <= TOLERANCE * inputs[0].abs().max()))

    hook = silent.get_submodule(name).register_forward_hook(compare)
    with evaluating(silent):
        call(silent, example_inputs)
    hook.remove()
    return bool(seen) and all(seen)
