"""Sensitivity: how much accuracy is lost when one group of layers is pruned alone."""

from collections.abc import Iterable

import pandas as pd
import torch
from torch import nn
from tqdm.auto import tqdm

from .data import ImageData
from .groups import coupled_layers
from .importance import Criterion, score
from .masks import mask
from .thresholds import keep_by_ratio
from .training import accuracy

RATIOS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def sensitivity(
    model: nn.Module,
    data: ImageData,
    criterion: Criterion = "attention",
    ratios: Iterable[float] = RATIOS,
    *,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Prune each group of coupled layers alone and measure the validation accuracy (0–1), without any training.

    Returns a table with a row for each group, named after its layers, and a column for each of the pruning ``ratios`` (0–1).
    ``criterion``: a name that ``importance`` knows, or a function of the model that returns importance. Layers of one group
    lose the same channels: the ones whose importance, in units of their layer's mean size, is lowest on average.

    Raises ValueError or TypeError as ``importance`` and ``keep_by_ratio`` do.
    """
    scores = score(model, criterion, data, seed)
    ratios = list(ratios)
    groups = [group for group in coupled_layers(model, data.image_shape) if set(group) <= scores.keys()]
    table = pd.DataFrame(index=[" + ".join(group) for group in groups], columns=ratios, dtype=float)
    with tqdm(total=table.size, unit="network", disable=not progress) as bar:
        for name, group in zip(table.index, groups, strict=True):
            shared = torch.stack([scores[layer] / scores[layer].abs().mean().clamp(min=1e-12) for layer in group]).mean(
                dim=0
            )
            for ratio in ratios:
                stays = keep_by_ratio({name: shared}, ratio)[name]
                table.loc[name, ratio] = accuracy(mask(model, dict.fromkeys(group, stays)), data, "validation")
                bar.update()
    return table
