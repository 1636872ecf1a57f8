import copy

import pytest
import torch
from conftest import trained_norms
from torch import nn
from torch.nn import functional as F

import attnprune_edu as ap
from attnprune_edu.networks.kinds import width
from attnprune_edu.pruning.masks import mask_
from attnprune_edu.pruning.silence import before_masks, masks_of, unmask, weight_masks_of


@pytest.fixture
def keep(tiny_model):
    return ap.keep_by_ratio(ap.importance(tiny_model, "random"), 0.5)


def silent(model, keep):
    return all(
        (model.get_submodule(name).weight[~stays] == 0).all() and (model.get_submodule(name).bias[~stays] == 0).all()
        for name, stays in keep.items()
    )


def test_mask_silences_weights_and_biases_of_a_copy(tiny_model, keep):
    before = copy.deepcopy(tiny_model.state_dict())
    masked = ap.mask(tiny_model, keep)
    assert silent(masked, keep) and not silent(tiny_model, keep)
    assert all(torch.equal(before[name], tensor) for name, tensor in tiny_model.state_dict().items())
    for name, stays in keep.items():
        assert torch.equal(masked.get_submodule(name).weight[stays], tiny_model.get_submodule(name).weight[stays])


def trained_nets():
    """Two networks, partly frozen and with modes of their own: one of plain layers, one with norms and coupled layers."""
    torch.manual_seed(0)
    plain = ap.ArticleNet(conv_channels=(4, 6), hidden=10, num_classes=3, image_size=16)
    plain.conv1.weight.requires_grad_(False)
    residual = trained_norms(ap.ResNet20((3, 4, 3), ((2, 3, 4), (4, 3, 2), (3, 2, 4)), num_classes=3), 16).train()
    residual.bn1.eval().weight.requires_grad_(False)
    return {"plain": plain, "residual": residual}


CHANGES = {  # {what gets a network and returns another one: how it is called}
    "mask": lambda model, keep: ap.mask(model, keep),
    "mask again": lambda model, keep: ap.mask(model, {name: stays | stays.flip(0) for name, stays in keep.items()}),
    "mask_weights": lambda model, keep: ap.mask_weights(model, {"conv1": model.conv1.weight > 0}),
    "remove": lambda model, keep: ap.remove(model),
    "unmask": lambda model, keep: unmask(model),
    "before_masks": lambda model, keep: before_masks(model),
}


@pytest.mark.parametrize("network", ["plain", "residual"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_is_handed_over_stays_as_it_was_and_shares_nothing_with_the_result(network, change):
    model = trained_nets()[network]
    groups = ap.coupled_layers(model)
    keep = {name: torch.arange(width(model.get_submodule(name))) > 0 for group in groups for name in group}
    given = model if change == "mask" else ap.mask(model, keep)
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))

    def seen():
        """Parameters, masks, modes, what is frozen, the hooks, and what comes out."""
        state = {name: tensor.clone() for name, tensor in given.state_dict().items()}
        state |= {f"mask of {name}": stays for name, stays in (masks_of(given) | weight_masks_of(given)).items()}
        state |= {f"keep of {name}": stays.clone() for name, stays in keep.items()}
        state["outputs"] = copy.deepcopy(given).eval()(images)
        flags = [(name, tensor.requires_grad, tensor.grad) for name, tensor in given.named_parameters()]
        modules = [(name, m.training, type(m), len(m._forward_hooks)) for name, m in given.named_modules()]
        return state, flags + modules

    (before, flags), numbers = seen(), torch.get_rng_state()
    result = CHANGES[change](given, keep)
    assert torch.equal(torch.get_rng_state(), numbers)
    assert [(name, m.training) for name, m in result.named_modules() if "param" not in name] == [
        (name, m.training) for name, m in given.named_modules() if "param" not in name
    ], "the result has the modes of the network it was made from"
    with torch.no_grad():
        for tensor in (*result.parameters(), *result.buffers()):
            tensor.zero_()
    for name, stays in masks_of(result).items():
        stays.fill_(False)  # what is read is a copy
        assert name in keep
    after, flags_after = seen()
    assert flags_after == flags and after.keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.items())


@pytest.mark.parametrize("put", [ap.mask, ap.mask_weights])
def test_a_mask_does_not_hang_on_the_tensor_it_came_from(tiny_model, put):
    shape = (4,) if put is ap.mask else tiny_model.conv1.weight.shape
    keep = {"conv1": torch.rand(shape, generator=torch.Generator().manual_seed(0)) > 0.4}
    wanted, read = keep["conv1"].clone(), masks_of if put is ap.mask else weight_masks_of
    masked = put(tiny_model, keep)
    again = put(masked, keep)
    weight = masked.conv1.weight.detach().clone()
    keep["conv1"].logical_not_()
    read(masked)["conv1"].fill_(False)
    for model in (masked, again):
        assert torch.equal(read(model)["conv1"], wanted) and torch.equal(model.conv1.weight, weight)


OPTIMIZERS = {
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1),
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.1, weight_decay=0.1),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.1),
}
each_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)


def train_50_steps(model, data, optimizer, before_step=lambda step: None):
    steps = optimizer(model.parameters())
    images = data.normalize(data.train.images)
    for step in range(50):
        before_step(step)
        steps.zero_grad()
        F.cross_entropy(model(images), data.train.labels).backward()
        steps.step()


@each_optimizer
def test_no_optimizer_revives_a_silent_channel(tiny_model, tiny_data, keep, optimizer):
    masked = copy.deepcopy(ap.mask(tiny_model, keep))
    start = masked.conv1.weight.detach().clone()
    train_50_steps(masked, tiny_data, optimizer)
    assert silent(masked, keep)
    assert not torch.equal(masked.conv1.weight, start), "the channels that stay must learn"


@each_optimizer
def test_a_mask_put_on_in_the_middle_of_training_holds_and_the_optimizer_goes_on(tiny_model, tiny_data, keep, optimizer):
    half_way = {}

    def prune(step):
        if step == 25:
            mask_(tiny_model, keep)
            half_way["weight"] = tiny_model.conv1.weight.detach().clone()

    train_50_steps(tiny_model, tiny_data, optimizer, before_step=prune)
    assert silent(tiny_model, keep)
    assert not torch.equal(tiny_model.conv1.weight, half_way["weight"]), "the optimiser still reaches the weights"


def weight_keep(model, share=0.7, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(model.get_submodule(name).weight.shape, generator=draw) > share for name in ("conv1", "fc1", "fc2")
    }


@each_optimizer
def test_no_optimizer_revives_a_single_weight(tiny_model, tiny_data, optimizer):
    keep = weight_keep(tiny_model)
    masked = copy.deepcopy(ap.mask_weights(tiny_model, keep))
    start = masked.fc1.weight.detach().clone()
    train_50_steps(masked, tiny_data, optimizer)
    assert all((masked.get_submodule(name).weight[~stays] == 0).all() for name, stays in keep.items())
    assert (masked.fc1.bias != tiny_model.fc1.bias).any() and (masked.fc1.weight != start)[keep["fc1"]].any()


def test_masks_on_channels_and_on_weights_hold_together(tiny_model, tiny_data, keep, tmp_path):
    single = weight_keep(tiny_model)
    masked = ap.mask_weights(ap.mask(tiny_model, keep), single)
    ap.fine_tune(masked, tiny_data, epochs=1, progress=False)
    loaded = ap.load_model(ap.save_model(masked, tmp_path / "masked.safetensors"))
    for model in (masked, copy.deepcopy(masked), loaded):
        assert {name: stays.tolist() for name, stays in masks_of(model).items()} == {n: k.tolist() for n, k in keep.items()}
        assert all(torch.equal(stays, single[name]) for name, stays in weight_masks_of(model).items())
        assert silent(model, keep) and (model.fc1.weight[~single["fc1"]] == 0).all()
    images = tiny_data.normalize(tiny_data.test.images)
    assert torch.equal(loaded(images), masked(images)) and torch.equal(unmask(masked)(images), masked(images))

    small = ap.remove(masked)
    assert (masked(images) - small(images)).abs().max() < 1e-5
    zeros = small.fc1.weight == 0
    assert zeros.float().mean() > 0.5, "the single weights that were masked are still zero"
    ap.fine_tune(small, tiny_data, epochs=1, progress=False)
    assert torch.equal(small.fc1.weight == 0, zeros), "and stay it"


def with_norm():
    """Conv → batch norm, twice, the second without a bias, and a linear layer with its own norm."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3, bias=False),
        nn.BatchNorm2d(5),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(5, 6),
        nn.BatchNorm1d(6),
        nn.Linear(6, 3),
    )
    for norm in (model[1], model[4], model[9]):
        nn.init.normal_(norm.weight, 1.0)
        nn.init.normal_(norm.bias, 1.0)
        norm.running_mean.normal_()
    return model


@pytest.mark.parametrize("training", [False, True])
def test_nothing_leaks_through_a_batch_norm(tiny_data, training):
    model = with_norm()
    keep = {"0": torch.tensor([True, False, True, False]), "3": torch.tensor([False, True, True, False, True])}
    keep |= {"8": torch.tensor([True, True, False, False, True, True])}
    masked = ap.mask(model, keep)
    train_50_steps(masked, tiny_data, OPTIMIZERS["Adam"])
    masked.train(training)
    seen = {}
    for place, behind in {"0": 1, "3": 4, "8": 9}.items():
        masked[behind].register_forward_hook(lambda module, inputs, output, place=place: seen.update({place: output}))
    masked(tiny_data.normalize(tiny_data.test.images))
    for name, stays in keep.items():
        assert (seen[name][:, ~stays] == 0).all(), f"behind the normalisation of layer {name}"
        assert (seen[name][:, stays] != 0).any()
    assert set(masks_of(masked)) == set(keep), "the norms' masks belong to their layers"
    assert type(unmask(masked)[1]) is nn.BatchNorm2d and (unmask(masked)[1].bias[1] == 0)


def test_what_cannot_be_removed_is_refused_before_anyone_trains():
    keep = {"0": torch.tensor([True, True, True, False])}
    norms = {
        nn.BatchNorm2d(4, affine=False): "no scale and shift to mask",
        nn.GroupNorm(2, 4, affine=False): "native_group_norm mixes it with other channels",
        nn.LayerNorm([30, 30]): None,
    }
    for norm, reason in norms.items():
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), norm, nn.Conv2d(4, 2, 3))
        images = torch.randn(2, 3, 32, 32)
        with pytest.raises(ValueError, match=rf"drops channels of '0', which cannot be removed: .*{reason or ''}"):
            ap.mask(model, keep, example_inputs=images)
        nothing = ap.mask(model, {"0": torch.ones(4, dtype=torch.bool)}, example_inputs=images)
        single = ap.mask_weights(model, {"0": torch.arange(4 * 27).view(4, 3, 3, 3) > 50})
        assert masks_of(nothing)["0"].all() and ap.sparsity(single).sparsity["0"] == pytest.approx(51 / 108)
    norm = nn.BatchNorm2d(4)
    with pytest.raises(ValueError, match=r"'1' is called more than once"):
        ap.mask(nn.Sequential(nn.Conv2d(3, 4, 3), norm, nn.Conv2d(4, 4, 3), norm, nn.Conv2d(4, 2, 3)), keep)


def test_frozen_parameters_stay_frozen(tiny_model, keep):
    frozen = ["conv1.weight", "conv2.bias", "fc1.weight", "fc1.bias"]
    for name in frozen:
        tiny_model.get_parameter(name).requires_grad_(False)
    masked = ap.mask(tiny_model, keep)
    for network in (unmask(masked), before_masks(masked), ap.remove(masked)):
        assert [name for name, tensor in network.named_parameters() if not tensor.requires_grad] == frozen


def test_a_copy_and_a_state_dict_carry_the_mask(tiny_model, keep):
    masked = ap.mask(tiny_model, keep)
    other = ap.mask(ap.ArticleNet(**tiny_model.architecture), {name: torch.ones_like(k) for name, k in keep.items()})
    other.load_state_dict(masked.state_dict())
    for model in (copy.deepcopy(masked), other):
        assert {name: k.tolist() for name, k in masks_of(model).items()} == {name: k.tolist() for name, k in keep.items()}
        assert silent(model, keep)


def test_unmasking_a_copy_leaves_the_original_masked(tiny_model, tiny_data, keep):
    masked = ap.mask(tiny_model, keep)
    plain = unmask(masked)
    images = tiny_data.normalize(tiny_data.test.images)
    assert not masks_of(plain) and type(plain.conv1) is torch.nn.Conv2d
    assert set(plain.state_dict()) == set(tiny_model.state_dict())
    assert torch.equal(plain(images), masked(images)) and silent(masked, keep)


def test_a_second_mask_adds_to_the_first(tiny_model):
    first = ap.mask(tiny_model, {"conv1": torch.tensor([True, True, True, False])})
    second = ap.mask(first, {"conv1": torch.tensor([False, True, True, True])})
    assert masks_of(second)["conv1"].tolist() == [False, True, True, False]
    assert masks_of(first)["conv1"].tolist() == [True, True, True, False]
    with pytest.raises(ValueError, match="no channel in common"):
        ap.mask(second, {"conv1": torch.tensor([True, False, False, True])})


def test_before_masks_gives_back_the_network_before_it(tiny_model, tiny_data, keep):
    images = tiny_data.normalize(tiny_data.test.images)
    masked = ap.mask_weights(ap.mask(tiny_model, keep), weight_keep(tiny_model))
    again = before_masks(masked)
    assert torch.equal(again(images), tiny_model(images)) and not masks_of(again) and not weight_masks_of(again)
    with torch.no_grad():
        for parameter in (*again.parameters(), *unmask(masked).parameters()):
            parameter.zero_()
    assert torch.equal(before_masks(masked)(images), tiny_model(images)), "the copies share no memory with their original"


def test_a_refused_mask_leaves_the_network_as_it_was(tiny_model):
    with pytest.raises(ValueError, match="conv9"):
        mask_(tiny_model, {"conv1": torch.tensor([True, True, True, False]), "conv9": torch.ones(2, dtype=torch.bool)})
    assert not masks_of(tiny_model)


def test_sparsity_counts_channels_and_weights(tiny_model):
    channels = {"conv1": torch.tensor([True, True, True, False])}
    single = {"fc2": torch.zeros(3, 10, dtype=torch.bool)}
    single["fc2"][:, :4] = True
    table = ap.sparsity(ap.mask_weights(ap.mask(tiny_model, channels), single))
    assert table.index.tolist() == ["conv1", "conv2", "fc1", "fc2", "all"]
    assert table.loc["conv1"].to_dict() == {
        "channels": 4,
        "kept_channels": 3,
        "pruning_ratio": 0.25,
        "weights": 4 * 75,
        "nonzero_weights": 3 * 75,
        "sparsity": 0.25,
    }
    assert table.pruning_ratio["fc2"] == 0 and table.sparsity["fc2"] == pytest.approx(0.6)
    assert table.channels["all"] == 4 + 6 + 10 + 3 and table.kept_channels["all"] == 4 + 6 + 10 + 3 - 1
    assert table.sparsity["all"] == pytest.approx((75 + 18) / table.weights["all"])


def test_prune_network_takes_importance_for_channels_and_attention_for_weights(tiny_model):
    importance = ap.importance(tiny_model)
    theta = ap.threshold_by_ratio(importance, 0.5).theta
    pruned = ap.prune_network(tiny_model, importance, theta)
    assert {name: stays.tolist() for name, stays in masks_of(pruned).items()} == {
        name: (values >= theta[name]).tolist() for name, values in importance.items()
    }
    attention = {name: ap.attention_weights(tiny_model.get_submodule(name).weight) for name in ("conv1", "fc2")}
    pruned = ap.prune_network(tiny_model, attention | {"fc1": importance["fc1"]}, {"conv1": 0.0133, "fc1": 0, "fc2": 0.1})
    assert set(weight_masks_of(pruned)) == {"conv1", "fc2"} and set(masks_of(pruned)) == {"fc1"}
    stays = attention["conv1"] >= 0.0133
    assert 0 < stays.sum() < stays.numel()
    assert torch.equal(pruned.conv1.weight, tiny_model.conv1.weight * stays), "survivors are left as they are"
    assert not masks_of(tiny_model) and not weight_masks_of(tiny_model)


def test_prune_network_never_empties_a_layer_and_names_what_does_not_fit(tiny_model):
    importance = ap.importance(tiny_model)
    with pytest.warns(UserWarning, match=r"'conv1' \(4 channels\); its most important channel stays"):
        assert masks_of(ap.prune_network(tiny_model, {"conv1": importance["conv1"]}, 99))["conv1"].sum() == 1
    with pytest.warns(UserWarning, match=r"'fc2' \(30 weights\); its most important weight stays"):
        ap.prune_network(tiny_model, {"fc2": ap.attention_weights(tiny_model.fc2.weight)}, 0.9)
    with pytest.raises(TypeError, match=r"attention_weights must be a dictionary .* got list"):
        ap.prune_network(tiny_model, [1.0], 0.5)
    with pytest.raises(ValueError, match=r"threshold must name the layers \['conv1', 'conv2', 'fc1'\], got \['fc1'\]"):
        ap.prune_network(tiny_model, importance, {"fc1": 0.5})
    with pytest.raises(ValueError, match=r"shape \(3, 10\), got \(3, 9\)"):
        ap.prune_network(tiny_model, {"fc2": torch.ones(3, 9)}, 0.5)


def test_a_weight_that_ran_off_to_infinity_stays_silent(tiny_model, tiny_data):
    with torch.no_grad():
        tiny_model.conv1.weight[0] = torch.inf
    masked = ap.mask(tiny_model, {"conv1": torch.tensor([False, True, True, True])})
    assert torch.isfinite(masked(tiny_data.normalize(tiny_data.test.images))).all()


@pytest.mark.parametrize(
    ("keep", "error", "says"),
    [
        ({"conv9": torch.ones(4, dtype=torch.bool)}, ValueError, "'conv9'"),
        ({"conv1": torch.ones(5, dtype=torch.bool)}, ValueError, r"shape \(4,\), got \(5,\)"),
        ({"conv1": torch.ones(4)}, TypeError, "bool tensor, got torch.float32"),
        ({"conv1": [True] * 4}, TypeError, "bool tensor, got list"),
        ({"conv1": torch.zeros(4, dtype=torch.bool)}, ValueError, "drops all 4 channels"),
    ],
)
def test_a_keep_that_does_not_fit_is_named(tiny_model, keep, error, says):
    with pytest.raises(error, match=says):
        ap.mask(tiny_model, keep)


def test_a_keep_of_weights_that_does_not_fit_is_named(tiny_model):
    with pytest.raises(ValueError, match=r"shape \(3, 10\), got \(3,\)"):
        ap.mask_weights(tiny_model, {"fc2": torch.ones(3, dtype=torch.bool)})
    with pytest.raises(ValueError, match="drops all 30 weights"):
        ap.mask_weights(tiny_model, {"fc2": torch.zeros(3, 10, dtype=torch.bool)})
    first = {"fc2": torch.zeros(3, 10, dtype=torch.bool)}
    first["fc2"][0] = True
    with pytest.raises(ValueError, match="no weight in common"):
        ap.mask_weights(ap.mask_weights(tiny_model, first), {"fc2": ~first["fc2"]})
