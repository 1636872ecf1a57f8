"""Importance: one value per channel for every prunable layer; the higher, the sooner the channel is kept."""

import functools
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.images import ImageData
from ..networks.inference import network_inputs
from ..networks.models import channel_dim, filters, layers_with_channels
from .attention import attention_scores
from .groups import groups_of, hand_on
from .silence import live_channels, unmask

Criterion = str | Callable[[nn.Module], dict[str, Tensor]]


def importance(
    model: nn.Module,
    criterion: str = "attention",
    *,
    data: ImageData | None = None,
    temperature: float = 1.0,
    power: float = 2.0,
    num_images: int = 1000,
    seed: int = 0,
    ignored_layers: Iterable[str] = (),
    example_inputs=None,
) -> dict[str, Tensor]:
    """Return {layer name: importance (channels,)} for every prunable layer of ``model``, in the order of definition, on the
    CPU.

    A channel is a filter of a convolution or a neuron of a linear layer. ``unprunable`` names the layers that are left out,
    such as those whose channels are the outputs of the network, and why.

    ``criterion`` is one of

    - ``"activation_attention"``: the mean over all positions of A^``power``, with A the mean over ``num_images`` training
      images of ``data`` of what the channel lets through its ReLU: attention by what a channel does, not by its weights
      (after the maps of Zagoruyko and Komodakis, ICLR 2017, arXiv:1612.03928, section 3.1, which sum over channels instead);
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
      ``num_images`` training images of ``data``, drawn by ``seed``.

    ``example_inputs``: a small batch of what ``model`` takes, to follow its channels: a tensor, a tuple (handed over as
    several arguments) or a dictionary (as keyword arguments). None takes images of ``data``, or tries inputs that the first
    layer takes.

    Channels that a mask has silenced are no candidates any more: the others are scored without them, and they rank lowest.

    Raises ValueError for an unknown criterion, NaN or infinite weights, a model without prunable layers, missing ``data``
    for ``"taylor"`` or ``"activation_attention"``, a layer without batch normalisation behind it for ``"bn_scale"``, and as
    ``unprunable`` does.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {', '.join(map(repr, CRITERIA))}, got {criterion!r}")
    if example_inputs is None and data is not None:
        example_inputs = data.example_inputs
    layers = prunable_layers(model, ignored_layers, example_inputs)
    for name, layer in layers.items():
        if not torch.isfinite(layer.weight).all():
            raise ValueError(f"layer {name!r} has NaN or infinite weights, so its channels cannot be ranked")
    live = {name: stays.cpu() for name, stays in live_channels(model).items() if name in layers}
    if criterion in NEED_DATA and data is None:
        raise ValueError(f"criterion {criterion!r} needs the argument data, because it looks at training images")
    if num_images < 1:
        raise ValueError(f"num_images must be at least 1, got {num_images}")
    generator = torch.Generator().manual_seed(seed)
    options = {"data": data, "temperature": temperature, "power": power, "num_images": num_images, "generator": generator}
    scores = CRITERIA[criterion](model, live, **options)
    return {name: _with_silent_lowest(scores[name].detach().cpu(), live[name]) for name in layers}


def score(model: nn.Module, criterion: Criterion, data: ImageData | None = None, seed: int = 0) -> dict[str, Tensor]:
    """Importance by the name of a criterion, or by a function of the model that returns it."""
    return criterion(model) if callable(criterion) else importance(model, criterion, data=data, seed=seed)


def prunable_layers(model: nn.Module, ignored_layers: Iterable[str] = (), example_inputs=None) -> dict[str, nn.Module]:
    """Return {name: layer} of every convolution and Linear whose channels may go, in the order of definition.

    Left out are ``ignored_layers`` and what ``unprunable`` names, such as the output layer, whose neurons are the classes.
    Raises ValueError if nothing is left or an ignored name does not exist.
    """
    layers = layers_with_channels(model)
    ignored = set(ignored_layers)
    if unknown := ignored - layers.keys():
        raise ValueError(
            f"ignored_layers names {sorted(unknown)}, but the layers of this model with channels are {list(layers)}"
        )
    stays = groups_of(model, example_inputs).stays if layers else {}
    chosen = {name: layer for name, layer in layers.items() if name not in ignored and name not in stays}
    if not chosen:
        reasons = "; ".join(f"{name!r}: {stays.get(name, 'in ignored_layers')}" for name in layers)
        raise ValueError(
            "model has no prunable layer: at least one convolution or Linear is needed before the output layer, "
            f"got {reasons or 'none'}"
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
        return {name: score(_exact(filters(layers[name])[stays]), **options) for name, stays in live.items()}

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
    scales = {
        name: [norm.weight[at] for norm, at in norms.items() if getattr(norm, "weight", None) is not None]
        for name, norms in _norms_behind(model, live).items()
    }
    if unfit := [name for name, found in scales.items() if len(found) != 1]:
        raise ValueError(
            f"criterion 'bn_scale' needs one normalisation with a scale for each channel behind each layer; {unfit} have "
            "none, or several. Choose another criterion, or name them in ignored_layers."
        )
    return {name: scales[name][0][stays].abs() for name, stays in live.items()}


def _norms_behind(model: nn.Module, live: dict[str, Tensor]) -> dict[str, dict[nn.Module, list[int]]]:
    """{layer: {normalisation of ``model`` that takes its outputs: the entries of its channels}}."""
    flow = groups_of(model).flow
    return {name: {model.get_submodule(norm): at for norm, at in flow.norms_of(name).items()} for name in live}


@torch.no_grad()
def _activation_attention(
    model: nn.Module,
    live: dict[str, Tensor],
    data: ImageData,
    num_images: int,
    power: float,
    generator: torch.Generator,
    **_,
) -> dict[str, Tensor]:
    plain = unmask(model).eval()
    sums: dict[str, Tensor] = {}

    def add_up(name, channels, dim_of):
        def hook(module, inputs, output):
            through = output.relu().float().movedim(dim_of(output), 1)[:, channels]  # (images, channels, …)
            sums[name] = sums.get(name, 0) + through.sum(dim=0)

        return hook

    hand_on(model, plain)
    for name, norms in _norms_behind(plain, live).items():
        # What goes into the ReLU: the layer's output, or that of the normalisation behind it.
        layer = plain.get_submodule(name)
        seen, channels = list(norms.items())[-1] if norms else (layer, slice(None))
        dim_of = (lambda output: 1) if norms else functools.partial(channel_dim, layer)
        seen.register_forward_hook(add_up(name, channels, dim_of))
    calibration = data.sample(num_images, generator)
    for images in calibration.images.split(100):
        plain(network_inputs(plain, data, images))
    # (channels, positions)
    means = {name: total.reshape(len(total), -1) / len(calibration.labels) for name, total in sums.items()}
    return {name: (means[name] ** power).mean(dim=1)[stays.to(means[name].device)] for name, stays in live.items()}


@torch.enable_grad()
def _taylor(
    model: nn.Module, live: dict[str, Tensor], data: ImageData, num_images: int, generator: torch.Generator, **_
) -> dict[str, Tensor]:
    plain = unmask(model).eval()  # a copy, so that nobody's gradients are touched
    plain.requires_grad_(True)  # frozen layers are scored too
    layers = [plain.get_submodule(name) for name in live]
    parameters = [parameter for layer in layers for parameter in (layer.weight, layer.bias) if parameter is not None]
    device = parameters[0].device
    calibration = data.sample(num_images, generator)
    batches = list(zip(calibration.images.split(100), calibration.labels.split(100), strict=True))
    scores = {name: torch.zeros(len(stays), device=device) for name, stays in live.items()}
    for images, labels in batches:
        loss = F.cross_entropy(plain(network_inputs(plain, data, images)).float(), labels.to(device))
        gradient = dict(zip(parameters, torch.autograd.grad(loss, parameters), strict=True))
        for layer, score in zip(layers, scores.values(), strict=True):
            change = filters(layer, gradient[layer.weight] * layer.weight).float().sum(dim=1)
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
