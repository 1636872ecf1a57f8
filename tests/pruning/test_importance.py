import copy
import math

import pytest
import torch
from conftest import Network, trained_norms
from torch import nn

import attnprune_edu as ap
from attnprune_edu.pruning.gates import places_of
from attnprune_edu.pruning.importance import CRITERIA, FOR_HEADS, score

FOR_ALL = [name for name in CRITERIA if name not in FOR_HEADS]
on_any_network = pytest.mark.parametrize("criterion", [name for name in FOR_ALL if name != "bn_scale"])


def plain_net() -> ap.ArticleNet:
    """Every layer has a bias, and what follows it is a ReLU."""
    torch.manual_seed(0)
    return ap.ArticleNet(conv_channels=(4, 6), hidden=10, num_classes=4, image_size=16).eval()


def residual_net() -> ap.ResNet20:
    """No convolution has a bias, behind each stands a trained normalisation, and some groups have several layers."""
    torch.manual_seed(0)
    model = ap.ResNet20((3, 4, 5), ((2, 3, 4), (4, 3, 2), (3, 2, 4)), num_classes=4)
    return trained_norms(model, 16)


two_networks = pytest.mark.parametrize("build", [plain_net, residual_net])


@on_any_network
def test_one_value_per_channel_of_every_layer_but_the_last(tiny_model, tiny_data, criterion):
    values = ap.importance(tiny_model, criterion, data=tiny_data)
    assert {name: tuple(v.shape) for name, v in values.items()} == {"conv1": (4,), "conv2": (6,), "fc1": (10,)}
    assert all(torch.isfinite(v).all() and not v.requires_grad for v in values.values())


@pytest.mark.parametrize("criterion", FOR_ALL)
def test_scoring_changes_neither_the_network_nor_torchs_random_numbers(criterion, uneven_data):
    model = residual_net().train()
    model.bn1.eval()  # a mode of its own
    model.fc.requires_grad_(False)
    before, numbers = copy.deepcopy(model), torch.get_rng_state()
    ap.importance(model, criterion, data=uneven_data, num_images=120)
    assert torch.equal(torch.get_rng_state(), numbers)
    state = model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in before.state_dict().items())
    assert [module.training for module in model.modules()] == [module.training for module in before.modules()]
    for parameter, was in zip(model.parameters(), before.parameters(), strict=True):
        assert parameter.grad is None and parameter.requires_grad == was.requires_grad
    assert not any(module._forward_hooks for module in model.modules())


@two_networks
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_criteria_of_weights_follow_their_formulas_in_every_layer(build, temperature):
    model = build()
    found = {
        c: ap.importance(model, c, temperature=temperature) for c in ("attention", "attention_signed", "l1", "l2", "fpgm")
    }
    for name in found["l1"]:
        filters = [[w.item() for w in weight.double().flatten()] for weight in model.get_submodule(name).weight]

        def attended(values):
            exponentials = [math.exp(value / temperature) for value in values]
            return sum(e * value for e, value in zip(exponentials, values, strict=True)) / sum(exponentials)

        wanted = {
            "attention": [attended([abs(w) for w in weights]) for weights in filters],
            "attention_signed": [attended(weights) for weights in filters],
            "l1": [sum(abs(w) for w in weights) for weights in filters],
            "l2": [math.hypot(*weights) for weights in filters],
            "fpgm": [sum(math.dist(weights, other) for other in filters) for weights in filters],
        }
        for criterion, values in wanted.items():
            assert found[criterion][name].tolist() == pytest.approx(values, rel=1e-4, abs=1e-6), (criterion, name)


def linear_pair(rows) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, len(rows), bias=False), nn.Linear(len(rows), 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(rows))
    return model


def test_values_by_hand():
    model = linear_pair([[0.2, -0.4], [-3.0, -3.0]])
    share = math.exp(0.2) / (math.exp(0.2) + math.exp(0.4))
    assert ap.importance(model, "attention")["0"].tolist() == pytest.approx([share * 0.2 + (1 - share) * 0.4, 3.0])
    assert ap.importance(model, "l1")["0"].tolist() == pytest.approx([0.6, 6.0])
    share = math.exp(0.2) / (math.exp(0.2) + math.exp(-0.4))
    signed = ap.importance(model, "attention_signed")["0"]
    assert signed.tolist() == pytest.approx([share * 0.2 - (1 - share) * 0.4, -3.0])
    assert signed.argmin() == 1, "as printed, the strong negative filter comes out last"


def test_temperature_runs_from_the_mean_to_the_maximum():
    model = linear_pair([[1.0, 3.0], [0.0, 2.0]])
    assert ap.importance(model, temperature=1e6)["0"].tolist() == pytest.approx([2.0, 1.0], abs=1e-4)
    assert ap.importance(model, temperature=1e-6)["0"].tolist() == pytest.approx([3.0, 2.0], abs=1e-4)


def norm_net():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 5, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 144, 3))
    nn.init.normal_(model[1].weight)
    return model.eval()


def test_what_torch_pruning_also_defines_is_the_same(tiny_data):
    import torch_pruning as tp

    model = norm_net()
    group = tp.DependencyGraph().build_dependency(model, torch.zeros(1, 3, 16, 16))
    group = group.get_pruning_group(model[0], tp.prune_conv_out_channels, idxs=list(range(6)))
    theirs = {
        "bn_scale": tp.importance.BNScaleImportance(normalizer=None),
        "l1": tp.importance.MagnitudeImportance(p=1, normalizer=None),
        "l2": tp.importance.MagnitudeImportance(p=2, normalizer=None),
        "taylor": tp.importance.TaylorImportance(normalizer=None, multivariable=True),
    }
    images, labels = tiny_data.train
    nn.functional.cross_entropy(model(tiny_data.normalize(images)), labels).backward()
    for criterion, measure in theirs.items():
        # Theirs also counts what reads the channel; ours is about the channel itself. The norm stands second in the group.
        wanted = measure(group[1:2] if criterion == "bn_scale" else group[:1]).detach()
        wanted = wanted ** {"taylor": 2, "l2": 0.5}.get(criterion, 1)  # theirs is |Σ g w|, and Σ w² without the root
        ours = ap.importance(model, criterion, data=tiny_data)["0"]
        assert torch.allclose(ours, wanted, rtol=1e-4), criterion


def test_fpgm_sums_the_distances_between_filters():
    """Not compared with Torch-Pruning, whose distances are between |w|^p and so cannot tell a filter from its negative."""
    model = linear_pair([[0.0, 0.0], [3.0, 4.0], [-3.0, -4.0], [3.0, 4.0]])
    assert ap.importance(model, "fpgm")["0"].tolist() == pytest.approx([15, 15, 25, 15])
    weights = norm_net()[0].weight.detach().flatten(1)
    brute = [sum((a - b).square().sum().sqrt() for b in weights) for a in weights]
    assert torch.allclose(ap.importance(norm_net(), "fpgm")["0"], torch.stack(brute), rtol=1e-5)


class Affine(nn.Module):
    """A normalisation of one's own, which has a scale and a shift, but no weight."""

    def __init__(self, channels):
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.rand(channels)), nn.Parameter(torch.rand(channels))

    def forward(self, x):
        return x * self.gamma[:, None, None] + self.beta[:, None, None]


def test_bn_scale_needs_a_norm(tiny_model):
    model = norm_net()
    assert torch.equal(ap.importance(model, "bn_scale")["0"], model[1].weight.abs().detach())
    with pytest.raises(ValueError, match=r"\['conv1', 'conv2', 'fc1'\] have none.*ignored_layers"):
        ap.importance(tiny_model, "bn_scale")
    without_weight = nn.Sequential(nn.Conv2d(3, 4, 3), Affine(4), nn.ReLU(), nn.Conv2d(4, 2, 3))
    with pytest.raises(ValueError, match=r"\['0'\] have none"):
        ap.importance(without_weight, "bn_scale", example_inputs=torch.randn(2, 3, 16, 16))


@two_networks
def test_activation_attention_by_hand(build, uneven_data):
    """In one batch and in evaluation mode, while the function takes batches and gets a network in training mode."""
    model, options, outputs = build().train(), {"data": uneven_data, "num_images": 220, "seed": 3}, {}
    cubed = ap.importance(model, "activation_attention", power=3, **options)
    squared = ap.importance(model, "activation_attention", **options)
    for name in squared:
        normalised = name.replace("conv", "bn").replace("shortcut.0", "shortcut.1")
        before_relu = model.get_submodule(normalised if build is residual_net else name)
        before_relu.register_forward_hook(lambda module, inputs, output, name=name: outputs.update({name: output}))
    calibration = uneven_data.sample(220, torch.Generator().manual_seed(3))
    with torch.no_grad():
        model.eval()(uneven_data.normalize(calibration.images))
    for name, output in outputs.items():
        maps = output.relu().mean(dim=0).reshape(output.shape[1], -1)  # (channels, positions)
        assert torch.allclose(cubed[name], (maps**3).mean(dim=1), rtol=1e-4), name
        assert torch.allclose(squared[name], (maps**2).mean(dim=1), rtol=1e-4), name


@pytest.mark.parametrize("norm", [nn.Identity, nn.BatchNorm1d])
def test_activation_attention_finds_the_channels_of_a_linear_layer_that_works_on_tokens(norm, uneven_data):
    """Its outputs have them last, and a normalisation behind wants them second."""
    torch.manual_seed(0)
    model = Network(
        lambda net, x: net.head(net.norm(net.up(x.flatten(2).transpose(1, 2)).transpose(1, 2)).relu().mean(2)),
        up=nn.Linear(3, 5), norm=norm(5), head=nn.Linear(5, 4),
    ).eval()  # fmt: skip
    if norm is nn.BatchNorm1d:
        nn.init.normal_(model.norm.bias)
    found = ap.importance(model, "activation_attention", data=uneven_data, num_images=230)["up"]
    tokens = uneven_data.normalize(uneven_data.train.images).flatten(2).transpose(1, 2)
    with torch.no_grad():
        maps = model.norm(model.up(tokens).transpose(1, 2)).relu().mean(dim=0)  # (channels, tokens)
    assert torch.allclose(found, maps.square().mean(dim=1), rtol=1e-4)


def test_steps_may_come_before_images(uneven_data):
    """As in recurrent layers by default; there are three steps, and the last batch is smaller than the others."""
    torch.manual_seed(0)

    def network(steps_first):
        return Network(
            lambda net, x: net.head(net.up(x.flatten(2).movedim(1, 0) if steps_first else x.flatten(2)).relu().sum(
                0 if steps_first else 1
            )), up=nn.Linear(256, 5), head=nn.Linear(5, 4),
        ).eval()  # fmt: skip

    one, other = network(True), network(False)
    other.load_state_dict(one.state_dict())
    found, expected = (
        ap.importance(model, "activation_attention", data=uneven_data, num_images=130)["up"] for model in (one, other)
    )
    assert torch.allclose(found, expected, rtol=1e-4)
    images = uneven_data.normalize(uneven_data.test.images[:7])
    for model in (one, other):
        place = places_of(model, uneven_data.example_inputs)["up"]
        output = model.up(images.flatten(2).movedim(1, 0) if model is one else images.flatten(2))
        assert place.seen(output).shape == (7, 5, 3)
        each = torch.randn(7, 5)
        assert torch.allclose(place.seen(output * place.spread(each, output)), place.seen(output) * each[..., None])


@pytest.mark.parametrize("criterion", ["l1", "activation_attention"])
def test_the_data_say_which_inputs_a_network_takes(criterion, uneven_data):
    def forward(net, x):
        assert x.shape[1:] == (3, 16, 16), "nothing else is taken"
        return net.head(net.conv(x).relu().mean((2, 3)))

    model = Network(forward, conv=nn.Conv2d(3, 4, 3), head=nn.Linear(4, 4))
    assert ap.importance(model, criterion, data=uneven_data)["conv"].shape == (4,)
    images = torch.randn(2, 3, 16, 16)
    again = Network(forward, conv=nn.Conv2d(3, 4, 3), head=nn.Linear(4, 4))
    small = uneven_data.subset(train=20)
    assert ap.importance(again, criterion, data=small, example_inputs=images)["conv"].shape == (4,)


@two_networks
def test_taylor_is_the_change_of_the_loss_when_a_channel_shrinks(build, uneven_data):
    """d loss / d scale of the channel's output, because that output is Σ w x + b; squared, and the mean of three batches."""
    model, scales = build(), {}
    calibration = uneven_data.sample(220, torch.Generator().manual_seed(3))
    found = ap.importance(model.train(), "taylor", data=uneven_data, num_images=220, seed=3)
    model.eval()
    for name, values in found.items():
        scales[name] = torch.ones(len(values), *[1] * (model.get_submodule(name).weight.ndim - 2), requires_grad=True)
        model.get_submodule(name).register_forward_hook(lambda layer, inputs, output, scale=scales[name]: output * scale)
    squares = dict.fromkeys(scales, 0)
    for batch in (slice(100), slice(100, 200), slice(200, 220)):
        outputs = model(uneven_data.normalize(calibration.images[batch]))
        loss = nn.functional.cross_entropy(outputs, calibration.labels[batch])
        for name, gradient in zip(scales, torch.autograd.grad(loss, scales.values()), strict=True):
            squares[name] += gradient.flatten() ** 2 / 3
    for name, values in found.items():
        assert torch.allclose(values, squares[name], rtol=1e-3, atol=1e-3 * squares[name].max().item()), name


def test_frozen_layers_are_scored_too_even_without_gradients(uneven_data):
    model = plain_net()
    values = ap.importance(model, "taylor", data=uneven_data)
    model.requires_grad_(False)
    with torch.no_grad():
        frozen = ap.importance(model, "taylor", data=uneven_data)
    assert all(torch.equal(frozen[name], values[name]) for name in values)


@pytest.mark.parametrize("criterion", ["taylor", "activation_attention"])
def test_what_looks_at_images_draws_them_by_its_seed(criterion, uneven_data):
    model = plain_net()
    first, same, other, one, all_ = (
        ap.importance(model, criterion, data=uneven_data, num_images=count, seed=seed)["conv2"]
        for seed, count in ((1, 50), (1, 50), (2, 50), (1, 1), (1, 230))
    )
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert not torch.equal(one, first) and not torch.equal(first, all_)
    with pytest.raises(ValueError, match=f"'{criterion}' needs the argument data"):
        ap.importance(model, criterion)
    with pytest.raises(ValueError, match="num_images must be at least 1, got 0"):
        ap.importance(model, criterion, data=uneven_data, num_images=0)


def test_a_criterion_is_a_name_or_a_function(uneven_data):
    model = plain_net()
    for seed in (0, 4):
        wanted = ap.importance(model, "taylor", data=uneven_data, seed=seed)
        assert all(torch.equal(v, wanted[name]) for name, v in score(model, "taylor", uneven_data, seed).items())
    assert score(model, lambda network: {"of": network}, uneven_data) == {"of": model}


@on_any_network
def test_silent_channels_rank_lowest_and_do_not_count_for_the_others(tiny_model, tiny_data, criterion):
    keep = {"fc1": torch.arange(10) % 3 != 0}
    masked = ap.mask(tiny_model, keep)
    values = ap.importance(masked, criterion, data=tiny_data)["fc1"]
    assert values[~keep["fc1"]].max() < min(values[keep["fc1"]].min(), 1e-30)
    removed = ap.importance(ap.remove(masked), criterion, data=tiny_data)["fc1"]
    assert torch.allclose(values[keep["fc1"]], removed, rtol=1e-4)
    assert ap.keep_by_ratio({"fc1": values}, 0.4)["fc1"].tolist() == keep["fc1"].tolist(), "the four silent ones go first"


def test_random_numbers_are_uniform_and_follow_their_seed(tiny_model):
    first, same, other = (ap.importance(tiny_model, "random", seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], same[name]) and not torch.equal(first[name], other[name]) for name in first)
    assert not torch.equal(first["conv1"], first["conv2"][:4]), "each layer has numbers of its own"
    many = ap.importance(nn.Sequential(nn.Linear(1, 4000), nn.Linear(4000, 1)), "random")["0"].double()
    assert torch.allclose(many.sort().values, torch.linspace(0, 1, 4000, dtype=torch.float64), atol=0.03)


def test_bad_input_is_named(tiny_model):
    with pytest.raises(
        ValueError, match=r"'attention', 'attention_entropy', .*'l1', 'l1_readers', 'l2', .*'taylor', got 'magnitude'"
    ):
        ap.importance(tiny_model, "magnitude")
    with pytest.raises(ValueError, match="no prunable layer"):
        ap.importance(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    with pytest.raises(ValueError, match="no prunable layer"):
        ap.importance(nn.ReLU())
    with pytest.raises(ValueError, match=r"ignored_layers names \['conv9'\]"):
        ap.importance(tiny_model, ignored_layers=["conv9"])
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        ap.importance(tiny_model, temperature=0)
    with pytest.raises(ValueError, match="num_images must be at least 1, got 0"):
        ap.importance(tiny_model, num_images=0)
    for value in (math.nan, math.inf):
        with torch.no_grad():
            tiny_model.conv2.weight[0, 0, 1, 1] = value
        with pytest.raises(ValueError, match="'conv2' has NaN or infinite weights"):
            ap.importance(tiny_model, "random")


def test_ignored_layers_are_left_out(tiny_model):
    assert set(ap.importance(tiny_model, ignored_layers=["fc1"])) == {"conv1", "conv2"}
