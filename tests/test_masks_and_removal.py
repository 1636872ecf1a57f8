import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import attnprune_edu as ap
from attnprune_edu.masks import masks_of, unmask


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


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.1),
        lambda parameters: torch.optim.Adam(parameters, lr=0.1, weight_decay=0.1),
    ],
)
def test_no_optimizer_revives_a_silent_channel(tiny_model, tiny_data, keep, optimizer):
    masked = copy.deepcopy(ap.mask(tiny_model, keep))
    steps = optimizer(masked.parameters())
    images = tiny_data.normalize(tiny_data.train.images)
    start = masked.conv1.weight.detach().clone()
    for _ in range(50):
        steps.zero_grad()
        F.cross_entropy(masked(images), tiny_data.train.labels).backward()
        steps.step()
    assert silent(masked, keep)
    assert not torch.equal(masked.conv1.weight, start), "the channels that stay must learn"


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


@settings(max_examples=40)
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
    with pytest.raises(TypeError, match="ArticleNet, got Linear"):
        ap.remove(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="fc2"):
        ap.remove(ap.mask(tiny_model, {"fc2": torch.tensor([True, False, True])}))
