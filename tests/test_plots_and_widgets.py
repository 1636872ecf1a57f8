import io

import pytest
import torch
from PIL import Image

import attnprune_edu as ap
from attnprune_edu import plots, widgets

VALUES = torch.tensor([0.3, 0.1, 0.2, 0.4])
KEEP = torch.tensor([True, False, False, True])
CURVE = {0.0: 0.9, 0.5: 0.6, 0.75: 0.2}


def is_drawn(figure) -> bool:
    picture = Image.open(io.BytesIO(plots.png(figure))).convert("L")
    darkest, brightest = picture.getextrema()
    return darkest < 100 < brightest and min(picture.size) > 100


def test_every_figure_is_drawn(tiny_data, tiny_model):
    table = ap.compare({"dense": tiny_model, "removed": tiny_model}, tiny_data, rounds=1, batch_size=2)
    for figure in (
        plots.plot_images(tiny_data, per_class=2),
        plots.plot_filters(tiny_model.conv1.weight, VALUES, KEEP, columns=2),
        plots.plot_importance(VALUES, KEEP),
        plots.plot_accuracies({"dense": 0.8, "pruned": 0.3}, chance=0.1),
        plots.plot_costs(table),
        plots.plot_ratio(VALUES, KEEP, CURVE, 0.5),
    ):
        assert is_drawn(figure)


def test_filters_are_drawn_most_important_first_and_pruned_ones_crossed_out(tiny_model):
    figure = plots.plot_filters(tiny_model.conv1.weight, VALUES, KEEP, columns=4)
    assert [axis.get_title().split(":")[0] for axis in figure.axes] == ["3", "0", "2", "1"]
    assert [len(axis.lines) for axis in figure.axes] == [0, 0, 2, 2]


def test_bars_carry_their_values():
    axis = plots.plot_accuracies({"dense": 0.783, "pruned": 0.25}).axes[0]
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([78.3, 25.0])
    assert [text.get_text() for text in axis.texts] == ["78.3 %", "25.0 %"]


def test_kept_and_pruned_differ_by_more_than_colour():
    axis = plots.plot_importance(VALUES, KEEP).axes[0]
    kept, pruned = axis.containers
    assert {bar.get_hatch() for bar in kept} != {bar.get_hatch() for bar in pruned}
    brightness = [sum(container[0].get_facecolor()[:3]) / 3 for container in (kept, pruned)]
    assert abs(brightness[0] - brightness[1]) > 0.4


def test_show_needs_a_description(capsys):
    with pytest.raises(ValueError, match="alt"):
        plots.show(plots.plot_accuracies({"a": 0.5}), " ")


def test_bad_input_is_named(tiny_model, tiny_data):
    with pytest.raises(ValueError, match=r"got \(6, 4, 5, 5\)"):
        plots.plot_filters(tiny_model.conv2.weight, VALUES, KEEP)
    with pytest.raises(ValueError, match="'dense'"):
        plots.plot_costs(ap.compare({"only": tiny_model}, tiny_data, rounds=1, batch_size=2))
    with pytest.raises(ValueError, match="empty dictionary"):
        widgets.ratio_explorer(VALUES, {})


def test_the_callback_gives_a_picture_and_a_true_sentence():
    picture, alt = widgets.ratio_picture(VALUES, CURVE, 0.75, "conv1")
    assert picture.startswith(b"\x89PNG")
    assert alt == "At a pruning ratio of 75%, 1 of 4 channels of conv1 stay and the validation accuracy is 20.0%."


def test_moving_the_slider_changes_the_picture():
    explorer = widgets.ratio_explorer(VALUES, CURVE, "conv1")
    slider = explorer.children[0]
    first = explorer.picture.value
    assert "2 of 4 channels" in first, "drawn at once"
    slider.value = 0.75
    assert "1 of 4 channels" in explorer.picture.value and explorer.picture.value != first
    slider.value = 0.5
    assert explorer.picture.value == first, "the same state gives the same picture"


def test_a_page_without_widgets_shows_the_still_picture():
    data, metadata = widgets.ratio_explorer(VALUES, CURVE)._repr_mimebundle_()
    assert data["image/png"].startswith("iVBOR") and "2 of 4 channels" in metadata["image/png"]["alt"]
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_description_cannot_break_out_of_its_attribute():
    widget = widgets.PictureWidget(lambda: (b"", 'a "quoted" <b>'))
    assert 'alt="a &quot;quoted&quot; &lt;b&gt;"' in widget.picture.value
