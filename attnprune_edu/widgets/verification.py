"""A widget that shows what a threshold for the same person accepts and rejects."""

from collections.abc import Mapping

import ipywidgets
from matplotlib.figure import Figure

from .. import plots
from ..report.verification import Pairs, error_rates, roc_curve
from .picture_widget import SLIDER, PictureWidget, choice

STEP = 0.01


def verification_explorer(networks: Mapping[str, Pairs]) -> PictureWidget:
    """Choose a threshold and a network, and see which pairs it accepts, and both error rates.

    ``networks``: {name: its pairs, as ``compare_pairs`` returns them}. At first the threshold is near the equal error rate
    of the first one.
    """
    if not networks:
        raise ValueError("networks must hold at least one name with its pairs, got none")
    first = next(iter(networks.values()))
    curve = roc_curve(first.similarity, first.same)
    equal = curve.threshold[(curve.false_accept_rate + curve.true_accept_rate - 1).abs().idxmin()]
    lowest = min(pairs.similarity.min().item() for pairs in networks.values())
    threshold = ipywidgets.FloatSlider(
        value=round(equal, 2), min=round(lowest, 2), max=1, step=STEP, description="threshold", **SLIDER
    )

    def draw(threshold, network):
        return verification_picture(networks, threshold, network)

    return PictureWidget(draw, threshold=threshold, network=choice(networks, "network"))


def verification_picture(networks: Mapping[str, Pairs], threshold: float, network: str) -> tuple[bytes, str]:
    """The picture behind ``verification_explorer`` and the sentence that describes it."""
    if network not in networks:
        raise ValueError(f"network must be one of {list(networks)}, got {network!r}")
    pairs = networks[network]
    false_accepts, false_rejects = error_rates(pairs, threshold)
    figure = Figure(figsize=(8.5, 3.1), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.4, 1])
    plots.plot_similarities(pairs, threshold, axis=left)
    plots.plot_roc({network: pairs}, threshold, axis=right)
    said = f"{false_accepts:.1%} false accepts, {false_rejects:.1%} false rejects"
    figure.suptitle(f"{network}, threshold {threshold:.2f}: {said}", fontsize=10)  # to be understood without its controls
    ones, others = int(pairs.same.sum()), int((~pairs.same).sum())
    alt = (
        f"At the threshold {threshold:.2f}, {network} accepts {false_accepts:.1%} of {others:,} pairs of two people and "
        f"rejects {false_rejects:.1%} of {ones:,} pairs of one person."
    )
    return plots.png(figure), alt
