"""The drawing of which widths mattered in a search."""

import pandas as pd
import pytest

from attnprune_edu import plots


@pytest.mark.parametrize("kind", [dict, pd.Series])
def test_groups_stand_in_the_order_of_their_importance_with_their_shares(kind):
    figure = plots.plot_search_importance(kind({"conv1": 0.25, "conv2": 0.625, "fc1": 0.125}))
    axis = figure.axes[0]
    figure.canvas.draw()
    ticks = {label.get_text(): label.get_position()[1] for label in axis.get_yticklabels()}
    drawn = {name: bar.get_width() for name, bar in zip(ticks, axis.patches, strict=True)}
    assert drawn == {"conv2": 0.625, "conv1": 0.25, "fc1": 0.125} and [*ticks.values()] == [0, 1, 2]
    assert axis.get_ylim()[0] > axis.get_ylim()[1], "the first at the top"
    assert [text.get_text() for text in axis.texts] == ["62%", "25%", "12%"]


def test_groups_that_all_matter_nothing_are_drawn_too_and_no_groups_are_refused():
    assert plots.plot_search_importance({"conv1": 0.0}).axes[0].get_xlim() == (0, 1)
    with pytest.raises(ValueError, match="importance must hold a share for each group, got none"):
        plots.plot_search_importance(pd.Series(dtype=float))
