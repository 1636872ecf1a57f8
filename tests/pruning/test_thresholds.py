import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

import attnprune_edu as ap

# Few distinct values, so that ties are common, and layers of unequal width.
IMPORTANCE = st.lists(
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5, 1e6]), min_size=1, max_size=9), min_size=1, max_size=3
).map(lambda layers: {f"layer{n}": torch.tensor(values) for n, values in enumerate(layers)})
SCOPES = st.sampled_from(["local", "global"])


@given(
    values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=40),
    ratio=st.floats(0, 1).filter(lambda ratio: ratio < 0.5),
)
def test_the_share_asked_for_goes_and_it_is_the_least_important(values, ratio):
    importance = torch.tensor(values)
    keep = ap.keep_by_ratio({"layer": importance}, ratio)["layer"]
    assert int((~keep).sum()) == round(ratio * len(values))
    if not keep.all():
        assert importance[keep].min() >= importance[~keep].max()


def test_of_equal_channels_the_lower_index_stays():
    keep = ap.keep_by_ratio({"layer": torch.ones(6)}, 0.5)["layer"]
    assert keep.tolist() == [True, True, True, False, False, False]


@pytest.mark.parametrize("ratio", [0.9, 1.0])
def test_one_channel_always_stays_with_a_warning(ratio):
    with pytest.warns(UserWarning, match="would empty layer 'layer'"):
        keep = ap.keep_by_ratio({"layer": torch.tensor([1.0, 3.0, 2.0])}, ratio)["layer"]
    assert keep.tolist() == [False, True, False]


@pytest.mark.parametrize(
    "rule",
    [
        lambda importance: ap.keep_by_ratio(importance, 0.3),
        lambda importance: ap.threshold_by_ratio(importance, 0.3, "global"),
        lambda importance: ap.threshold_by_quantile(importance, 0.3),
        lambda importance: ap.threshold_top_k_mean(importance, 2),
        lambda importance: ap.threshold_at(importance, {"layer": 2.0}),
        lambda importance: ap.threshold_by_budget(importance, 2, lambda keep: int(keep["layer"].sum())),
    ],
)
def test_nothing_given_is_changed(rule):
    values = torch.tensor([3.0, 1.0, 2.0], requires_grad=True)  # as learned importance would come
    rule({"layer": values})
    assert values.tolist() == [3.0, 1.0, 2.0] and values.requires_grad


@pytest.mark.parametrize("ratio", [-0.1, 1.1, math.nan])
def test_ratio_outside_0_to_1_is_named(ratio):
    with pytest.raises(ValueError, match="pruning_ratio must lie between 0 and 1, got"):
        ap.keep_by_ratio({"layer": torch.ones(3)}, ratio)


def test_arguments_of_another_type_are_named():
    with pytest.raises(TypeError, match=r"pruning_ratio must be a number between 0 and 1, got \{'fc1': 0.9\}"):
        ap.keep_by_ratio({"layer": torch.ones(3)}, {"fc1": 0.9})
    with pytest.raises(TypeError, match=r"importance must be a dictionary .* got Tensor"):
        ap.keep_by_ratio(torch.ones(3), 0.5)


def test_unusable_importance_is_named():
    with pytest.raises(ValueError, match="empty dictionary"):
        ap.keep_by_ratio({}, 0.5)
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="'layer' holds NaN or infinity"):
            ap.keep_by_ratio({"layer": torch.tensor([1.0, value])}, 0.5)
    with pytest.raises(TypeError, match="importance of 'layer' must be a tensor, got list"):
        ap.keep_by_ratio({"layer": [1.0, 2.0]}, 0.5)
    with pytest.raises(ValueError, match=r"'layer' must have the shape \(channels,\), got \(2, 2\)"):
        ap.keep_by_ratio({"layer": torch.ones(2, 2)}, 0.5)


def test_a_scope_is_local_or_global():
    importance = {"small": torch.tensor([0.1, 0.2, 0.3, 0.4]), "large": torch.tensor([1.0, 2.0, 3.0, 4.0])}
    local = ap.threshold_by_ratio(importance, 0.5)
    assert all(stays.tolist() == [False, False, True, True] for stays in local.keep.values())
    assert local.theta == pytest.approx({"small": 0.3, "large": 3.0})
    shared = ap.threshold_by_ratio(importance, 3 / 8, scope="global")
    assert shared.keep["small"].tolist() == [False, False, False, True] and shared.keep["large"].all()
    assert shared.theta == pytest.approx({"small": 0.4, "large": 0.4})
    with pytest.warns(UserWarning, match="would empty layer 'small'"):
        emptied = ap.threshold_by_ratio(importance, 0.5, scope="global")
    assert emptied.keep["small"].tolist() == [False, False, False, True] and emptied.theta["small"] == 1.0
    with pytest.raises(ValueError, match="scope must be 'local' or 'global', got 'layer'"):
        ap.threshold_by_ratio(importance, 0.5, scope="layer")


@given(IMPORTANCE, st.floats(0, 1), SCOPES)
@pytest.mark.filterwarnings("ignore:.*would empty layer")
def test_every_rule_keeps_one_channel_and_parts_at_theta(importance, share, scope):
    k = max(1, round(share * min(len(values) for values in importance.values())))
    for theta, keep in [
        ap.threshold_by_ratio(importance, share, scope),
        ap.threshold_by_quantile(importance, share, scope),
        ap.threshold_top_k_mean(importance, k),
        ap.threshold_as_printed(importance, k),
    ]:
        for name, stays in keep.items():
            values = importance[name].double()
            assert stays.dtype == torch.bool and stays.any()
            assert stays.sum() == 1 or (values[stays] >= theta[name]).all()  # one may have been put back
            assert (values[~stays] <= theta[name]).all()
            for a, b in itertools.combinations(range(len(stays)), 2):  # ties: none goes before an equal later one
                assert not (values[a] == values[b] and stays[b] and not stays[a])


def test_quantile_by_hand():
    importance = {"layer": torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])}
    theta, keep = ap.threshold_by_quantile(importance, 0.3)
    assert theta["layer"] == pytest.approx(2.2) and keep["layer"].tolist() == [False, False, True, True, True]
    values = torch.rand(9, generator=torch.Generator().manual_seed(0))
    theta = ap.threshold_by_quantile({"layer": values}, 0.3).theta["layer"]
    assert theta == pytest.approx(np.quantile(values.double().numpy(), 0.3), rel=1e-12), "in double precision"
    equal = ap.threshold_by_quantile({"layer": torch.full((7,), 0.1)}, 0.9)
    assert equal.keep["layer"].all(), "equal channels stay or go together"
    with pytest.raises(ValueError, match="q must lie between 0 and 1, got 30"):
        ap.threshold_by_quantile(importance, 30)


def test_the_two_readings_of_the_article_by_hand():
    importance = {"layer": torch.tensor([1.0, 2.0, 3.0, 4.0])}
    theta, keep = ap.threshold_top_k_mean(importance, 2)
    assert theta["layer"] == 3.5 and keep["layer"].tolist() == [False, False, False, True]
    with pytest.warns(UserWarning, match="k=2 would empty layer 'layer'"):
        theta, keep = ap.threshold_as_printed(importance, 2)
    assert theta["layer"] == 5.0 and keep["layer"].tolist() == [False, False, False, True]


def test_rounding_does_not_decide_between_equal_scores():
    """The article's example: 100 equal scores. In single precision their mean can come out above each of them."""
    scores = ap.attention_scores(torch.tensor([[0.1, 0.2] * 5]).repeat(100, 1))
    assert (scores == scores[0]).all()
    for k in range(1, 101):
        theta, keep = ap.threshold_top_k_mean({"layer": scores}, k)
        assert theta["layer"] == scores[0].item() and keep["layer"].all()


@given(IMPORTANCE.filter(lambda importance: all(len(v) > 1 for v in importance.values())), st.data())
@pytest.mark.filterwarnings("ignore:.*would empty layer")
def test_the_mean_of_the_top_k_keeps_fewer_than_k_unless_they_are_equal(importance, data):
    k = data.draw(st.integers(1, min(len(values) for values in importance.values())))
    for name, stays in ap.threshold_top_k_mean(importance, k).keep.items():
        top = importance[name].topk(k).values
        assert top[0] == top[-1] or stays.sum() < k


@pytest.mark.parametrize("rule", [ap.threshold_top_k_mean, ap.threshold_as_printed])
def test_k_must_fit_the_smallest_layer(rule):
    importance = {"narrow": torch.ones(2), "wide": torch.ones(9)}
    for k in (0, 3, -1):
        with pytest.raises(ValueError, match=f"k must lie between 1 and 2, the number of channels of 'narrow', got {k}"):
            rule(importance, k)
    for k in (1.5, True, "2"):
        with pytest.raises(TypeError, match="k must be a whole number"):
            rule(importance, k)


@given(IMPORTANCE, st.data(), SCOPES)
@pytest.mark.filterwarnings("ignore:.*would empty layer")
def test_channels_go_in_their_order_until_the_rest_fits_the_budget(importance, data, scope):
    prices = {name: data.draw(st.integers(1, 5)) for name in importance}

    def cost(keep):
        return sum(prices[name] * int(stays.sum()) for name, stays in keep.items())

    everything = {name: torch.ones(len(values), dtype=torch.bool) for name, values in importance.items()}
    budget = data.draw(st.integers(sum(prices.values()), cost(everything)))
    theta, keep = ap.threshold_by_budget(importance, budget, cost, scope)
    assert cost(keep) <= budget and all(stays.any() for stays in keep.values())
    # Brute force: of the networks that lose one channel after the other, it is the largest that fits.
    channels = sum(len(values) for values in importance.values())
    if scope == "local":
        # How high each channel stands in its own layer; of equal ones the earlier layer and the lower index first.
        standing = []
        for name, values in importance.items():
            order = sorted(range(len(values)), key=lambda i, v=values: (-v[i].item(), i))
            standing += [(-(len(values) - place) / len(values), name, i) for place, i in enumerate(order)]
        layers = list(importance)
        standing.sort(key=lambda entry: (entry[0], layers.index(entry[1]), entry[2]))
        sizes = []
        for n in range(channels + 1):
            first = {name: torch.zeros(len(values), dtype=torch.bool) for name, values in importance.items()}
            for _, name, i in standing[:n]:
                first[name][i] = True
            for name, values in importance.items():
                if not first[name].any():
                    first[name][values.argmax()] = True
            sizes.append(cost(first))
        assert cost(keep) == max(size for size in sizes if size <= budget)
    if scope == "global":
        sizes = [cost(ap.threshold_by_ratio(importance, n / channels, "global").keep) for n in range(channels + 1)]
        assert cost(keep) == max(size for size in sizes if size <= budget)
    for name, stays in keep.items():
        assert stays.sum() == 1 or importance[name][stays].min().item() >= theta[name]


def test_a_cheap_channel_does_not_come_back():
    """The order decides, not the price: 1 of the budget of 12 stays unused, enough for the first channel that went."""
    importance = {"cheap": torch.tensor([0.1, 0.9]), "dear": torch.tensor([0.5, 0.8])}
    keep = ap.threshold_by_budget(
        importance, 12, lambda keep: int(keep["cheap"].sum() + 10 * keep["dear"].sum()), "global"
    ).keep
    assert {name: stays.tolist() for name, stays in keep.items()} == {"cheap": [False, True], "dear": [False, True]}


def test_a_local_budget_takes_the_same_share_everywhere():
    importance = {"narrow": torch.rand(8), "wide": torch.rand(80)}
    keep = ap.threshold_by_budget(importance, 44, lambda keep: sum(int(s.sum()) for s in keep.values())).keep
    assert {name: int(stays.sum()) for name, stays in keep.items()} == {"narrow": 4, "wide": 40}


def params_of(model):
    return lambda keep: ap.count_params(ap.remove(ap.mask(model, keep)))


def test_budget_in_parameters_of_the_removed_network(tiny_model):
    importance = ap.importance(tiny_model, "attention")

    params = params_of(tiny_model)
    dense = ap.count_params(tiny_model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(stays.all() for stays in ap.threshold_by_budget(importance, dense, params).keep.values())
        keep = ap.threshold_by_budget(importance, dense // 2, params, "global").keep
    assert dense // 4 < params(keep) <= dense // 2


def test_budget_in_macs_of_the_removed_network(tiny_model):
    importance = ap.importance(tiny_model, "attention")

    def macs(keep):
        return ap.count_macs(ap.remove(ap.mask(tiny_model, keep)), (3, 16, 16))

    dense = ap.count_macs(tiny_model, (3, 16, 16))
    keep = ap.threshold_by_budget(importance, dense // 2, macs).keep
    assert dense // 4 < macs(keep) <= dense // 2


def test_budget_below_the_smallest_network_is_named(tiny_model):
    importance = ap.importance(tiny_model, "attention")

    params = params_of(tiny_model)
    with pytest.raises(ValueError, match=r"budget must be at least [\d,]+, the cost of one channel in each layer, got 10"):
        ap.threshold_by_budget(importance, 10, params)


def test_a_theta_of_ones_own():
    importance = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0, 1.0])}
    assert ap.threshold_at(importance, {"a": 2.0, "b": 1.0}).keep["a"].tolist() == [False, True]
    with pytest.raises(ValueError, match=r"theta must name the layers \['a', 'b'\], got \['a'\]"):
        ap.threshold_at(importance, {"a": 2.0})
    single = {"a": torch.tensor([0.9, 0.7])}
    assert ap.threshold_at(single, {"a": 0.7}).keep["a"].all(), "as `values >= 0.7` does"
    with pytest.warns(UserWarning, match=r"theta would empty layer 'a' \(2 channels\); its most important channel stays"):
        assert ap.threshold_at(single, {"a": 2.0}).keep["a"].tolist() == [True, False]
    with pytest.raises(TypeError, match=r"theta must be a dictionary .* got float"):
        ap.threshold_at(single, 0.7)
    with pytest.raises(ValueError, match="theta of 'a' must be a number, got NaN"):
        ap.threshold_at(importance, {"a": math.nan, "b": 1.0})


def test_the_warning_points_to_the_line_that_called_the_rule():
    importance = {"layer": torch.tensor([1.0, 2.0])}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ap.threshold_by_ratio(importance, 1.0)
        ap.threshold_as_printed(importance, 1)
        ap.threshold_at(importance, {"layer": 9.0})
    assert [warning.filename for warning in caught] == [__file__] * 3


@pytest.mark.parametrize(
    ("kept", "channels", "round_to", "expected"),
    [
        (13, 32, 8, 16), (11, 32, 8, 8), (12, 32, 8, 16), (16, 32, 8, 16), (3, 32, 8, 8), (32, 32, 8, 32),
        (18, 20, 8, 20), (17, 20, 8, 16), (1, 6, 8, 6), (5, 8, 8, 8), (5, 9, 1, 5),
    ],
)  # fmt: skip
def test_the_best_channels_stay_up_to_the_nearest_multiple_or_the_whole_layer(kept, channels, round_to, expected):
    values = torch.rand(channels, generator=torch.Generator().manual_seed(0))
    best = values >= values.topk(expected).values[-1]
    theta = values.topk(kept).values[-1].item()
    for found in (
        ap.threshold_at({"layer": values}, {"layer": theta}, round_to=round_to),
        ap.threshold_by_ratio({"layer": values}, 1 - kept / channels, round_to=round_to),
        ap.threshold_by_quantile({"layer": values}, (channels - kept) / max(1, channels - 1), round_to=round_to),
    ):
        assert torch.equal(found.keep["layer"], best)
        assert found.theta["layer"] == pytest.approx(theta), "rounding does not move θ"


@settings(max_examples=30)
@given(IMPORTANCE, st.floats(0, 1), SCOPES, st.integers(1, 10))
@pytest.mark.filterwarnings("ignore:.*would empty layer")
def test_every_rule_rounds_what_it_keeps_of_each_layer_by_itself(importance, share, scope, round_to):
    k = max(1, round(share * min(len(values) for values in importance.values())))
    channels = sum(len(values) for values in importance.values())

    def number(keep):
        return sum(int(stays.sum()) for stays in keep.values())

    allowed = {name: [*range(round_to, len(values), round_to), len(values)] for name, values in importance.items()}
    budget = max(round(share * channels), sum(widths[0] for widths in allowed.values()))
    nearest = {
        ap.threshold_by_ratio: (share, scope),
        ap.threshold_by_quantile: (share, scope),
        ap.threshold_top_k_mean: (k,),
        ap.threshold_as_printed: (k,),
    }
    for rule, how in nearest.items():
        plain, rounded = rule(importance, *how).keep, rule(importance, *how, round_to=round_to).keep
        for name, widths in allowed.items():
            kept = int(plain[name].sum())
            expected = min(widths, key=lambda width: (abs(width - kept), -width))
            if kept > 1:  # one may have been put back where the rule keeps none
                assert rounded[name].sum() == expected
            assert int(rounded[name].sum()) in widths
            assert (plain[name] <= rounded[name]).all() or (rounded[name] <= plain[name]).all(), "the same ranking"
    within = ap.threshold_by_budget(importance, budget, number, scope, round_to=round_to).keep
    assert number(within) <= budget and all(int(stays.sum()) in allowed[name] for name, stays in within.items())


def test_coupled_layers_are_rounded_alike():
    torch.manual_seed(0)
    model = ap.ResNet20((16, 20, 24), num_classes=3)
    groups = ap.coupled_layers(model, (3, 16, 16))
    keep = ap.keep_by_ratio(ap.couple(ap.importance(model), groups), 0.45, round_to=4)
    assert all(torch.equal(keep[group[0]], keep[layer]) for group in groups for layer in group)
    small = ap.remove(ap.mask(model, keep), torch.zeros(2, 3, 16, 16))
    widths = [len(module.weight) for module in small.modules() if isinstance(module, torch.nn.Conv2d)]
    assert all(width % 4 == 0 for width in widths) and len(set(widths)) > 2


def test_a_budget_too_small_for_one_multiple_is_named():
    importance = {"narrow": torch.rand(6), "wide": torch.rand(32)}

    def number(keep):
        return sum(int(stays.sum()) for stays in keep.values())

    keep = ap.threshold_by_budget(importance, 14, number, round_to=8).keep
    assert keep["narrow"].all() and keep["wide"].sum() == 8
    with pytest.raises(ValueError, match=r"budget must be at least 14, the cost of 8 channels in each layer, got 13"):
        ap.threshold_by_budget(importance, 13, number, round_to=8)
    with pytest.warns(UserWarning, match=r"'wide' \(32 channels\); its 8 most important channels stay"):
        ap.keep_by_ratio({"wide": importance["wide"]}, 1.0, round_to=8)


@pytest.mark.parametrize(
    "rule",
    [
        lambda importance, n: ap.keep_by_ratio(importance, 0.3, round_to=n),
        lambda importance, n: ap.threshold_by_quantile(importance, 0.3, round_to=n),
        lambda importance, n: ap.threshold_top_k_mean(importance, 2, round_to=n),
        lambda importance, n: ap.threshold_as_printed(importance, 2, round_to=n),
        lambda importance, n: ap.threshold_at(importance, {"layer": 2.0}, round_to=n),
        lambda importance, n: ap.threshold_by_budget(importance, 2, lambda keep: 1, round_to=n),
    ],
)
def test_multiples_are_of_whole_channels(rule):
    importance = {"layer": torch.tensor([3.0, 1.0, 2.0])}
    for wrong in (0, -8):
        with pytest.raises(ValueError, match=f"round_to must be at least 1 channel, got {wrong}"):
            rule(importance, wrong)
    for wrong in (8.0, True, "8"):
        with pytest.raises(TypeError, match=f"round_to must be a whole number of channels, got {wrong!r}"):
            rule(importance, wrong)
