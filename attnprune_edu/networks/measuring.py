"""What an operation or a normalisation does to channels, measured by putting other numbers in."""

import torch
from torch import Tensor, nn


def distinct(labels: Tensor) -> list[int]:
    """The labels that occur, without 0."""
    counts = torch.bincount(labels.flatten())
    return [label for label in counts.nonzero().flatten().tolist() if label]


def depends_on(run, x: Tensor, labels: Tensor, outputs: list[Tensor]) -> tuple[list[Tensor], bool]:
    """The one label of ``x`` that each element of each output depends on (0: none), and whether some depend on several.

    ``run(x)``: the floating-point outputs. Each label has a number, and NaN stands in turn in the place of all labels that
    have bit b of it, and of all that have not.
    """
    known = torch.tensor(distinct(labels), dtype=torch.int32, device=labels.device)
    codes = torch.searchsorted(known, labels.contiguous()) + 1  # numbers from 1, so that each has at least one bit
    code = [torch.zeros_like(output, dtype=torch.int64) for output in outputs]
    reached = [torch.zeros_like(output, dtype=torch.bool) for output in outputs]
    mixed = False
    for bit in range(len(known).bit_length()):
        has_bit = (codes >> bit & 1).bool()
        sides = [run(x.masked_fill(chosen & (labels > 0), torch.nan)) for chosen in (has_bit, ~has_bit)]
        for number, (with_bit, without) in enumerate(zip(*sides, strict=True)):
            one, other = with_bit.isnan(), without.isnan()
            mixed |= bool((one & other).any())
            reached[number] = one | other
            code[number] += one.long() << bit
    found = []
    for number, there in zip(code, reached, strict=True):
        label = known[(number - 1).clamp(0, len(known) - 1)]
        found.append(torch.where(there & (not mixed), label, 0).int())
    return found, mixed


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
