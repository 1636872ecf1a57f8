import pytest
import torch
from conftest import Network, trained_norms
from torch import nn
from torch.nn import functional as F

import attnprune_edu as ap
from attnprune_edu.networks.dataflow import follow
from attnprune_edu.networks.kinds import width


class Sharpened(nn.Conv2d):
    """A layer of somebody's own."""

    def forward(self, x):
        return super().forward(x) * 2


def behind(between, **layers):
    """conv → what is handed over → norm → head."""
    return Network(
        lambda net, x: net.head(net.norm(between(net, net.conv(x)))),
        **{"conv": nn.Conv2d(3, 4, 3, padding=1), **layers, "norm": nn.BatchNorm2d(4), "head": nn.Conv2d(4, 2, 1)},
    )


class OwnScale(nn.Module):
    """A normalisation of somebody's own, whose parameters have names of their own."""

    def __init__(self, channels):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.rand(channels) + 0.5), nn.Parameter(torch.randn(channels))
        self.power = nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return (x * self.gamma[:, None, None] + self.beta[:, None, None]) * self.power


def written(net, y):
    buffer = torch.zeros_like(y)
    buffer[:, :, 1:] = y[:, :, :-1]
    return buffer


BEHIND = {
    "at once": lambda: behind(lambda net, y: y),
    "a class of one's own": lambda: behind(lambda net, y: y, conv=Sharpened(3, 4, 1)),
    "ReLU and pooling": lambda: behind(lambda net, y: F.max_pool2d(y.relu(), 2)),
    "adaptive pooling": lambda: behind(lambda net, y: F.adaptive_avg_pool2d(y, 2)),
    "dropout": lambda: behind(lambda net, y: net.drop(y), drop=nn.Dropout(0.5)),
    "interpolation": lambda: behind(lambda net, y: F.interpolate(y, scale_factor=2, mode="bilinear")),
    "Upsample": lambda: behind(lambda net, y: net.up(y), up=nn.Upsample(scale_factor=2)),
    "padding": lambda: behind(lambda net, y: F.pad(y, (1, 2, 0, 1))),
    "ZeroPad2d": lambda: behind(lambda net, y: net.pad(y), pad=nn.ZeroPad2d(1)),
    "reflection": lambda: behind(lambda net, y: net.pad(y), pad=nn.ReflectionPad2d(1)),
    "scaling": lambda: behind(lambda net, y: 3 * y / 2),
    "in place": lambda: behind(lambda net, y: y.mul_(2).relu_()),
    "leaky_relu": lambda: behind(lambda net, y: F.leaky_relu(y)),
    "elu": lambda: behind(lambda net, y: F.elu(y)),
    "hardswish": lambda: behind(lambda net, y: F.hardswish(y)),
    "relu6": lambda: behind(lambda net, y: F.relu6(y)),
    "clamp": lambda: behind(lambda net, y: y.clamp(-1, 1)),
    "SiLU": lambda: behind(lambda net, y: net.act(y), act=nn.SiLU()),
    "PReLU for each channel": lambda: behind(lambda net, y: net.act(y), act=nn.PReLU(4)),
    "a slice of a buffer": lambda: behind(written),
    "a sum": lambda: Network(
        lambda net, x: net.head(net.norm(net.conv(x) + net.other(x))),
        conv=nn.Conv2d(3, 4, 1), other=nn.Conv2d(3, 4, 1), norm=nn.BatchNorm2d(4), head=nn.Conv2d(4, 2, 1)),
    "a gate": lambda: Network(
        lambda net, x: net.head(net.norm((y := net.conv(x)) * net.other(y.mean((2, 3), keepdim=True)).sigmoid())),
        conv=nn.Conv2d(3, 4, 1), other=nn.Conv2d(4, 4, 1), norm=nn.BatchNorm2d(4), head=nn.Conv2d(4, 2, 1)),
    "a concatenation": lambda: Network(
        lambda net, x: net.head(net.norm(torch.cat([net.other(x), net.conv(x)], 1))),
        conv=nn.Conv2d(3, 4, 1), other=nn.Conv2d(3, 5, 1), norm=nn.BatchNorm2d(9), head=nn.Conv2d(9, 2, 1)),
    "two norms": lambda: Network(
        lambda net, x: net.head(net.norm(y := net.conv(x)) + net.second(y)),
        conv=nn.Conv2d(3, 4, 1), norm=nn.BatchNorm2d(4), second=nn.BatchNorm2d(4), head=nn.Conv2d(4, 2, 1)),
    "a norm of one's own": lambda: Network(
        lambda net, x: net.head(net.norm(net.conv(x))),
        conv=nn.Conv2d(3, 4, 1), norm=OwnScale(4), head=nn.Conv2d(4, 2, 1)),
    "instance norm": lambda: Network(
        lambda net, x: net.head(net.norm(net.conv(x))),
        conv=nn.Conv2d(3, 4, 1), norm=nn.InstanceNorm2d(4, affine=True), head=nn.Conv2d(4, 2, 1)),
    "a depthwise convolution": lambda: behind(
        lambda net, y: net.deep(y), deep=nn.Conv2d(4, 4, 3, padding=1, groups=4)),
    "a transposed convolution": lambda: Network(
        lambda net, x: net.head(net.norm(net.conv(x))),
        conv=nn.ConvTranspose2d(3, 4, 2, 2), norm=nn.BatchNorm2d(4), head=nn.Conv2d(4, 2, 1)),
    "flattening": lambda: Network(
        lambda net, x: net.head(net.norm(net.conv(x)).relu().flatten(1)),
        conv=nn.Conv2d(3, 4, 1), norm=nn.BatchNorm2d(4), head=nn.Linear(4 * 36, 2)),
}  # fmt: skip


@pytest.mark.parametrize("name", BEHIND)
def test_whatever_stands_between_nothing_speaks_behind_a_norm_and_all_of_it_can_be_cut(name):
    torch.manual_seed(0)
    model, x = BEHIND[name](), torch.randn(3, 3, 6, 6)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
            nn.init.normal_(module.bias)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    model.train()(x)
    model.eval()
    groups = ap.coupled_layers(model, example_inputs=x)
    group = next(group for group in groups if "conv" in group)
    keep = dict.fromkeys(group, torch.tensor([True, False, True, False]))
    masked = ap.mask(model, keep, example_inputs=x)
    seen = {}
    for norm in [n for n in ("norm", "second") if hasattr(model, n)]:
        getattr(masked, norm).register_forward_hook(lambda module, _, output, norm=norm: seen.update({norm: output}))
    with torch.no_grad():
        masked(x)
        for output in seen.values():
            silent = (output == 0).flatten(2).all(2).all(0)
            assert silent.sum() == 2 and silent[-4:].tolist() == [False, True, False, True]
        small = ap.remove(masked, x)
        assert (masked(x) - small(x)).abs().max() <= 1e-4 * masked(x).abs().max()
    assert all(width(small.get_submodule(member)) == 2 for member in group)


def test_what_is_silent_in_only_one_part_of_a_sum_leaves_the_norm_alone():
    model = BEHIND["a sum"]().eval()
    masked = ap.mask(model, {"conv": torch.tensor([True, False, True, True])})
    assert (masked.norm.weight != 0).all()
    both = ap.mask(masked, {"other": torch.tensor([True, False, False, True])})
    assert (both.norm.weight == 0).tolist() == [False, True, False, False]


MIXING = {
    "LayerNorm": (lambda: behind(lambda net, y: net.ln(y), ln=nn.LayerNorm([4, 6, 6])), "native_layer_norm mixes it"),
    "GroupNorm": (lambda: behind(lambda net, y: net.gn(y), gn=nn.GroupNorm(2, 4)), "'gn' mixes channels"),
    "softmax": (lambda: behind(lambda net, y: y.softmax(1)), "_softmax mixes it"),
    "mean of channels": (lambda: behind(lambda net, y: y - y.mean(1, keepdim=True)), "mean mixes it"),
    "sigmoid": (lambda: behind(lambda net, y: y.sigmoid()), None),  # the norm behind is masked, so this one may go
    "sigmoid before a layer": (
        lambda: Network(lambda net, x: net.head(net.conv(x).sigmoid()), conv=nn.Conv2d(3, 4, 1), head=nn.Conv2d(4, 2, 1)),
        "0 becomes another number"),
    "a norm without scale": (
        lambda: Network(lambda net, x: net.head(net.norm(net.conv(x))), conv=nn.Conv2d(3, 4, 1),
                        norm=nn.BatchNorm2d(4, affine=False), head=nn.Conv2d(4, 2, 1)), "no scale and shift to mask"),
    "a norm for two": (
        lambda: Network(lambda net, x: net.head(net.norm(net.conv(x)) + net.norm(net.b(x))), conv=nn.Conv2d(3, 4, 1),
                        b=nn.Conv2d(3, 4, 1), norm=nn.BatchNorm2d(4), head=nn.Conv2d(4, 2, 1)), "called more than once"),
    "groups": (
        lambda: Network(lambda net, x: net.head(net.conv(x)), conv=nn.Conv2d(3, 4, 1),
                        head=nn.Conv2d(4, 2, 1, groups=2)), "in groups of several channels"),
    "sorting": (lambda: behind(lambda net, y: y.sort(dim=1).values), "sort"),
    "a comparison": (lambda: behind(lambda net, y: torch.where(y > y.mean(1, keepdim=True), y, 0 * y)), "mean mixes"),
    "another type": (lambda: behind(lambda net, y: (y > 0).float() * y), "depends on it"),
    "a decision": (lambda: behind(lambda net, y: y if y.sum() > 0 else -y), "sum mixes"),
    "one map for all": (
        lambda: Network(lambda net, x: net.head(net.wide(x) * net.conv(x)), conv=nn.Conv2d(3, 1, 1),
                        wide=nn.Conv2d(3, 4, 1), head=nn.Conv2d(4, 2, 1)), "several other channels at once"),
    "the output": (lambda: Network(lambda net, x: net.conv(x).relu(), conv=nn.Conv2d(3, 4, 1)), "outputs of the network"),
    "not called": (
        lambda: Network(lambda net, x: net.head(x), conv=nn.Conv2d(3, 4, 1), head=nn.Conv2d(3, 2, 1)), "does not call it"),
    "its weight alone": (
        lambda: Network(lambda net, x: net.head(F.conv2d(x, net.conv.weight)), conv=nn.Conv2d(3, 4, 1),
                        head=nn.Conv2d(4, 2, 1)), "without calling it"),
}  # fmt: skip


@pytest.mark.parametrize("name", MIXING)
def test_what_cannot_be_taken_out_stays_and_says_why(name):
    torch.manual_seed(0)
    model, reason = MIXING[name][0]().eval(), MIXING[name][1]
    stays = ap.unprunable(model, torch.randn(2, 3, 6, 6))
    if reason is None:
        assert "conv" not in stays
        return
    assert reason in stays["conv"]
    if width(model.conv) > 1 and "outputs" not in reason:
        with pytest.raises(ValueError, match="'conv', which cannot be removed"):
            ap.mask(model, {"conv": torch.tensor([True, False, True, True])})
        ap.mask(model, {"conv": torch.ones(4, dtype=torch.bool)})  # drops nothing


def test_following_leaves_the_network_and_the_random_numbers_alone():
    model = trained_norms(ap.ResNet20((4, 4, 4), ((4,) * 3,) * 3), 8)
    model.train().bn1.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state, hooks = torch.get_rng_state(), sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())
    follow(model, torch.randn(2, 3, 8, 8, generator=torch.Generator()))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state) and model.training and not model.bn1.training
    assert sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()) == hooks


def test_the_flow_does_not_hang_on_the_weights(tiny_model):
    usual = follow(tiny_model, torch.randn(2, 3, 16, 16))
    with torch.no_grad():
        for number, parameter in enumerate(tiny_model.parameters()):
            parameter.fill_((0.0, torch.nan, torch.inf)[number % 3])
    assert follow(tiny_model, torch.randn(2, 3, 16, 16)) == usual
    assert ap.coupled_layers(tiny_model, (3, 16, 16)) == [("conv1",), ("conv2",), ("fc1",)]


def test_where_a_relu_stands_is_read_from_the_flow(tiny_model):
    def before_relu(model):
        return follow(model, torch.randn(2, 3, 16, 16)).before_relu

    assert before_relu(tiny_model) == {"conv1", "conv2", "fc1"}
    chain = [nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)]
    assert before_relu(nn.Sequential(*chain)) == {"0"}
    assert before_relu(nn.Sequential(nn.Conv2d(3, 4, 1), nn.GELU())) == set()
    both = Network(lambda net, x: net.head((y := net.conv(x)).relu() + y), conv=nn.Conv2d(3, 4, 1), head=nn.Conv2d(4, 2, 1))
    assert before_relu(both) == set(), "what also goes elsewhere counts below zero too"


def test_a_pass_that_fails_or_returns_no_tensor_is_named():
    with pytest.raises(ValueError, match="returned none"):
        ap.unprunable(Network(lambda net, x: {"answer": str(net.conv(x).shape)}, conv=nn.Conv2d(3, 4, 1)))
    with pytest.raises(ValueError, match="fails for example_inputs"):
        ap.unprunable(nn.Sequential(nn.Conv2d(3, 4, 1)), torch.randn(2, 5, 6, 6))
    with pytest.raises(ValueError, match="give example_inputs"):
        ap.unprunable(Network(lambda net, x: net.conv(x[:, :3].view(9, 3, 7, 7)), conv=nn.Conv2d(3, 4, 1)))
