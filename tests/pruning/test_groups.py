from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from conftest import Network
from torch import nn

import attnprune_edu as ap
from attnprune_edu.experiments import sensitivity


class Residual(nn.Module):
    """stem → (two convolutions, one of them depthwise) + stem → linear."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.a = nn.Conv2d(4, 5, 3, padding=1)
        self.depthwise = nn.Conv2d(5, 5, 3, padding=1, groups=5)
        self.b = nn.Conv2d(5, 4, 1)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.stem(x).relu()
        x = (x + self.b(self.depthwise(self.a(x).relu()))).relu()
        return self.head(x.mean((2, 3)))


def test_a_chain_has_a_group_for_each_layer(tiny_model, tiny_data):
    assert ap.coupled_layers(tiny_model, tiny_data.image_shape) == [("conv1",), ("conv2",), ("fc1",)]
    masked = ap.mask(tiny_model, {"conv1": torch.tensor([True, True, True, False])})
    for parameter in masked.parameters():
        parameter.requires_grad_(False)
    assert ap.coupled_layers(masked, tiny_data.image_shape) == [("conv1",), ("conv2",), ("fc1",)]


def test_whoever_empties_the_list_of_groups_changes_nothing(tiny_model, tiny_data):
    ap.coupled_layers(tiny_model, tiny_data.image_shape).clear()
    assert ap.coupled_layers(tiny_model, tiny_data.image_shape)


def test_threads_may_follow_one_network_at_the_same_time():
    model = ap.ResNet20((4, 6, 8), ((4,) * 3, (6,) * 3, (8,) * 3)).eval()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: ap.coupled_layers(model, (3, 16, 16)), range(8)))
    assert all(groups == found[0] for groups in found) and len(found[0]) == 12


def test_without_check_a_group_is_not_tried_until_somebody_asks():
    layers = {name: nn.Conv2d(8, 8, 3, padding=1) for name in ("first", "second")}
    model = Network(lambda m, x: m.second(m.first(x).unflatten(1, (4, 2)).flatten(1, 2)), **layers)
    images = torch.randn(2, 8, 6, 6)
    assert ap.coupled_layers(model, example_inputs=images, check=False) == [("first",)]
    assert "first" in ap.unprunable(model, images)
    assert ap.coupled_layers(model, example_inputs=images, check=False) == []


def test_what_is_added_up_or_depthwise_goes_together():
    assert ap.coupled_layers(Residual(), (3, 16, 16)) == [("stem", "b"), ("a", "depthwise")]


def test_groups_of_a_well_known_network_cover_every_layer_but_the_last_once():
    import torchvision

    model = torchvision.models.mobilenet_v2(num_classes=10)
    groups = ap.coupled_layers(model, (3, 32, 32))
    layers = [layer for layer, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert sorted(layer for group in groups for layer in group) == sorted(layers[:-1])
    widths = {layer: len(model.get_submodule(layer).weight) for layer in layers}
    assert all(len({widths[layer] for layer in group}) == 1 for group in groups)
    # A layer that widens each channel and the depthwise one behind it, and two blocks whose outputs are added up.
    assert ("features.4.conv.0.0", "features.4.conv.1.0") in groups
    assert ("features.2.conv.2", "features.3.conv.2") in groups


def test_coupled_layers_lose_the_same_channels(tiny_data, monkeypatch):
    torch.manual_seed(0)
    seen = []
    monkeypatch.setattr(sensitivity, "mask", lambda model, keep: seen.append(keep) or ap.mask(model, keep))
    scores = {"stem": torch.tensor([4.0, 3.0, 2.0, 1.0]), "b": torch.tensor([10.0, 10.0, 10.0, 50.0])}
    table = ap.sensitivity(Residual(), tiny_data, lambda model: scores, ratios=[0.5], progress=False)
    assert table.index.tolist() == ["stem + b"], "groups without importance are left out"
    # Mean of [1.6, 1.2, .8, .4] and [.5, .5, .5, 2.5]: channels 0 and 3 stay.
    assert seen[0]["stem"].tolist() == seen[0]["b"].tolist() == [True, False, False, True]


def test_coupled_layers_have_an_equal_say_and_keep_their_size():
    importance = {"a": torch.tensor([1.0, 3.0]), "b": torch.tensor([60.0, 20.0]), "alone": torch.tensor([5.0])}
    coupled = ap.couple(importance, [("a", "b"), ("alone",), ("unknown",)])
    assert list(coupled) == ["a", "b", "alone"] and coupled["alone"].tolist() == [5.0]
    # In units of 2 and 40: mean of [.5, 1.5] and [1.5, .5], times the mean size 21.
    assert coupled["a"].tolist() == coupled["b"].tolist() == [21.0, 21.0]
    assert ap.couple({"a": torch.tensor([1.0, 3.0])}, [("a", "b")])["b"].tolist() == [1.0, 3.0]
    three = {"a": torch.tensor([1.0, -3.0]), "b": torch.tensor([60.0, 20.0]), "zero": torch.zeros(2)}
    # In units of 2 and 40, and nothing: mean of [.5, -1.5], [1.5, .5] and [0, 0], times the mean size 14.
    assert ap.couple(three, [("a", "zero", "b")])["zero"].tolist() == pytest.approx([28 / 3, -14 / 3])
    assert three["a"].tolist() == [1.0, -3.0]
    with pytest.raises(ValueError, match=r"one number of channels for the coupled layers \['a', 'alone'\]"):
        ap.couple(importance, [("a", "alone")])


def test_attention_works_in_the_pruners_of_torch_pruning():
    import torch_pruning

    torch.manual_seed(0)
    model, images = ap.ResNet20(), torch.randn(1, 3, 32, 32)
    expected = ap.couple(ap.importance(model, temperature=0.1), ap.coupled_layers(model, example_inputs=images))
    graph = torch_pruning.DependencyGraph().build_dependency(model, images)
    scores = ap.AttentionImportance(0.1)
    for group in graph.get_all_groups(ignored_layers=[model.fc]):
        found = next(n for n, module in model.named_modules() if module is group[0].dep.target.module)
        assert torch.allclose(scores(group), expected[found], rtol=1e-5)
    default = ap.AttentionImportance()(graph.get_pruning_group(model.fc, torch_pruning.prune_linear_out_channels, [0, 1]))
    assert torch.equal(default, ap.attention_scores(model.fc.weight[:2]).detach())
    torch_pruning.MetaPruner(model, images, importance=scores, pruning_ratio=0.5, ignored_layers=[model.fc]).step()
    assert len(model.conv1.weight) == 8 and model(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_a_group_without_weights_for_each_channel_is_left_to_torch_pruning():
    import torch_pruning

    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.ConvTranspose2d(8, 6, 3), nn.GroupNorm(1, 6), nn.Conv2d(6, 4, 1)
    ).eval()  # fmt: skip
    images, scores = torch.randn(1, 3, 8, 8), ap.AttentionImportance()
    graph = torch_pruning.DependencyGraph().build_dependency(model, images)
    found = {}
    for group in graph.get_all_groups(ignored_layers=[model[4]]):
        found[group[0].dep.target.module] = scores(group)
    expected = ap.attention_scores(model[2].weight.detach().transpose(0, 1))
    assert torch.allclose(found[model[2]], expected, rtol=1e-5)
    norm = graph.get_pruning_group(model[3], torch_pruning.prune_groupnorm_out_channels, [0, 1])
    assert scores(norm[:1]) is None
    torch_pruning.MetaPruner(model, images, scores, pruning_ratio=0.5, ignored_layers=[model[4]]).step()
    assert model[0].out_channels == 4 and model[2].out_channels == 3 and model(images).shape == (1, 4, 8, 8)
