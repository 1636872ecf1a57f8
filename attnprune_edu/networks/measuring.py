"""What an operation or a normalisation does to channels, measured by putting other numbers in."""

import itertools
import math

import torch
from torch import Tensor, nn


def distinct(labels: Tensor) -> list[int]:
    """The labels that occur, without 0."""
    if not labels.any():
        return []
    counts = torch.bincount(labels.flatten())
    return [label for label in counts.nonzero().flatten().tolist() if label]


def depends_on(run, x: Tensor, labels: Tensor, outputs: list[Tensor]) -> tuple[list[Tensor], bool]:
    """The one label of ``x`` that each element of each output depends on (0: none), and whether some depend on several.

    ``run(x)``: the floating-point outputs. In pass after pass NaN stands in the place of half of the labels. Each label has
    it in equally many passes, and no two in the same ones: an element that is NaN in more passes depends on several labels.
    """
    known = distinct(labels)
    passes = next(number for number in itertools.count(1) if math.comb(number, number // 2 or 1) >= len(known))
    chosen = itertools.islice(itertools.combinations(range(passes), passes // 2 or 1), len(known))
    codes = [sum(1 << one for one in some) for some in chosen]
    code_of = torch.zeros(max(known) + 1, dtype=torch.int64, device=labels.device)
    label_of = torch.zeros(1 << passes, dtype=torch.int32, device=labels.device)
    code_of[known] = torch.tensor(codes, device=labels.device)
    label_of[codes] = torch.tensor(known, dtype=torch.int32, device=labels.device)
    own = code_of[labels.long()]
    found = [torch.zeros_like(output, dtype=torch.int64) for output in outputs]
    for number in range(passes):
        reached = run(x.masked_fill((own >> number & 1).bool(), torch.nan))
        found = [code | result.isnan().long() << number for code, result in zip(found, reached, strict=True)]
    one_label = [label_of[code] for code in found]
    mixed = any(((code > 0) & (label == 0)).any() for code, label in zip(found, one_label, strict=True))
    return [torch.zeros_like(label) for label in one_label] if mixed else one_label, mixed


def settings(module: nn.Module) -> str:
    """All that a module keeps as plain values, but its mode: modules of one class that agree in it are built alike."""
    kinds = (int, str, float, tuple)
    return repr([pair for pair in vars(module).items() if isinstance(pair[1], kinds) and pair[0] != "training"])


def _vectors(module: nn.Module) -> dict[str, Tensor]:
    """The parameters and buffers of a module by name, without single numbers."""
    return {name: tensor for name, tensor in [*module.named_parameters(), *module.named_buffers()] if tensor.ndim}


def size_of_each(module: nn.Module) -> int | None:
    """n, if this module holds nothing but vectors of n numbers (and single ones): something for each of n channels."""
    if any(name != "parametrizations" for name, _ in module.named_children()):
        return None
    shapes = {tensor.shape for tensor in _vectors(module).values()}
    return next(iter(shapes))[0] if len(shapes) == 1 and len(next(iter(shapes))) == 1 else None


def speaks(norm: nn.Module, quiet: Tensor, labels: Tensor, masked: bool = False) -> bool:
    """Does ``norm``, whatever it has learned, make another number of a silent channel? Also if its parameters are zero?"""
    parameters = dict(norm.named_parameters())
    generator = torch.Generator().manual_seed(0)
    learned = {}
    for name, tensor in _vectors(norm).items():
        if tensor.is_floating_point():
            value = torch.rand(tensor.shape, generator=generator).to(tensor) + 0.5
            learned[name] = torch.zeros_like(value) if masked and name in parameters else value
    return bool(((torch.func.functional_call(norm, learned, (quiet,)) != 0) & (labels > 0)).any())
