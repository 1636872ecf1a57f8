"""Figures of claims: what was measured, and what was said."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from ..report.claims import judge_claim
from .style import BLUE, RUST, STONE, clean

# A verdict is told by its word, its marker and its colour; the word is black, for small grey letters are hard to read.
LOOKS = {
    "holds": {"color": BLUE, "marker": "o"},
    "refuted": {"color": RUST, "marker": "X"},
    "undecided": {"color": STONE, "marker": "D", "markerfacecolor": "white"},
}


def plot_claims(claims: Mapping[str, tuple[Sequence[float], float]], *, unit: str = "points", axis=None) -> Figure:
    """Draw a row for each of the ``claims``, {what is said: (paired differences, what they are claimed to be at least)}.

    A row has the runs as small dots, their mean with its 95 % interval, a bar where the claim begins, and the verdict of
    ``judge_claim``. A dotted line from end to end is a single run, whose interval is infinite. ``unit``: that of the
    differences. Draws on ``axis`` if one is given. Returns the figure. Raises ValueError if there is no claim.
    """
    if not claims:
        raise ValueError("claims must hold at least one claim with its differences, got none")
    if axis is None:
        axis = Figure(figsize=(9, 0.8 + 0.45 * len(claims)), layout="constrained").subplots()
    for row, (differences, at_least) in enumerate(claims.values()):
        verdict, estimate, low, high = judge_claim(differences, at_least)
        look = LOOKS[verdict]
        if math.isfinite(low):
            # Ends that are taller than the marker of the mean: a narrow interval is seen in spite of it.
            axis.plot([low, high], [row, row], color=look["color"], linewidth=2, marker="|", markersize=13)
        else:
            axis.axhline(row, color=look["color"], linestyle=":", linewidth=2)
        axis.plot(estimate, row, markersize=8, zorder=3, **look)
        axis.plot(differences, [row + 0.25] * len(differences), linestyle="", color="black", marker=".", markersize=4)
        axis.plot([at_least, at_least], [row - 0.38, row + 0.38], color="black", linewidth=2)
        axis.annotate(verdict, (1.02, row), xycoords=("axes fraction", "data"), va="center")
    axis.axvline(0, color=STONE, linewidth=0.8, linestyle=":", zorder=0)
    axis.set(yticks=range(len(claims)), yticklabels=list(claims), ylim=(len(claims) - 0.4, -0.6))
    axis.set_xlabel(f"difference in {unit}, with its 95 % interval\n(black bar: where the claim begins)")
    clean(axis)
    return axis.figure
