"""Figures and the widget of verification."""

import pytest
import torch

import attnprune_edu as ap
from attnprune_edu.report.verification import Pairs


@pytest.fixture
def pairs():
    similarity = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.4, 0.2, 0.1])
    same = torch.tensor([True, True, False, True, False, False, False])
    return Pairs(similarity, same, torch.zeros(7, 2))


def test_each_kind_of_pair_is_drawn_as_a_share_of_its_kind(pairs):
    (axis,) = ap.plots.plot_similarities(pairs, 0.65).axes
    assert sum(bar.get_height() for bar in axis.containers[0]) == pytest.approx(1)
    assert axis.lines[0].get_xdata()[0] == 0.65


def test_the_roc_curve_and_the_point_of_the_threshold(pairs):
    (axis,) = ap.plots.plot_roc({"dense": pairs, "pruned": pairs}, 0.65).axes
    dense, pruned, chance, point = axis.lines
    assert [line.get_label() for line in (dense, pruned, chance)] == ["dense", "pruned", "chance"]
    assert dense.get_xydata()[[0, 3, -1]].tolist() == [[0, 0], [0.25, pytest.approx(2 / 3)], [1, 1]]
    assert point.get_xydata().tolist() == [[0.25, pytest.approx(2 / 3)]]


@pytest.mark.parametrize("count", [0, 7])
def test_no_network_or_too_many_are_no_figure(pairs, count):
    with pytest.raises(ValueError, match=f"networks must hold 1 to 6 names with their pairs, got {count}"):
        ap.plots.plot_roc({str(number): pairs for number in range(count)})


def test_the_widget_says_both_error_rates_and_follows_its_controls(pairs):
    stranger = pairs._replace(similarity=pairs.similarity.flip(0))
    widget = ap.widgets.verification_explorer({"dense": pairs, "pruned": stranger})
    threshold, network, picture = widget.children
    assert "dense accepts 25.0% of 4 pairs of two people and rejects 33.3% of 3 pairs of one person" in picture.value
    threshold.value = 0.3
    assert "accepts 50.0% of 4" in picture.value and "rejects 0.0%" in picture.value
    network.value = "pruned"
    assert "pruned accepts 100.0%" in picture.value and "rejects 66.7%" in picture.value


def test_the_widget_needs_a_network_that_it_has(pairs):
    with pytest.raises(ValueError, match="networks must hold at least one"):
        ap.widgets.verification_explorer({})
    with pytest.raises(ValueError, match=r"network must be one of \['dense'\], got 'other'"):
        ap.widgets.verification_picture({"dense": pairs}, 0.5, "other")
