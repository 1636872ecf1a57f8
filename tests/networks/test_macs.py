"""Multiply–accumulate operations against sums made by hand."""

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import attnprune_edu as ap
from attnprune_edu.networks.macs import count_macs

N, S, T, E = 2, 5, 7, 8  # batch, sequence, other sequence, features


class Attention(nn.Module):
    """Scaled dot-product attention; ``kernel`` is the one that the network insists on."""

    def __init__(self, kernel=None, **options):
        super().__init__()
        self.kernel, self.options = kernel, options

    def forward(self, query, key, value):
        if self.kernel is None:
            return nn.functional.scaled_dot_product_attention(query, key, value, **self.options)
        with sdpa_kernel(self.kernel):
            return nn.functional.scaled_dot_product_attention(query, key, value, **self.options)


class Product(nn.Module):
    def forward(self, left, right):
        return left @ right


class Sum(nn.Module):
    def forward(self, start, matrix, vector):
        return torch.addmv(start, matrix, vector)


class Blocks(nn.Module):
    def forward(self, left, right):
        return torch.addbmm(left.new_zeros(3, 5), left, right)


def attention(queries, keys, features):
    """Scores, and their product with the values."""
    return 2 * queries * keys * features


def multihead(queries, keys):
    """Projections of queries, keys, values and results, and the attention between."""
    return 2 * queries * E * E + 2 * keys * E * E + attention(queries, keys, E)


def zeros(*shape):
    return torch.zeros(N, *shape)


ENCODER = multihead(S, S) + 2 * S * E * 16
LAYERS = {  # network, what it is called with, MACs for one of N
    "conv1d": (nn.Conv1d(3, 4, 3, stride=2), zeros(3, 9), 4 * 4 * 3 * 3),
    "conv2d": (nn.Conv2d(4, 6, (3, 2), padding=1, groups=2), zeros(4, 9, 9), 6 * 9 * 10 * 2 * 6),
    "depthwise": (nn.Conv2d(4, 4, 3, groups=4), zeros(4, 6, 6), 4 * 4 * 4 * 9),
    "conv3d": (nn.Conv3d(2, 3, 3), zeros(2, 5, 6, 7), 3 * 3 * 4 * 5 * 2 * 27),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2), zeros(4, 5, 5), 5 * 5 * 4 * 3 * 9),
    "transposed 1d": (nn.ConvTranspose1d(4, 6, 3), zeros(4, 5), 5 * 4 * 6 * 3),
    "linear": (nn.Linear(3, 4), zeros(3), 3 * 4),
    "linear on tokens": (nn.Linear(3, 4, bias=False), zeros(S, 3), S * 3 * 4),
    "attention": (Attention(), (zeros(2, S, 4), zeros(2, T, 4), zeros(2, T, 4)), 2 * attention(S, T, 4)),
    "causal": (Attention(is_causal=True), (zeros(2, S, 4),) * 3, 2 * attention(S, S, 4)),
    "grouped queries": (Attention(enable_gqa=True), (zeros(4, S, 4), *[zeros(2, T, 4)] * 2), 4 * attention(S, T, 4)),
    "flash": (Attention(SDPBackend.FLASH_ATTENTION), (zeros(2, S, 4),) * 3, 2 * attention(S, S, 4)),
    "multihead": (nn.MultiheadAttention(E, 2, batch_first=True), (zeros(S, E),) * 3, multihead(S, S)),
    "multihead without weights": (
        nn.MultiheadAttention(E, 2, batch_first=True),
        dict.fromkeys(("query", "key", "value"), zeros(S, E)) | {"need_weights": False},
        multihead(S, S),
    ),
    "between sequences": (
        nn.MultiheadAttention(E, 2, batch_first=True),
        {"query": zeros(S, E), "key": zeros(T, E), "value": zeros(T, E)},
        multihead(S, T),
    ),
    "encoder layer": (nn.TransformerEncoderLayer(E, 2, 16, batch_first=True), zeros(S, E), ENCODER),
    "encoder": (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(E, 2, 16, batch_first=True), 3),
        {"src": zeros(S, E), "src_key_padding_mask": zeros(S).bool()},
        3 * ENCODER,
    ),
    "rnn": (nn.RNN(3, 4, batch_first=True), zeros(S, 3), S * 4 * (3 + 4)),
    "lstm": (nn.LSTM(3, 4, batch_first=True), zeros(S, 3), S * 4 * 4 * (3 + 4)),
    "gru": (nn.GRU(3, 4, batch_first=True), zeros(S, 3), S * 3 * 4 * (3 + 4)),
    "lstm of two layers": (nn.LSTM(3, 4, 2, batch_first=True), zeros(S, 3), S * 4 * 4 * (3 + 4 + 4 + 4)),
    "bidirectional gru of two layers": (
        nn.GRU(3, 4, 2, bidirectional=True, batch_first=True),
        zeros(S, 3),
        S * 2 * 3 * 4 * (3 + 4 + 8 + 4),
    ),
    "bidirectional lstm with projection": (
        nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True, proj_size=2),
        zeros(S, 3),
        S * 2 * (4 * 4 * (3 + 2 + 4 + 2) + 2 * 4 * 2),
    ),
    "lstm cell": (nn.LSTMCell(3, 4), zeros(3), 4 * 4 * (3 + 4)),
    "matrix and vector": (Product(), (zeros(4, 5), torch.zeros(5)), 4 * 5),
    "vectors": (Product(), (torch.zeros(6), torch.zeros(6)), 1),
    "matrix and vector, added": (Sum(), (zeros(), zeros(5), torch.zeros(5)), 5),
    "blocks of matrices": (Blocks(), (zeros(3, 4), zeros(4, 5)), 3 * 4 * 5),
}


def to(inputs, dtype):
    """``inputs`` with their floating-point tensors in ``dtype``."""
    if isinstance(inputs, dict):
        return {name: to(value, dtype) for name, value in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(to(value, dtype) for value in inputs)
    return inputs.to(dtype) if isinstance(inputs, torch.Tensor) and inputs.is_floating_point() else inputs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_macs_of_a_layer_by_hand(name, dtype):
    layer, inputs, expected = LAYERS[name]
    layer = layer.to(dtype)
    for mode in (True, False):  # the fast path of attention is taken in evaluation mode only
        assert count_macs(layer.train(mode), example_inputs=to(inputs, dtype)) == expected
        assert layer.training == mode
    layer.float()


def test_macs_of_the_article_net_by_hand():
    macs = 32 * 28 * 28 * 3 * 25 + 64 * 10 * 10 * 32 * 25 + 1600 * 1024 + 1024 * 10
    for dtype in (torch.float32, torch.bfloat16):
        model = ap.ArticleNet().to(dtype)
        assert count_macs(model, (3, 32, 32)) == macs
        assert count_macs(model, example_inputs=torch.zeros(4, 3, 32, 32, dtype=dtype)) == macs


@pytest.mark.parametrize("device", ["cpu", "meta"])  # where tensors have shapes and no numbers
def test_a_network_is_shown_one_image_where_it_is(device):
    seen = []
    model = nn.Conv2d(3, 5, (2, 3), dtype=torch.float64, device=device)
    model.register_forward_pre_hook(lambda _, inputs: seen.append((*inputs, torch.is_grad_enabled())))
    assert count_macs(model, (3, 8, 6)) == 5 * 7 * 4 * 3 * 2 * 3
    ((image, with_gradients),) = seen
    assert (image.shape, image.dtype, image.device.type) == ((1, 3, 8, 6), torch.float64, device) and not with_gradients


def test_counting_leaves_the_switches_of_torch_as_they_were():
    backends = torch.backends
    for enabled in (False, True):
        with backends.mkldnn.flags(enabled=enabled):
            backends.mha.set_fastpath_enabled(enabled)
            try:
                with pytest.raises(RuntimeError):
                    count_macs(nn.Linear(3, 4), example_inputs=torch.zeros(2, 5))
                assert backends.mkldnn.enabled == enabled == backends.mha.get_fastpath_enabled()
            finally:
                backends.mha.set_fastpath_enabled(True)
    assert backends.cuda.flash_sdp_enabled()


def test_what_there_is_no_count_for_is_named():
    with pytest.raises(TypeError, match="got neither"):
        count_macs(nn.Linear(3, 4))
    with pytest.raises(TypeError, match="got both"):
        count_macs(nn.Linear(3, 4), (3, 4, 4), example_inputs=torch.zeros(2, 3))
    for nothing, shapes in {
        "a number": (3, r"\[\]"),
        "no dimension": (torch.tensor(1.0), r"\[\(\)\]"),
        "no batch": ((torch.zeros(0, 3), 1), r"\[\(0, 3\)\]"),
        "nothing": ((), r"\[\]"),
    }.values():
        with pytest.raises(ValueError, match=rf"example_inputs must hold tensors, .* got {shapes}$"):
            count_macs(nn.Identity(), example_inputs=nothing)
