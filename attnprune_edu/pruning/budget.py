"""One budget for a whole network: how much each group of channels and each block may keep, and single weights at the end.

Three steps. Curves say what each part is worth: how much the loss rises when this part alone gets smaller, *after repair*,
for most of what a plain cut costs comes back without training. A knapsack chooses the widths whose losses add up to the
least within the budget. What its coarse grid leaves over is filled up channel by channel.

The one assumption is that the losses of several parts add up. Costs are exact: they are those of the network that results,
or more where a recurrent layer or attention has fewer channels to read (``cost_terms``).
"""

import contextlib
import itertools
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy.interpolate import PchipInterpolator
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from ..data.images import ImageData
from ..networks.inference import predict
from .blocks import removable_blocks, remove_blocks, silence_blocks
from .costs import COSTS, cost_terms, dense_choice
from .groups import couple, groups_of
from .importance import Criterion, score
from .knapsack import Term, greedy, in_figures, knapsack, total_cost
from .latency import batch_of, share_of_time
from .masks import mask
from .multiples import check_round_to, fewest, narrower, nearest_width, wider, width_within
from .removal import remove
from .repair import repair
from .silence import masks_of, weight_masks_of
from .single_weights import count_nonzero, keep_largest

LEVELS = ("layers", "filters", "weights")
METHODS = ("knapsack", "greedy", "uniform")
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 3 / 4)  # of the channels of a group at which its curve is measured
STEPS = 16  # widths of a group that the knapsack chooses from
OVERFLOWS = (1, 2, 4)  # how many times the budget the channels may take, where single weights go last
SLACK = 0.01  # of the budget: not worth looking for a use for
QUICK = {"num_images": 500, "positions": 10}  # of repair, for curves


@dataclass(frozen=True)
class Plan:
    """What ``allocate`` found.

    ``model``: the network, repaired and really smaller; ``cost``: in what it was counted; ``budget``, ``spent`` and
    ``dense``: what it was allowed to cost, what it costs, and what the dense network costs, in MACs, parameters or
    milliseconds; ``kept``: a row for each group of channels, called by its first layer, and for each block that could go,
    with ``level`` (``"filters"`` or ``"layers"``), ``kept`` and ``of``; ``nonzero``: weights and biases that are not masked.
    Milliseconds are ``spent`` as planned, layer by layer; ``measured`` is what the network took in the end, as a share of
    what the dense one took in turns with it, times ``dense``. It is None for other costs.
    """

    model: nn.Module
    cost: str
    budget: float
    spent: float
    dense: float
    kept: pd.DataFrame
    nonzero: int
    measured: float | None = None

    @property
    def removed_blocks(self) -> list[str]:
        """The blocks that have gone, with all their layers."""
        return list(self.kept.index[(self.kept.level == "layers") & (self.kept.kept == 0)])

    def __repr__(self) -> str:
        unit = {"macs": "MACs", "params": "parameters", "latency": "ms"}[self.cost]
        widths = ", ".join(f"{name} {row.kept}/{row.of}" for name, row in self.kept[self.kept.level == "filters"].iterrows())
        blocks = f"; without the blocks {', '.join(self.removed_blocks)}" if self.removed_blocks else ""
        measured = "" if self.measured is None else f", measured {self.measured / self.dense:.1%}"
        of = f"{in_figures(self.spent)} of {in_figures(self.dense)} {unit}"
        return f"{of} ({self.spent / self.dense:.1%}{measured}): {widths}{blocks}"


def allocate(
    model: nn.Module,
    data: ImageData,
    budget: float,
    *,
    cost: str = "macs",
    levels: Iterable[str] = ("layers", "filters"),
    method: str = "knapsack",
    criterion: Criterion = "attention",
    curves: pd.DataFrame | None = None,
    round_to: int = 1,
    batch_size: int = 64,
    seed: int = 0,
    progress: bool = True,
    **repairing,
) -> Plan:
    """Return the plan of a network that costs at most ``budget`` (0–1) of what ``model`` costs.

    ``cost``: ``"macs"``, ``"params"``, or ``"latency"``, milliseconds for a batch of ``batch_size`` images by tables of
    measured layers (``cost_terms``). The network that comes out is measured in turns with ``model``; if it takes longer than
    ``budget``, it is planned once more with a budget that is smaller in the same proportion; the first plan
    stays where no network is that small, and ``measured`` tells. Recurrent layers and attention stay as they are, and count
    with what they cost in ``model``.

    ``levels``: ``"filters"``, channels of convolutions and neurons; ``"layers"``, whole residual blocks, where the network
    has some (``removable_blocks``); ``"weights"``, with ``cost="params"`` alone, for single zeros save no MACs and no time:
    channels then take 1, 2 or 4 times the budget, whichever is best on validation images in the end, and the smallest
    weights are masked, each in units of its layer's root mean square.

    ``method``: ``"knapsack"``, the best combination of widths (see there); ``"greedy"``, one step after the other;
    ``"uniform"``, the same share of each group. All fill up what is left, channel by channel: less than 1 % of the budget
    remains wherever a channel (or ``round_to`` of them) is that small a part of the network. ``curves``: those of
    ``loss_curves`` for this model and criterion, if they are known already; else they are measured. Within a group those
    channels stay that ``criterion`` scores highest. ``round_to``: each group that stays keeps a multiple of it, at least
    one, or all of its channels; more of the budget is then left over. ``repairing``: options of ``repair`` for the network
    at the end.

    Raises ValueError for an unknown name, a budget that is not between 0 and 1 or cannot be met, a ``round_to`` below 1, or
    curves of another network, and TypeError if ``round_to`` is no whole number.
    """
    levels = _checked(model, budget, cost, levels, method)
    check_round_to(round_to)
    blocks = removable_blocks(model, data.example_inputs) if "layers" in levels else []
    dense = dense_choice(model, data, blocks)
    terms = cost_terms(model, data, cost, blocks, batch_size=batch_size)
    whole, scores = total_cost(terms, dense), scores_of(model, data, criterion, seed)
    if method == "uniform":
        losses = {}
    else:
        if curves is None:
            curves = loss_curves(model, data, criterion=criterion, levels=levels, seed=seed, progress=progress)
        losses = _interpolated(curves, dense)

    def within(limit: float) -> dict[str, int]:
        return _chosen(method, losses, dense, blocks if "filters" in levels else [*dense], terms, limit, round_to)

    def built(chosen: dict[str, int], repairing: dict | None = repairing) -> nn.Module:
        return smaller(model, data, scores, chosen, repairing=repairing, seed=seed)

    limit, measured = budget * whole, None
    if "weights" in levels:
        found = []
        for overflow in (factor for factor in OVERFLOWS if factor * budget <= 1):
            chosen = within(overflow * limit)
            sparse = keep_largest(built(chosen), int(limit))
            found.append((loss_on_validation(sparse, data), overflow, chosen, sparse))
        _, _, chosen, network = min(found, key=lambda one: one[:2])
        spent = float(count_nonzero(network))
    else:
        chosen = within(limit)
        if cost == "latency":
            pixels = batch_of(model, data, batch_size)
            share = share_of_time(built(chosen, repairing=None), model, pixels)
            if share > budget:
                with contextlib.suppress(ValueError):  # nothing is that small
                    chosen = within(limit * budget / share)
        network, spent = built(chosen), total_cost(terms, chosen)
        if cost == "latency":
            measured = whole * share_of_time(network, model, pixels)
    gone = [name for name in blocks if not chosen[name]]
    rows = [
        (
            "layers" if name in blocks else "filters",
            0 if name.startswith(tuple(f"{b}." for b in gone)) else chosen[name],
            size,
        )
        for name, size in dense.items()
    ]
    kept = pd.DataFrame(rows, index=list(dense), columns=["level", "kept", "of"])
    return Plan(network, cost, limit, spent, whole, kept, count_nonzero(network), measured)


def loss_curves(
    model: nn.Module,
    data: ImageData,
    *,
    criterion: Criterion = "attention",
    levels: Iterable[str] = ("layers", "filters"),
    shares: Iterable[float] = SHARES,
    repaired: bool = True,
    num_images: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure how much the loss rises when one group of channels, or one block, alone gets smaller.

    Returns a row for each measurement with ``name`` (of a group: its first layer), ``level``, ``kept`` (channels; for a
    block 0), ``of`` and ``loss``: by how much the mean cross-entropy of the first ``num_images`` validation images is above
    that of ``model``. ``levels``: groups of channels ("filters"), blocks ("layers"), or both. ``shares`` (0–1): of the
    channels that stay. ``repaired``: after ``repair`` on 500 training images; without it the curves often point the wrong
    way, because they count what comes back for free. Raises ValueError for unknown levels, or shares that are not between
    0 and 1.
    """
    levels, shares = {levels} if isinstance(levels, str) else set(levels), sorted(shares, reverse=True)
    if not levels & set(LEVELS[:2]) or levels - set(LEVELS):
        raise ValueError(f"levels must be 'layers', 'filters' or both, got {sorted(levels)}")
    if not shares or not all(0 < share < 1 for share in shares):
        raise ValueError(f"shares must hold numbers between 0 and 1, got {shares}")
    blocks = removable_blocks(model, data.example_inputs) if "layers" in levels else []
    dense = dense_choice(model, data, blocks)
    scores, before = scores_of(model, data, criterion, seed), loss_on_validation(model, data, num_images)
    widths = {name: sorted({max(1, round(share * size)) for share in shares} - {size}) for name, size in dense.items()}
    if "filters" not in levels:
        widths.clear()
    cuts = [(name, kept) for name in dense for kept in ([0] if name in blocks else reversed(widths.get(name, [])))]
    rows = []
    for name, kept in tqdm(cuts, unit="network", disable=not progress):
        network = smaller(model, data, scores, dense | {name: kept}, repairing=QUICK if repaired else None, seed=seed)
        rise = loss_on_validation(network, data, num_images) - before
        rows.append((name, "layers" if name in blocks else "filters", kept, dense[name], rise))
    return pd.DataFrame(rows, columns=["name", "level", "kept", "of", "loss"])


def smaller(
    model: nn.Module,
    data: ImageData,
    scores: dict[str, Tensor],
    chosen: dict[str, int],
    *,
    repairing: dict | None,
    seed: int = 0,
) -> nn.Module:
    """Return ``model`` with the widths and blocks that are ``chosen``, cut and, unless ``repairing`` is None, repaired.

    ``scores``: {layer: (channels,)}, the same for coupled layers; the highest stay. ``chosen``: {name: value} as
    ``dense_choice`` returns them. ``repairing``: options of ``repair``.
    """
    groups = [group for group in groups_of(model, data.example_inputs).names if group[0] in chosen]
    sizes = {group[0]: chosen[group[0]] for group in groups}
    gone = [name for name in chosen if name not in sizes and not chosen[name]]
    keep = {}
    for group in groups:
        stays = torch.zeros(len(scores[group[0]]), dtype=torch.bool)
        stays[scores[group[0]].argsort(descending=True, stable=True)[: sizes[group[0]]]] = True
        keep |= dict.fromkeys(group, stays)
    silent = silence_blocks(mask(model, keep, example_inputs=data.example_inputs), gone)
    if repairing is not None and (gone or not all(stays.all() for stays in keep.values())):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a repair that does not help is part of what is measured
            silent = repair(silent, data, dense=model, seed=seed, **repairing)
    return remove_blocks(remove(silent, data.example_inputs), gone)


def loss_on_validation(model: nn.Module, data: ImageData, num_images: int = 1000) -> float:
    """The mean cross-entropy of the first ``num_images`` validation images."""
    images, labels = data.validation
    return F.cross_entropy(predict(model, data, images[:num_images]), labels[:num_images]).item()


def scores_of(model: nn.Module, data: ImageData, criterion: Criterion, seed: int) -> dict[str, Tensor]:
    """Importance by ``criterion``, the same for the layers of a group."""
    return couple(score(model, criterion, data, seed), groups_of(model, data.example_inputs).names)


def _interpolated(curves: pd.DataFrame, dense: dict[str, int]) -> dict[str, PchipInterpolator]:
    """{name: its loss as a function of what it keeps}, never rising with it, and 0 where all is kept."""
    found = {}
    for name, size in dense.items():
        rows = curves[curves.name == name].sort_values("kept", ascending=False)
        if not set(rows.of) <= {size}:
            raise ValueError(
                f"curves must be those of this model, but {name!r} has {size} channels, in curves {set(rows.of)}"
            )
        losses = np.maximum.accumulate(np.concatenate([[0.0], rows.loss]))  # noise may have a smaller network look better
        at = np.concatenate([[size], rows.kept])
        found[name] = PchipInterpolator(at[::-1], losses[::-1]) if len(rows) else None
    return found


def _chosen(
    method: str, losses: dict, dense: dict[str, int], whole: list[str], terms: list[Term], limit: float, round_to: int
) -> dict[str, int]:
    """{name: the value chosen} within ``limit``. ``whole``: names of those that stay as they are, or go as a whole."""
    if method == "uniform":
        chosen = _uniform(dense, terms, limit, round_to)
    else:
        options = {}
        for name, curve in losses.items():
            size = dense[name]
            low = int(curve.x[0]) if curve is not None else size
            if curve is None or (name in whole and low):
                values = {size}
            elif not low:  # a block, which goes or stays
                values = {0, size}
            else:
                widths = (nearest_width(step, size, round_to) for step in np.geomspace(low, size, STEPS))
                values = {width for width in widths if width >= low}
            options[name] = {value: 0.0 if curve is None else float(curve(value)) for value in sorted(values)}
        solve = knapsack if method == "knapsack" else greedy
        chosen = {name: int(value) for name, value in solve(options, terms, limit).items()}
    return _filled(chosen, losses, dense, terms, limit, round_to)


def _uniform(dense: dict[str, int], terms: list[Term], limit: float, round_to: int) -> dict[str, int]:
    """The largest widths that keep the same share of each group, in hundredths; blocks stay."""
    for share in np.arange(100, 0, -1) / 100:
        chosen = {name: width_within(share * size, size, round_to) for name, size in dense.items()}
        if (cost := total_cost(terms, chosen)) <= limit:
            return chosen
    least = f"the cost of {fewest(round_to)} in each group"
    raise ValueError(f"budget must be at least {in_figures(cost)}, {least}, got {in_figures(limit)}")


def _filled(
    chosen: dict[str, int], losses: dict, dense: dict[str, int], terms: list[Term], limit: float, round_to: int
) -> dict[str, int]:
    """``chosen`` with what is left of ``limit`` filled up channel by channel, or ``round_to`` of them at a time.

    Where much is left after that, because no channel fits any more, one group may get another channel for some of a second
    group's, if that promises a smaller loss.
    """
    first = topped_up(chosen, losses, dense, terms, limit, round_to)
    found = [first]
    if losses and total_cost(terms, first) < (1 - SLACK) * limit:
        groups = [name for name, value in first.items() if value and losses[name] is not None and dense[name] > 1]
        for up, down in itertools.permutations(groups, 2):
            other = first | {up: wider(first[up], dense[up], round_to)}
            while total_cost(terms, other) > limit and narrower(other[down], round_to) >= losses[down].x[0]:
                other[down] = narrower(other[down], round_to)
            if total_cost(terms, other) <= limit:
                found.append(topped_up(other, losses, dense, terms, limit, round_to))
    return min(found, key=lambda one: sum(float(curve(one[name])) for name, curve in losses.items() if curve is not None))


def topped_up(
    chosen: dict[str, int], losses: dict, dense: dict[str, int], terms: list[Term], limit: float, round_to: int
) -> dict[str, int]:
    """One channel (or ``round_to``) after the other, as long as one fits: where it gains most for what it costs.

    Without curves it is the group with the smallest share.
    """
    chosen, spent = dict(chosen), total_cost(terms, chosen)
    while True:
        steps = []
        for name, value in chosen.items():
            if 0 < value < dense[name]:
                more = wider(value, dense[name], round_to)
                cost = total_cost(terms, chosen | {name: more})
                curve = losses.get(name)
                gain = -value / dense[name] if curve is None else (curve(value) - curve(more)) / max(cost - spent, 1e-9)
                if cost <= limit:
                    steps.append((float(gain), name, cost))
        if not steps:
            return chosen
        _, name, spent = max(steps)
        chosen[name] = wider(chosen[name], dense[name], round_to)


def _checked(model: nn.Module, budget: float, cost: str, levels: Iterable[str], method: str) -> set[str]:
    levels = [levels] if isinstance(levels, str) else list(levels)
    if not 0 < budget < 1:
        raise ValueError(f"budget must lie between 0 and 1, a share of what model costs, got {budget}")
    if cost not in COSTS:
        raise ValueError(f"cost must be one of {', '.join(map(repr, COSTS))}, got {cost!r}")
    if not levels or not set(levels) <= set(LEVELS) or levels == ["weights"]:
        raise ValueError(f"levels must be 'layers', 'filters' or both, with or without 'weights', got {levels}")
    if "weights" in levels and cost != "params":
        raise ValueError(f"levels may hold 'weights' only with cost='params': single zeros save no {cost}")
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    if masks_of(model) or weight_masks_of(model):
        raise ValueError("model must have no masks yet: cut them out first, by remove")
    return set(levels)
