"""Memory of a forward pass against sums made by hand."""

import weakref

import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.report.memory import peak_memory


class Pass(nn.Module):
    """A forward pass that is handed over, with whatever tensors belong to it."""

    def __init__(self, way, **tensors):
        super().__init__()
        self.way = way
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)

    def forward(self, *inputs, **named):
        return self.way(*inputs, **named)


def ten_in_a_row(x):
    for _ in range(10):
        x = x.exp()
    return x


def rising_and_falling(x):
    """x and its ten copies, then again x and one result: the peak lies in the middle."""
    many = x.repeat(10)
    few = many.sum()
    del many
    return few + x.exp()


def twenty_then_thirty(x):
    first = [x.exp() for _ in range(20)]
    del first
    return [x.exp() for _ in range(30)]


X = torch.zeros(100)  # 400 bytes
PASSES = {  # forward pass, what it is called with, numbers of four bytes at its peak
    "nothing": (lambda x: x, X, 100),
    "a result": (lambda x: x.exp(), X, 200),
    "views are no copies": (lambda x: x.view(10, 10).T[:5].exp(), X, 100 + 50),
    "a view of an input counts as all of it": (lambda x: x[0], X[:10], 100),
    "in place": (lambda x: x.clone().exp_().mul_(2), X, 200),
    "what is forgotten is free again": (ten_in_a_row, X, 100 + 2 * 100),
    "what is held is not": (lambda x: [x.exp() for _ in range(10)], X, 100 + 10 * 100),
    "the peak is not at the end": (rising_and_falling, X, 100 + 1000 + 1),
    "places that are free again are taken again": (twenty_then_thirty, X, 100 + 30 * 100),
    "a number is no tensor": (lambda x: x * x.sum().item(), X, 200),
    "another type": (lambda x: x.double(), X, 100 + 2 * 100),
    "several results": (lambda x: x.view(10, 10).max(dim=1), X, 100 + 10 + 2 * 10),  # places in eight bytes each
    "several inputs": (lambda x, y: x + y, (X, torch.zeros(100)), 300),
    "one input twice": (lambda x, y: x + y, (X, X), 200),
    "named inputs": (lambda *, x, rows: x[rows], {"x": X, "rows": torch.arange(5)}, 100 + 2 * 5 + 5),
    "inputs that are no tensors": (lambda x, *, power: x**power, {"x": X, "power": 3}, 200),
    "nothing is multiplied": (lambda x: x[:0].exp(), X, 100),
}


@pytest.mark.parametrize("name", PASSES)
def test_peak_by_hand(name):
    way, inputs, numbers = PASSES[name]
    assert peak_memory(Pass(way), inputs) == 4 * numbers


def test_what_belongs_to_the_network_counts_once():
    linear = nn.Linear(3, 5)
    tied = nn.Sequential(linear, nn.Linear(5, 5), nn.Linear(5, 5))
    tied[2].weight = tied[1].weight
    # Each layer's result is there while the next one works, and so are the inputs.
    assert peak_memory(tied, torch.zeros(2, 3)) == 4 * ((15 + 5) + 25 + 5 + 5 + 2 * 3 + 2 * 2 * 5)
    assert peak_memory(Pass(lambda x: x, table=torch.zeros(7), same=X), X) == 4 * (7 + 100)


def test_peak_of_the_article_net_by_hand():
    model = ap.ArticleNet()
    images = torch.zeros(8, 3, 32, 32)
    small = ap.remove(ap.mask(model, ap.keep_by_ratio(ap.importance(model), 0.5)))
    for network, channels in ((model, 32), (small, 16)):
        # The peak is at the first ReLU, when its input and its output are both there.
        expected = 4 * (ap.count_params(network) + images.numel() + 2 * 8 * channels * 28 * 28)
        assert peak_memory(network, images) == peak_memory(network, images) == expected


def test_only_a_forward_pass_in_evaluation_mode_is_measured():
    """Nothing is kept for gradients, and nothing of what only training needs is made."""
    model = nn.Sequential(*[nn.Sequential(nn.ReLU(), nn.Dropout()) for _ in range(5)]).train()
    model.scale = nn.Parameter(torch.ones(1))
    model[0].register_forward_pre_hook(lambda _, inputs: inputs[0] * model.scale)
    model[2].eval()
    assert peak_memory(model, X) == 4 * (1 + 100 + 2 * 100)
    assert [block.training for block in model] == [True, True, False, True, True]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_an_input_has_the_type_of_the_network(dtype):
    model = nn.Linear(3, 5).to(dtype)
    expected = dtype.itemsize * (15 + 5 + 2 * 3 + 2 * 5)
    assert peak_memory(model, torch.zeros(2, 3)) == peak_memory(model, torch.zeros(2, 3, dtype=dtype)) == expected
    embedding = nn.Embedding(3, 5).to(dtype)
    assert peak_memory(embedding, torch.zeros(2, dtype=int)) == dtype.itemsize * (15 + 2 * 5) + 2 * 8


def test_what_was_measured_can_go():
    model, images = nn.Linear(3, 5), torch.zeros(2, 3)
    measured = [weakref.ref(model.weight), weakref.ref(images)]
    peak_memory(model, images)
    del model, images
    assert [tensor() for tensor in measured] == [None, None]
