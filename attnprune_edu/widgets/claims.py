"""A widget that moves a claim, and the number of runs behind it, until the verdict changes."""

import math
from collections.abc import Mapping, Sequence

import ipywidgets
from matplotlib.figure import Figure

from .. import plots
from ..report.claims import judge_claim
from .picture_widget import SLIDER, PictureWidget, choice


def claim_explorer(measured: Mapping[str, Sequence[float]], *, reach: float = 5, unit: str = "points") -> PictureWidget:
    """Choose a measurement, what is claimed of it, and how many of its runs to believe, and see the verdict.

    ``measured``: {what the difference is of: its paired differences, two runs or more}; ``reach``: the claim goes from
    −``reach`` to ``reach``, in the ``unit`` of the differences. Raises ValueError if there is nothing measured, or in a
    single run only.
    """
    if not measured or min(map(len, measured.values())) < 2:
        raise ValueError(f"measured must hold lists of two runs or more, got {dict(measured)}")
    most = max(map(len, measured.values()))

    def draw(what, at_least, runs):
        return claim_picture(measured, what, at_least, runs, unit=unit)

    return PictureWidget(
        draw,
        what=choice(measured, "difference"),
        at_least=ipywidgets.FloatSlider(
            value=0, min=-reach, max=reach, step=0.1, description="is at least", readout_format="+.1f", **SLIDER
        ),
        runs=ipywidgets.IntSlider(value=most, min=1, max=most, description="runs", **SLIDER),
    )


def claim_picture(
    measured: Mapping[str, Sequence[float]], what: str, at_least: float, runs: int, *, unit: str = "points"
) -> tuple[bytes, str]:
    """The picture behind ``claim_explorer`` for the first ``runs`` of a measurement, and the sentence that describes it."""
    if what not in measured:
        raise ValueError(f"what must be one of {list(measured)}, got {what!r}")
    if runs < 1:
        raise ValueError(f"runs must be at least 1, got {runs}")
    differences = list(measured[what])[:runs]
    verdict, estimate, low, high = judge_claim(differences, at_least)
    figure = Figure(figsize=(9, 2.1), layout="constrained")
    axis = plots.plot_claims({what: (differences, at_least)}, unit=unit, axis=figure.subplots()).axes[0]
    every = [value for values in measured.values() for value in values]
    # The same for all, so that nothing jumps when a control moves, unless the claim itself lies outside.
    axis.set_xlim(min(min(every) - 5, at_least - 1), max(max(every) + 5, at_least + 1))
    seen = f"{len(differences)} runs" if len(differences) > 1 else "1 run"
    said = f"“{what}: at least {at_least:+.1f} {unit}” {'is ' if verdict != 'holds' else ''}{verdict}"
    interval = f"95 % interval {low:+.1f} to {high:+.1f}" if math.isfinite(low) else "which leaves everything open"
    sentence = f"{said}: {seen}, mean {estimate:+.1f}, {interval}."
    return plots.png(figure), sentence.replace(" -", " −")  # the sign, not the hyphen
