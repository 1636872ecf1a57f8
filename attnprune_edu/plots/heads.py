"""Figures of what the heads of attention look at."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from torch import Tensor

COLUMNS = 4


def plot_heads(tokens: Sequence[str], heads: Mapping[str, Tensor]) -> Figure:
    """Draw which token looks at which, a square for each of ``heads``, at most four side by side.

    ``tokens``: what stands at the rows and columns, such as the letters of a name. ``heads``: {title: probabilities (length,
    length)}, 0–1, as ``attention_probabilities`` returns them for one head and one input; row i says how token i shares out
    its attention. Dark is little attention, bright is much, in colours that keep their order in grey and for the
    colour-blind.

    Raises ValueError unless there are tokens and heads, and they fit.
    """
    _check(tokens, heads)
    columns = min(COLUMNS, len(heads))
    rows = -(-len(heads) // columns)
    side = 1.2 + 0.13 * len(tokens)
    figure = Figure(figsize=(side * columns + 0.9, (side + 0.3) * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    colours = ScalarMappable(cmap="cividis")
    colours.set_clim(0, 1)
    for axis, (title, probabilities) in zip(axes.flat, heads.items(), strict=False):
        axis.imshow(probabilities.cpu().numpy(), cmap=colours.cmap, norm=colours.norm)
        axis.set_xticks(range(len(tokens)), tokens)
        axis.set_yticks(range(len(tokens)), tokens)
        axis.set_title(title, fontsize=10)
    for axis in axes.flat[len(heads) :]:
        axis.set_axis_off()
    for axis in axes[:, 0]:
        axis.set_ylabel("who looks")
    for axis in axes[-1]:
        axis.set_xlabel("at what")
    figure.colorbar(colours, ax=axes, label="attention", shrink=0.8)
    return figure


def _check(tokens: Sequence[str], heads: Mapping[str, Tensor]) -> None:
    if not tokens or not heads:
        raise ValueError(f"tokens and heads must hold at least one each, got {len(tokens)} and {len(heads)}")
    for title, probabilities in heads.items():
        if probabilities.shape != (len(tokens), len(tokens)):
            raise ValueError(
                f"heads must be {(len(tokens), len(tokens))} for these tokens, "
                f"got {tuple(probabilities.shape)} for {title!r}"
            )
        low, high = torch.aminmax(probabilities)
        if not 0 <= low <= high <= 1.001:
            raise ValueError(f"heads must lie between 0 and 1, got {low:.3g} to {high:.3g} for {title!r}")
