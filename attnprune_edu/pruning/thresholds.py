"""From importance to ``keep``: a threshold θ for each layer, and which channels stay.

Every rule follows the same three habits. A channel stays if its importance is at least θ. Of equally important channels the
earlier one stays: the lower index, and of two layers the one nearer to the input. A layer never loses all of its channels:
where a rule asks for that, the most important one stays and a warning says so.

Every rule takes ``round_to``, such as 8: the number of channels that stays in each layer, its best ones, then is a multiple
of it, at least one multiple, or the whole layer. Each layer is rounded by itself to the nearest of these, of two equally
near ones to the larger; only where there is a budget it is rounded down, so that nothing is ever above it. θ stays as it
was without rounding. Whether fuller groups are worth it depends on the processor and the program: measure it.
"""

import math
import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import NamedTuple

import torch
from torch import Tensor

from .multiples import check_round_to, fewest, nearest_width, width_within

SCOPES = ("local", "global")


class Threshold(NamedTuple):
    """``theta``: {layer name: θ}; ``keep``: {layer name: bool (channels,)}, True where the channel stays."""

    theta: dict[str, float]
    keep: dict[str, Tensor]


def keep_by_ratio(
    importance: dict[str, Tensor], pruning_ratio: float, scope: str = "local", *, round_to: int = 1
) -> dict[str, Tensor]:
    """Drop the share ``pruning_ratio`` (0–1) of the channels: the ``keep`` of ``threshold_by_ratio``."""
    return threshold_by_ratio(importance, pruning_ratio, scope, round_to=round_to).keep


def threshold_by_ratio(
    importance: dict[str, Tensor], pruning_ratio: float, scope: str = "local", *, round_to: int = 1
) -> Threshold:
    """Drop the share ``pruning_ratio`` (0–1) of the channels, the least important ones.

    ``importance``: {layer name: (channels,)}. ``scope="local"`` drops this share of each layer, ``"global"`` of all layers
    together, so that some layers lose more than others. The number dropped is rounded to the nearest whole number, a half to
    the even one: 2.5 to 2, and 3.5 to 4. θ is the
    lowest importance that stays by the rule, infinite if none does; of equally important channels some may go and some stay.
    ``round_to``: what stays in each layer is the nearest multiple of it.

    Raises ValueError or TypeError for a ratio outside 0–1, an unknown scope, NaN importance, nothing to choose from, or a
    ``round_to`` that is no whole number of at least 1.
    """
    _check_share("pruning_ratio", pruning_ratio)
    importance = _checked(importance, scope, round_to)
    kept = {}
    for group in _groups(importance, scope):
        channels = sum(len(values) for values in group.values())
        kept |= _keep_first(group, _ranking(group), channels - round(pruning_ratio * channels))
    return _threshold(importance, _lowest_kept(importance, kept, scope), kept, f"pruning_ratio={pruning_ratio}", round_to)


def threshold_by_quantile(importance: dict[str, Tensor], q: float, scope: str = "local", *, round_to: int = 1) -> Threshold:
    """Let θ be the ``q``-quantile (0–1) of the importance, of each layer or, with ``scope="global"``, of all together.

    About the share q lies below its q-quantile. Unlike a ratio, a quantile does not part equally important channels: they
    stay or go together, but for ``round_to``. Interpolated linearly, as ``torch.quantile`` does. ``round_to`` and errors are
    those of ``threshold_by_ratio``.
    """
    _check_share("q", q)
    importance = _checked(importance, scope, round_to)
    theta = {}
    for group in _groups(importance, scope):
        theta |= dict.fromkeys(group, torch.cat([values.double() for values in group.values()]).quantile(q).item())
    return _threshold(importance, theta, _at_least(importance, theta), f"q={q}", round_to)


def threshold_top_k_mean(importance: dict[str, Tensor], k: int, *, round_to: int = 1) -> Threshold:
    """Let θ of a layer be the mean of its ``k`` highest values, as the article says it in words (section 3.2, step 2).

    A mean lies between its smallest and largest part: unless the k highest are all equal, at least one of them is below θ,
    and every other channel is. So fewer than k channels of a layer stay, before any rounding.

    ``k``: 1 up to the number of channels of the smallest layer. ``round_to``: as in ``threshold_by_ratio``. Raises TypeError
    or ValueError otherwise, and as ``threshold_by_ratio`` does for unfit importance.
    """
    importance = _checked(importance, round_to=round_to)
    _check_k(importance, k)
    theta = {name: math.fsum(values.double().topk(k).values.tolist()) / k for name, values in importance.items()}
    return _threshold(importance, theta, _at_least(importance, theta), f"k={k}", round_to)


def threshold_as_printed(importance: dict[str, Tensor], k: int, *, round_to: int = 1) -> Threshold:
    """Let θ of a layer be (1/k) Σ of *all* its values, as the article prints it (section 4.1, third equation).

    That is N/k times the mean of its N values, and above the largest of them unless k is close to N or the values differ
    much. Arguments and errors are those of ``threshold_top_k_mean``.
    """
    importance = _checked(importance, round_to=round_to)
    _check_k(importance, k)
    theta = {name: math.fsum(values.double().tolist()) / k for name, values in importance.items()}
    return _threshold(importance, theta, _at_least(importance, theta), f"k={k}", round_to)


def threshold_by_budget(
    importance: dict[str, Tensor],
    budget: float,
    cost: Callable[[dict[str, Tensor]], float],
    scope: str = "local",
    *,
    round_to: int = 1,
) -> Threshold:
    """Let channels go one after the other, the least important first, until the rest fits into ``budget``.

    ``cost``: what a ``keep`` costs, in the unit of ``budget``; it must not rise when channels go. For parameters:
    ``lambda keep: count_params(remove(mask(model, keep)))``, for MACs the same with ``count_macs``. ``scope="local"`` takes
    channels from all layers at the same pace, ``"global"`` wherever the importance is lowest. No channel comes back because
    it is cheap: what is left of the budget may be enough for one that went earlier. θ is as in ``threshold_by_ratio``.
    ``round_to``: what stays in each layer is rounded down to a multiple of it, and costs at most ``budget``.

    Raises ValueError if even one channel in each layer, or one multiple, costs more than ``budget``, and as
    ``threshold_by_ratio`` does for an unknown scope, unfit importance or ``round_to``.
    """
    importance = _checked(importance, scope, round_to)
    channels = sum(len(values) for values in importance.values())
    ranking = _ranking(importance if scope == "global" else {n: _standing(v) for n, v in importance.items()})

    def cost_of_first(count):
        return cost(_rounded(importance, _keep_first(importance, ranking, count), round_to, width_within))

    if (least := cost_of_first(0)) > budget:
        raise ValueError(f"budget must be at least {least:,}, the cost of {fewest(round_to)} in each layer, got {budget:,}")
    # Halving: `fits` channels are always within the budget, `over` never.
    fits, over = 0, channels + 1
    while over - fits > 1:
        middle = (fits + over) // 2
        fits, over = (middle, over) if cost_of_first(middle) <= budget else (fits, middle)
    kept = _keep_first(importance, ranking, fits)
    return _threshold(
        importance, _lowest_kept(importance, kept, scope), kept, f"budget={budget}", round_to, width_of=width_within
    )


def threshold_at(
    importance: dict[str, Tensor], theta: dict[str, float], *, unit: str = "channel", round_to: int = 1
) -> Threshold:
    """Take θ as given. ``theta``: {layer name: θ}, for each layer of ``importance``.

    ``round_to``: as in ``threshold_by_ratio``. ``unit`` is what the warning of an emptied layer calls that which one value
    stands for. Raises ValueError if a layer has no θ or a θ is NaN, and as ``threshold_by_ratio`` does for unfit importance.
    """
    importance = _checked(importance, round_to=round_to)
    if not isinstance(theta, dict):
        raise TypeError(f"theta must be a dictionary {{layer name: θ}}, got {type(theta).__name__}")
    if importance.keys() != theta.keys():
        raise ValueError(f"theta must name the layers {list(importance)}, got {list(theta)}")
    for name, value in theta.items():
        if math.isnan(value):
            raise ValueError(f"theta of {name!r} must be a number, got NaN")
    # A θ such as 0.7 means the nearest number that the values can take, as in `values >= 0.7`.
    rounded = {name: torch.tensor(theta[name], dtype=values.dtype).item() for name, values in importance.items()}
    return _threshold(importance, rounded, _at_least(importance, rounded), "theta", round_to, unit=unit)


def _threshold(
    importance: dict[str, Tensor],
    theta: dict[str, float],
    kept: dict[str, Tensor],
    rule: str,
    round_to: int,
    *,
    width_of: Callable[[float, int, int], int] = nearest_width,
    unit: str = "channel",
) -> Threshold:
    """θ and what ``rule`` keeps, rounded; where it empties a layer, the best channel is put back with a warning."""
    keep = _rounded(importance, kept, round_to, width_of)
    for name, stays in kept.items():
        if not stays.any():
            count = int(keep[name].sum())
            best = f"most important {unit} stays" if count == 1 else f"{count} most important {unit}s stay"
            warnings.warn(
                f"{rule} would empty layer {name!r} ({len(stays)} {unit}s); its {best}",
                stacklevel=3,  # where the rule was called
            )
    return Threshold(theta, keep)


def _at_least(importance: dict[str, Tensor], theta: dict[str, float]) -> dict[str, Tensor]:
    """Compared in double precision: rounding θ to the type of the values could drop a channel that equals it."""
    return {name: values.double() >= theta[name] for name, values in importance.items()}


def _groups(importance: dict[str, Tensor], scope: str) -> list[dict[str, Tensor]]:
    """The layers that share one θ: each by itself, or all together."""
    return [importance] if scope == "global" else [{name: values} for name, values in importance.items()]


def _ranking(importance: dict[str, Tensor]) -> Tensor:
    """Places in the concatenation of all layers, most important first; of equal ones the earlier first."""
    return torch.cat(list(importance.values())).argsort(descending=True, stable=True)


def _standing(values: Tensor) -> Tensor:
    """How high each channel stands in its own layer, from 1 for the best down to 1/channels: comparable between layers."""
    standing = torch.empty(len(values), dtype=torch.float64)
    standing[_ranking({"": values})] = torch.arange(len(values), 0, -1, dtype=torch.float64) / len(values)
    return standing


def _keep_first(importance: dict[str, Tensor], ranking: Tensor, count: int) -> dict[str, Tensor]:
    """True for the first ``count`` places of ``ranking``, cut into layers again."""
    kept = torch.zeros(len(ranking), dtype=torch.bool)
    kept[ranking[:count]] = True
    return dict(zip(importance, kept.split([len(values) for values in importance.values()]), strict=True))


def _rounded(
    importance: dict[str, Tensor], kept: dict[str, Tensor], round_to: int, width_of: Callable[[float, int, int], int]
) -> dict[str, Tensor]:
    """The best channels of each layer: as many as ``kept`` has, rounded by ``width_of``, which leaves no layer empty."""
    keep = {}
    for name, stays in kept.items():
        count = int(stays.sum())
        width = width_of(count, len(stays), round_to)
        layer = {name: importance[name]}
        # Every rule keeps the first of the ranking, so that nothing has to be ranked where the number stays.
        keep |= {name: stays.clone()} if width == count else _keep_first(layer, _ranking(layer), width)
    return keep


def _lowest_kept(importance: dict[str, Tensor], kept: dict[str, Tensor], scope: str) -> dict[str, float]:
    """{layer: lowest importance in ``kept``}, one θ for the layers that share it; infinite if nothing was kept."""
    theta = {}
    for group in _groups(importance, scope):
        lowest = torch.cat([values[kept[name]] for name, values in group.items()] + [torch.tensor([math.inf])]).min()
        theta |= dict.fromkeys(group, lowest.item())
    return theta


def _check_share(argument: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{argument} must be a number between 0 and 1, got {value!r}")
    if not 0 <= value <= 1:
        raise ValueError(f"{argument} must lie between 0 and 1, got {value}")


def _check_k(importance: dict[str, Tensor], k: int) -> None:
    smallest = min(importance, key=lambda name: len(importance[name]))
    channels = len(importance[smallest])
    if isinstance(k, bool) or not isinstance(k, Integral):
        raise TypeError(f"k must be a whole number, got {k!r}")
    if not 1 <= k <= channels:
        raise ValueError(f"k must lie between 1 and {channels}, the number of channels of {smallest!r}, got {k}")


def _checked(importance: dict[str, Tensor], scope: str = "local", round_to: int = 1) -> dict[str, Tensor]:
    """``importance`` on the CPU and without gradients, if it is fit to choose by."""
    check_round_to(round_to)
    if scope not in SCOPES:
        raise ValueError(f"scope must be 'local' or 'global', got {scope!r}")
    if not isinstance(importance, dict):
        raise TypeError(f"importance must be a dictionary {{layer name: values}}, got {type(importance).__name__}")
    if not importance:
        raise ValueError("importance must name at least one layer, got an empty dictionary")
    for name, values in importance.items():
        if not isinstance(values, Tensor):
            raise TypeError(f"importance of {name!r} must be a tensor, got {type(values).__name__}")
        if values.ndim != 1 or not len(values):
            raise ValueError(f"importance of {name!r} must have the shape (channels,), got {tuple(values.shape)}")
        if not torch.isfinite(values).all():
            raise ValueError(f"importance of {name!r} holds NaN or infinity, so its channels cannot be ranked")
    return {name: values.detach().cpu() for name, values in importance.items()}
