import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

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
