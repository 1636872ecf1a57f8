"""Importance: one value per channel for every prunable layer; the higher, the sooner the channel is kept."""

import functools
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.images import ImageData
from ..networks.dataflow import norms_behind
from ..networks.models import layers_with_channels
from .attention import attention_scores
from .masks import live_channels, unmask

Criterion = str | Callable[[nn.Module], dict[str, Tensor]]


def importance(
    model: nn.Module,
    criterion: str = "attention",
    *,
    data: ImageData | None = None,
    temperature: float = 1.0,
    power: float = 2.0,
    images: int = 1000,
    seed: int = 0,
    ignored_layers: Iterable[str] = (),
) -> dict[str, Tensor]:
    """Return {layer name: importance (channels,)} for every prunable layer of ``model``, in the network's order,
    on the CPU.

    A channel is a filter of a convolution or a neuron of a linear layer: one entry along the first dimension of its weight.

    ``criterion`` is one of

    - ``"activation_attention"``: the mean over all positions of A^``power``, with A the mean over ``images`` training images
      of ``data`` of what the channel lets through its ReLU: attention by what a channel does, not by its weights (after the
      maps of Zagoruyko and Komodakis, ICLR 2017, arXiv:1612.03928, section 3.1, which sum over channels instead);
    - ``"attention"``: Σ_j α_j |w_j| with α = softmax(|w| / ``temperature``), the article's formula on sizes;
    - ``"attention_signed"``: Σ_j α_j w_j with α = softmax(w / ``temperature``), as the article prints it;
    - ``"bn_scale"``: |γ| of the batch normalisation behind the layer (Liu et al., ICCV 2017, arXiv:1708.06519);
    - ``"fpgm"``: the sum of the distances to the other filters of the layer; what is near to all can be spared
      (He et al., CVPR 2019, arXiv:1811.00250);
    - ``"l1"``: Σ_j |w_j| (Li et al., ICLR 2017, arXiv:1608.08710);
    - ``"l2"``: √(Σ_j w_j²);
    - ``"random"``: uniform numbers from ``seed``, the baseline that every criterion has to beat;
    - ``"taylor"``: (Σ_j g_j w_j)² over the weights and the bias, with g the gradient of the loss: how much the loss would
      change to first order (Molchanov et al., CVPR 2019, arXiv:1906.10771, section 3). The mean over batches of 100 of
      ``images`` training images of ``data``, drawn by ``seed``.

    Channels that a mask has silenced are no candidates any more: the others are scored without them, and they rank lowest.

    Raises ValueError for an unknown criterion, NaN or infinite weights, a model without prunable layers, missing ``data``
    for ``"taylor"`` or ``"activation_attention"``, or a layer without batch normalisation behind it for ``"bn_scale"``.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {', '.join(map(repr, CRITERIA))}, got {criterion!r}")
    layers = prunable_layers(model, ignored_layers)
    for name, layer in layers.items():
        if not torch.isfinite(layer.weight).all():
            raise ValueError(f"layer {name!r} has NaN or infinite weights, so its channels cannot be ranked")
    live = {name: stays.cpu() for name, stays in live_channels(model).items() if name in layers}
    if criterion in NEED_DATA and data is None:
        raise ValueError(f"criterion {criterion!r} needs the argument data, because it looks at training images")
    if images < 1:
        raise ValueError(f"images must be at least 1, got {images}")
    generator = torch.Generator().manual_seed(seed)
    options = {"data": data, "temperature": temperature, "power": power, "images": images, "generator": generator}
    scores = CRITERIA[criterion](model, live, **options)
    return {name: _with_silent_lowest(scores[name].detach().cpu(), live[name]) for name in layers}


def score(model: nn.Module, criterion: Criterion, data: ImageData | None = None, seed: int = 0) -> dict[str, Tensor]:
    """Importance by the name of a criterion, or by a function of the model that returns it."""
    return criterion(model) if callable(criterion) else importance(model, criterion, data=data, seed=seed)


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


def _with_silent_lowest(scores: Tensor, live: Tensor) -> Tensor:
    """The ``scores`` of the live channels in their places, and below all of them the silent ones."""
    below = torch.nextafter(scores.min(), scores.new_tensor(-math.inf))
    values = torch.minimum(below, scores.new_tensor(0.0)).repeat(len(live))
    values[live] = scores
    return values


# A criterion gets the model, {layer: bool (channels,), True for those to score} and the options of `importance`, and
# returns {layer: one score for each True}.


def _by_weights(score: Callable[..., Tensor]) -> Callable[..., dict[str, Tensor]]:
    """A criterion that looks at nothing but the weights (live channels, weights of a channel) of one layer at a time."""

    @torch.no_grad()
    def criterion(model, live, **options):
        layers = layers_with_channels(model)
        return {name: score(_exact(layers[name].weight[stays].flatten(1)), **options) for name, stays in live.items()}

    return criterion


def _exact(weight: Tensor) -> Tensor:
    """At least float32: half of that is too coarse to sum up in, and ``cdist`` does not know it."""
    return weight.to(torch.promote_types(weight.dtype, torch.float32))


def _attention(weight: Tensor, temperature: float, **_) -> Tensor:
    return attention_scores(weight, temperature)


def _attention_signed(weight: Tensor, temperature: float, **_) -> Tensor:
    return attention_scores(weight, temperature, signed=True)


def _norm(weight: Tensor, p: int, **_) -> Tensor:
    return weight.norm(p, dim=1)


def _distance_to_others(weight: Tensor, **_) -> Tensor:
    # The shorter way by matrix products loses half of the digits where filters are close to each other.
    return torch.cdist(weight, weight, compute_mode="donot_use_mm_for_euclid_dist").sum(dim=1)


def _random(weight: Tensor, generator: torch.Generator, **_) -> Tensor:
    return torch.rand(len(weight), generator=generator)


def _bn_scale(model: nn.Module, live: dict[str, Tensor], **_) -> dict[str, Tensor]:
    norms = norms_behind(model)
    scales = {name: [norm.weight for norm in norms.get(name, ()) if norm.weight is not None] for name in live}
    if unfit := [name for name, found in scales.items() if [scale.shape for scale in found] != [live[name].shape]]:
        raise ValueError(
            f"criterion 'bn_scale' needs one normalisation with a scale for each channel behind each layer; {unfit} have "
            "none, or several. Choose another criterion, or name them in ignored_layers."
        )
    return {name: scales[name][0][stays].abs() for name, stays in live.items()}


@torch.no_grad()
def _activation_attention(
    model: nn.Module,
    live: dict[str, Tensor],
    data: ImageData,
    images: int,
    power: float,
    generator: torch.Generator,
    **_,
) -> dict[str, Tensor]:
    plain = unmask(model).eval()
    norms = norms_behind(plain)
    sums: dict[str, Tensor] = {}

    def add_up(name):
        def hook(module, inputs, output):
            sums[name] = sums.get(name, 0) + output.relu().sum(dim=0)

        return hook

    for name in live:  # what goes into the ReLU: the layer's output, or that of the normalisation behind it
        norms.get(name, [plain.get_submodule(name)])[-1].register_forward_hook(add_up(name))
    device = next(plain.parameters()).device
    chosen = torch.randperm(len(data.train.labels), generator=generator)[:images]
    for batch in chosen.split(100):
        plain(data.normalize(data.train.images[batch].to(device)))
    means = {name: total.reshape(len(total), -1) / len(chosen) for name, total in sums.items()}  # (channels, positions)
    return {name: (means[name] ** power).mean(dim=1)[stays.to(device)] for name, stays in live.items()}


@torch.enable_grad()
def _taylor(
    model: nn.Module, live: dict[str, Tensor], data: ImageData, images: int, generator: torch.Generator, **_
) -> dict[str, Tensor]:
    plain = unmask(model).eval()  # a copy, so that nobody's gradients are touched
    plain.requires_grad_(True)  # frozen layers are scored too
    layers = [plain.get_submodule(name) for name in live]
    parameters = [parameter for layer in layers for parameter in (layer.weight, layer.bias) if parameter is not None]
    device = parameters[0].device
    batches = torch.randperm(len(data.train.labels), generator=generator)[:images].split(100)
    scores = {name: torch.zeros(len(stays), device=device) for name, stays in live.items()}
    for batch in batches:
        inputs = data.normalize(data.train.images[batch].to(device))
        loss = F.cross_entropy(plain(inputs), data.train.labels[batch].to(device))
        gradient = dict(zip(parameters, torch.autograd.grad(loss, parameters), strict=True))
        for layer, score in zip(layers, scores.values(), strict=True):
            change = (gradient[layer.weight] * layer.weight).flatten(1).sum(dim=1)
            if layer.bias is not None:
                change = change + gradient[layer.bias] * layer.bias
            score += change.detach() ** 2 / len(batches)
    return {name: scores[name][stays.to(device)] for name, stays in live.items()}


NEED_DATA = ("activation_attention", "taylor")
CRITERIA: dict[str, Callable[..., dict[str, Tensor]]] = {
    "activation_attention": _activation_attention,
    "attention": _by_weights(_attention),
    "attention_signed": _by_weights(_attention_signed),
    "bn_scale": _bn_scale,
    "fpgm": _by_weights(_distance_to_others),
    "l1": _by_weights(functools.partial(_norm, p=1)),
    "l2": _by_weights(functools.partial(_norm, p=2)),
    "random": _by_weights(_random),
    "taylor": _taylor,
}
