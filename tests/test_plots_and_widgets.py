import io
import itertools

import colorspacious
import ipywidgets
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image

import attnprune_edu as ap
from attnprune_edu import plots, widgets

VALUES = torch.tensor([0.3, 0.1, 0.2, 0.4])
KEEP = torch.tensor([True, False, False, True])
MATRIX = torch.tensor([[0.5, 0.5, 0.5], [0.0, 0.1, 1.2], [-0.9, -0.8, 0.1]])
CURVE = {0.0: 0.9, 0.5: 0.6, 0.75: 0.2}


def is_drawn(figure) -> bool:
    if not all(axis.has_data() for axis in figure.axes if axis.get_visible()):
        return False
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
        plots.plot_lines({"a": {1.0: 0.2, 10.0: 0.4}, "b": {1.0: 0.3}}, "x", "y", log=True),
        plots.plot_weights({"conv1": tiny_model.conv1.weight, "fc1": tiny_model.fc1.weight}),
        plots.plot_weight_cut(VALUES, KEEP, {"smallest": CURVE}, "smallest", 0.5),
        plots.plot_attention(MATRIX, 0.5),
        plots.plot_threshold(tiny_model.conv1.weight, VALUES, KEEP, 0.25, {4: 0.9, 2: 0.5}),
        plots.plot_threshold(tiny_model.conv1.weight, VALUES, KEEP, 9.0),
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


def test_lines_differ_by_more_than_colour_and_a_point_can_be_marked():
    curves = {"a": CURVE, "b": CURVE, "c": CURVE, "d": CURVE}
    axis = plots.plot_lines(curves, "x", "y", percent="xy", mark=("b", 0.5)).axes[0]
    lines, marked = axis.lines[:4], axis.lines[4]
    assert len({line.get_linestyle() for line in lines}) == len({line.get_marker() for line in lines}) == 4
    assert marked.get_xdata() == [0.5] and marked.get_ydata() == [0.6] and axis.texts[0].get_text() == "60.0%"
    assert [text.get_text() for text in axis.get_legend().get_texts()] == list("abcd")
    assert plots.plot_lines({"": CURVE}, "x", "y").axes[0].get_legend() is None


def test_curves_that_cannot_be_drawn_are_named():
    for curves in ({}, {"a": {}}, dict.fromkeys("abcde", CURVE)):
        with pytest.raises(ValueError, match="curves must be 1 to 4 lines"):
            plots.plot_lines(curves, "x", "y")


def test_the_attention_picture_carries_the_numbers():
    figure = plots.plot_attention(MATRIX, 1.0)
    shown = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert shown[0] == [f"{value:.3g}" for value in MATRIX.flatten().tolist()]
    assert shown[1] == [f"{value:.3g}" for value in ap.attention_weights(MATRIX).flatten().tolist()]
    assert shown[2] == [f"{value:.3f}" for value in ap.attention_scores(MATRIX).tolist()]


def test_a_cut_histogram_counts_every_value_once():
    axis = plots.plot_weight_cut(torch.linspace(-1, 1, 100), torch.arange(100) > 29, {"s": CURVE}, "s", 0.5).axes[0]
    kept, gone = (sum(bar.get_height() for bar in bars) for bars in axis.containers)
    assert (kept, gone) == (70, 30)


@pytest.mark.parametrize("kind", ["protanomaly", "deuteranomaly", "tritanomaly", "grey"])
def test_colours_of_one_figure_can_be_told_apart_by_everybody(kind):
    """Colours seen with a full colour blindness (Machado et al. 2009), or in grey, stay apart in CAM02-UCS or in brightness.

    Bars and lines also differ in hatching, dashes and markers, so grey is only asked of kept against pruned.
    """
    together = [(plots.BLUE, "white"), (plots.BLUE, plots.GREY)]
    if kind != "grey":
        together += itertools.combinations([plots.BLUE, plots.ORANGE, plots.SKY, "black"], 2)
    for pair in together:
        seen = [np.array(to_rgb(colour)) for colour in pair]
        if kind == "grey":
            lightness = [colorspacious.cspace_convert(colour, "sRGB1", "CIELab")[0] for colour in seen]
            assert abs(lightness[0] - lightness[1]) > 25, pair
        else:
            space = {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100}
            seen = [np.clip(colorspacious.cspace_convert(colour, space, "sRGB1"), 0, 1) for colour in seen]
            assert colorspacious.deltaE(*seen, input_space="sRGB1") > 15, pair


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


def test_a_ratio_that_was_not_measured_is_named():
    with pytest.raises(ValueError, match=r"ratio must be one of \[0.0, 0.5, 0.75\], got 0.3"):
        widgets.ratio_picture(VALUES, CURVE, 0.3)


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


def test_a_value_that_cannot_be_drawn_is_said_in_words():
    field = ipywidgets.FloatText(value=1.0)

    def draw(number):
        if number < 0:
            raise ValueError("number must not be <negative>")
        return b"", "drawn."

    widget = widgets.PictureWidget(draw, number=field)
    field.value = -1
    assert "must not be &lt;negative&gt;" in widget.picture.value and "img" not in widget.picture.value
    field.value = 2
    assert "img" in widget.picture.value


WAYS = {"smallest": VALUES, "largest": -VALUES}
CURVES = {"smallest": CURVE, "largest": {0.0: 0.9, 0.5: 0.2, 0.75: 0.1}}


def test_weight_explorer():
    explorer = widgets.weight_explorer(VALUES, WAYS, CURVES, "fc1")
    how, share = explorer.children[:2]
    assert "2 of 4 weights of fc1 stay and the validation accuracy is 60.0%" in explorer.picture.value
    how.value = "largest"
    assert "20.0%" in explorer.picture.value
    share.value = 0.75
    assert "1 of 4 weights" in explorer.picture.value and "10.0%" in explorer.picture.value
    with pytest.raises(ValueError, match="same ways"):
        widgets.weight_explorer(VALUES, WAYS, {"smallest": CURVE})
    with pytest.raises(ValueError, match="at least one share"):
        widgets.weight_explorer(VALUES, WAYS, {"smallest": {0.1: 1.0}, "largest": {0.2: 1.0}})


def test_attention_explorer_follows_the_formula():
    explorer = widgets.attention_explorer(MATRIX)
    grid, temperature, signed = explorer.children[:3]
    for change, expected in [
        (lambda: None, ap.attention_scores(MATRIX)),
        (lambda: setattr(temperature, "value", 0.1), ap.attention_scores(MATRIX, 0.1)),
        (lambda: setattr(signed, "value", True), ap.attention_scores(MATRIX, 0.1, signed=True)),
        (lambda: setattr(grid.children[1], "value", 3.0), None),
    ]:
        change()
        if expected is None:
            edited = MATRIX.clone()
            edited[0, 1] = 3.0
            expected = ap.attention_scores(edited, 0.1, signed=True)
        assert ", ".join(f"{score:.3f}" for score in expected.tolist()) in explorer.picture.value
    grid.children[0].value = float("inf")
    assert "finite" in explorer.picture.value
    with pytest.raises(ValueError, match=r"each 1 to 5, got \(6, 1\)"):
        widgets.attention_explorer(torch.ones(6, 1))
    with pytest.raises(ValueError, match=r"temperature must lie between 0\.01 and 100, got 1000"):
        widgets.attention_explorer(MATRIX, 1000)


def test_threshold_explorer_lets_the_slider_moved_last_decide(tiny_model):
    accuracy = {1: 0.1, 2: 0.4, 3: 0.6, 4: 0.9}
    explorer = widgets.threshold_explorer(tiny_model.conv1.weight, VALUES, accuracy)
    rule, ratio, k, theta = explorer.children[:4]
    assert "θ = 0.3, 2 of 4 channels stay, 50% go, and the validation accuracy is 40.0%" in explorer.picture.value
    k.value = 2
    assert rule.value == "mean of the top k" and "θ = 0.35, 1 of 4" in explorer.picture.value
    rule.value = "sum of all / k, as printed"
    assert "θ = 0.5, 1 of 4" in explorer.picture.value and "put back" in explorer.picture.value
    k.value = 4
    assert rule.value == "sum of all / k, as printed" and "θ = 0.25, 2 of 4" in explorer.picture.value
    theta.value = 0.2
    assert rule.value == "θ itself" and "of 4" in explorer.picture.value
    ratio.value = 0.25
    assert rule.value == "pruning ratio" and "3 of 4" in explorer.picture.value
    with pytest.raises(ValueError, match=r"missing \[2, 3, 4\]"):
        widgets.threshold_explorer(tiny_model.conv1.weight, VALUES, {1: 0.1})
