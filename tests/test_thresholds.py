import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import attnprune_edu as ap


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


def test_nothing_given_is_changed():
    values = torch.tensor([3.0, 1.0, 2.0])
    ap.keep_by_ratio({"layer": values}, 0.3)
    assert values.tolist() == [3.0, 1.0, 2.0]


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
    with pytest.raises(ValueError, match="'layer' holds NaN"):
        ap.keep_by_ratio({"layer": torch.tensor([1.0, math.nan])}, 0.5)
    with pytest.raises(ValueError, match=r"'layer' must have the shape \(channels,\), got \(2, 2\)"):
        ap.keep_by_ratio({"layer": torch.ones(2, 2)}, 0.5)
