"""From importance to ``keep``: a threshold θ for each layer, and which channels stay.

Every rule follows the same three habits. A channel stays if its importance is at least θ. Of equally important channels the
earlier one stays: the lower index, and of two layers the one nearer to the input. A layer never loses all of its channels:
where a rule asks for that, the most important one stays and a warning says so.
"""

import math
import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import NamedTuple

import torch
from torch import Tensor

SCOPES = ("local", "global")


class Threshold(NamedTuple):
    """``theta``: {layer name: θ}; ``keep``: {layer name: bool (channels,)}, True where the channel stays."""

    theta: dict[str, float]
    keep: dict[str, Tensor]


def keep_by_ratio(importance: dict[str, Tensor], pruning_ratio: float, scope: str = "local") -> dict[str, Tensor]:
    """Drop the share ``pruning_ratio`` (0–1) of the channels: the ``keep`` of ``threshold_by_ratio``."""
    return threshold_by_ratio(importance, pruning_ratio, scope).keep


def threshold_by_ratio(importance: dict[str, Tensor], pruning_ratio: float, scope: str = "local") -> Threshold:
    """Drop the share ``pruning_ratio`` (0–1) of the channels, the least important ones.

    ``importance``: {layer name: (channels,)}. ``scope="local"`` drops this share of each layer, ``"global"`` of all layers
    together, so that some layers lose more than others. The number dropped is rounded to the nearest whole number, a half to
    the even one: 2.5 to 2, and 3.5 to 4. θ is the
    lowest importance that stays by the rule, infinite if none does; of equally important channels some may go and some stay.

    Raises ValueError or TypeError for a ratio outside 0–1, an unknown scope, NaN importance, or nothing to choose from.
    """
    _check_share("pruning_ratio", pruning_ratio)
    importance = _checked(importance, scope)
    kept = {}
    for group in _groups(importance, scope):
        channels = sum(len(values) for values in group.values())
        kept |= _keep_first(group, _ranking(group), channels - round(pruning_ratio * channels))
    return _threshold(importance, _lowest_kept(importance, kept, scope), kept, f"pruning_ratio={pruning_ratio}")


def threshold_by_quantile(importance: dict[str, Tensor], q: float, scope: str = "local") -> Threshold:
    """Let θ be the ``q``-quantile (0–1) of the importance, of each layer or, with ``scope="global"``, of all together.

    About the share q lies below its q-quantile. Unlike a ratio, a quantile does not part equally important channels: they
    stay or go together. Interpolated linearly, as ``torch.quantile`` does. Errors are those of ``threshold_by_ratio``.
    """
    _check_share("q", q)
    importance = _checked(importance, scope)
    theta = {}
    for group in _groups(importance, scope):
        theta |= dict.fromkeys(group, torch.cat([values.double() for values in group.values()]).quantile(q).item())
    return _threshold(importance, theta, _at_least(importance, theta), f"q={q}")


def threshold_top_k_mean(importance: dict[str, Tensor], k: int) -> Threshold:
    """Let θ of a layer be the mean of its ``k`` highest values, as the article says it in words (section 3.2, step 2).

    A mean lies between its smallest and largest part: unless the k highest are all equal, at least one of them is below θ,
    and every other channel is. So fewer than k channels of a layer stay.

    ``k``: 1 up to the number of channels of the smallest layer. Raises TypeError or ValueError otherwise, and as
    ``threshold_by_ratio`` does for unfit importance.
    """
    importance = _checked(importance)
    _check_k(importance, k)
    theta = {name: math.fsum(values.double().topk(k).values.tolist()) / k for name, values in importance.items()}
    return _threshold(importance, theta, _at_least(importance, theta), f"k={k}")


def threshold_as_printed(importance: dict[str, Tensor], k: int) -> Threshold:
    """Let θ of a layer be (1/k) Σ of *all* its values, as the article prints it (section 4.1, third equation).

    That is N/k times the mean of its N values, and above the largest of them unless k is close to N or the values differ
    much. Arguments and errors are those of ``threshold_top_k_mean``.
    """
    importance = _checked(importance)
    _check_k(importance, k)
    theta = {name: math.fsum(values.double().tolist()) / k for name, values in importance.items()}
    return _threshold(importance, theta, _at_least(importance, theta), f"k={k}")


def threshold_by_budget(
    importance: dict[str, Tensor], budget: float, cost: Callable[[dict[str, Tensor]], float], scope: str = "local"
) -> Threshold:
    """Let channels go one after the other, the least important first, until the rest fits into ``budget``.

    ``cost``: what a ``keep`` costs, in the unit of ``budget``; it must not rise when channels go. For parameters:
    ``lambda keep: count_params(remove(mask(model, keep)))``, for MACs the same with ``count_macs``. ``scope="local"`` takes
    channels from all layers at the same pace, ``"global"`` wherever the importance is lowest. No channel comes back because
    it is cheap: what is left of the budget may be enough for one that went earlier. θ is as in ``threshold_by_ratio``.

    Raises ValueError if even one channel in each layer costs more than ``budget``, and as ``threshold_by_ratio`` does for an
    unknown scope or unfit importance.
    """
    importance = _checked(importance, scope)
    channels = sum(len(values) for values in importance.values())
    ranking = _ranking(importance if scope == "global" else {n: _standing(v) for n, v in importance.items()})

    def cost_of_first(count):
        return cost(_at_least_one(importance, _keep_first(importance, ranking, count)))

    if (least := cost_of_first(0)) > budget:
        raise ValueError(f"budget must be at least {least:,}, the cost of one channel in each layer, got {budget:,}")
    # Halving: `fits` channels are always within the budget, `over` never.
    fits, over = 0, channels + 1
    while over - fits > 1:
        middle = (fits + over) // 2
        fits, over = (middle, over) if cost_of_first(middle) <= budget else (fits, middle)
    kept = _keep_first(importance, ranking, fits)
    return _threshold(importance, _lowest_kept(importance, kept, scope), kept, f"budget={budget}")


def threshold_at(importance: dict[str, Tensor], theta: dict[str, float], *, unit: str = "channel") -> Threshold:
    """Take θ as given. ``theta``: {layer name: θ}, for each layer of ``importance``.

    ``unit`` is what the warning of an emptied layer calls that which one value stands for.
    Raises ValueError if a layer has no θ or a θ is NaN, and as ``threshold_by_ratio`` does for unfit importance.
    """
    importance = _checked(importance)
    if not isinstance(theta, dict):
        raise TypeError(f"theta must be a dictionary {{layer name: θ}}, got {type(theta).__name__}")
    if importance.keys() != theta.keys():
        raise ValueError(f"theta must name the layers {list(importance)}, got {list(theta)}")
    for name, value in theta.items():
        if math.isnan(value):
            raise ValueError(f"theta of {name!r} must be a number, got NaN")
    # A θ such as 0.7 means the nearest number that the values can take, as in `values >= 0.7`.
    rounded = {name: torch.tensor(theta[name], dtype=values.dtype).item() for name, values in importance.items()}
    return _threshold(importance, rounded, _at_least(importance, rounded), "theta", unit)


def _threshold(
    importance: dict[str, Tensor], theta: dict[str, float], kept: dict[str, Tensor], rule: str, unit: str = "channel"
) -> Threshold:
    """θ and what ``rule`` keeps; where it empties a layer, the best channel is put back with a warning."""
    for name, stays in kept.items():
        if not stays.any():
            warnings.warn(
                f"{rule} would empty layer {name!r} ({len(stays)} {unit}s); its most important {unit} stays",
                stacklevel=3,  # where the rule was called
            )
    return Threshold(theta, _at_least_one(importance, kept))


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


def _at_least_one(importance: dict[str, Tensor], kept: dict[str, Tensor]) -> dict[str, Tensor]:
    """``kept`` with the best channel put back where a layer has none."""
    keep = {name: stays.clone() for name, stays in kept.items()}
    for name, stays in keep.items():
        if not stays.any():
            stays[_ranking({name: importance[name]})[0]] = True
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


def _checked(importance: dict[str, Tensor], scope: str = "local") -> dict[str, Tensor]:
    """``importance`` on the CPU and without gradients, if it is fit to choose by."""
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
