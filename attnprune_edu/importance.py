"""Importance: one value per channel for every prunable layer; the higher, the sooner the channel is kept."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from .attention import attention_scores
from .models import layers_with_channels


def importance(
    model: nn.Module,
    criterion: str = "attention",
    *,
    temperature: float = 1.0,
    seed: int = 0,
    ignored_layers: Iterable[str] = (),
) -> dict[str, Tensor]:
    """Return {layer name: importance (channels,)} for every prunable layer of ``model``, in the network's order,
    on the CPU.

    A channel is a filter of a convolution or a neuron of a linear layer: one entry along the first dimension of its weight.

    ``criterion`` is one of

    - ``"attention"``: Σ_j α_j |w_j| with α = softmax(|w| / ``temperature``), the article's formula on sizes;
    - ``"attention_signed"``: Σ_j α_j w_j with α = softmax(w / ``temperature``), as the article prints it;
    - ``"l1"``: Σ_j |w_j| (Li et al., ICLR 2017, arXiv:1608.08710);
    - ``"random"``: uniform numbers from ``seed``, the baseline that every criterion has to beat.

    Raises ValueError for an unknown criterion, NaN or infinite weights, or a model without prunable layers.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {', '.join(map(repr, CRITERIA))}, got {criterion!r}")
    layers = prunable_layers(model, ignored_layers)
    for name, layer in layers.items():
        if not torch.isfinite(layer.weight).all():
            raise ValueError(f"layer {name!r} has NaN or infinite weights, so its channels cannot be ranked")
    options = {"temperature": temperature, "generator": torch.Generator().manual_seed(seed)}
    with torch.no_grad():
        return {name: CRITERIA[criterion](layer.weight, **options).cpu() for name, layer in layers.items()}


def prunable_layers(model: nn.Module, ignored_layers: Iterable[str] = ()) -> dict[str, nn.Module]:
    """Return {name: layer} of every ``Conv2d`` and ``Linear`` whose channels may go, in the network's order.

    The last of them is the output layer: its neurons are the classes, so it is left out, and so are ``ignored_layers``.
    Raises ValueError if nothing is left or an ignored name does not exist.
    """
    layers = layers_with_channels(model)
    ignored = set(ignored_layers)
    if unknown := ignored - layers.keys():
        raise ValueError(
            f"ignored_layers names {sorted(unknown)}, but the Conv2d and Linear layers of this model are {list(layers)}"
        )
    chosen = {name: layer for name, layer in list(layers.items())[:-1] if name not in ignored}
    if not chosen:
        raise ValueError(
            "model has no prunable layer: at least one Conv2d or Linear is needed before the output layer, "
            f"got {list(layers) or 'none'}" + (f", of which {sorted(ignored)} are ignored" if ignored else "")
        )
    return chosen


def _attention(weight: Tensor, temperature: float, **_) -> Tensor:
    return attention_scores(weight, temperature)


def _attention_signed(weight: Tensor, temperature: float, **_) -> Tensor:
    return attention_scores(weight, temperature, signed=True)


def _l1(weight: Tensor, **_) -> Tensor:
    return weight.abs().flatten(1).sum(dim=1)


def _random(weight: Tensor, generator: torch.Generator, **_) -> Tensor:
    return torch.rand(len(weight), generator=generator)


CRITERIA: dict[str, Callable[..., Tensor]] = {
    "attention": _attention,
    "attention_signed": _attention_signed,
    "l1": _l1,
    "random": _random,
}
