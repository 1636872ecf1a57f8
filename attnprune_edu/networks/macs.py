"""Multiply–accumulate operations, counted in the operations that a forward pass really calls."""

import contextlib
from collections.abc import Iterator
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from .inference import call, device_of, evaluating, floating_type, without_fast_path


@torch.no_grad()
def count_macs(model: nn.Module, image_shape: tuple[int, int, int] | None = None, *, example_inputs: Any = None) -> int:
    """Multiply–accumulate operations of ``model`` for one image (channels, height, width), or for one of other inputs.

    ``example_inputs``, in place of ``image_shape``: what the network is called with, a tensor, a tuple (positional
    arguments) or a dictionary (keyword arguments). Their first dimension must be the batch; the count is the mean over it.

    Counted in convolutions, products of matrices and vectors, and attention (scores and their product with the values, also
    where a mask hides some), recurrent layers and ``nn.MultiheadAttention`` included. Not counted: additions, such as of a
    bias, what is done to each element, such as activations, normalisation and gates, pooling, and ``nn.Bilinear``. Counted
    by ``torch.utils.flop_counter``, with two operations to a MAC. Nothing depends on the device or on the network's type.

    Raises TypeError unless exactly one of ``image_shape`` and ``example_inputs`` is given, and ValueError if
    ``example_inputs`` hold no tensor with a batch.
    """
    if (image_shape is None) == (example_inputs is None):
        given = "neither" if image_shape is None else "both"
        raise TypeError(f"count_macs takes either image_shape or example_inputs, got {given}")
    if image_shape is not None:
        example_inputs = torch.zeros(1, *image_shape, device=device_of(model), dtype=floating_type(model))
    tensors = [leaf for leaf in _pytree.tree_leaves(example_inputs) if isinstance(leaf, Tensor)]
    if not tensors or not tensors[0].ndim or not len(tensors[0]):
        got = [tuple(tensor.shape) for tensor in tensors]
        raise ValueError(f"example_inputs must hold tensors, with the batch as first dimension of the first; got {got}")
    with evaluating(model), _unfused(), FlopCounterMode(display=False, custom_mapping=_FLOPS) as counter:
        call(model, example_inputs)
    return round(counter.get_total_flops() / 2 / len(tensors[0]))


@contextlib.contextmanager
def _unfused() -> Iterator[None]:
    """Let attention and recurrent layers run as the matrix products they are made of, which the counter can see."""
    backends = (torch.backends.mkldnn, torch.backends.cudnn)
    before = [backend.enabled for backend in backends]
    try:
        for backend in backends:
            backend.enabled = False
        # Other kernels may pad the heads to a length that suits a GPU.
        with without_fast_path(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        for backend, enabled in zip(backends, before, strict=True):
            backend.enabled = enabled


def _product(left, right, *_, out_shape=None, **__) -> int:
    """Of a matrix or vector (…, n) with a vector (n,)."""
    return 2 * prod(left)


def _added_product(_, left, right, *__, out_shape=None, **___) -> int:
    """Of matrices ([batch,] m, n) with a vector (n,) or matrices (batch, n, p), added to something."""
    return 2 * prod(left) * (right[-1] if len(left) == 3 else 1)


def _attention(query, key, value, *_, out_shape=None, **__) -> int:
    return sdpa_flop_count(query, key, value)


# What torch's own table lacks; of attention, the kernels of processors and of GPUs that are not NVIDIA's.
_ATEN = torch.ops.aten
_KERNELS = (
    _ATEN._scaled_dot_product_flash_attention_for_cpu,
    _ATEN._scaled_dot_product_attention_math_for_mps,
    _ATEN._scaled_dot_product_fused_attention_overrideable,
)
_FLOPS = {
    **dict.fromkeys((_ATEN.mv, _ATEN.dot, _ATEN.vdot), _product),
    **dict.fromkeys((_ATEN.addmv, _ATEN.addbmm), _added_product),
    **dict.fromkeys(_KERNELS, _attention),
}
