"""Widgets: controls above a picture. The picture comes from a plain function, which can be called and tested without one."""

import base64
import html
from collections.abc import Callable

import ipywidgets
from torch import Tensor

from . import plots
from .thresholds import keep_by_ratio


class PictureWidget(ipywidgets.VBox):
    """Controls above the picture that ``draw`` makes of their values.

    ``draw(**values)`` gets the value of each control by its name and returns ``(PNG bytes, one sentence that says what the
    picture shows)``. It is called at once and after each change. A page that cannot run widgets shows the first picture.
    """

    # The picture is set as a value; an Output widget or `interact` can hang when a notebook is run without a browser.
    def __init__(self, draw: Callable[..., tuple[bytes, str]], **controls: ipywidgets.ValueWidget):
        self._draw, self._controls = draw, controls
        self.picture = ipywidgets.HTML()
        self._still = self._update()
        for control in controls.values():
            control.observe(self._update, names="value")
        super().__init__([*controls.values(), self.picture])

    def _update(self, _change=None) -> tuple[bytes, str]:
        picture, alt = self._draw(**{name: control.value for name, control in self._controls.items()})
        source = base64.b64encode(picture).decode()
        # aria-live has a screen reader speak the new sentence when a control has moved.
        self.picture.value = (
            f'<div aria-live="polite"><img src="data:image/png;base64,{source}" alt="{html.escape(alt)}"></div>'
        )
        return picture, alt

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
    ratios = sorted(accuracy_by_ratio)
    slider = ipywidgets.SelectionSlider(
        options=[(f"{ratio:.0%}", ratio) for ratio in ratios],
        value=ratios[len(ratios) // 2],
        description="pruning ratio",
        style={"description_width": "initial"},
    )
    return PictureWidget(lambda ratio: ratio_picture(importance, accuracy_by_ratio, ratio, layer), ratio=slider)


def ratio_picture(
    importance: Tensor, accuracy_by_ratio: dict[float, float], ratio: float, layer: str = "layer"
) -> tuple[bytes, str]:
    """The picture behind ``ratio_explorer`` for one ``ratio``, and the sentence that describes it."""
    keep = keep_by_ratio({layer: importance}, ratio)[layer]
    figure = plots.plot_ratio(importance, keep, accuracy_by_ratio, ratio)
    alt = (
        f"At a pruning ratio of {ratio:.0%}, {int(keep.sum())} of {len(keep)} channels of {layer} stay "
        f"and the validation accuracy is {accuracy_by_ratio[ratio]:.1%}."
    )
    return plots.png(figure), alt
