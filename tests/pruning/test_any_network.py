"""Whoever brings a network of their own gets a right answer, or a sentence."""

import copy

import pytest
import torch
from conftest import Network
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

import attnprune_edu as ap
from attnprune_edu.networks.inference import plain_outputs
from attnprune_edu.networks.kinds import layers_with_channels, rows, width
from attnprune_edu.pruning.cutting import disagreement


class Many(nn.Module):
    """Two inputs, and outputs of several forms."""

    def __init__(self, form):
        super().__init__()
        self.conv, self.extra = nn.Conv2d(3, 16, 3), nn.Linear(5, 16)
        self.kind, self.side = nn.Linear(16, 10), nn.Linear(16, 2)
        self.form = form

    def forward(self, image, extra):
        x = (self.conv(image).mean((2, 3)) + self.extra(extra)).relu()
        return self.form(self.kind(x), self.side(x))


class Tokens(nn.Module):
    """A small Transformer with a class token; ``norm_first`` as torch has it."""

    def __init__(self, norm_first=False):
        super().__init__()
        self.embed, self.token = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.randn(1, 1, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True, norm_first=norm_first)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        return self.head(self.block(torch.cat([self.token.expand(len(x), -1, -1), x], 1))[:, 0])


def net(forward, **layers):
    return Network(forward, **layers)


# {name: (network, example inputs, layers that can be cut, layers that stay)}
NETWORKS = {
    "Conv1d": lambda: (
        nn.Sequential(nn.Conv1d(3, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.Conv1d(8, 6, 3), nn.Flatten(),
                      nn.Linear(6 * 18, 4)), torch.randn(2, 3, 20), {"0", "3"}, {"5"}),
    "Conv3d": lambda: (
        nn.Sequential(nn.Conv3d(1, 8, 3), nn.BatchNorm3d(8), nn.ReLU(), nn.Conv3d(8, 6, 3), nn.Flatten(), nn.Linear(6, 4)),
        torch.randn(2, 1, 5, 5, 5), {"0", "3"}, {"5"}),
    "ConvTranspose": lambda: (
        nn.Sequential(nn.Conv2d(3, 8, 4, 2), nn.ReLU(), nn.ConvTranspose2d(8, 6, 4, 2), nn.ReLU(),
                      nn.ConvTranspose2d(6, 6, 3, groups=6), nn.ConvTranspose2d(6, 3, 1)),
        torch.randn(2, 3, 10, 10), {"0", "2", "4"}, {"5"}),
    "two inputs, a tuple": lambda: (
        Many(lambda kind, side: (kind, side)), (torch.randn(2, 3, 8, 8), torch.randn(2, 5)), {"conv", "extra"},
        {"kind", "side"}),
    "two inputs, a dictionary": lambda: (
        Many(lambda kind, side: {"kind": kind, "side": [side]}),
        {"image": torch.randn(2, 3, 8, 8), "extra": torch.randn(2, 5)}, {"conv", "extra"}, {"kind", "side"}),
    "split": lambda: (
        net(lambda n, x: n.fc(torch.cat([n.b((h := n.a(x).relu().split(8, 1))[0]), n.c(h[1])], 1).mean((2, 3))),
            a=nn.Conv2d(3, 16, 3), b=nn.Conv2d(8, 8, 3), c=nn.Conv2d(8, 8, 3), fc=nn.Linear(16, 10)),
        torch.randn(2, 3, 16, 16), {"b", "c"}, {"a", "fc"}),
    "chunk": lambda: (
        net(lambda n, x: n.fc(torch.cat([n.b((h := n.a(x).relu().chunk(2, 1))[0]), n.c(h[1])], 1).mean((2, 3))),
            a=nn.Conv2d(3, 16, 3), b=nn.Conv2d(8, 8, 3), c=nn.Conv2d(8, 8, 3), fc=nn.Linear(16, 10)),
        torch.randn(2, 3, 16, 16), {"b", "c"}, {"a", "fc"}),
    "GLU": lambda: (
        net(lambda n, x: n.fc(n.b(F.glu(n.a(x), 1)).relu().mean((2, 3))), a=nn.Conv2d(3, 16, 3), b=nn.Conv2d(8, 8, 3),
            fc=nn.Linear(8, 10)), torch.randn(2, 3, 16, 16), {"b"}, {"a", "fc"}),
    "PixelShuffle": lambda: (
        net(lambda n, x: n.c(n.b(F.pixel_shuffle(n.a(x), 2)).relu()), a=nn.Conv2d(3, 16, 3), b=nn.Conv2d(4, 8, 3),
            c=nn.Conv2d(8, 2, 1)), torch.randn(2, 3, 8, 8), {"b"}, {"a", "c"}),
    "view, then transposed": lambda: (
        nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Flatten(), nn.Linear(4 * 64, 128), nn.ReLU(), nn.Unflatten(1, (8, 4, 4)),
                      nn.ConvTranspose2d(8, 4, 4, 4), nn.Conv2d(4, 3, 1)),
        torch.randn(2, 3, 16, 16), {"0", "5"}, {"2", "6"}),
    "GroupNorm": lambda: (
        nn.Sequential(nn.Conv2d(3, 16, 3), nn.GroupNorm(4, 16), nn.ReLU(), nn.Conv2d(16, 8, 3), nn.Flatten(),
                      nn.Linear(8 * 144, 10)), torch.randn(2, 3, 16, 16), {"3"}, {"0", "5"}),
    "a spatial attention map": lambda: (
        net(lambda n, x: n.fc((n.wide(x) * n.map(x).sigmoid()).mean((2, 3))), wide=nn.Conv2d(3, 8, 1),
            map=nn.Conv2d(3, 1, 1), fc=nn.Linear(8, 4)), torch.randn(2, 3, 8, 8), {"wide"}, {"map", "fc"}),
    "widths that differ": lambda: (
        net(lambda n, x: n.fc((n.a(x).repeat(1, 2, 1, 1) + n.b(x)).mean((2, 3))), a=nn.Conv2d(3, 4, 1), b=nn.Conv2d(3, 8, 1),
            fc=nn.Linear(8, 4)), torch.randn(2, 3, 8, 8), set(), {"a", "b", "fc"}),
    "a class token": lambda: (Tokens(), torch.randn(2, 3, 16, 16), {"block.self_attn", "block.linear1"},
                              {"embed", "block.self_attn.out_proj", "block.linear2", "head"}),
    "norm first": lambda: (Tokens(True), torch.randn(2, 3, 16, 16), {"block.self_attn", "block.linear1"},
                           {"embed", "block.self_attn.out_proj", "block.linear2", "head"}),
    "a recurrent layer": lambda: (
        net(lambda n, x: n.head(n.lstm(n.conv(x).relu().transpose(1, 2))[0][:, -1]), conv=nn.Conv1d(3, 6, 3),
            lstm=nn.LSTM(6, 5, batch_first=True), head=nn.Linear(5, 2)),
        torch.randn(2, 3, 9), {"conv", "lstm.l0"}, {"head"}),
    "shared weights": lambda: (tied(), torch.randn(2, 6), {"mid"}, {"a", "b", "head"}),
    "a float64 network": lambda: (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3)).double(), torch.randn(2, 3, 8, 8), {"0"}, {"2"}),
    "a half-precision network": lambda: (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3)).half(), torch.randn(2, 3, 8, 8),
        {"0"}, {"3"}),
}  # fmt: skip


def tied():
    layers = {"a": nn.Linear(6, 6), "b": nn.Linear(6, 6), "mid": nn.Linear(6, 5), "head": nn.Linear(5, 2)}
    layers["b"].weight = layers["a"].weight
    return net(lambda n, x: n.head(n.mid(n.b(n.a(x).relu()).relu()).relu()), **layers)


def widths_of(model):
    return {name: width(layer) for name, layer in layers_with_channels(model).items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_what_can_be_followed_is_cut_and_the_rest_stays(name):
    torch.manual_seed(0)
    model, inputs, free, stays = NETWORKS[name]()
    model.eval()
    assert ap.unprunable(model, inputs).keys() == stays
    groups = ap.coupled_layers(model, example_inputs=inputs)
    assert {layer for group in groups for layer in group} == free
    if not free:
        with pytest.raises(ValueError, match="no prunable layer"):
            ap.importance(model, example_inputs=inputs)
        return
    importance, widths = ap.importance(model, "l1", example_inputs=inputs), widths_of(model)
    assert importance.keys() == free and all(len(importance[n]) == widths[n] for n in free)
    masked = ap.mask(model, ap.keep_by_ratio(ap.couple(importance, groups), 0.4), example_inputs=inputs)
    small = ap.remove(masked, inputs)
    assert disagreement(masked, small, inputs) <= 1e-4 < disagreement(masked, model, inputs)
    assert all(widths_of(small)[n] < widths[n] for n in free)
    assert all(widths_of(small)[n] == widths[n] for n in stays)
    table = ap.sparsity(masked)
    assert (table.loc[sorted(free), "pruning_ratio"] > 0).all() and (table.loc[sorted(stays), "pruning_ratio"] == 0).all()


OUTPUTS = "its channels reach the outputs of the network"
COUNTS = "the forward pass counts on its number of channels"


@pytest.mark.parametrize(
    ("name", "reasons"),
    [
        ("split", {"a": COUNTS, "fc": OUTPUTS}),
        ("GLU", {"a": "glu mixes it with other channels", "fc": OUTPUTS}),
        ("GroupNorm", {"0": "'1' mixes channels, or has no parameters for each", "5": OUTPUTS}),
        ("shared weights", {"a": "'b' reads it, and it shares", "b": "it shares its weight with 'a'", "head": OUTPUTS}),
        (
            "norm first",
            {
                "embed": "'block.norm1' mixes channels",
                "block.self_attn.out_proj": "coupled with 'embed': 'block.norm1' mixes channels",
                "block.linear2": "coupled with 'embed': 'block.norm1' mixes channels",
                "head": OUTPUTS,
            },
        ),
    ],
)
@pytest.mark.parametrize("weights", ["random", "zero", "NaN"])
def test_why_a_layer_stays_hangs_on_the_network_and_not_on_its_weights_or_mode(name, reasons, weights):
    model, inputs, *_ = NETWORKS[name]()
    model.train()
    if weights != "random":
        for tensor in [tensor for layer in layers_with_channels(model).values() for tensor in rows(layer).tensors()]:
            nn.init.constant_(tensor, 0.0 if weights == "zero" else torch.nan)
    before, numbers = copy.deepcopy(model), torch.get_rng_state()
    found = ap.unprunable(model, inputs)
    assert found.keys() == reasons.keys() and all(found[layer].startswith(reasons[layer]) for layer in found)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert all(module.training for module in model.modules()), "followed in evaluation mode, and back in its own"
    for tensor, was in zip(model.state_dict().values(), before.state_dict().values(), strict=True):
        assert torch.equal(tensor.nan_to_num(7.0), was.nan_to_num(7.0))
    found.clear()
    assert ap.unprunable(model, inputs).keys() == reasons.keys(), "what is handed out is a copy"


def test_heads_are_outputs_and_no_class_is_lost():
    model = Many(lambda kind, side: (kind, side)).eval()
    inputs = (torch.randn(8, 3, 16, 16), torch.randn(8, 5))
    keep = ap.keep_by_ratio(ap.couple(ap.importance(model), ap.coupled_layers(model)), 0.3)  # inputs are found, too
    kind, _ = ap.mask(model, keep)(*inputs)
    assert not (kind == 0).all(0).any()
    for head in ("kind", "side"):
        masked = ap.mask(model, {head: torch.arange(width(getattr(model, head))) > 0})
        with pytest.raises(ValueError, match=f"'{head}' are masked, but cannot be removed: its channels reach the outputs"):
            ap.remove(masked, inputs)


@pytest.mark.parametrize("criterion", ["attention", "taylor", "activation_attention", "l1"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_criterion_takes_networks_of_other_types_and_multi_head_attention(criterion, dtype, tiny_data):
    torch.manual_seed(0)
    model = Tokens().eval()
    exact = ap.importance(model, criterion, data=tiny_data)["block.linear1"]
    found = ap.importance(copy.deepcopy(model).to(dtype), criterion, data=tiny_data)["block.linear1"]
    assert torch.allclose(found.float(), exact, rtol=0.25, atol=0.02 * exact.max().item())


def test_networks_in_a_wrapper_are_named_with_what_to_do(tiny_model):
    with pytest.raises(ValueError, match=r"DataParallel: hand over model\.module"):
        ap.importance(nn.DataParallel(tiny_model))
    with pytest.raises(ValueError, match=r"torch\.compile: .*_orig_mod"):
        ap.importance(torch.compile(tiny_model))
    with pytest.raises(ValueError, match="TorchScript"):
        ap.unprunable(torch.jit.trace(tiny_model, torch.randn(2, 3, 16, 16)))
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got dict"):
        ap.unprunable({})
    for norm in (nn.utils.weight_norm, nn.utils.spectral_norm):
        with pytest.raises(ValueError, match=r"weight of '0' is computed .* fold it first, by remove_weight_norm"):
            ap.mask(nn.Sequential(norm(nn.Conv2d(3, 4, 3)), nn.Conv2d(4, 2, 3)), {"0": torch.arange(4) > 0})
    prune.ln_structured(tiny_model.conv1, "weight", 0.5, n=1, dim=0)
    for act in (ap.importance, lambda model: ap.mask(model, {"conv2": torch.arange(6) > 2}), ap.coupled_layers):
        with pytest.raises(ValueError, match=r"weight of 'conv1' is computed .* fold it first, by prune\.remove"):
            act(tiny_model)


@pytest.mark.parametrize("norm", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_a_weight_that_is_computed_from_others_must_be_folded_first(norm):
    layers = [norm(nn.Conv2d(3, 16, 3)), nn.ReLU(), norm(nn.Conv2d(16, 8, 3)), nn.Flatten(), nn.Linear(8 * 144, 10)]
    model = nn.Sequential(*layers)
    images = torch.randn(2, 3, 16, 16)
    assert {name: "fold it first" in reason for name, reason in ap.unprunable(model.eval(), images).items()} == {
        "0": True, "2": True, "4": False,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"'0', which cannot be removed: .*fold it first"):
        ap.mask(model, {"0": torch.arange(16) < 8}, example_inputs=images)


def test_what_is_known_is_found_once_and_again_when_the_structure_changes(tiny_model, monkeypatch):
    from attnprune_edu.pruning import groups

    calls, real = [], groups.follow
    monkeypatch.setattr(groups, "follow", lambda *arguments: calls.append(1) or real(*arguments))
    images = torch.randn(2, 3, 16, 16)
    masked = ap.mask(tiny_model, ap.keep_by_ratio(ap.importance(tiny_model), 0.5))
    ap.coupled_layers(masked, example_inputs=images)
    ap.remove(copy.deepcopy(masked), images)
    assert len(calls) == 1
    tiny_model.fc2 = nn.Linear(10, 4)
    assert ap.unprunable(tiny_model, images).keys() == {"fc2"} and len(calls) == 2
    tiny_model.fc2 = nn.Sequential(nn.Linear(10, 4), nn.ReLU(), nn.Linear(4, 2))
    assert ap.unprunable(tiny_model, images).keys() == {"fc2.2"} and len(calls) == 3


def test_a_part_that_only_training_uses_is_cut_along():
    """An auxiliary classifier reads the trunk in training alone, and must fit it afterwards."""

    class Helped(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk, self.norm, self.aux, self.head = (
                nn.Conv2d(3, 8, 1),
                nn.BatchNorm2d(8),
                nn.Linear(8, 2),
                nn.Linear(8, 2),
            )

        def forward(self, x):
            x = self.norm(self.trunk(x)).relu().mean((2, 3))
            return (self.head(x), self.aux(x)) if self.training else self.head(x)

    model, images = Helped().eval(), torch.randn(4, 3, 8, 8)
    assert ap.unprunable(model, images).keys() == {"aux", "head"}
    small = ap.remove(ap.mask(model, {"trunk": torch.arange(8) > 2}), images)
    assert small.aux.in_features == 5 and [len(part) for part in plain_outputs(small.train()(images))] == [4, 4]


def test_a_part_that_training_cannot_reach_is_named_in_a_warning():
    """As inception_v3 with small images: its auxiliary classifier would not fit what is left."""
    model = Network(
        lambda net, x: net.head(net.trunk(x)) if not net.training else net.aux(net.trunk(x)[:, :, 99:]),
        trunk=nn.Conv2d(3, 8, 1), aux=nn.Conv2d(8, 2, 3), head=nn.Conv2d(8, 2, 1),
    ).eval()  # fmt: skip
    with pytest.warns(UserWarning, match=r"\['aux'\] are not called in evaluation mode, and in training mode .* fails"):
        assert ap.unprunable(model, torch.randn(2, 3, 8, 8)).keys() == {"aux", "head"}
    assert not model.training
