import math
import re

import pandas as pd
import pytest
import torch
from conftest import Network
from test_blocks import resnet
from torch import nn

import attnprune_edu as ap
from attnprune_edu.data.tokens import TokenData
from attnprune_edu.networks.kinds import layers_with_channels, width
from attnprune_edu.pruning import budget, costs
from attnprune_edu.pruning.budget import Plan, loss_on_validation
from attnprune_edu.pruning.costs import cost_terms, dense_choice
from attnprune_edu.pruning.knapsack import total_cost
from attnprune_edu.pruning.single_weights import keep_largest, sparse_bytes

COUNTED = {
    "macs": lambda model, data: ap.count_macs(model, data.image_shape),
    "params": lambda model, _: ap.count_params(model),
}


def steep_curves(model, data, worth=()):
    """Made-up curves: losing channels costs the square of their share, ten times that in the layers ``worth`` keeping."""
    blocks = ap.removable_blocks(model, data.example_inputs)
    rows = []
    for name, size in dense_choice(model, data, blocks).items():
        level, widths = ("layers", [0]) if name in blocks else ("filters", range(1, size))
        factor = 10 if name in worth else 1
        rows += [(name, level, kept, size, factor * (1 - kept / size) ** 2) for kept in widths]
    return pd.DataFrame(rows, columns=["name", "level", "kept", "of", "loss"])


def depthwise():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, groups=6), nn.ReLU(),
        nn.Conv2d(6, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4),
    ).eval()  # fmt: skip


def concatenated():
    torch.manual_seed(0)
    layers = {"a": nn.Conv2d(3, 4, 3), "b": nn.Conv2d(3, 6, 3), "c": nn.Conv2d(10, 5, 1), "d": nn.Linear(5, 4)}
    return Network(
        lambda net, x: net.d(net.c(torch.cat([net.a(x), net.b(x)], 1).relu()).relu().mean((2, 3))), **layers
    ).eval()


@pytest.mark.parametrize("cost", ["macs", "params"])
@pytest.mark.parametrize("network", [resnet, depthwise, concatenated])
def test_terms_add_up_to_the_cost_of_the_network_that_results(network, cost, uneven_data):
    model, blocks = network(), []
    blocks = ap.removable_blocks(model, uneven_data.example_inputs)
    terms, chosen = cost_terms(model, uneven_data, cost, blocks), dense_choice(model, uneven_data, blocks)
    assert total_cost(terms, chosen) == COUNTED[cost](model, uneven_data)
    keep, gone = {}, blocks[1:3]
    for number, group in enumerate(ap.coupled_layers(model, uneven_data.image_shape)):
        chosen[group[0]] -= number % 3
        keep |= {layer: torch.arange(len(model.get_submodule(layer).weight)) < chosen[group[0]] for layer in group}
    small = ap.remove_blocks(ap.remove(ap.mask(model, keep), uneven_data.example_inputs), gone)
    assert total_cost(terms, chosen | dict.fromkeys(gone, 0)) == COUNTED[cost](small, uneven_data)


class Recurrent(nn.Module):
    """A GRU reads channels of a layer that can be pruned."""

    def __init__(self):
        super().__init__()
        self.embedding, self.before = nn.Embedding(8, 6), nn.Linear(6, 10)
        self.gru, self.fc = nn.GRU(10, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, tokens):
        return self.fc(self.gru(self.before(self.embedding(tokens)).relu())[0][:, -1])


@pytest.fixture(scope="module")
def letters():
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 8, (20, 6), generator=random)
    return TokenData("letters", ("a", "b", "c"), *[ap.Images(tokens, tokens[:, 0] % 3)] * 3, symbols=tuple(" abcdefg"))


@pytest.mark.parametrize(
    ("network", "exact"), [(lambda: ap.NameTransformer(8, 6, 3, 8, (2, 3), 4, (20, 30)), True), (Recurrent, False)]
)
def test_attention_and_recurrent_layers_count_in_the_budget(network, exact, letters):
    torch.manual_seed(0)
    model = network().eval()
    macs = [ap.count_macs(model, example_inputs=letters.inputs(1))]
    plan = ap.allocate(
        model, letters, 0.9, curves=steep_curves(model, letters), criterion="l1", num_images=20, rounds=1, progress=False
    )
    macs.append(ap.count_macs(plan.model, example_inputs=letters.inputs(1)))
    assert plan.dense == macs[0] and macs[1] <= plan.spent <= plan.budget == 0.9 * macs[0]
    assert (plan.spent == macs[1]) == exact, "what reads fewer channels costs less than it is counted for"


@pytest.fixture
def made_up_times(monkeypatch):
    """A processor that computes eight channels at a time, three times as slow between other layers as on a layer alone.

    What is done until the next layer takes 1 ms, and 0.1 for each channel. Returns how long a network takes.
    """

    def alone(layer, like, inputs, outputs):
        return layer.weight[0].numel() // layer.weight.shape[1] * inputs * math.ceil(outputs / 8) / 100

    def parts(model, pixels):
        layers = layers_with_channels(model)
        reads = {name: getattr(layer, "in_channels", 0) or layer.in_features for name, layer in layers.items()}
        inside = {name: 3 * alone(layer, None, reads[name], width(layer)) for name, layer in layers.items()}
        return inside, {"": 5.0} | {name: 1 + width(layer) / 10 for name, layer in layers.items()}

    monkeypatch.setattr(costs, "layer_ms", alone)
    monkeypatch.setattr(costs, "parts_ms", parts)
    return lambda model: sum(sum(part.values()) for part in parts(model, None))


def wide():
    return ap.ArticleNet((20, 12), 30, num_classes=4, image_size=16).eval()


@pytest.mark.parametrize("network", [resnet, depthwise, concatenated, wide])
def test_milliseconds_add_up_to_those_of_the_network_that_results(network, made_up_times, uneven_data):
    model = network()
    blocks = ap.removable_blocks(model, uneven_data.example_inputs)
    terms, chosen = cost_terms(model, uneven_data, "latency", blocks), dense_choice(model, uneven_data, blocks)
    assert total_cost(terms, chosen) == pytest.approx(made_up_times(model))
    keep, gone = {}, blocks[1:3]
    for group in ap.coupled_layers(model, uneven_data.image_shape):
        chosen[group[0]] = chosen[group[0]] * 2 // 3
        keep |= {layer: torch.arange(len(model.get_submodule(layer).weight)) < chosen[group[0]] for layer in group}
    small = ap.remove_blocks(ap.remove(ap.mask(model, keep), uneven_data.example_inputs), gone)
    assert total_cost(terms, chosen | dict.fromkeys(gone, 0)) == pytest.approx(made_up_times(small))


@pytest.mark.parametrize("method", ["knapsack", "greedy", "uniform"])
@pytest.mark.parametrize(("cost", "budget"), [("macs", 0.6), ("macs", 0.3), ("params", 0.6), ("params", 0.3)])
def test_a_plan_meets_its_budget_and_the_network_costs_what_it_says(method, cost, budget, uneven_data):
    torch.manual_seed(0)
    model = ap.ArticleNet((12, 16), 60, num_classes=4, image_size=16).eval()
    curves = steep_curves(model, uneven_data, worth=["conv2"])
    plan = ap.allocate(model, uneven_data, budget, cost=cost, method=method, curves=curves, num_images=50)
    assert plan.spent == COUNTED[cost](plan.model, uneven_data) and plan.dense == COUNTED[cost](model, uneven_data)
    assert plan.spent <= plan.budget == budget * plan.dense
    terms, chosen = cost_terms(model, uneven_data, cost, []), plan.kept.kept.to_dict()
    more = [total_cost(terms, chosen | {name: kept + 1}) for name, kept in chosen.items() if kept < plan.kept.of[name]]
    assert total_cost(terms, chosen) == plan.spent and all(spent > plan.budget for spent in more)
    kept = plan.kept.kept / plan.kept.of
    if method != "uniform":
        assert kept["conv2"] == kept.max() > kept.min(), "what is worth most is spared"


@pytest.mark.parametrize("method", ["knapsack", "greedy", "uniform"])
@pytest.mark.parametrize("budget", [0.8, 0.5])
def test_widths_in_multiples_never_exceed_the_budget_and_leave_no_multiple_unused(method, budget, uneven_data):
    torch.manual_seed(0)
    model = ap.ArticleNet((36, 6), 60, num_classes=4, image_size=16).eval()  # 6: fewer than one multiple
    plan = ap.allocate(
        model, uneven_data, budget, method=method, curves=steep_curves(model, uneven_data), round_to=8, num_images=50
    )
    assert plan.spent == COUNTED["macs"](plan.model, uneven_data) <= plan.budget
    assert all(kept % 8 == 0 or kept == of for kept, of in zip(plan.kept.kept, plan.kept.of, strict=True))
    terms, chosen = cost_terms(model, uneven_data, "macs", []), plan.kept.kept.to_dict()
    for name, kept in chosen.items():
        more = min(kept + 8, plan.kept.of[name])
        assert kept == plan.kept.of[name] or total_cost(terms, chosen | {name: more}) > plan.budget


@pytest.mark.parametrize(("slower", "tightened"), [(1.0, False), (1.25, True)])
def test_a_plan_of_milliseconds_is_measured_and_made_once_more_if_it_takes_too_long(
    slower, tightened, made_up_times, uneven_data, monkeypatch
):
    model = wide()
    shares = []

    def share(small, dense, pixels):
        shares.append(slower * made_up_times(small) / made_up_times(dense))
        return shares[-1]

    monkeypatch.setattr(budget, "share_of_time", share)
    how = {"cost": "latency", "curves": steep_curves(model, uneven_data), "criterion": "l1", "num_images": 20}
    plan = ap.allocate(model, uneven_data, 0.6, **how)
    assert plan.spent == pytest.approx(made_up_times(plan.model)) and plan.dense == pytest.approx(made_up_times(model))
    assert plan.measured == pytest.approx(slower * plan.spent) and plan.measured <= plan.budget == 0.6 * plan.dense
    assert (shares[0] > 0.6) == tightened and len(shares) == 2
    assert f"({plan.spent / plan.dense:.1%}, measured {shares[-1]:.1%}): conv1 " in repr(plan)


@pytest.mark.parametrize("method", ["knapsack", "uniform"])
def test_a_plan_of_milliseconds_stays_where_nothing_is_small_enough(method, made_up_times, uneven_data, monkeypatch):
    model, plans = wide(), []
    for share in (0.5, 60.0):
        monkeypatch.setattr(budget, "share_of_time", lambda small, dense, pixels, share=share: share)
        how = {"cost": "latency", "method": method, "criterion": "l1", "num_images": 20}
        plans.append(ap.allocate(model, uneven_data, 0.6, curves=steep_curves(model, uneven_data), **how))
    assert plans[0].kept.equals(plans[1].kept) and plans[0].spent == plans[1].spent
    assert plans[1].measured == pytest.approx(60 * plans[1].dense)


@pytest.mark.parametrize("method", ["knapsack", "uniform"])
def test_what_a_coarse_grid_leaves_is_filled_up(method, shapes_data):
    model = ap.load_model("article-net", "shapes")
    curves = steep_curves(model, shapes_data)
    few = curves[(curves.kept * 8) % curves.of == 0]
    plan = ap.allocate(model, shapes_data, 0.2, method=method, curves=few, criterion="l1", num_images=20, rounds=1)
    assert 0.99 * plan.budget <= plan.spent <= plan.budget


def test_whole_blocks_go_where_they_are_worth_least(uneven_data):
    model = resnet()
    curves = steep_curves(model, uneven_data)
    curves.loc[(curves.level == "layers") & (curves.name != "stage2.1"), "loss"] = 50.0
    curves.loc[curves.name == "stage2.1", "loss"] = 0.0
    plan = ap.allocate(model, uneven_data, 0.7, curves=curves, num_images=50)
    assert plan.removed_blocks == ["stage2.1"] and isinstance(plan.model.stage2[1], nn.Identity)
    assert plan.kept.kept["stage2.1.conv1"] == 0 and "without the blocks stage2.1" in repr(plan)
    assert plan.spent == COUNTED["macs"](plan.model, uneven_data) <= plan.budget
    widths_only = ap.allocate(model, uneven_data, 0.7, levels="filters", curves=curves, num_images=50)
    assert widths_only.removed_blocks == [] and ap.removable_blocks(widths_only.model, uneven_data.example_inputs)


def test_single_weights_fill_a_budget_to_the_last_one(imperfect, uneven_data):
    model = imperfect()
    plan = ap.allocate(
        model, uneven_data, 0.25, cost="params", levels=("filters", "weights"), curves=steep_curves(model, uneven_data)
    )
    assert plan.spent == plan.nonzero == int(plan.budget)
    alone = ap.allocate(model, uneven_data, 0.25, cost="params", levels="filters", curves=steep_curves(model, uneven_data))
    assert loss_on_validation(plan.model, uneven_data) <= loss_on_validation(alone.model, uneven_data)


def test_curves_say_what_is_lost_plainly_and_after_repair(imperfect, uneven_data):
    model = imperfect()
    before = loss_on_validation(model, uneven_data)
    how = {"criterion": "l1", "shares": [0.5], "progress": False}
    plain, repaired = (ap.loss_curves(model, uneven_data, repaired=r, **how).set_index("name") for r in (False, True))
    assert list(plain.kept) == [3, 4, 6] and list(plain.of) == [6, 8, 12]
    keep = ap.keep_by_ratio({"conv2": ap.importance(model, "l1")["conv2"]}, 0.5)
    assert plain.loss["conv2"] == pytest.approx(loss_on_validation(ap.mask(model, keep), uneven_data) - before, abs=1e-5)
    assert repaired.loss.sum() < plain.loss.sum()


def test_curves_of_blocks_alone_leave_the_channels_alone(uneven_data):
    model = resnet()
    curves = ap.loss_curves(model, uneven_data, levels="layers", repaired=False, num_images=10, progress=False)
    blocks = ap.removable_blocks(model, uneven_data.example_inputs)
    assert list(curves.name) == blocks and set(curves.kept) == {0}
    plan = ap.allocate(model, uneven_data, 0.8, levels="layers", curves=curves, num_images=50)
    filters = plan.kept[plan.kept.level == "filters"]
    assert plan.removed_blocks and ((filters.kept == filters.of) | (filters.kept == 0)).all()
    with pytest.raises(ValueError, match="levels must be 'layers', 'filters' or both, got \\['weights'\\]"):
        ap.loss_curves(model, uneven_data, levels="weights")


def test_the_largest_weights_stay_in_units_of_their_layer():
    model = ap.ArticleNet((2, 3), 4, image_size=16)
    with torch.no_grad():
        model.conv1.weight.mul_(1000)  # a layer of large numbers is no more important for that
    sparse = keep_largest(model, ap.count_params(model) // 2)
    table = ap.sparsity(sparse)
    assert table.nonzero_weights["all"] + 2 + 3 + 4 + 10 == ap.count_params(model) // 2
    assert 0.3 < table.sparsity["conv1"] < 0.7
    kept = sparse.conv1.weight != 0
    assert model.conv1.weight[kept].abs().min() >= model.conv1.weight[~kept].abs().max()


@pytest.mark.parametrize(
    ("nonzero", "expected"), [(16384, 4 * 16384), (8192, 4 * 8192 + 16384 // 8), (100, 8 * 100 + 4 * (4 + 1))]
)
def test_bytes_count_where_the_numbers_are(nonzero, expected):
    layer = nn.Linear(4096, 4, bias=False)
    with torch.no_grad():
        layer.weight.fill_(1.0).view(-1)[nonzero:] = 0
    assert sparse_bytes(layer) == expected


WRONG = [
    ({"budget": 1.5}, "budget must lie between 0 and 1, a share of what model costs, got 1.5"),
    ({"budget": 0.5, "cost": "flops"}, "cost must be one of 'macs', 'params', 'latency', got 'flops'"),
    ({"budget": 0.5, "levels": ("filters", "neurons")}, "levels must be 'layers', 'filters' or both"),
    ({"budget": 0.5, "levels": ("filters", "weights")}, "single zeros save no macs"),
    ({"budget": 0.5, "method": "best"}, "method must be one of 'knapsack', 'greedy', 'uniform', got 'best'"),
    ({"budget": 0.0001}, "budget must be at least"),
    ({"budget": 0.0001, "method": "uniform"}, "budget must be at least"),
    ({"budget": 0.2, "method": "uniform", "round_to": 8}, "the cost of 8 channels in each group"),
    ({"budget": 0.5, "round_to": 0}, "round_to must be at least 1 channel, got 0"),
    ({"budget": 0.5, "cost": "latency", "batch_size": 0}, "batch_size must be at least 1, got 0"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG)
def test_what_cannot_be_is_refused(arguments, words, tiny_model, tiny_data):
    with pytest.raises(ValueError, match=re.escape(words)):
        ap.allocate(tiny_model, tiny_data, curves=steep_curves(tiny_model, tiny_data), **arguments)


def test_masks_and_curves_of_another_network_are_refused(tiny_model, tiny_data, imperfect, uneven_data):
    with pytest.raises(ValueError, match="curves must be those of this model, but 'conv1' has 4 channels"):
        ap.allocate(tiny_model, tiny_data, 0.5, curves=steep_curves(imperfect(), uneven_data))
    masked = ap.mask(tiny_model, {"conv1": torch.tensor([True, True, True, False])})
    with pytest.raises(ValueError, match="model must have no masks yet"):
        ap.allocate(masked, tiny_data, 0.5)


def test_a_plan_reads_as_a_sentence(tiny_model):
    kept = pd.DataFrame([("filters", 2, 4), ("layers", 0, 1)], index=["conv1", "block"], columns=["level", "kept", "of"])
    plan = Plan(tiny_model, "params", 6e6, 1_297_123.0, 2_594_246.0, kept, 500)
    assert repr(plan) == "1,297,123 of 2,594,246 parameters (50.0%): conv1 2/4; without the blocks block"
    plan = Plan(tiny_model, "latency", 0.6, 0.51234, 1.0246, kept, 500, measured=0.5)
    assert repr(plan).startswith("0.5123 of 1.025 ms (50.0%, measured 48.8%): ")
