"""Single weights: the finest level, and an honest count of what zeros save.

A zero is a number like any other until somebody stores and multiplies without it. Storage can: the zeros are left out, but
then it must say where the others are. A multiplication of dense matrices cannot, so that single zeros save no time here.
"""

import torch
from torch import Tensor, nn

from ..networks.kinds import plain_layers
from .masks import mask_weights
from .silence import unmask


def keep_largest(model: nn.Module, budget: int) -> nn.Module:
    """Return a copy of ``model`` with masks on its smallest weights, so that ``budget`` parameters are not masked.

    Weights of different layers are compared in units of the root mean square of their layer. Biases and normalisations stay,
    and so do recurrent layers, what makes heads of attention, and the largest weight of each layer. Raises ValueError if
    ``budget`` is below the number of these.
    """
    weights = {name: layer.weight.detach().abs() for name, layer in plain_layers(unmask(model)).items()}
    room = budget - (sum(parameter.numel() for parameter in model.parameters()) - sum(map(Tensor.numel, weights.values())))
    if room < len(weights):
        raise ValueError(
            f"budget must leave a weight to each layer, at least {budget - room + len(weights):,}, got {budget:,}"
        )
    sizes = {name: weight / weight.square().mean().sqrt().clamp(min=1e-12) for name, weight in weights.items()}
    for size in sizes.values():
        size.view(-1)[size.argmax()] = torch.inf
    flat = torch.cat([size.flatten() for size in sizes.values()])
    stays = torch.zeros(len(flat), dtype=torch.bool)
    stays[flat.argsort(descending=True, stable=True)[:room].cpu()] = True
    parts = stays.split([weight.numel() for weight in weights.values()])
    return mask_weights(model, {name: part.view_as(weights[name]) for name, part in zip(weights, parts, strict=True)})


def count_nonzero(model: nn.Module) -> int:
    """Number of parameters of ``model`` that do not read as zero."""
    return sum(int(parameter.count_nonzero()) for parameter in unmask(model).parameters())


def sparse_bytes(model: nn.Module) -> int:
    """Bytes of the parameters of ``model`` in float32, with what tells where the non-zero ones are.

    Each tensor in whichever way takes least: all its numbers; the non-zero ones and a bit for each place; or the non-zero
    ones and for each the column, in four bytes, and for each row where it begins (CSR).
    """
    total = 0
    for parameter in unmask(model).parameters():
        count, nonzero, rows = parameter.numel(), int(parameter.count_nonzero()), parameter.shape[0] if parameter.ndim else 1
        total += min(4 * count, 4 * nonzero + (count + 7) // 8, 8 * nonzero + 4 * (rows + 1))
    return total
