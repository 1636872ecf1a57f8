"""Schedules: how much is pruned when, and how much training lies in between."""

import time
from typing import NamedTuple

import pandas as pd
from torch import Tensor, nn

from ..data.images import ImageData
from ..networks.inference import accuracy
from ..networks.kinds import width
from ..networks.training import fine_tune
from .groups import couple, groups_of
from .importance import Criterion, prunable_layers, score
from .masks import mask, mask_
from .removal import remove
from .repair import repair
from .silence import live_channels
from .thresholds import keep_by_ratio

SHAPES = ("linear", "cubic")


def ratio_schedule(pruning_ratio: float, stages: int, shape: str = "linear") -> list[float]:
    """Return the share of channels (0–1) that is gone after each of ``stages`` stages; the last is ``pruning_ratio``.

    ``"linear"``: the same share in every stage. ``"cubic"``: much at first and ever less, r · (1 − (1 − t/n)³) after stage t
    of n (Zhu and Gupta, 2017, arXiv:1710.01878, equation 1). One stage is one-shot pruning.
    Raises ValueError for a ratio outside 0–1, fewer than one stage, or an unknown shape.
    """
    if not 0 <= pruning_ratio <= 1:
        raise ValueError(f"pruning_ratio must lie between 0 and 1, got {pruning_ratio}")
    if stages < 1:
        raise ValueError(f"stages must be at least 1, got {stages}")
    if shape not in SHAPES:
        raise ValueError(f"shape must be 'linear' or 'cubic', got {shape!r}")
    left = [1 - stage / stages for stage in range(1, stages + 1)]
    return [pruning_ratio * (1 - (share if shape == "linear" else share**3)) for share in left]


class Pruned(NamedTuple):
    """``model``: the pruned network. ``stages``: a table of what happened, a row for each stage."""

    model: nn.Module
    stages: pd.DataFrame


def prune_in_stages(
    model: nn.Module,
    data: ImageData,
    pruning_ratio: float,
    stages: int = 1,
    epochs: int = 4,
    *,
    shape: str = "linear",
    criterion: Criterion = "attention",
    scope: str = "local",
    repaired: bool = False,
    removed: bool = False,
    seed: int = 0,
    **training,
) -> Pruned:
    """Prune a copy of ``model`` in ``stages`` steps, fine-tuning after each; ``epochs`` is the sum over all stages.

    Each stage scores the network anew and takes as many channels as ``ratio_schedule`` asks for, in shares of what ``model``
    has at the start. ``criterion``: a name that ``importance`` knows, or a function of the model that returns importance.
    ``repaired``: solve the layers behind the pruned ones again before each fine-tuning (``repair``). ``removed``: cut the
    silent channels out after each stage, where ``remove`` knows how: training takes less time, and the next stage no longer
    counts weights that read what is gone; else the result is masked. ``training``: options of ``fine_tune``. Where the
    epochs cannot be shared out evenly, early stages get one more.

    The table has the columns ``stage``, ``pruning_ratio``, ``pruned_accuracy`` (before fine-tuning), ``epochs``,
    ``accuracy`` (after it; both on validation images, 0–1) and ``seconds``. Raises ValueError if there are fewer epochs than
    stages.
    """
    ratios = ratio_schedule(pruning_ratio, stages, shape)
    if epochs < stages:
        raise ValueError(f"epochs must be at least the number of stages, {stages}, so that each has one; got {epochs}")
    widths = channels_of(model, data.example_inputs)
    rows = []
    for number, ratio in enumerate(ratios):
        start = time.perf_counter()
        model = prune_to(model, data, ratio, widths, criterion, scope=scope, repaired=repaired, removed=removed, seed=seed)
        before, share = accuracy(model, data, "validation"), epochs // stages + (number < epochs % stages)
        history = fine_tune(model, data, share, seed=seed + number, **training)
        rows.append(
            {
                "stage": number + 1,
                "pruning_ratio": ratio,
                "pruned_accuracy": before,
                "epochs": share,
                "accuracy": history.validation_accuracy.iloc[-1],
                "seconds": time.perf_counter() - start,
            }
        )
    return Pruned(model, pd.DataFrame(rows))


class AttentionPruner:
    """A callback of ``train`` that scores the network and prunes it after each epoch: the texts' strategy object.

    After the first ``epochs`` epochs ``pruning_ratio`` of the channels are silent, a little more after each, as
    ``ratio_schedule`` says; what training is left then fine-tunes. The network gets its masks in place and keeps them, so
    nothing comes back. Coupled layers lose the same channels. ``criterion`` is a name that ``importance`` knows and that
    needs no data, or a function of the model. Adds ``pruning_ratio`` to the row of each epoch. Use a new one for each
    training.
    """

    def __init__(
        self,
        pruning_ratio: float,
        epochs: int,
        *,
        shape: str = "cubic",
        criterion: Criterion = "attention",
        scope: str = "local",
        seed: int = 0,
    ):
        self.ratios = ratio_schedule(pruning_ratio, epochs, shape)
        self.criterion, self.scope, self.seed = criterion, scope, seed

    def __call__(self, model: nn.Module, row: dict) -> None:
        """Prune ``model`` to the share of epoch ``row["epoch"]``."""
        row["pruning_ratio"] = self.ratios[min(row["epoch"], len(self.ratios)) - 1]
        if row["epoch"] <= len(self.ratios):
            scores = couple(score(model, self.criterion, seed=self.seed), groups_of(model).names)
            mask_(model, _keep_of_widths(model, scores, channels_of(model), row["pruning_ratio"], self.scope))


def channels_of(model: nn.Module, example_inputs=None) -> dict[str, int]:
    """Return {name: number of channels, silent ones included} of every prunable layer."""
    return {name: width(layer) for name, layer in prunable_layers(model, example_inputs=example_inputs).items()}


def prune_to(
    model: nn.Module,
    data: ImageData,
    pruning_ratio: float,
    widths: dict[str, int],
    criterion: Criterion = "attention",
    *,
    repaired: bool = False,
    removed: bool = False,
    seed: int = 0,
    **how,
) -> nn.Module:
    """Return ``model`` without the share ``pruning_ratio`` of its original ``widths``; part of it may be gone already.

    ``repaired``, ``removed``: as in ``prune_in_stages``; the rest as for ``masked_to``.
    """
    masked = masked_to(model, data, pruning_ratio, widths, criterion, seed=seed, **how)
    if repaired:
        masked = repair(masked, data, dense=model, seed=seed)
    return remove(masked, data.example_inputs) if removed else masked


def masked_to(
    model: nn.Module,
    data: ImageData,
    pruning_ratio: float,
    widths: dict[str, int],
    criterion: Criterion = "attention",
    *,
    scope: str = "local",
    seed: int = 0,
) -> nn.Module:
    """Do the first part of ``prune_to``: score, couple, choose, mask."""
    groups = groups_of(model, data.example_inputs)
    scores = couple(score(model, criterion, data, seed), groups.names)
    return mask(model, _keep_of_widths(model, scores, widths, pruning_ratio, scope))


def _keep_of_widths(
    model: nn.Module, scores: dict[str, Tensor], widths: dict[str, int], ratio: float, scope: str
) -> dict[str, Tensor]:
    """``keep_by_ratio``, with the ratio in shares of ``widths`` and only what is not silent yet to choose from."""
    if unknown := scores.keys() - widths.keys():
        raise ValueError(f"criterion scored {sorted(unknown)}, but the prunable layers of this model are {list(widths)}")
    live = {name: stays.cpu() for name, stays in live_channels(model).items()}
    keep = {}
    for group in [list(scores)] if scope == "global" else [[name] for name in scores]:
        original, now = sum(widths[name] for name in group), sum(int(live[name].sum()) for name in group)
        share = max(0.0, 1 - (original - round(ratio * original)) / now)
        for name, stays in keep_by_ratio({name: scores[name][live[name]] for name in group}, share, scope).items():
            keep[name] = live[name].masked_scatter(live[name], stays)
    return keep
