"""Controls above a picture, and the controls that several widgets use."""

import base64
import html
from collections.abc import Callable

import ipywidgets

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
        # aria-live has a screen reader speak the new sentence when a control has moved; a wide picture fits a narrow page.
        self.picture.value = (
            f'<div aria-live="polite"><img style="max-width: 100%" src="data:image/png;base64,{source}" '
            f'alt="{html.escape(alt)}"></div>'
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


def choice(options, description: str, value=None) -> ipywidgets.ToggleButtons:
    """Buttons of which one is down, at first ``value``, or the first."""
    # Not a dropdown or radio buttons: JupyterLab takes the arrow keys that they need. Tab and Space reach these.
    options = list(options)
    return ipywidgets.ToggleButtons(
        options=options,
        value=options[0] if value is None else value,
        description=description,
        style=WIDE | {"button_width": "auto"},
    )


def as_percent(share: float) -> str:
    """A share (0–1) in percent, with up to three digits."""
    return f"{100 * share:.3g}%"


def share_slider(shares, description: str, **options) -> ipywidgets.SelectionSlider:
    """A slider that stops at ``shares`` (0–1) only, at first in their middle."""
    ordered = sorted(shares)
    return ipywidgets.SelectionSlider(
        options=[(as_percent(share), share) for share in ordered],
        description=description,
        **{"value": ordered[len(ordered) // 2], **SLIDER, **options},
    )


def tick_boxes(names) -> dict[str, ipywidgets.Checkbox]:
    """{"show name": a box that says whether it is shown} for each of ``names``, at first all ticked."""
    return {f"show {name}": ipywidgets.Checkbox(value=True, description=str(name), style=WIDE) for name in names}


def check_chosen(at: float, shares, chosen: list, names: list) -> None:
    """Raise ValueError unless ``at`` is one of ``shares`` and ``chosen`` one or more of ``names``."""
    if not chosen or not set(chosen) <= set(names):
        raise ValueError(f"chosen must be one or more of {names}, got {list(chosen)}")
    if at not in set(shares):
        raise ValueError(f"at must be one of {sorted(set(shares))}, got {at}")
