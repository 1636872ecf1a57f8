"""A widget that goes through a training step by step and shows which gates are open."""

import ipywidgets
import numpy as np

from .. import plots
from ..plots.gates import RETURNED, SILENT, ranks_at, states_at
from .picture_widget import SLIDER, PictureWidget, choice


def gates_explorer(record: list, layer: str | None = None) -> PictureWidget:
    """Move through the training steps at which gates were chosen, and choose the layer.

    ``record``: of ``RunningGates``. ``layer``: the one shown at first, by default the first. Raises ValueError for an empty
    record or an unknown layer.
    """
    if not record:
        raise ValueError("record must hold at least one choice, got none: did the training take enough steps?")
    layers, steps = list(record[0].keep), [made.step for made in record]
    if layer is not None and layer not in layers:
        raise ValueError(f"layer must be one of {layers}, got {layer!r}")
    slider = ipywidgets.SelectionSlider(options=steps, value=steps[-1], description="training step", **SLIDER)
    return PictureWidget(
        lambda step, layer: gates_picture(record, layer, step), step=slider, layer=choice(layers, "layer", layer)
    )


def gates_picture(record: list, layer: str, step: int) -> tuple[bytes, str]:
    """The picture behind ``gates_explorer``, and the sentence that describes it."""
    figure = plots.plot_gates(record, layer, step)
    place = [made.step for made in record].index(step)
    states = states_at(record, layer, place)
    now, first = ranks_at(record, layer, place), ranks_at(record, layer, 0)
    tenth = len(now) // 10
    far = int((np.abs(now - first) > tenth).sum())
    is_open, again = (states != SILENT).sum(), (states == RETURNED).sum()
    alt = (
        f"{layer} at step {step}: {is_open} of {len(states)} channels are open, {again} of them after they had been silent; "
        f"{far} have moved by more than {tenth} ranks."
    )
    return plots.png(figure), alt
