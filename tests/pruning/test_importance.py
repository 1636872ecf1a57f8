import math

import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.pruning.importance import CRITERIA

on_any_network = pytest.mark.parametrize("criterion", [name for name in CRITERIA if name != "bn_scale"])


@on_any_network
def test_one_value_per_channel_of_every_layer_but_the_last(tiny_model, tiny_data, criterion):
    values = ap.importance(tiny_model, criterion, data=tiny_data)
    assert {name: tuple(v.shape) for name, v in values.items()} == {"conv1": (4,), "conv2": (6,), "fc1": (10,)}
    assert all(torch.isfinite(v).all() and not v.requires_grad for v in values.values())


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


def test_bn_scale_needs_a_norm(tiny_model):
    model = norm_net()
    assert torch.equal(ap.importance(model, "bn_scale")["0"], model[1].weight.abs().detach())
    with pytest.raises(ValueError, match=r"\['conv1', 'conv2', 'fc1'\] have none.*ignored_layers"):
        ap.importance(tiny_model, "bn_scale")


def test_activation_attention_by_hand(tiny_model, tiny_data):
    inputs = tiny_data.normalize(tiny_data.train.images)
    with torch.no_grad():
        maps = tiny_model.conv1(inputs).relu().mean(dim=0)  # (channels, height, width)
        hidden = tiny_model.fc1(
            tiny_model.pool(tiny_model.conv2(tiny_model.pool(tiny_model.conv1(inputs).relu())).relu()).flatten(1)
        )
    found = ap.importance(tiny_model, "activation_attention", data=tiny_data, num_images=len(inputs), power=3)
    assert torch.allclose(found["conv1"], (maps**3).mean(dim=(1, 2)), rtol=1e-4)
    assert torch.allclose(found["fc1"], hidden.relu().mean(dim=0) ** 3, rtol=1e-4)
    with pytest.raises(ValueError, match="'activation_attention' needs the argument data"):
        ap.importance(tiny_model, "activation_attention")


def test_activation_attention_looks_behind_the_normalisation(tiny_data):
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(3)]
    model = torch.nn.Sequential(*layers)
    inputs = tiny_data.normalize(tiny_data.train.images)
    model(inputs)
    model.eval()[1].bias.data.uniform_(-2, 1)
    with torch.no_grad():
        maps = model[:3](inputs).mean(dim=0)
    found = ap.importance(model, "activation_attention", data=tiny_data, num_images=len(inputs))
    assert torch.allclose(found["0"], (maps**2).mean(dim=(1, 2)), rtol=1e-4)
    found = ap.importance(
        ap.mask(model, {"0": torch.tensor([True, False, True, True])}), "activation_attention", data=tiny_data
    )
    assert found["0"].argmin() == 1


def test_taylor_is_the_change_of_the_loss_when_a_channel_shrinks(tiny_model, tiny_data):
    """d loss / d scale of the channel's output, because that output is Σ w x + b; and nobody's gradients are touched."""
    values = ap.importance(tiny_model, "taylor", data=tiny_data, num_images=60)["conv2"]
    scale = torch.ones(6, 1, 1, requires_grad=True)
    hook = tiny_model.conv2.register_forward_hook(lambda layer, inputs, output: output * scale)
    nn.functional.cross_entropy(tiny_model(tiny_data.normalize(tiny_data.train.images)), tiny_data.train.labels).backward()
    hook.remove()
    assert torch.allclose(values, scale.grad.flatten() ** 2, rtol=1e-3)
    tiny_model.zero_grad()
    ap.importance(tiny_model, "taylor", data=tiny_data)
    assert tiny_model.conv1.weight.grad is None
    tiny_model.conv1.requires_grad_(False)
    with torch.no_grad():
        frozen = ap.importance(tiny_model, "taylor", data=tiny_data, num_images=60)["conv2"]
    assert torch.equal(frozen, values) and not tiny_model.conv1.weight.requires_grad
    with pytest.raises(ValueError, match="'taylor' needs the argument data"):
        ap.importance(tiny_model, "taylor")
    with pytest.raises(ValueError, match="num_images must be at least 1, got 0"):
        ap.importance(tiny_model, "taylor", data=tiny_data, num_images=0)


@on_any_network
def test_silent_channels_rank_lowest_and_do_not_count_for_the_others(tiny_model, tiny_data, criterion):
    keep = {"fc1": torch.arange(10) % 3 != 0}
    masked = ap.mask(tiny_model, keep)
    values = ap.importance(masked, criterion, data=tiny_data)["fc1"]
    assert values[~keep["fc1"]].max() < values[keep["fc1"]].min()
    removed = ap.importance(ap.remove(masked), criterion, data=tiny_data)["fc1"]
    assert torch.allclose(values[keep["fc1"]], removed, rtol=1e-4)
    assert ap.keep_by_ratio({"fc1": values}, 0.4)["fc1"].tolist() == keep["fc1"].tolist(), "the four silent ones go first"


def test_random_follows_its_seed(tiny_model):
    first, same, other = (ap.importance(tiny_model, "random", seed=seed)["fc1"] for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_bad_input_is_named(tiny_model):
    with pytest.raises(
        ValueError, match=r"'attention', 'attention_signed', .*'l1', 'l2', 'random', 'taylor', got 'magnitude'"
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
    with torch.no_grad():
        tiny_model.conv2.weight[0, 0] = math.nan
    with pytest.raises(ValueError, match="'conv2' has NaN"):
        ap.importance(tiny_model, "l1")


def test_ignored_layers_are_left_out(tiny_model):
    assert set(ap.importance(tiny_model, ignored_layers=["fc1"])) == {"conv1", "conv2"}
