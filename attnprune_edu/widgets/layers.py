"""A widget that prunes each layer by a ratio of its own."""

import functools
from collections.abc import Callable, Sequence

from .. import plots
from ..experiments.sensitivity import RATIOS
from .picture_widget import PictureWidget, share_slider


def layer_explorer(
    measure: Callable[[dict[str, float]], dict], layers: dict[str, int], ratios: Sequence[float] = RATIOS
) -> PictureWidget:
    """Move one pruning ratio for each layer, and see what stays of the layers, of the accuracy and of the costs.

    ``measure({layer: pruning ratio})`` returns {"accuracy": 0–1, "params": number, "macs": number, "keep": {layer: channels
    kept}}; it is called once for each setting, when a slider is let go. ``layers``: {layer name: its channels}; ``ratios``:
    where the sliders stop, from the lowest.
    """
    if not layers:
        raise ValueError("layers must name at least one layer, got an empty dictionary")
    if not ratios or not all(0 <= ratio <= 1 for ratio in ratios):
        raise ValueError(f"ratios must be at least one number from 0 to 1, got {list(ratios)}")

    @functools.cache
    def measured(*chosen: float) -> dict:
        return measure(dict(zip(layers, chosen, strict=True)))

    def draw(**chosen):
        by_layer = dict(zip(layers, chosen.values(), strict=True))
        return layer_picture(lambda ratios: measured(*ratios.values()), layers, by_layer)

    # A layer may be called as an argument of PictureWidget is.
    sliders = {
        f"ratio of {name}": share_slider(ratios, f"pruning ratio of {name}", value=min(ratios), continuous_update=False)
        for name in layers
    }
    return PictureWidget(draw, **sliders)


def layer_picture(
    measure: Callable[[dict[str, float]], dict], layers: dict[str, int], ratios: dict[str, float]
) -> tuple[bytes, str]:
    """The picture behind ``layer_explorer`` for one pruning ratio for each layer, and the sentence that describes it."""
    if ratios.keys() != layers.keys():
        raise ValueError(f"ratios must name the layers {list(layers)}, got {list(ratios)}")
    whole, left = (_checked(measure(chosen), layers) for chosen in (dict.fromkeys(layers, 0.0), ratios))
    shares = {
        "validation accuracy": left["accuracy"],
        "parameters left": left["params"] / whole["params"],
        "MACs left": left["macs"] / whole["macs"],
    }
    figure = plots.plot_layers(left["keep"], layers, shares, {"validation accuracy": whole["accuracy"]})
    kept = ", ".join(f"{left['keep'][name]:,} of {channels:,} of {name}" for name, channels in layers.items())
    alt = (
        f"With these channels kept: {kept}, the network has {shares['parameters left']:.1%} of its parameters and "
        f"{shares['MACs left']:.1%} of its MACs, and its validation accuracy is {left['accuracy']:.1%}, "
        f"before pruning {whole['accuracy']:.1%}."
    )
    return plots.png(figure), alt


def _checked(result: dict, layers: dict[str, int]) -> dict:
    if missing := {"accuracy", "params", "macs", "keep"} - set(result):
        raise ValueError(
            f"measure must return accuracy, params, macs and keep, got {list(result)}: {sorted(missing)} missing"
        )
    if missing := set(layers) - set(result["keep"]):
        raise ValueError(f"measure must return keep for each of {list(layers)}, {sorted(missing)} missing")
    return result | {"keep": {name: result["keep"][name] for name in layers}}
