"""The figure and the widget of the running gates."""

import pytest
import torch

from attnprune_edu import plots, widgets
from attnprune_edu.plots.gates import ranks_at, states_at
from attnprune_edu.pruning.gates import Choice

# Channel 0 stays open, 1 leaves and returns, 2 goes for good, 3 leaves last.
RECORD = [
    Choice(step, ratio, {"conv": torch.tensor(values)}, {"conv": torch.tensor(keep)})
    for step, ratio, values, keep in [
        (10, 0.25, [4.0, 1.0, 2.0, 3.0], [True, False, True, True]),
        (20, 0.25, [4.0, 3.0, 1.0, 2.0], [True, True, False, True]),
        (25, 0.5, [3.0, 4.0, 1.0, 2.0], [True, True, False, False]),
    ]
]


def test_ranks_and_states_by_hand():
    assert ranks_at(RECORD, "conv", 0).tolist() == [1, 4, 3, 2] and ranks_at(RECORD, "conv", 2).tolist() == [2, 1, 4, 3]
    assert states_at(RECORD, "conv", 0).tolist() == ["open", "silent", "open", "open"]
    assert states_at(RECORD, "conv", 1).tolist() == ["open", "open again", "silent", "open"]
    assert states_at(RECORD, "conv", 2).tolist() == ["open", "open again", "silent", "silent"]


def test_the_figure_shows_each_channel_at_its_ranks_and_when_it_was_open():
    ranks, times = plots.plot_gates(RECORD, "conv", 25).axes
    drawn = {group.get_label(): group.get_offsets().tolist() for group in ranks.collections}
    assert drawn == {"open (1)": [[1, 2]], "open again (1)": [[4, 1]], "silent (2)": [[3, 4], [2, 3]]}
    assert ranks.yaxis_inverted() and times.yaxis_inverted()  # what matters most is on top of both
    grid = times.collections[0]
    # Rows in the order of the first ranking: 0, 3, 2, 1; columns: before, and behind each choice.
    assert grid.get_array().reshape(4, 4).astype(int).tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 1]]
    assert grid.get_coordinates()[0, :, 0].tolist() == [0, 10, 20, 25, 35]
    assert times.lines[0].get_xdata()[0] == 25


def test_the_widget_goes_through_the_steps():
    explorer = widgets.gates_explorer(RECORD)
    slider = explorer.children[0]
    says = "conv at step 25: 2 of 4 channels are open, 1 of them after they had been silent; 4 have moved"
    assert slider.value == 25 and says in explorer.picture.value
    slider.value = 10
    assert "conv at step 10: 3 of 4 channels are open, 0 of them" in explorer.picture.value
    assert "; 0 have moved by more than 0 ranks." in explorer.picture.value


def test_gates_that_cannot_be_shown_are_named():
    for words, call in {
        "record must hold at least one choice": lambda: widgets.gates_explorer([]),
        r"layer must be one of \['conv'\], got 'fc'": lambda: widgets.gates_explorer(RECORD, "fc"),
        r"step must be one of \[10, 20, 25\], at which the gates chose, got 15": lambda: plots.plot_gates(
            RECORD, "conv", 15
        ),
        r"layer must be one of \['conv'\], got 'fc2'": lambda: plots.plot_gates(RECORD, "fc2", 10),
    }.items():
        with pytest.raises(ValueError, match=words):
            call()
