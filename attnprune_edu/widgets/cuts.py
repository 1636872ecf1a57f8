"""Widgets that cut one layer and show what stays and what accuracy is left."""

import warnings

import ipywidgets
from torch import Tensor

from .. import plots
from ..pruning.thresholds import (
    keep_by_ratio,
    threshold_as_printed,
    threshold_at,
    threshold_by_ratio,
    threshold_top_k_mean,
)
from .picture_widget import SLIDER, PictureWidget, as_percent, choice, share_slider


def ratio_explorer(importance: Tensor, accuracy_by_ratio: dict[float, float], layer: str = "layer") -> PictureWidget:
    """Move the pruning ratio and see which channels of one layer stay and what accuracy the network has left.

    ``importance``: (channels,) of the layer called ``layer``; ``accuracy_by_ratio``: {pruning ratio (0–1): accuracy (0–1)},
    computed before. The slider stops at these ratios.
    """
    if not accuracy_by_ratio:
        raise ValueError("accuracy_by_ratio must hold at least one ratio, got an empty dictionary")
    slider = share_slider(accuracy_by_ratio, "pruning ratio")
    return PictureWidget(lambda ratio: ratio_picture(importance, accuracy_by_ratio, ratio, layer), ratio=slider)


def ratio_picture(
    importance: Tensor, accuracy_by_ratio: dict[float, float], ratio: float, layer: str = "layer"
) -> tuple[bytes, str]:
    """The picture behind ``ratio_explorer`` for one ``ratio``, and the sentence that describes it."""
    if ratio not in accuracy_by_ratio:
        raise ValueError(f"ratio must be one of {sorted(accuracy_by_ratio)}, got {ratio}")
    keep = keep_by_ratio({layer: importance}, ratio)[layer]
    figure = plots.plot_ratio(importance, keep, accuracy_by_ratio, ratio)
    alt = (
        f"At a pruning ratio of {as_percent(ratio)}, {int(keep.sum())} of {len(keep)} channels of {layer} stay "
        f"and the validation accuracy is {accuracy_by_ratio[ratio]:.1%}."
    )
    return plots.png(figure), alt


def weight_explorer(
    weights: Tensor, importance: dict[str, Tensor], accuracy: dict[str, dict[float, float]], layer: str = "layer"
) -> PictureWidget:
    """Set a share of single weights to zero, chosen in one of several ways, and see which stay and what accuracy is left.

    ``weights``: those of the layer called ``layer``, any shape; ``importance``: {way of choosing: one value for each weight,
    the lowest go first}; ``accuracy``: {way of choosing: {share set to zero (0–1): accuracy (0–1)}}, computed before.
    """
    if importance.keys() != accuracy.keys() or not importance:
        raise ValueError(f"importance and accuracy must name the same ways, got {list(importance)} and {list(accuracy)}")
    shares = set.intersection(*(set(curve) for curve in accuracy.values()))
    if not shares:
        raise ValueError("accuracy must hold at least one share that all ways have, got none")
    how = choice(importance, "zero first")
    return PictureWidget(
        lambda how, share: weight_picture(weights, importance, accuracy, how, share, layer),
        how=how,
        share=share_slider(shares, "share set to zero"),
    )


def weight_picture(
    weights: Tensor,
    importance: dict[str, Tensor],
    accuracy: dict[str, dict[float, float]],
    how: str,
    share: float,
    layer: str = "layer",
) -> tuple[bytes, str]:
    """The picture behind ``weight_explorer`` for one way of choosing and one share, and the sentence that describes it."""
    keep = keep_by_ratio({layer: importance[how].flatten()}, share)[layer]
    figure = plots.plot_weight_cut(weights, keep, accuracy, how, share, layer)
    alt = (
        f"With {as_percent(share)} of the weights set to zero, chosen as “{how}”, {int(keep.sum()):,} of {len(keep):,} "
        f"weights of {layer} stay and the validation accuracy is {accuracy[how][share]:.1%}."
    )
    return plots.png(figure), alt


RULES = {
    "pruning ratio": lambda importance, ratio, k, theta: threshold_by_ratio(importance, ratio),
    "mean of the top k": lambda importance, ratio, k, theta: threshold_top_k_mean(importance, k),
    "sum of all / k, as printed": lambda importance, ratio, k, theta: threshold_as_printed(importance, k),
    "θ itself": lambda importance, ratio, k, theta: threshold_at(importance, dict.fromkeys(importance, theta)),
}


def threshold_explorer(weight: Tensor, importance: Tensor, accuracy_by_kept: dict[int, float]) -> PictureWidget:
    """Choose θ for a first layer by ratio, by k or directly; see what stays. The slider moved last is the one that counts.

    ``weight``: (channels, 1 or 3, height, width); ``importance``: (channels,); ``accuracy_by_kept``: {number of channels
    kept, the most important ones: accuracy (0–1)}, computed before, for each number from 1 to all.
    """
    channels = len(importance)
    if missing := set(range(1, channels + 1)) - set(accuracy_by_kept):
        raise ValueError(
            f"accuracy_by_kept must hold every number of channels from 1 to {channels}; missing {sorted(missing)}"
        )
    low, high = importance.min().item(), importance.max().item()
    step = (high - low) / 50 or 0.01
    rule = choice(RULES, "rule")
    sliders = {
        "ratio": ipywidgets.FloatSlider(
            value=0.5, min=0, max=1, step=0.05, description="pruning ratio", readout_format=".0%", **SLIDER
        ),
        "k": ipywidgets.IntSlider(value=10 if channels > 10 else 1, min=1, max=channels, description="k", **SLIDER),
        "theta": ipywidgets.FloatSlider(
            value=(low + high) / 2,
            min=low - step,
            max=high + step,
            step=step,
            description="θ",
            readout_format=".3g",
            **SLIDER,
        ),
    }

    def follow(name, rules):
        def moved(_change):
            if rule.value not in rules:
                rule.value = rules[0]

        sliders[name].observe(moved, names="value")

    ratio, top_k, printed, itself = RULES
    follow("ratio", [ratio])
    follow("k", [top_k, printed])
    follow("theta", [itself])
    return PictureWidget(
        lambda **values: threshold_picture(weight, importance, accuracy_by_kept, **values), rule=rule, **sliders
    )


def threshold_picture(
    weight: Tensor, importance: Tensor, accuracy_by_kept: dict[int, float], rule: str, ratio: float, k: int, theta: float
) -> tuple[bytes, str]:
    """The picture behind ``threshold_explorer`` for one rule and its number, and the sentence that describes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an emptied layer is what the picture shows
        chosen = RULES[rule]({"": importance}, ratio, k, theta)
    keep, used = chosen.keep[""], chosen.theta[""]
    kept, channels = int(keep.sum()), len(keep)
    emptied = bool((importance < used).all())
    figure = plots.plot_threshold(weight, importance, keep, used, accuracy_by_kept)
    alt = (
        f"Rule “{rule}”: θ = {used:.3g}, {kept} of {channels} channels stay, {1 - kept / channels:.0%} go, "
        + ("θ is above every channel, so the best one was put back, " if emptied else "")
        + f"and the validation accuracy is {accuracy_by_kept[kept]:.1%}."
    )
    return plots.png(figure), alt
