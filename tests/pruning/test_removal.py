import copy
import math
from contextlib import nullcontext

import pytest
import torch
from conftest import Network, trained_norms
from hypothesis import given, settings, strategies as st
from torch import nn

import attnprune_edu as ap
from attnprune_edu.networks.kinds import layers_with_channels
from attnprune_edu.pruning import removal
from attnprune_edu.pruning.cutting import apart, cut
from attnprune_edu.pruning.silence import masks_of, weight_masks_of

NETWORKS = {
    "ResNet20": (lambda: ap.ResNet20((8, 12, 16), ((8,) * 3, (12,) * 3, (16,) * 3)), 32),
    "VGG": (lambda: ap.VGG((8, 12, 16, 16, 20, 20, 20, 20)), 32),
    "mobilenet_v2": (lambda: torchvision_model("mobilenet_v2"), 32),
}


def torchvision_model(name):
    import torchvision

    return getattr(torchvision.models, name)(num_classes=10)


def coupled_keep(model, size, ratio=0.5, criterion="attention"):
    groups = ap.coupled_layers(model, (3, size, size))
    return ap.keep_by_ratio(ap.couple(ap.importance(model, criterion), groups), ratio)


@pytest.fixture
def keep():
    return {
        "conv1": torch.tensor([True, False, True, False]),
        "conv2": torch.tensor([True, True, False, False, True, False]),
        "fc1": torch.tensor([False] * 4 + [True] * 6),
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_computes_the_same_without_its_silent_channels(name):
    build, size = NETWORKS[name]
    torch.manual_seed(0)
    model = trained_norms(build(), size)
    masked = ap.mask(model, coupled_keep(model, size))
    small = ap.remove(masked, torch.randn(2, 3, size, size))
    images = torch.randn(4, 3, size, size)
    with torch.no_grad():
        assert (masked(images) - small(images)).abs().max() < 1e-4
    assert type(small) is type(model) and not masks_of(small) and not small.training
    assert ap.count_params(small) < 0.35 * ap.count_params(model)
    for layer, stays in masks_of(masked).items():
        assert len(small.get_submodule(layer).weight) == stays.sum(), layer
    assert all(len(n.running_mean) == n.num_features for n in small.modules() if isinstance(n, nn.BatchNorm2d))
    assert small(images).shape == (4, 10) and not [p for p in small.parameters() if not p.requires_grad]


@settings(max_examples=10)
@given(data=st.data())
def test_every_width_of_a_residual_network_can_be_cut_to(data):
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    width = st.integers(1, 4)
    model = trained_norms(ap.ResNet20((3, 4, 3), ((2, 3, 1), (3, 2, 4), (2, 2, 3)), num_classes=5), 8)
    groups = ap.coupled_layers(model, (3, 8, 8))
    keep = {}
    for group in groups:
        channels = len(model.get_submodule(group[0]).weight)
        stays = torch.zeros(channels, dtype=torch.bool)
        stays[torch.randperm(channels)[: min(channels, data.draw(width))]] = True
        keep |= dict.fromkeys(group, stays)
    masked = ap.mask(model, keep)
    images = torch.randn(3, 3, 8, 8)
    small = ap.remove(masked, images)
    with torch.no_grad():
        assert (masked(images) - small(images)).abs().max() < 1e-4
    counts = {layer: int(stays.sum()) for layer, stays in keep.items()}
    assert small.architecture["stage_channels"] == [counts[f"stage{n}.2.conv2"] for n in (1, 2, 3)]
    assert small.architecture["block_channels"] == [
        [counts[f"stage{n}.{block}.conv1"] for block in range(3)] for n in (1, 2, 3)
    ]


def test_what_is_silent_in_only_some_coupled_layers_stays():
    torch.manual_seed(0)
    model = trained_norms(ap.ResNet20((3, 4, 4), ((2,) * 3,) * 3), 8)
    masked = ap.mask(model, {"stage1.0.conv2": torch.tensor([True, False, True])})
    images = torch.randn(2, 3, 8, 8)
    small = ap.remove(masked, images)
    assert small.architecture == model.architecture
    with torch.no_grad():
        assert torch.equal(small(images), masked(images))


@pytest.mark.parametrize("name", ["ResNet20", "VGG"])
def test_a_removed_network_is_saved_trained_and_cut_again(name, shapes_data, tmp_path):
    build, size = NETWORKS[name]
    torch.manual_seed(0)
    few = shapes_data.subset(train=200, validation=100, test=100)
    images = few.normalize(few.test.images[:10])
    small = ap.remove(ap.mask(model := trained_norms(build(), size), coupled_keep(model, size)), images)
    loaded = ap.load_model(ap.save_model(small, tmp_path / "small.safetensors"))
    with torch.no_grad():
        assert torch.equal(loaded(images), small(images)) and loaded.architecture == small.architecture
    before = loaded.fc.weight.detach().clone()
    ap.fine_tune(loaded, few, 1, progress=False)
    assert (loaded.fc.weight - before).abs().max() > 1e-4
    pruned = ap.prune_in_stages(loaded, few, 0.5, 2, epochs=2, removed=True, progress=False).model
    assert ap.count_params(pruned) < 0.4 * ap.count_params(loaded)


def test_masks_on_single_weights_go_along_in_any_network():
    torch.manual_seed(0)
    model = trained_norms(ap.VGG((4,) * 8), 32)
    weights = {name: torch.rand_like(layer.weight) > 0.5 for name, layer in layers_with_channels(model).items()}
    masked = ap.mask(ap.mask_weights(model, weights), coupled_keep(model, 32))
    images = torch.randn(2, 3, 32, 32)
    small = ap.remove(masked, images)
    with torch.no_grad():
        assert (masked(images) - small(images)).abs().max() < 1e-5
    left = weight_masks_of(small)
    assert left.keys() == weights.keys()
    kept = masks_of(masked)
    second = weights["features.4"][kept["features.4"]][:, kept["features.0"]]
    assert torch.equal(left["features.4"], second)


def test_one_image_is_enough_to_follow_a_network_that_also_runs_without_a_batch():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(-3), nn.Linear(4 * 36, 3))
    masked = ap.mask(model, {"0": torch.tensor([True, False, True, False])})
    small = ap.remove(masked, torch.randn(1, 3, 8, 8))
    images = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        assert (masked(images) - small(images)).abs().max() < 1e-5
    assert small[0].out_channels == 2 and small[3].in_features == 2 * 36


@pytest.mark.parametrize("size", [None, (9, 7)])
def test_inputs_are_tried_or_those_that_are_handed_over_taken(size):
    """Also by a deep copy, of which nothing is known yet."""
    torch.manual_seed(0)

    def forward(net, x):
        assert size in (None, x.shape[2:]), "nothing else is taken"
        return net.head(net.conv(x).relu().mean((2, 3)))

    model, images = Network(forward, conv=nn.Conv2d(3, 4, 3), head=nn.Linear(4, 3)).eval(), torch.randn(2, 3, 9, 7)
    inputs = None if size is None else images
    masked = copy.deepcopy(ap.mask(model, {"conv": torch.tensor([True, False, True, True])}, example_inputs=inputs))
    small = ap.remove(masked, inputs)
    with torch.no_grad():
        assert small.conv.out_channels == 3 and torch.allclose(small(images), masked(images), atol=1e-5)


def test_grouped_convolutions_keep_their_channels():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 1, groups=2), nn.Flatten(), nn.Linear(6 * 36, 3))
    images = torch.randn(2, 3, 8, 8)
    assert ap.unprunable(model, images).keys() == {"0", "2", "4"}
    with pytest.raises(ValueError, match="no prunable layer"):
        ap.importance(model, example_inputs=images)


def tensors(*outputs):
    return [torch.tensor(output) for output in outputs]


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (tensors([1.0, -8.0]), tensors([1.0, -8.0]), 0.0),
        (tensors([1.0, -8.0]), tensors([3.0, -8.0]), 0.25),  # of the size of the largest, whatever its sign
        (tensors([2e-9, 0.0]), tensors([1e-9, 0.0]), 0.5),  # however small they are
        (tensors([4.0], [10.0], [8.0]), tensors([4.0], [5.0], [6.0]), 0.5),  # the worst of several outputs
        (tensors([0.0, 0.0]), tensors([0.0, 0.0]), 0.0),
        (tensors([0.0, 0.0]), tensors([0.0, 1e-9]), math.inf),
        (tensors([]), tensors([]), 0.0),
        (tensors([1.0]), tensors([1.0, 1.0]), math.inf),
        (tensors([1.0], [1.0]), tensors([1.0]), math.inf),
        (tensors([1.0], [1.0]), tensors([1.0], [math.nan]), math.inf),
        (tensors([math.nan], [1.0]), tensors([1.0], [1.0]), math.inf),
        (tensors([math.inf]), tensors([math.inf]), math.inf),
    ],
)
def test_how_far_outputs_lie_apart(before, after, wanted):
    assert apart(before, after) == pytest.approx(wanted)


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(
    ("share", "refused"), [(0.0, False), (0.9e-4, False), (1.1e-4, True), (-0.05, True), (math.nan, True)]
)
def test_a_smaller_network_that_computes_something_else_is_refused(monkeypatch, share, refused, size):
    """From a ten-thousandth of the largest output on, however large or small the outputs are."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).eval()
    images = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        model[3].weight *= size
        model[3].bias *= size
    masked = ap.mask(model, {"0": torch.tensor([True, False, True, True])}, example_inputs=images)

    def wrongly(small, *arguments):
        single = cut(small, *arguments)
        small[3].weight *= 1 + share
        small[3].bias *= 1 + share
        return single

    monkeypatch.setattr(removal, "cut", wrongly)
    assert ap.remove(masked, images, check=False)[0].out_channels == 3
    with pytest.raises(ValueError, match=r"masked cannot be cut: .* of the largest output") if refused else nullcontext():
        ap.remove(masked, images)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_neither_dropout_nor_rounding_in_half_precision_is_taken_for_a_difference(dtype):
    torch.manual_seed(0)
    layers = [nn.Linear(64, 500), nn.ReLU(), nn.Dropout(0.5), nn.Linear(500, 200), nn.ReLU(), nn.Linear(200, 10)]
    model, inputs = nn.Sequential(*layers).to(dtype).train(), torch.randn(20, 64)
    small = ap.remove(
        ap.mask(model, {"0": torch.rand(500) > 0.3, "3": torch.rand(200) > 0.3}, example_inputs=inputs), inputs
    )
    assert small[0].out_features < 400 and small[3].weight.dtype == dtype and small.training


def test_frozen_parameters_and_modes_are_kept_in_any_network():
    model = trained_norms(ap.ResNet20((4, 4, 4), ((4,) * 3,) * 3), 8)
    model.conv1.weight.requires_grad_(False)
    model.train().bn1.eval()  # frozen, in a network that trains
    small = ap.remove(ap.mask(model, coupled_keep(model, 8)), torch.randn(2, 3, 8, 8))
    assert [name for name, tensor in small.named_parameters() if not tensor.requires_grad] == ["conv1.weight"]
    assert small.training and small.stage1[0].bn1.training and not small.bn1.training


def test_removal_leaves_torchs_random_numbers_alone(tiny_model, keep, tmp_path):
    before = torch.get_rng_state()
    small = ap.remove(ap.mask(tiny_model, keep))
    ap.load_model(ap.save_model(small, tmp_path / "small.safetensors"))
    assert torch.equal(torch.get_rng_state(), before)


def test_masks_that_leave_a_layer_nothing_are_named(tiny_model):
    first = torch.zeros(4, 3, 5, 5, dtype=torch.bool)
    first[0] = True  # of the weights nothing but the first filter stays, and this filter goes
    masked = ap.mask(ap.mask_weights(tiny_model, {"conv1": first}), {"conv1": torch.tensor([False, True, True, True])})
    with pytest.raises(ValueError, match=r"together leave \['conv1'\] no weight"):
        ap.remove(masked)


@settings(max_examples=20)
@given(data=st.data())
def test_removed_network_computes_what_the_masked_one_does(data):
    torch.manual_seed(data.draw(st.integers(0, 1000)))
    size = data.draw(st.sampled_from([16, 20, 32]))
    model = ap.ArticleNet(conv_channels=(4, 5), hidden=6, num_classes=3, image_size=size)
    widths = {"conv1": 4, "conv2": 5, "fc1": 6}
    keep = {
        name: torch.tensor(data.draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(any)))
        for name, n in widths.items()
    }
    masked = ap.mask(model, keep)
    small = ap.remove(masked)
    images = torch.randn(3, 3, size, size)
    assert (masked(images) - small(images)).abs().max() < 1e-5
    left = {name: int(stays.sum()) for name, stays in keep.items()}
    assert (
        small.architecture["conv_channels"] == [left["conv1"], left["conv2"]] and small.architecture["hidden"] == left["fc1"]
    )
    assert not masks_of(small)


def test_removed_network_is_trained_saved_and_pruned_again(tiny_model, tiny_data, keep, tmp_path):
    small = ap.remove(ap.mask(tiny_model, keep))
    before = small.conv1.weight.detach().clone()
    ap.fine_tune(small, tiny_data, epochs=1, progress=False)
    assert (before - small.conv1.weight).abs().max() > 1e-4
    loaded = ap.load_model(ap.save_model(small, tmp_path / "small.safetensors"))
    assert loaded.architecture == small.architecture
    smaller = ap.remove(ap.mask(loaded, ap.keep_by_ratio(ap.importance(loaded), 0.5)))
    assert smaller.architecture["conv_channels"] == [1, 1]


def test_removed_network_keeps_the_type_of_its_weights(tiny_model, keep):
    small = ap.remove(ap.mask(tiny_model, keep).double())
    assert small(torch.zeros(2, 3, 16, 16, dtype=torch.float64)).dtype == torch.float64


def test_remove_says_what_it_cannot_do(tiny_model):
    with pytest.raises(ValueError, match="'fc2' are masked, but cannot be removed: its channels reach the outputs"):
        ap.remove(ap.mask(tiny_model, {"fc2": torch.tensor([True, False, True])}))
    model = Network(lambda net, x: net.head(net.conv(x)), conv=nn.Conv2d(3, 4, 1), head=nn.Conv2d(4, 2, 1))
    masked = ap.mask(model, {"conv": torch.tensor([True, False, True, True])})
    with pytest.raises(ValueError, match="fails for example_inputs"):
        ap.remove(masked, (torch.randn(2, 3, 8, 8), torch.randn(2)))
