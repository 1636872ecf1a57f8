"""Sensitivity: how much accuracy is lost when one group of layers is pruned alone."""

from collections.abc import Iterable

import pandas as pd
from torch import nn
from tqdm.auto import tqdm

from ..data.images import ImageData
from ..networks.inference import accuracy
from ..pruning.groups import couple, groups_of
from ..pruning.importance import Criterion, score
from ..pruning.masks import mask
from ..pruning.thresholds import keep_by_ratio

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
    lose the same channels (``couple``).

    Raises ValueError or TypeError as ``importance`` and ``keep_by_ratio`` do.
    """
    ratios, groups = list(ratios), groups_of(model, data.example_inputs).names
    scores = couple(score(model, criterion, data, seed), groups)
    groups = [group for group in groups if set(group) <= scores.keys()]
    table = pd.DataFrame(index=[" + ".join(group) for group in groups], columns=ratios, dtype=float)
    with tqdm(total=table.size, unit="network", disable=not progress) as bar:
        for name, group in zip(table.index, groups, strict=True):
            for ratio in ratios:
                stays = keep_by_ratio({layer: scores[layer] for layer in group}, ratio)
                table.loc[name, ratio] = accuracy(mask(model, stays), data, "validation")
                bar.update()
    return table
