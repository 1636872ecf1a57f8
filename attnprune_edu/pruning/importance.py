"""Importance: one value per channel for every prunable layer; the higher, the sooner the channel is kept."""

import functools
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.images import ImageData
from ..networks.attention_layer import Attention
from ..networks.dataflow import Flow
from ..networks.inference import batch_dims, network_inputs
from ..networks.kinds import (
    Heads,
    Layer,
    Units,
    channel_dim,
    filters,
    layers_with_channels,
    one_by_one,
    padded,
    readers,
    rows,
    width,
)
from .attention import attention_scores
from .groups import groups_of, take_over_attention
from .heads import attention_entropy, head_gate
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

    A channel is a filter of a convolution, a neuron of a linear layer, a unit of a recurrent layer or a head of attention.
    Units go by the layer and direction, such as ``"gru.l0"`` and ``"gru.l1_reverse"``, heads by the name of their
    ``ap.Attention`` or ``nn.MultiheadAttention``. ``unprunable`` names the layers that are left out, such as those whose
    channels are the outputs of the network, and why.

    ``criterion`` is one of

    - ``"activation_attention"``: the mean over all positions of A^``power``, with A the mean over ``num_images`` training
      images of ``data`` of what the channel lets through its ReLU: attention by what a channel does, not by its weights
      (after the maps of Zagoruyko and Komodakis, ICLR 2017, arXiv:1612.03928, section 3.1, which sum over channels instead).
      Of a unit, it is the size of its state, and of a head the length of the vector that it hands on; a position is a step;
    - ``"attention"``: Σ_j α_j |w_j| with α = softmax(|w| / ``temperature``), the article's formula on sizes;
    - ``"attention_entropy"``, for heads alone: minus the mean entropy of what a head looks at in ``num_images`` training
      inputs of ``data``, in nats; sharp heads come first;
    - ``"attention_signed"``: Σ_j α_j w_j with α = softmax(w / ``temperature``), as the article prints it;
    - ``"bn_scale"``: |γ| of the batch normalisation behind the layer (Liu et al., ICCV 2017, arXiv:1708.06519);
    - ``"fpgm"``: the sum of the distances to the other filters of the layer; what is near to all can be spared
      (He et al., CVPR 2019, arXiv:1811.00250);
    - ``"head_gate"``, for heads alone: the mean over training inputs of |∂L/∂g|, with g a factor on what the head hands on
      (Michel, Levy and Neubig, NeurIPS 2019, arXiv:1905.10650, section 4.1), divided by the norm of the layer;
    - ``"l1"``: Σ_j |w_j| (Li et al., ICLR 2017, arXiv:1608.08710);
    - ``"l1_readers"``: Σ |w| over the weights that read the channel, in the layers behind it and, for a unit, in its own;
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
    where training images are looked at, a layer without batch normalisation behind it for ``"bn_scale"``, no heads for what
    is for heads alone, and as ``unprunable`` does.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {', '.join(map(repr, CRITERIA))}, got {criterion!r}")
    if example_inputs is None and data is not None:
        example_inputs = data.example_inputs
    layers = prunable_layers(model, ignored_layers, example_inputs)
    if criterion in FOR_HEADS:
        others, layers = layers, {name: layer for name, layer in layers.items() if isinstance(layer, Heads)}
        if not layers:
            raise ValueError(f"criterion {criterion!r} is for heads of attention, but {list(others)} have none")
    for name, layer in layers.items():
        if not all(torch.isfinite(weight).all() for weight in rows(layer).tensors() if weight.ndim > 1):
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


def prunable_layers(
    model: nn.Module, ignored_layers: Iterable[str] = (), example_inputs=None
) -> dict[str, nn.Module | Units]:
    """Return {name: layer} of everything whose channels may go, as ``layers_with_channels`` has it.

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
            "model has no prunable layer: at least one layer with channels is needed before the output layer, "
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
        for name, norms in _norms_behind(model, model, live).items()
    }
    if unfit := [name for name, found in scales.items() if len(found) != 1]:
        raise ValueError(
            f"criterion 'bn_scale' needs one normalisation with a scale for each channel behind each layer; {unfit} have "
            "none, or several. Choose another criterion, or name them in ignored_layers."
        )
    return {name: scales[name][0][stays].abs() for name, stays in live.items()}


def _norms_behind(model: nn.Module, plain: nn.Module, live: dict[str, Tensor]) -> dict[str, dict[nn.Module, list[int]]]:
    """{layer of ``model``: {normalisation of ``plain``, its copy, that takes its outputs: the entries of its channels}}."""
    flow = groups_of(model).flow
    return {name: {plain.get_submodule(norm): at for norm, at in flow.norms_of(name).items()} for name in live}


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
    take_over_attention(plain)
    layers = layers_with_channels(plain)
    sums: dict[str, Tensor] = {}

    def add_up(name, activations):  # (images, channels, …)
        total = activations.float().sum(dim=0)
        total = total.reshape(len(total), -1)  # (channels, positions)
        before = sums.get(name, total.new_zeros(len(total), 0))
        # A batch of packed sequences may be shorter than another; behind its end nothing passes.
        steps = max(total.shape[1], before.shape[1])
        sums[name] = sum(F.pad(part, (0, steps - part.shape[1])) for part in (before, total))

    def behind_relu(name, channels, dim_of, batch_dim, *hooked):
        add_up(name, hooked[-1].relu().movedim((batch_dim, dim_of(hooked[-1])), (0, 1))[:, channels])

    def heads(name, attention, _, inputs):
        handed_on = inputs[0].unflatten(-1, (attention.num_heads, attention.head_dim))  # (images, length, heads, head_dim)
        add_up(name, handed_on.norm(dim=-1).movedim(-1, 1))

    def states(names, module, inputs, _):
        x, found = inputs[0], []
        for layer in one_by_one(module):
            x = layer(x)[0]
            steps = padded(module, x).movedim(0 if module.batch_first else 1, 0)  # (images, length, units)
            found += steps.movedim(-1, 1).abs().split(module.hidden_size, dim=1)
        for name, units in zip(names, found, strict=True):
            if name in live:
                add_up(name, units)

    calibration = data.sample(num_images, generator)
    norms_behind = _norms_behind(model, plain, live)
    # What goes into the ReLU: the layer's output, or that of the normalisation behind it.
    heard = {
        name: list(norms_behind[name].items())[-1] if norms_behind[name] else (layers[name], slice(None))
        for name in live
        if isinstance(layers[name], Layer)
    }
    batch = batch_dims(plain, {seen for seen, _ in heard.values()}, network_inputs(plain, data, calibration.images[:1]))
    recurrent: dict[nn.Module, list[str]] = {}
    for name, layer in layers.items():
        if isinstance(layer, Units):
            recurrent.setdefault(layer.module, []).append(name)
        elif isinstance(layer, Attention) and name in live:
            layer.out_proj.register_forward_pre_hook(functools.partial(heads, name, layer))
    for module, names in recurrent.items():
        if not live.keys().isdisjoint(names):
            module.register_forward_hook(functools.partial(states, names))
    for name, (seen, channels) in heard.items():
        dim_of = (lambda output: 1) if norms_behind[name] else functools.partial(channel_dim, seen)
        seen.register_forward_hook(functools.partial(behind_relu, name, channels, dim_of, batch[seen]))
    for images in calibration.images.split(100):
        plain(network_inputs(plain, data, images))
    means = {name: total / len(calibration.labels) for name, total in sums.items()}
    return {name: (means[name] ** power).mean(dim=1)[stays.to(means[name].device)] for name, stays in live.items()}


@torch.enable_grad()
def _taylor(
    model: nn.Module, live: dict[str, Tensor], data: ImageData, num_images: int, generator: torch.Generator, **_
) -> dict[str, Tensor]:
    plain = unmask(model).eval()  # a copy, so that nobody's gradients are touched
    take_over_attention(plain)
    plain.requires_grad_(True)  # frozen layers are scored too
    layers = {name: layer for name, layer in layers_with_channels(plain).items() if name in live}
    own = {name: list(rows(layer).tensors()) for name, layer in layers.items() if isinstance(layer, Layer)}
    reading = _Reading(plain, groups_of(model).flow) if len(own) < len(layers) else None
    parameters = dict.fromkeys(tensor for tensors in own.values() for tensor in tensors)
    parameters = list(parameters | dict.fromkeys(reading.weights if reading else []))
    device = parameters[0].device
    calibration = data.sample(num_images, generator)
    batches = list(zip(calibration.images.split(100), calibration.labels.split(100), strict=True))
    scores = {name: torch.zeros(len(stays), device=device) for name, stays in live.items()}
    # cuDNN differentiates recurrent layers in training mode alone.
    with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled and reading is None):
        for images, labels in batches:
            loss = F.cross_entropy(plain(network_inputs(plain, data, images)).float(), labels.to(device))
            gradient = dict(zip(parameters, torch.autograd.grad(loss, parameters, materialize_grads=True), strict=True))
            read = reading.totals(lambda weight, g=gradient: g[weight] * weight) if reading else {}
            for name, score in scores.items():
                if name in own:
                    weight, *bias = own[name]
                    change = filters(layers[name], gradient[weight] * weight).float().sum(dim=1)
                    change = change + sum(gradient[one] * one for one in bias)
                else:
                    change = read[name]
                score += change.detach() ** 2 / len(batches)
    return {name: scores[name][stays.to(device)] for name, stays in live.items()}


@torch.no_grad()
def _l1_readers(model: nn.Module, live: dict[str, Tensor], **_) -> dict[str, Tensor]:
    plain = unmask(model)
    take_over_attention(plain)
    totals = _Reading(plain, groups_of(model).flow).totals(Tensor.abs)
    return {name: totals[name][stays] for name, stays in live.items()}


class _Reading:
    """The weights of a network that read channels, and which channels those are."""

    def __init__(self, plain: nn.Module, flow: Flow):
        self.flow = flow
        layers = layers_with_channels(plain)
        self.readers = [one for name, layer in layers.items() for one in readers(layer, name) if one.key in flow.inputs]
        self.weights = [getattr(reader.module, reader.part) for reader in self.readers]
        self.widths = {name: width(layers[name]) for name in flow.first}

    def totals(self, value: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """{layer: for each channel the sum of ``value`` of the weights that read it (channels,)}."""
        total = torch.zeros(len(self.flow.producers), device=self.weights[0].device)
        for reader, weight in zip(self.readers, self.weights, strict=True):
            each = value(weight).detach().float().movedim(reader.dim, 0).flatten(1).sum(dim=1)  # (columns,)
            pairs = [(one, at) for at, read in enumerate(self.flow.inputs[reader.key]) for one in read]
            if pairs:
                producers, at = torch.tensor(pairs, device=total.device).T
                total.index_add_(0, producers, each[at])
        return {name: total[first : first + self.widths[name]] for name, first in self.flow.first.items()}


FOR_HEADS = ("attention_entropy", "head_gate")
NEED_DATA = ("activation_attention", "taylor", *FOR_HEADS)
CRITERIA: dict[str, Callable[..., dict[str, Tensor]]] = {
    "activation_attention": _activation_attention,
    "attention": _by_weights(_attention),
    "attention_entropy": attention_entropy,
    "attention_signed": _by_weights(_attention_signed),
    "bn_scale": _bn_scale,
    "fpgm": _by_weights(_distance_to_others),
    "head_gate": head_gate,
    "l1": _by_weights(functools.partial(_norm, p=1)),
    "l1_readers": _l1_readers,
    "l2": _by_weights(functools.partial(_norm, p=2)),
    "random": _by_weights(_random),
    "taylor": _taylor,
}
