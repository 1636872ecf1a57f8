"""A widget for the attention formula on a small matrix."""

import ipywidgets
import torch
from torch import Tensor

from .. import plots
from ..pruning.attention import attention_scores
from .picture_widget import SLIDER, WIDE, PictureWidget


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
