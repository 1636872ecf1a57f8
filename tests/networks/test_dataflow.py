import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.networks.dataflow import layers_before_relu, norms_behind


class Sharpened(nn.Conv2d):
    """A layer of somebody's own."""

    def forward(self, x):
        return super().forward(x) * 2


class Network(nn.Module):
    """Layers, and a forward pass that is handed over."""

    def __init__(self, forward, **layers):
        super().__init__()
        self.way = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x):
        return self.way(self, x)


KEEP = torch.tensor([True, False, True, True])
CASES = {
    "crossed in the file": lambda: (
        Network(lambda net, x: net.norm_b(net.b(net.norm(net.conv(x)))), norm_b=nn.BatchNorm2d(4), norm=nn.BatchNorm2d(4),
                b=nn.Conv2d(4, 4, 1), conv=nn.Conv2d(3, 4, 1)), ["norm"]),
    "a class of one's own": lambda: (
        Network(lambda net, x: net.norm(net.conv(x)), conv=Sharpened(3, 4, 1), norm=nn.BatchNorm2d(4)), ["norm"]),
    "two norms": lambda: (
        Network(lambda net, x: net.norm(y := net.conv(x)) + net.other(y), conv=nn.Conv2d(3, 4, 1),
                norm=nn.BatchNorm2d(4), other=nn.BatchNorm2d(4)), ["norm", "other"]),
    "called twice": lambda: (
        Network(lambda net, x: net.norm(net.conv(x)) + net.other(net.conv(-x)), conv=nn.Conv2d(3, 4, 1),
                norm=nn.BatchNorm2d(4), other=nn.BatchNorm2d(4)), ["norm", "other"]),
    "by keyword": lambda: (
        Network(lambda net, x: net.norm(input=net.conv(x)), conv=nn.Conv2d(3, 4, 1), norm=nn.BatchNorm2d(4)), ["norm"]),
    "behind activation and pooling": lambda: (
        Network(lambda net, x: net.norm(net.pool(net.conv(x).relu())), conv=nn.Conv2d(3, 4, 1), pool=nn.MaxPool2d(2),
                norm=nn.BatchNorm2d(4)), ["norm"]),
    "behind dropout": lambda: (
        Network(lambda net, x: net.norm(net.drop(net.conv(x))), conv=nn.Conv2d(3, 4, 1), drop=nn.Dropout(0.5),
                norm=nn.BatchNorm2d(4)), ["norm"]),
    "in groups": lambda: (
        Network(lambda net, x: net.norm(net.conv(x)), conv=nn.Conv2d(3, 4, 1), norm=nn.GroupNorm(2, 4)), ["norm"]),
    "behind a sum": lambda: (
        Network(lambda net, x: net.norm(net.conv(x) + net.b(x)), conv=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 4, 1),
                norm=nn.BatchNorm2d(4)), []),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_norms_are_found_by_the_data_flow_and_nothing_leaks_through_them(name):
    torch.manual_seed(0)
    model, norms = CASES[name]()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.normal_(module.bias)
    assert norms_behind(model).get("conv", []) == [getattr(model, norm) for norm in norms]
    masked, seen = ap.mask(model, {"conv": KEEP}), {}
    for norm in norms:
        getattr(masked, norm).register_forward_hook(lambda module, _, output, norm=norm: seen.update({norm: output}))
    masked(torch.randn(8, 3, 6, 6))
    assert list(seen) == norms
    for output in seen.values():
        assert (output[:, ~KEEP] == 0).all() and (output[:, KEEP] != 0).any()
    others = [m for n, m in masked.named_modules() if isinstance(m, nn.BatchNorm2d) and n not in norms]
    assert all((other.weight != 0).all() for other in others), "and nobody else is masked"


def test_where_a_relu_stands_is_read_from_the_data_flow(tiny_model):
    assert layers_before_relu(tiny_model) == {"conv1", "conv2", "fc1"}
    chain = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Linear(4, 2))
    assert layers_before_relu(chain) == {"0"}
    assert layers_before_relu(nn.Sequential(nn.Conv2d(3, 4, 1), nn.GELU())) == set()

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            x = self.conv(x)
            return x.relu() + x

    assert layers_before_relu(Both()) == set(), "what also goes elsewhere counts below zero too"

    class Choosy(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    assert layers_before_relu(Choosy()) == set()
