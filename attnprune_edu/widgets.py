"""Widgets: controls above a picture. The picture comes from a plain function, which can be called and tested without one."""

import base64
import html
import warnings
from collections.abc import Callable

import ipywidgets
import torch
from torch import Tensor

from . import plots
from .attention import attention_scores
from .thresholds import (
    keep_by_ratio,
    threshold_as_printed,
    threshold_at,
    threshold_by_ratio,
    threshold_top_k_mean,
)

WIDE = {"description_width": "initial"}  # room for the whole description
SLIDER = {"style": WIDE, "layout": {"width": "28em"}}


class PictureWidget(ipywidgets.VBox):
    """Controls above the picture that ``draw`` makes of their values.

    ``draw(**values)`` gets the value of each control by its name and returns ``(PNG bytes, one sentence that says what the
    picture shows)``. It is called at once and after each change. Where it raises ValueError, its words stand in the
    picture's place. ``arranged``: the controls as the reader sees them, or one below the other. A page that cannot run
    widgets shows the first picture.
    """

    # The picture is set as a value; an Output widget or `interact` can hang when a notebook is run without a browser.
    def __init__(
        self,
        draw: Callable[..., tuple[bytes, str]],
        arranged: list[ipywidgets.Widget] | None = None,
        **controls: ipywidgets.ValueWidget,
    ):
        self._draw, self._controls = draw, controls
        self.picture = ipywidgets.HTML()
        self._still = self._values_drawn()
        self._show(*self._still)
        for control in controls.values():
            control.observe(self._update, names="value")
        super().__init__([*(arranged or controls.values()), self.picture])
        self.add_class("picture-widget")

    def _values_drawn(self) -> tuple[bytes, str]:
        return self._draw(**{name: control.value for name, control in self._controls.items()})

    def _show(self, picture: bytes, alt: str) -> None:
        source = base64.b64encode(picture).decode()
        # aria-live has a screen reader speak the new sentence when a control has moved.
        self.picture.value = (
            f'<div aria-live="polite"><img src="data:image/png;base64,{source}" alt="{html.escape(alt)}"></div>'
        )

    def _update(self, _change) -> None:
        try:
            self._show(*self._values_drawn())
        except ValueError as error:
            self.picture.value = f'<div aria-live="polite">{html.escape(str(error))}</div>'

    def _repr_mimebundle_(self, **options):
        bundle = super()._repr_mimebundle_(**options)
        picture, alt = self._still
        still = {"image/png": base64.b64encode(picture).decode(), "text/plain": alt}
        return bundle | still, {"image/png": {"alt": alt}}


def ratio_explorer(importance: Tensor, accuracy_by_ratio: dict[float, float], layer: str = "layer") -> PictureWidget:
    """Move the pruning ratio and see which channels of one layer stay and what accuracy the network has left.

    ``importance``: (channels,) of the layer called ``layer``; ``accuracy_by_ratio``: {pruning ratio (0–1): accuracy (0–1)},
    computed before. The slider stops at these ratios.
    """
    if not accuracy_by_ratio:
        raise ValueError("accuracy_by_ratio must hold at least one ratio, got an empty dictionary")
    slider = _share_slider(accuracy_by_ratio, "pruning ratio")
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
        f"At a pruning ratio of {_percent(ratio)}, {int(keep.sum())} of {len(keep)} channels of {layer} stay "
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
    how = _choice(importance, "zero first")
    return PictureWidget(
        lambda how, share: weight_picture(weights, importance, accuracy, how, share, layer),
        how=how,
        share=_share_slider(shares, "share set to zero"),
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
        f"With {_percent(share)} of the weights set to zero, chosen as “{how}”, {int(keep.sum()):,} of {len(keep):,} "
        f"weights of {layer} stay and the validation accuracy is {accuracy[how][share]:.1%}."
    )
    return plots.png(figure), alt


def attention_explorer(weights: Tensor, temperature: float = 1.0) -> PictureWidget:
    """Edit a small matrix of weights, move the temperature, and see the attention of each row and its score.

    ``weights``: (rows, columns), up to 5 by 5, what stands in the fields at first; ``temperature``: from 0.01 to 100.
    """
    if not 0.01 <= temperature <= 100:
        raise ValueError(f"temperature must lie between 0.01 and 100, got {temperature}")
    if weights.ndim != 2 or not 1 <= min(weights.shape) <= max(weights.shape) <= 5:
        raise ValueError(f"weights must have the shape (rows, columns), each 1 to 5, got {tuple(weights.shape)}")
    rows, columns = weights.shape
    fields = {
        f"w{i + 1}{j + 1}": ipywidgets.FloatText(
            value=float(f"{weights[i, j].item():.4g}"),
            step=0.1,
            description=f"w{i + 1}{j + 1}",
            style=WIDE,
            layout={"width": "10em"},
        )
        for i in range(rows)
        for j in range(columns)
    }
    controls = {
        "temperature": ipywidgets.FloatLogSlider(
            value=temperature, min=-2, max=2, step=0.1, description="temperature τ", readout_format=".3g", **SLIDER
        ),
        "signed": ipywidgets.Checkbox(description="signed, as the article prints it"),
    }

    def draw(temperature, signed, **entries):
        matrix = torch.tensor(list(entries.values()), dtype=torch.float64).view(rows, columns)
        return attention_picture(matrix, temperature, signed)

    grid = ipywidgets.GridBox(list(fields.values()), layout={"grid_template_columns": f"repeat({columns}, 10.5em)"})
    return PictureWidget(draw, [grid, *controls.values()], **fields, **controls)


def attention_picture(weights: Tensor, temperature: float, signed: bool) -> tuple[bytes, str]:
    """The picture behind ``attention_explorer``, and the sentence that describes it."""
    figure = plots.plot_attention(weights, temperature, signed=signed)
    scores = attention_scores(weights, temperature, signed=signed)
    numbers = ", ".join(f"{score:.3f}" for score in scores.tolist())
    alt = (
        f"At temperature {temperature:.3g}, with {'signed weights' if signed else 'the sizes of the weights'}, the scores "
        f"of the {len(scores)} rows are {numbers}; row {int(scores.argmax()) + 1} has the highest."
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
    rule = _choice(RULES, "rule")
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


def _choice(options, description: str) -> ipywidgets.ToggleButtons:
    # Not a dropdown or radio buttons: JupyterLab takes the arrow keys that they need. Tab and Space reach these.
    return ipywidgets.ToggleButtons(options=list(options), description=description, style=WIDE | {"button_width": "auto"})


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _share_slider(shares, description: str) -> ipywidgets.SelectionSlider:
    ordered = sorted(shares)
    return ipywidgets.SelectionSlider(
        options=[(_percent(share), share) for share in ordered],
        value=ordered[len(ordered) // 2],
        description=description,
        **SLIDER,
    )
