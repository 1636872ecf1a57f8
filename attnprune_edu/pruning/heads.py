"""Criteria for heads of attention, by what they look at and by what the loss loses without them."""

import contextlib
import functools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.images import ImageData
from ..networks.attention_layer import watched_attention
from ..networks.inference import evaluating, network_inputs
from .groups import take_over_attention
from .silence import unmask

BATCH = 100


@torch.no_grad()
def attention_entropy(
    model: nn.Module, live: dict[str, Tensor], data: ImageData, num_images: int, generator: torch.Generator, **_
) -> dict[str, Tensor]:
    """Minus the mean entropy of what each head looks at, in nats, over ``num_images`` training inputs of ``data``.

    A head that looks at a single token has 0, the most there is; one that looks at n tokens alike has −ln n. Where an
    attention looks at its own tokens, those that are padding do not count.
    """
    plain = unmask(model)
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    calibration = data.sample(num_images, generator)
    with evaluating(plain), watched_attention(plain) as seen:
        for images in calibration.images.split(BATCH):
            plain(network_inputs(plain, data, images))
            for name in live:
                probabilities, padding = seen[name]
                entropy = torch.special.entr(probabilities.float()).sum(dim=-1)  # (N, heads, length)
                if padding is not None and probabilities.shape[-1] == probabilities.shape[-2]:
                    tokens = ~padding if padding.dtype == torch.bool else padding != -torch.inf  # (N, length)
                    entropy = entropy.movedim(1, -1)[tokens].T  # (heads, tokens)
                else:
                    entropy = entropy.transpose(0, 1).flatten(1)
                sums[name] = sums.get(name, 0) + entropy.sum(dim=1)
                counts[name] = counts.get(name, 0) + entropy.shape[1]
    return {name: (-sums[name] / counts[name])[stays.to(sums[name].device)] for name, stays in live.items()}


@torch.enable_grad()
def head_gate(
    model: nn.Module, live: dict[str, Tensor], data: ImageData, num_images: int, generator: torch.Generator, **_
) -> dict[str, Tensor]:
    """The mean over ``num_images`` training inputs of ``data`` of |∂L/∂g|, with g = 1 a factor on what a head hands on.

    Divided by the norm of the layer, as its authors do (Michel, Levy and Neubig, NeurIPS 2019, arXiv:1905.10650, section
    4.1), so that layers can be compared.
    """
    plain = unmask(model).eval()
    take_over_attention(plain)
    plain.requires_grad_(False)
    calibration = data.sample(num_images, generator)
    sums: dict[str, Tensor] = {}
    with _gates(plain, list(live)) as gates:
        for images, labels in zip(calibration.images.split(BATCH), calibration.labels.split(BATCH), strict=True):
            gates.clear()
            outputs = plain(network_inputs(plain, data, images))
            loss = F.cross_entropy(outputs.float(), labels.to(outputs.device), reduction="sum")
            gradients = torch.autograd.grad(loss, list(gates.values()), materialize_grads=True)
            for name, gradient in zip(gates, gradients, strict=True):
                sums[name] = sums.get(name, 0) + gradient.abs().sum(dim=0)
    scores = {name: sums[name][stays.to(sums[name].device)] / len(calibration.labels) for name, stays in live.items()}
    return {name: score / score.norm().clamp(min=1e-12) for name, score in scores.items()}


@contextlib.contextmanager
def _gates(plain: nn.Module, names: list[str]) -> Iterator[dict[str, Tensor]]:
    """Give {name: a factor of 1 for each input and head (N, heads)}, which each pass of ``plain`` fills anew."""
    gates: dict[str, Tensor] = {}

    def gated(name, attention, _, inputs):
        found = inputs[0].unflatten(-1, (attention.num_heads, attention.head_dim))  # (N, length, heads, head_dim)
        if name not in gates:
            gates[name] = found.new_ones(len(found), attention.num_heads, requires_grad=True)
        return ((found * gates[name][:, None, :, None]).flatten(-2),)

    handles = []
    for name in names:
        attention = plain.get_submodule(name)
        handles.append(attention.out_proj.register_forward_pre_hook(functools.partial(gated, name, attention)))
    try:
        yield gates
    finally:
        for handle in handles:
            handle.remove()
