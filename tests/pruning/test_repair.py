import copy
import dataclasses
import random as random_numbers

import numpy as np
import pytest
import torch
from conftest import trained_norms
from hypothesis import given, settings, strategies as st
from torch import nn

import attnprune_edu as ap
from attnprune_edu.pruning.repair import _solve
from attnprune_edu.pruning.silence import live_channels, masks_of


@pytest.fixture(scope="module")
def trained(train_tiny):
    return train_tiny((4, 6), 10)


def accuracy_on_training_images(model, data):
    return ap.accuracy(model, data, "train")


@settings(max_examples=25)
@given(ratio=st.sampled_from([0.25, 0.5, 0.75, 1.0]), seed=st.integers(0, 100), num_images=st.sampled_from([1, 7, 60]))
def test_never_worse_on_the_calibration_images(trained, tiny_data, ratio, seed, num_images):
    """Also with one image and hundreds of unknowns, and with a single channel left in each layer."""
    importance = ap.importance(trained, "random", seed=seed)
    with pytest.warns(UserWarning, match="would empty") if ratio == 1 else torch.no_grad():
        keep = ap.keep_by_ratio(importance, ratio)
    masked = ap.mask(trained, keep)
    before = copy.deepcopy(masked.state_dict())
    repaired = ap.repair(masked, tiny_data, num_images=num_images, seed=seed)
    if num_images == 60:  # all training images are calibration images then
        assert accuracy_on_training_images(repaired, tiny_data) >= accuracy_on_training_images(masked, tiny_data)
    assert all(torch.isfinite(tensor).all() for tensor in repaired.state_dict().values())
    assert {name: kept.tolist() for name, kept in masks_of(repaired).items()} == {n: k.tolist() for n, k in keep.items()}
    assert all(torch.equal(before[name], tensor) for name, tensor in masked.state_dict().items()), "a copy is repaired"


def normed_net():
    """Convolutions without a bias, whose normalisation takes it, the second with a stride and a margin; four classes."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU()]
    layers += [nn.Conv2d(6, 5, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(5), nn.ReLU()]
    return trained_norms(nn.Sequential(*layers, nn.Flatten(), nn.Linear(5 * 49, 4)), 16)


def passing(model, name, pixels):
    """The inputs and the outputs of a layer while ``model`` sees ``pixels``."""
    seen = []
    hook = model.get_submodule(name).register_forward_hook(lambda layer, inputs, output: seen.append((inputs, output)))
    with torch.no_grad():
        copy.deepcopy(model).eval()(pixels)
    hook.remove()
    return seen[0]


def solved_by_hand(layer, inputs, targets, ridge, rounds):
    """The weights (outputs, inputs) and biases (outputs,) of the formula, by numpy's solver for least squares.

    ``layer`` has the first weights, ``inputs`` (rows, inputs), ``targets`` (rows, outputs). Silent inputs keep theirs.
    """
    used = (inputs != 0).any(axis=0)
    start = layer.weight.detach().flatten(1).double().numpy()
    first = np.zeros(len(start)) if layer.bias is None else layer.bias.detach().double().numpy()
    pull = np.sqrt(ridge * (inputs[:, used] ** 2).sum(axis=0).mean())
    system = np.pad(pull * np.eye(used.sum()), [(0, 0), (0, 1)])  # the bias, which stands last, is free
    system = np.concatenate([np.pad(inputs[:, used], [(0, 0), (0, 1)], constant_values=1), system])
    weight, bias = start.copy(), first
    for _ in range(rounds):
        wanted = np.where(targets > 0, targets, np.minimum(inputs @ weight.T + bias, 0)) if rounds > 1 else targets
        solution = np.linalg.lstsq(system, np.concatenate([wanted, pull * start[:, used].T]), rcond=None)[0]
        weight[:, used], bias = solution[:-1].T, solution[-1]

    def error(weight, bias):
        found = inputs @ weight.T + bias
        return ((np.maximum(found, 0) - np.maximum(targets, 0) if rounds > 1 else found - targets) ** 2).sum(axis=0)

    better = error(weight, bias) <= error(start, first)
    return np.where(better[:, None], weight, start), np.where(better, bias, first)


CHANNELS = {  # {network: the channels that stay}
    "article": {"conv1": torch.arange(6) % 3 > 0, "fc1": torch.arange(12) > 2},
    "normed": {"0": torch.arange(6) % 3 > 0, "3": torch.arange(5) > 0},
}


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("ridge", [0.01, 1.0])
@pytest.mark.parametrize("network", CHANNELS)
def test_every_layer_gets_the_weights_of_the_formula(imperfect, uneven_data, network, ridge, rounds):
    """From its inputs in the repaired network and its outputs in the dense one, on images drawn by the seed."""
    dense = imperfect() if network == "article" else normed_net()
    data, masked = labelled_by(dense, uneven_data), ap.mask(dense, CHANNELS[network]).train()
    repaired = ap.repair(masked, data, num_images=150, positions=99, ridge=ridge, rounds=rounds, seed=3)
    assert repaired.training and masked.training
    pixels = data.normalize(data.sample(150, torch.Generator().manual_seed(3)).images)
    for name in ("conv2", "fc1", "fc2") if network == "article" else ("3", "7"):
        first, layer, live = masked.get_submodule(name), repaired.get_submodule(name), live_channels(masked)[name]
        (inputs,), targets = passing(repaired, name, pixels)[0], passing(dense, name, pixels)[1]
        if isinstance(layer, nn.Conv2d):
            windows = nn.functional.unfold(inputs, layer.kernel_size, padding=layer.padding, stride=layer.stride)
            inputs, targets = (rows.flatten(2).transpose(1, 2).flatten(0, 1) for rows in (windows, targets))
        numbers = inputs.double().numpy(), targets.double().numpy()
        weight, bias = solved_by_hand(first, *numbers, ridge, rounds if name in ("conv2", "fc1") else 1)
        found = layer.weight.detach().flatten(1)
        shift = masked[4].running_mean - repaired[4].running_mean if layer.bias is None else layer.bias.detach()
        assert np.allclose(found[live], weight[live], atol=1e-2 * np.abs(weight).max()), name
        assert np.allclose(shift[live], bias[live], atol=1e-2 * np.abs(bias).max()), name
        changed = (found != first.weight.detach().flatten(1)).any(dim=1)
        assert changed[live].any() and not changed[~live].any(), name


def random_network(seed):
    """A layer whose inputs a mask changes, with what is drawn by ``seed``: its kind, bias, stride and what stands behind it.

    Returns the network and how many of its modules there are up to where the error of this layer is seen.
    """
    torch.manual_seed(seed)
    random = random_numbers.Random(seed)
    bias, channels = random.random() < 0.5, random.randint(1, 8)
    if random.random() < 0.5:
        size, padding, mode = random.randint(1, 3), random.choice([0, 1, "valid"]), random.choice(["zeros", "reflect"])
        options = {
            "stride": random.randint(1, 2),
            "dilation": random.randint(1, 2),
            "padding": padding,
            "padding_mode": mode,
        }
        layers, norm = [nn.Conv2d(6, channels, size, bias=bias, **options)], nn.BatchNorm2d(channels)
    else:
        layers, norm = [nn.Flatten(), nn.Linear(6 * 25, channels, bias=bias)], nn.BatchNorm1d(channels)
    behind = random.choice([[], [norm], [nn.ReLU()]])
    seen = [nn.Conv2d(3, 6, 3, stride=3), nn.ReLU(), *layers, *behind]
    model = trained_norms(nn.Sequential(*seen, nn.Flatten(), nn.LazyLinear(1)), 16)
    return model, len(seen)


def test_the_squared_error_on_the_calibration_images_never_grows(tiny_data):
    """Behind the layer, its normalisation or its ReLU. All images are of one class, so that accuracy decides nothing."""
    one_class = tiny_data.train._replace(labels=torch.zeros_like(tiny_data.train.labels))
    data = dataclasses.replace(tiny_data, train=one_class)
    images, smaller = data.normalize(data.train.images), []
    for seed in range(40):
        model, seen = random_network(seed)
        masked = ap.mask(model, {"0": torch.rand(6) < torch.tensor([1, 1, 0.5, 0.5, 0.5, 0.5])})
        repaired = ap.repair(masked, data, positions=100)
        with torch.no_grad():
            target = model[:seen](images)
            before, after = ((network[:seen](images) - target).square().sum().item() for network in (masked, repaired))
        assert after <= before * (1 + 1e-5) + 1e-9, (seed, model)
        smaller.append(after < 0.9 * before)
    assert sum(smaller) > 20


def test_an_output_that_cannot_become_positive_is_not_bought_with_others():
    """Below 0 a ReLU is flat: to move -1 to -0.98, where 1 is asked for, gains nothing and would cost at the other image."""
    layer, inputs, targets = nn.Linear(1, 1, bias=False), torch.tensor([[-1.0], [10.0]]), torch.tensor([[1.0], [10.0]])
    nn.init.ones_(layer.weight)
    _solve(layer, None, inputs, targets, ridge=1e-6, rounds=10)
    assert layer.weight == 1
    _solve(layer, None, inputs, targets, ridge=1e-6, rounds=1)
    assert layer.weight.item() == pytest.approx(99 / 101)


def test_a_bias_goes_into_the_normalisation_only_where_nothing_else_sees_it(tiny_data):
    class Branching(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.conv = nn.Conv2d(3, 6, 3), nn.Conv2d(6, 4, 3, bias=False)
            self.norm, self.fc = nn.BatchNorm2d(4), nn.Linear(4, 3)
            self.branches = False

        def forward(self, images):
            x = self.conv(self.first(images).relu())
            x = self.norm(x) + (x if self.branches else 0)
            return self.fc(x.relu().mean((2, 3)))

    torch.manual_seed(0)
    model = trained_norms(Branching(), 16)
    masked = ap.mask(model, {"first": torch.arange(6) > 2, "conv": torch.arange(4) > 0})
    mean = ap.repair(masked, tiny_data).norm.running_mean
    assert mean[0] == model.norm.running_mean[0] and (mean[1:] != model.norm.running_mean[1:]).all()
    masked.branches = True
    assert torch.equal(ap.repair(masked, tiny_data).norm.running_mean, model.norm.running_mean)


def labelled_by(model, data):
    """``data`` with all that ``model`` says about its training images taken for right."""
    labels = ap.predict(model, data, data.train.images).argmax(dim=1)
    return dataclasses.replace(data, train=data.train._replace(labels=labels))


def test_where_repair_would_cost_accuracy_the_network_comes_back_with_a_warning(trained, tiny_data):
    masked = ap.mask(trained, ap.keep_by_ratio(ap.importance(trained, "random"), 0.75))
    data = labelled_by(masked, tiny_data)
    with pytest.warns(
        UserWarning, match=r"after the repair \d+ of 54 calibration images .* before it 54; masked is returned"
    ) as caught:
        same = ap.repair(masked, data)
    assert caught[0].filename == __file__, "it points to the line that called"
    assert same is not masked
    assert all(torch.equal(tensor, same.state_dict()[name]) for name, tensor in masked.state_dict().items())


def test_only_plain_convolutions_in_two_dimensions_are_solved_for(tiny_data):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.ConvTranspose2d(6, 4, 3), nn.Flatten(2), nn.Conv1d(4, 2, 8, stride=8), nn.Flatten()
    )
    model = model.append(nn.LazyLinear(1)).eval()
    data = dataclasses.replace(tiny_data, train=tiny_data.train._replace(labels=torch.zeros_like(tiny_data.train.labels)))
    model(data.normalize(data.train.images))
    repaired = ap.repair(ap.mask(model, {"0": torch.arange(6) > 2}), data)
    assert torch.equal(repaired[2].weight, model[2].weight) and torch.equal(repaired[4].weight, model[4].weight)
    assert not torch.equal(repaired[6].weight, model[6].weight)


def twin_net():
    """Two filters of the first layer are the same, so that what one says the other can say for both."""
    torch.manual_seed(0)
    model = ap.ArticleNet(conv_channels=(4, 6), hidden=10, num_classes=3, image_size=16).eval()
    with torch.no_grad():
        model.conv1.weight[1] = model.conv1.weight[0]
        model.conv1.bias[1] = model.conv1.bias[0]
    return model


def test_a_channel_with_a_twin_is_missed_by_nobody(tiny_data):
    """The exact solution is known: conv2 must read the twin twice as much. This is where plain removal loses most."""
    model = twin_net()
    masked = ap.mask(model, {"conv1": torch.tensor([True, False, True, True])})
    images = tiny_data.normalize(tiny_data.test.images)
    target, plain = model(images), masked(images)
    repaired = ap.repair(masked, tiny_data, ridge=1e-6, rounds=1)
    assert (repaired(images) - target).abs().max() < 0.01 * (plain - target).abs().max()
    assert torch.allclose(repaired.conv2.weight[:, 0], 2 * model.conv2.weight[:, 0], atol=2e-2) or torch.allclose(
        repaired.conv2.weight[:, 0], model.conv2.weight[:, :2].sum(1), atol=2e-2
    )
    assert torch.equal(repaired.conv1.weight, masked.conv1.weight), "the same images reach the first layer as before"


def test_behind_a_relu_only_what_passes_is_matched(tiny_data):
    """Ten rounds come nearer to what the dense network passes on than the plain least squares of one round."""
    torch.manual_seed(1)
    model = ap.ArticleNet(conv_channels=(4, 6), hidden=10, num_classes=3, image_size=16).eval()
    masked = ap.mask(model, {"conv1": torch.tensor([True, False, True, False])})
    inputs = tiny_data.normalize(tiny_data.train.images)

    def passed(network):
        return network.conv2(network.pool(network.conv1(inputs).relu())).relu()

    errors = [
        (passed(ap.repair(masked, tiny_data, positions=36, ridge=1e-6, rounds=rounds)) - passed(model)).square().mean()
        for rounds in (1, 10)
    ]
    assert errors[1] < 0.9 * errors[0] < (passed(masked) - passed(model)).square().mean()


def test_dead_channels_are_survived_and_left_alone(trained, tiny_data):
    model = copy.deepcopy(trained)
    with torch.no_grad():
        model.conv2.bias[0] = -1e3  # never above zero: dead behind the ReLU
        model.fc1.bias[:] = -1e3  # and here all of them
    masked = ap.mask(model, {"conv1": torch.tensor([True, True, True, False])})
    repaired = ap.repair(masked, tiny_data)
    positions = model.fc1.in_features // 6
    assert torch.equal(repaired.fc1.weight[:, :positions], masked.fc1.weight[:, :positions])
    assert torch.isfinite(repaired(tiny_data.normalize(tiny_data.test.images))).all()


def test_strides_padding_dilation_and_norms_are_understood(tiny_data):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, stride=2, padding=2, dilation=2, bias=False),
        nn.ReLU(),
        nn.Conv2d(6, 6, 3, groups=6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 36, 3),
    ).eval()
    masked = ap.mask(model, {"0": torch.tensor([True, True, False, True, True, False])})
    images = tiny_data.normalize(tiny_data.test.images)
    repaired = ap.repair(masked, tiny_data, positions=36)
    error = {name: (net(images) - model(images)).square().mean() for name, net in {"plain": masked, "rep": repaired}.items()}
    assert error["rep"] < 0.5 * error["plain"]
    assert torch.equal(repaired[5].weight, model[5].weight), "a convolution with groups is left alone"


@pytest.mark.parametrize("margin", [{"padding": "same"}, {"padding": "valid"}, {"padding": 2, "padding_mode": "reflect"}])
def test_the_margin_of_a_convolution_is_its_own(tiny_data, margin):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 4, **margin), nn.Flatten(), nn.LazyLinear(3)).eval()
    images = tiny_data.normalize(tiny_data.test.images)
    model(images)
    ap.train(model, tiny_data, 8, batch_size=10, progress=False)
    masked = ap.mask(model, {"0": torch.tensor([True, True, False, True, True, False])})
    repaired = ap.repair(masked, tiny_data, positions=200, ridge=1e-6)
    x = masked[:2](images)
    plain, found = ((network[2](x) - model[:3](images)).square().mean() for network in (masked, repaired))
    assert found < 0.6 * plain


class Pixelwise(nn.Module):
    """A Linear that sees each pixel by itself."""

    def __init__(self):
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 6, 3), nn.Linear(6, 6)

    def forward(self, images):
        return self.linear(self.conv(images).relu().permute(0, 2, 3, 1)).mean((1, 2))


def test_a_linear_layer_may_see_pixels(tiny_data):
    torch.manual_seed(0)
    model = Pixelwise().eval()
    data = labelled_by(model, tiny_data)
    masked = ap.mask(model, {"conv": torch.arange(6) > 2})
    repaired = ap.repair(masked, data)
    images = data.normalize(data.test.images)
    plain, found = ((network(images) - model(images)).square().mean() for network in (masked, repaired))
    assert found < 0.6 * plain


def test_a_frozen_norm_stays_frozen(tiny_data):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 3)).train()
    model[1].eval()
    masked = ap.mask(model, {"0": torch.tensor([True, True, False, True])})
    modes = [module.training for module in masked.modules()]
    repaired = ap.repair(masked, labelled_by(model, tiny_data))
    assert not torch.equal(repaired[4].weight, masked[4].weight)
    assert [module.training for module in masked.modules()] == [module.training for module in repaired.modules()] == modes


def test_the_dense_network_may_be_handed_over(trained, tiny_data):
    """After training, what lies behind the masks is no longer the dense network."""
    masked = ap.mask(trained, ap.keep_by_ratio(ap.importance(trained), 0.5))
    same = ap.repair(masked, tiny_data)
    again = ap.repair(masked, tiny_data, dense=trained)
    assert torch.equal(same.fc2.weight, again.fc2.weight)
    ap.fine_tune(masked, tiny_data, 1, progress=False)
    other = ap.repair(masked, tiny_data, dense=trained)
    assert not torch.equal(ap.repair(masked, tiny_data).fc2.weight, other.fc2.weight)


def test_repaired_network_is_removed_and_trained(trained, tiny_data):
    masked = ap.mask(trained, ap.keep_by_ratio(ap.importance(trained), 0.5))
    repaired = ap.repair(masked, tiny_data)
    small = ap.remove(repaired)
    images = tiny_data.normalize(tiny_data.test.images)
    assert (small(images) - repaired(images)).abs().max() < 1e-4
    ap.fine_tune(small, tiny_data, 1, progress=False)


def test_calibration_images_and_positions_are_drawn_by_the_seed(imperfect, uneven_data):
    masked = ap.mask(imperfect(), CHANNELS["article"])
    ways = [{"seed": 0}, {"seed": 1}, {"positions": 1}, {"num_images": 120}, {"rounds": 1}, {"ridge": 1.0}]
    found = [ap.repair(masked, uneven_data, **way).conv2.weight for way in [{}, *ways]]
    assert [torch.equal(found[0], weight) for weight in found[1:]] == [True] + [False] * 5


def test_bad_input_is_named(tiny_model, tiny_data, tmp_path):
    masked = ap.mask(tiny_model, {"conv1": torch.tensor([True, True, True, False])})
    with pytest.raises(ValueError, match="masked must have masks on channels"):
        ap.repair(tiny_model, tiny_data)
    with pytest.raises(ValueError, match=r"single weights, but \['fc2'\] have"):
        ap.repair(ap.mask_weights(masked, {"fc2": torch.ones(3, 10, dtype=torch.bool)}), tiny_data)
    with pytest.raises(ValueError, match="num_images must be at least 1, got 0"):
        ap.repair(masked, tiny_data, num_images=0)
    for wrong in ({"positions": 0}, {"rounds": 0}, {"positions": -1, "rounds": 2}):
        with pytest.raises(ValueError, match="positions and rounds must be at least 1, got positions="):
            ap.repair(masked, tiny_data, **wrong)
    with pytest.raises(ValueError, match=r"nothing but zeros behind its masks.*hand over the dense network"):
        ap.repair(ap.load_model(ap.save_model(masked, tmp_path / "masked.safetensors")), tiny_data)
    with pytest.raises(ValueError, match="ridge must be above 0, got 0"):
        ap.repair(masked, tiny_data, ridge=0)
    with pytest.raises(ValueError, match="ridge is too small"):
        ap.repair(masked, tiny_data, ridge=1e-30, num_images=2, positions=1)


def test_half_of_the_embedded_networks_channels_are_made_up_for(shapes_data):
    few = shapes_data.subset(test=300)
    model = ap.load_model("article-net", "shapes")
    masked = ap.mask(model, ap.keep_by_ratio(ap.importance(model), 0.7))
    before, after = (ap.accuracy(network, few) for network in (masked, ap.repair(masked, few, num_images=300)))
    assert after > before + 0.1


def coupled_mask(model, image_shape, ratio):
    return ap.mask(
        model, ap.keep_by_ratio(ap.couple(ap.importance(model, "l2"), ap.coupled_layers(model, image_shape)), ratio)
    )


def test_a_residual_network_is_repaired_through_its_groups(shapes_data):
    few = shapes_data.subset(test=150)
    model = ap.load_model("resnet20", "shapes")
    masked = coupled_mask(model, few.image_shape, 0.3)
    repaired = ap.repair(masked, few, num_images=40, positions=25)
    assert ap.accuracy(repaired, few) > ap.accuracy(masked, few) + 0.1
    images = few.normalize(few.test.images[:20])
    small = ap.remove(repaired, images)
    assert small.architecture["stage_channels"] == [11, 22, 45]
    with torch.no_grad():
        assert (small(images) - repaired(images)).abs().max() < 1e-4


def test_a_vgg_with_normalisation_is_brought_nearer_to_the_dense_one(shapes_data):
    few = shapes_data.subset(train=200)
    torch.manual_seed(0)
    model = trained_norms(ap.VGG((8, 8, 12, 12, 16, 16, 16, 16)), 32)
    masked = coupled_mask(model, few.image_shape, 0.25)
    repaired = ap.repair(masked, few, num_images=200, positions=25)
    images = few.normalize(few.test.images[:100])
    with torch.no_grad():
        before, after = ((network(images) - model(images)).square().mean() for network in (masked, repaired))
        assert after < 0.7 * before
        assert (ap.remove(repaired, images[:2])(images) - repaired(images)).abs().max() < 1e-4
