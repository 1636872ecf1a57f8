"""A widget that shows what each head of a Transformer looks at, and what the network says without it."""

import ipywidgets
import torch
from torch import Tensor, nn

from .. import plots
from ..data.tokens import PADDING, TokenData
from ..networks.attention_layer import attention_probabilities
from ..networks.inference import predict
from ..pruning.masks import mask
from .picture_widget import SLIDER, PictureWidget, choice


def head_explorer(network: nn.Module, data: TokenData, sequences: Tensor) -> PictureWidget:
    """Choose a sequence, a layer and a head, and see which token looks at which, and what ``network`` says without the head.

    ``network``: one with layers of attention, for the tokens and classes of ``data``. ``sequences``: int64 tokens (N,
    length), 0 for padding at the end; the first of them and the first head of the first layer are shown at first. Raises
    ValueError if there are no sequences, or ``network`` calls no attention layer.
    """
    if not len(sequences):
        raise ValueError("sequences must hold at least one, got none")
    heads = {layer: seen.shape[1] for layer, seen in attention_probabilities(network, sequences[:1]).items()}
    number = ipywidgets.IntSlider(value=1, min=1, max=len(sequences), description="sequence", **SLIDER)
    layer = choice(heads, "layer")
    head = ipywidgets.IntSlider(value=0, min=0, max=max(heads.values()) - 1, description="head", **SLIDER)

    def draw(number, layer, head):
        return head_picture(network, data, sequences, number, layer, head)

    return PictureWidget(draw, number=number, layer=layer, head=head)


def head_picture(
    network: nn.Module, data: TokenData, sequences: Tensor, number: int, layer: str, head: int
) -> tuple[bytes, str]:
    """The picture behind ``head_explorer`` for the sequence ``number``, from 1, and the sentence that describes it."""
    if not 1 <= number <= len(sequences):
        raise ValueError(f"number must lie between 1 and {len(sequences)}, got {number}")
    tokens = sequences[number - 1 : number]
    length = max(int((tokens != PADDING).sum()), 1)
    layers = attention_probabilities(network, tokens)
    if layer not in layers:
        raise ValueError(f"layer must be one of {list(layers)}, got {layer!r}")
    seen = layers[layer][0, :, :length, :length]  # (heads, length, length)
    if not 0 <= head < len(seen):
        raise ValueError(f"head must lie between 0 and {len(seen) - 1} in {layer!r}, got {head}")
    symbols = [data.symbols[token] for token in tokens[0, :length].tolist()]
    figure = plots.plot_heads(symbols, {f"head {head} of {layer}": seen[head]})
    said = _said(network, data, tokens)
    if len(seen) > 1:  # the only one cannot go
        without = mask(network, {layer: torch.arange(len(seen)) != head}, example_inputs=tokens)
        said += f"; without this head {_said(without, data, tokens)}"
    text = data.text(tokens[0])
    figure.suptitle(f"{text}: {said}", fontsize=10)  # the picture must also be understood without its controls
    most = torch.unravel_index(seen[head].argmax(), seen[head].shape)
    looks, at = (f"letter {int(place) + 1} ({symbols[place]})" for place in most)
    alt = f"Head {head} of {layer} at {text!r}: {looks} looks most, at {at}, with {seen[head].max():.0%}. It says {said}."
    return plots.png(figure), alt


def _said(network: nn.Module, data: TokenData, tokens: Tensor) -> str:
    """The class with the highest probability, and that probability."""
    share, guess = predict(network, data, tokens)[0].softmax(dim=-1).max(dim=-1)
    return f"{data.class_names[int(guess)]} ({share:.0%})"
