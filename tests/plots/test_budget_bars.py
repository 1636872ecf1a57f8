"""The bars of what is used of several budgets, and the widget that moves the share of channels."""

import io

import numpy as np
import pytest
from PIL import Image

from attnprune_edu import plots, widgets

COSTS = {0.25: {"params": 30.0, "macs": 50.0}, 0.5: {"params": 90.0, "macs": 120.0}, 0.75: {"params": 300.0, "macs": 400.0}}
BUDGETS = {"params": 100.0, "macs": 100.0}
ACCURACY = {0.25: 0.5, 0.5: 0.625, 0.75: 0.875}


def test_a_bar_is_as_long_as_its_share_of_the_budget_and_hatched_above_all_of_it():
    axis = plots.plot_budgets(COSTS[0.5], BUDGETS).axes[0]
    assert [bar.get_width() for bar in axis.patches] == [0.9, 1.2]
    assert [bool(bar.get_hatch()) for bar in axis.patches] == [False, True]
    assert [text.get_text() for text in axis.texts] == ["90%", "120%"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["params", "macs"]
    (line,) = axis.lines
    assert set(line.get_xdata()) == {1}
    (bar,) = plots.plot_budgets({"params": 100.0}, {"params": 100.0}).axes[0].patches
    assert not bar.get_hatch(), "all of the budget may be used"


def test_the_number_of_a_bar_that_is_far_too_long_stands_inside_the_picture():
    axis = plots.plot_budgets(COSTS[0.75], BUDGETS).axes[0]
    assert [text.get_text() for text in axis.texts] == ["300%", "400%"]
    assert all(text.xy[0] <= axis.get_xlim()[1] for text in axis.texts)


def test_the_slider_draws_the_costs_of_its_share():
    explorer = widgets.share_explorer(COSTS, BUDGETS, ACCURACY)
    assert "With 50% of the channels" in explorer.picture.value
    explorer.children[0].value = 0.75
    assert "300% of the budget of params, 400% of the budget of macs" in explorer.picture.value
    assert "87.5%" in explorer.picture.value and "62.5%" not in explorer.picture.value
    picture, _ = widgets.share_picture(COSTS, BUDGETS, ACCURACY, 0.25)
    assert np.asarray(Image.open(io.BytesIO(picture))).std() > 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: plots.plot_budgets({"params": 1.0}, BUDGETS), "costs and budgets must have the same names"),
        (lambda: plots.plot_budgets({}, {}), "costs and budgets must have the same names"),
        (lambda: plots.plot_budgets({"macs": 1.0}, {"macs": 0.0}), "budgets must be above 0, got macs=0.0"),
        (lambda: widgets.share_explorer(COSTS, BUDGETS, {0.25: 0.5}), "costs and accuracy must hold the same shares"),
        (lambda: widgets.share_explorer({}, BUDGETS, {}), "costs and accuracy must hold the same shares"),
        (lambda: widgets.share_picture(COSTS, BUDGETS, ACCURACY, 0.3), r"at must be one of \[0.25, 0.5, 0.75\], got 0.3"),
    ],
)
def test_what_does_not_fit_is_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
