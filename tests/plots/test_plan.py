"""The drawing of a plan, and the widget that moves its budget."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from attnprune_edu import plots, widgets
from attnprune_edu.pruning.budget import Plan


def kept(*widths, blocks=()):
    rows = [("filters", stays, of) for stays, of in widths] + [("layers", stays, 1) for _, stays in blocks]
    names = [f"conv{number}" for number in range(1, len(widths) + 1)] + [name for name, _ in blocks]
    return pd.DataFrame(rows, index=names, columns=["level", "kept", "of"])


def plan(*widths, **blocks):
    return Plan(None, "macs", 50.0, 49.0, 100.0, kept(*widths, **blocks), 10)


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_each_group_is_drawn_as_it_was_and_as_it_stays():
    figure = plots.plot_plan(kept((16, 32), (64, 64), (0, 8)))
    boxes = figure.axes[0].patches
    heights = [box.get_height() for box in boxes[:5]]  # of the last group nothing stays
    assert heights[1] == pytest.approx(heights[0] / 2) and heights[3] == heights[2]
    assert heights[2] == max(heights) > heights[4]
    assert {"16/32", "64/64", "0/8", "conv1", "conv2", "conv3"} <= set(texts(figure))


def test_many_groups_take_several_rows_inside_the_picture():
    few, many = (plots.plot_plan(kept(*[(3, 4)] * count)) for count in (10, 11))
    assert many.get_size_inches()[0] == few.get_size_inches()[0] < 10
    assert many.get_size_inches()[1] == 2 * few.get_size_inches()[1]
    width, height = many.get_size_inches()
    for box in (box for box in many.axes[0].patches if hasattr(box, "get_xy")):
        x, y = box.get_xy()
        assert 0 <= x < width and 0 <= y < height


def test_the_slider_draws_the_plan_of_its_budget():
    plans = {0.5: plan((16, 32), (8, 8), blocks=[("block", 1)]), 0.25: plan((4, 32), (8, 8), blocks=[("block", 0)])}
    explorer = widgets.budget_explorer(plans, {0.5: 0.7, 0.25: 0.6})
    slider = explorer.children[0]
    slider.value = 0.25
    assert "4 of the 32 channels of conv1" in explorer.picture.value and "gone as a whole: block" in explorer.picture.value
    assert "60.0%" in explorer.picture.value and "16 of the 32" not in explorer.picture.value
    picture, alt = widgets.budget_picture(plans, {0.5: 0.7, 0.25: 0.6}, 0.5)
    assert np.asarray(Image.open(io.BytesIO(picture))).std() > 0 and alt.startswith("With 50% of the MACs")


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="kept must have a row with the level 'filters'"):
        plots.plot_plan(kept(blocks=[("block", 1)]))
    with pytest.raises(ValueError, match="must hold the same budgets"):
        widgets.budget_explorer({0.5: plan((1, 2))}, {0.25: 0.5})
    with pytest.raises(ValueError, match=r"at must be one of \[0.5\], got 0.1"):
        widgets.budget_picture({0.5: plan((1, 2))}, {0.5: 0.5}, 0.1)
