import io
import itertools

import colorspacious
import ipywidgets
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb, to_rgba
from PIL import Image

import attnprune_edu as ap
from attnprune_edu import plots, widgets

VALUES = torch.tensor([0.3, 0.1, 0.2, 0.4])
KEEP = torch.tensor([True, False, False, True])
MATRIX = torch.tensor([[0.5, 0.5, 0.5], [0.0, 0.1, 1.2], [-0.9, -0.8, 0.1]])
CURVE = {0.0: 0.9, 0.5: 0.6, 0.75: 0.2}
CONFUSION = pd.DataFrame([[3, 1, 0], [0, 5, 0], [0, 0, 0]], list("abc"), list("abc"))
SENSITIVITY = pd.DataFrame([[0.8, 0.5, 0.1], [0.8, 0.8, 0.4]], ["conv1", "conv2"], [0.0, 0.25, 0.9])
HISTORY = pd.DataFrame({"epoch": [1, 2, 3], "loss": [2.0, 1.5, 1.2], "validation_accuracy": [0.3, 0.5, 0.6]})
SHAPES = {"input": (3, 32, 32), "conv1": (1024, 16, 16), "pool": (1024, 4, 4), "pool ": (1024, 2, 2), "fc1": (10,)}
RUNS = pd.DataFrame(
    [
        {"method": method, "pruning_ratio": ratio, "seed": seed, "accuracy": 0.8 - ratio * loss + 0.01 * seed}
        for method, loss in (("attention", 0.2), ("random", 0.6), ("L1", 0.4))
        for ratio in (0.25, 0.5, 0.75)
        for seed in range(3)
    ]
)
SPREAD = {"x": "pruning_ratio", "y": "accuracy", "by": "method", "x_label": "pruning ratio", "y_label": "accuracy"}


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
        plots.plot_network(SHAPES, {"conv1": "5×5, 77,824 params"}),
        plots.plot_confusion(CONFUSION),
        plots.plot_pictures(tiny_data.train.images[:5], [*"abcde"], columns=2),
        plots.plot_pictures(tiny_data.train.images[:3, :1], [*"abc"]),
        plots.plot_sensitivity(SENSITIVITY),
        plots.plot_sensitivity(SENSITIVITY.iloc[:1]),
        plots.plot_history({"dense": HISTORY, "pruned": HISTORY.iloc[:2]}),
        plots.plot_spread(RUNS, **SPREAD, percent="xy", mark=0.5, reference=("dense", 0.8)),
        plots.plot_ranges(RUNS, "accuracy", "method", y_label="accuracy"),
        plots.plot_spread(RUNS, **SPREAD, log_y=True, legend_above=True),
        plots.plot_factors({"parameters": 4.0, "MACs": 3.3}, x_label="times less than dense"),
        plots.plot_layers({"conv1": 2, "conv2": 6}, {"conv1": 4, "conv2": 6}, {"MACs left": 0.4}),
    ):
        assert is_drawn(figure)


def test_whole_numbers_on_a_logarithmic_axis_have_a_tick_each():
    axis = plots.plot_lines({"a": {1: 0.2, 4: 0.4, 64: 0.1}}, "batch", "y", log=True).axes[0]
    axis.figure.canvas.draw()
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "4", "64"]
    assert not len(axis.get_xticks(minor=True))


def test_filters_are_drawn_most_important_first_and_pruned_ones_crossed_out(tiny_model):
    figure = plots.plot_filters(tiny_model.conv1.weight, VALUES, KEEP, columns=4)
    assert [axis.get_title().split(":")[0] for axis in figure.axes] == ["3", "0", "2", "1"]
    assert [len(axis.lines) for axis in figure.axes] == [0, 0, 2, 2]


def test_bars_carry_their_values():
    axis = plots.plot_accuracies({"dense": 0.783, "pruned": 0.25}).axes[0]
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([78.3, 25.0])
    assert [text.get_text() for text in axis.texts] == ["78.3 %", "25.0 %"]
    axis = plots.plot_accuracies({"pruned": 0.25}, chance=0.1, reference=("dense", 0.783)).axes[0]
    assert texts(axis) == ["25.0 %", "guessing", "dense"]
    assert [line.get_ydata()[0] for line in axis.lines] == pytest.approx([10, 78.3])


def test_kept_and_pruned_differ_by_more_than_colour():
    axis = plots.plot_importance(VALUES, KEEP).axes[0]
    kept, pruned = axis.containers
    assert {bar.get_hatch() for bar in kept} != {bar.get_hatch() for bar in pruned}
    brightness = [sum(container[0].get_facecolor()[:3]) / 3 for container in (kept, pruned)]
    assert abs(brightness[0] - brightness[1]) > 0.4


def test_lines_differ_by_more_than_colour_and_a_point_can_be_marked():
    curves = dict.fromkeys("abcdef", CURVE)
    assert texts(plots.plot_lines(curves, "x", "y", reference=("dense", 0.9)).axes[0]) == ["dense"]
    axis = plots.plot_lines(curves, "x", "y", percent="xy", mark=("b", 0.5)).axes[0]
    lines, marked = axis.lines[:6], axis.lines[6]
    assert len({line.get_color() for line in lines}) == len({line.get_marker() for line in lines}) == 6
    assert len({style["linestyle"] for style in plots.LINES}) == 6
    assert marked.get_xdata() == [0.5] and marked.get_ydata() == [0.6] and axis.texts[0].get_text() == "60.0%"
    assert [text.get_text() for text in axis.get_legend().get_texts()] == list("abcdef")
    assert plots.plot_lines({"": CURVE}, "x", "y").axes[0].get_legend() is None


def test_curves_that_cannot_be_drawn_are_named():
    for curves in ({}, {"a": {}}, dict.fromkeys("abcdefg", CURVE)):
        with pytest.raises(ValueError, match="curves must be 1 to 6 lines"):
            plots.plot_lines(curves, "x", "y")


def test_the_attention_picture_carries_the_numbers():
    figure = plots.plot_attention(MATRIX, 1.0)
    shown = [[text.get_text() for text in axis.texts] for axis in figure.axes]
    assert shown[0] == [f"{value:.3g}" for value in MATRIX.flatten().tolist()]
    assert shown[1] == [f"{value:.3g}" for value in ap.attention_weights(MATRIX).flatten().tolist()]
    assert shown[2] == [f"{value:.3f}" for value in ap.attention_scores(MATRIX).tolist()]


def texts(axis) -> list[str]:
    return [text.get_text() for text in axis.texts]


def labels(ticks) -> list[str]:
    return [label.get_text() for label in ticks]


def test_a_network_is_drawn_step_by_step():
    axis = plots.plot_network(SHAPES, {"conv1": "5×5, 77,824 params", "fc1": "short"}).axes[0]
    shown = [text for text in texts(axis) if text]
    assert shown[:5] == ["3×32×32", "input", "1024×16×16", "conv1", "5×5,\n77,824 params"]
    assert shown[-3:] == ["10", "fc1", "short"] and shown.count("pool") == 2
    fronts = [face.get_xy() for face in axis.patches[:-1:3]]  # front, top and side of each box; the last is a bar
    widths, heights = ([np.ptp(corners[:, direction]) for corners in fronts] for direction in (0, 1))
    assert widths[0] < widths[1] == pytest.approx(widths[2]) and heights[0] > heights[1] > heights[2] > heights[3]
    assert len(axis.texts) - len(shown) == 3 + 4, "no note for three steps, and an arrow between every two"


def test_every_box_of_a_long_network_lies_inside_the_figure():
    figure = plots.plot_network({f"conv{i}": (64, 224, 224) for i in range(11)})
    axis = figure.axes[0]
    assert figure.get_size_inches()[0] <= 10
    for face in axis.patches:
        corners = face.get_xy()
        assert corners.min() >= 0 and (corners.max(axis=0) <= figure.get_size_inches()).all()
    names = {text.get_text(): text.get_position() for text in axis.texts if text.get_text().startswith("conv")}
    assert names["conv0"][0] == names["conv8"][0] and names["conv0"][1] > names["conv8"][1]


def test_a_confusion_carries_counts_and_recall():
    axis = plots.plot_confusion(CONFUSION).axes[0]
    assert texts(axis) == [str(count) for count in CONFUSION.to_numpy().flat]
    assert labels(axis.get_yticklabels()) == ["a  75%", "b  100%", "c  –"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("the network says", "true class")
    assert axis.images[0].get_array()[0].tolist() == [0.75, 0.25, 0], "brightness is the share of the row"
    assert [text.get_color() for text in axis.texts[:2]] == ["black", "white"]


def test_pictures_stand_below_their_titles(tiny_data):
    images = tiny_data.train.images[:3]
    axes = plots.plot_pictures(images, ["a\n1", "b", "c"], columns=2).axes
    assert [axis.get_title() for axis in axes if axis.get_visible()] == ["a\n1", "b", "c"] and len(axes) == 4
    assert (axes[2].images[0].get_array() == images[2].permute(1, 2, 0).numpy()).all()
    assert texts(plots.plot_pictures(images[:0], []).axes[0]) == ["no such picture"]


def test_sensitivity_is_written_in_percent():
    axis = plots.plot_sensitivity(SENSITIVITY).axes[0]
    assert texts(axis) == ["80%", "50%", "10%", "80%", "80%", "40%"]
    assert labels(axis.get_xticklabels()) == ["0%", "25%", "90%"] and labels(axis.get_yticklabels()) == ["conv1", "conv2"]


def test_a_history_is_drawn_by_epoch():
    axis = plots.plot_history({"dense": HISTORY, "pruned": HISTORY.iloc[:2]}).axes[0]
    assert [list(line.get_ydata()) for line in axis.lines] == [[0.3, 0.5, 0.6], [0.3, 0.5]]
    assert list(axis.lines[0].get_xdata()) == [1, 2, 3] and axis.get_ylim() == (0, 1)
    loss = plots.plot_history({"": HISTORY}, "loss").axes[0]
    assert loss.get_ylabel() == "training loss" and loss.get_ylim()[1] > 2


def test_a_spread_shows_mean_lowest_and_highest():
    axis = plots.plot_spread(RUNS, **SPREAD, percent="xy", mark=0.5, reference=("dense", 0.8)).axes[0]
    attention = axis.lines[0]
    assert attention.get_ydata().tolist() == pytest.approx([0.76, 0.71, 0.66])
    assert attention.get_xdata() == pytest.approx([0.25, 0.5, 0.75], abs=0.01)
    bars = axis.collections[0].get_segments()
    assert [bar[:, 1].tolist() for bar in bars] == [pytest.approx([low, low + 0.02]) for low in (0.75, 0.7, 0.65)]
    assert len({collection.get_segments()[0][0, 0] for collection in axis.collections}) == 3, "bars do not hide each other"
    assert axis.lines[-2].get_xdata() == [0.5, 0.5] and axis.lines[-1].get_ydata() == [0.8, 0.8] and texts(axis) == ["dense"]


def test_ranges_show_small_differences():
    axis = plots.plot_ranges(RUNS[RUNS.pruning_ratio == 0.5], "accuracy", "method", y_label="accuracy").axes[0]
    assert labels(axis.get_yticklabels()) == ["attention", "random", "L1"] and texts(axis) == ["71.0%", "51.0%", "61.0%"]
    bars = [collection.get_segments()[0] for collection in axis.collections]
    assert [bar[:, 0].tolist() for bar in bars] == [pytest.approx(ends) for ends in ([0.7, 0.72], [0.5, 0.52], [0.6, 0.62])]
    low, high = axis.get_xlim()
    assert 0.4 < low < 0.5 and 0.72 < high < 0.8
    order = pd.Categorical(RUNS.method, ["L1", "attention", "random"])
    axis = plots.plot_ranges(RUNS.assign(method=order).query("method != 'attention'"), "accuracy", "method", y_label="")
    assert labels(axis.axes[0].get_yticklabels()) == ["L1", "random"]


@pytest.mark.parametrize(("most", "shown"), [(50, ["2", "5", "10", "20", "50"]), (1.5, ["1.1", "1.2", "1.3", "1.4", "1.5"])])
def test_a_logarithmic_spread_has_several_ticks_to_read(most, shown):
    factors = RUNS.assign(accuracy=most ** ((RUNS.pruning_ratio - 0.15) / 0.6))
    axis = plots.plot_spread(factors, **SPREAD, log_y=True).axes[0]
    axis.figure.draw_without_rendering()
    low, high = axis.get_ylim()
    ticks = zip(axis.get_yticks(), labels(axis.get_yticklabels()), strict=True)
    assert axis.get_yscale() == "log" and [text for at, text in ticks if low <= at <= high] == shown


def test_a_legend_above_covers_nothing():
    axis = plots.plot_spread(RUNS, **SPREAD, legend_above=True).axes[0]
    axis.figure.draw_without_rendering()
    assert axis.get_legend().get_window_extent().y0 >= axis.get_window_extent().y1


def test_factors_are_bars_in_the_colours_of_their_lines():
    axis = plots.plot_factors({"MACs": 3.3, "time": 1.26}, ["parameters", "MACs", "time"], x_label="less").axes[0]
    assert [bar.get_width() for bar in axis.patches] == [3.3, 1.26] and texts(axis) == ["3.3 times", "1.3 times"]
    assert [bar.get_facecolor() for bar in axis.patches] == [to_rgba(style["color"]) for style in plots.LINES[1:3]]
    assert labels(axis.get_yticklabels()) == ["MACs", "time"] and axis.get_ylim() == (2.5, -0.5)
    assert axis.get_xlabel() == "less"


def test_layers_are_filled_as_far_as_they_are_kept():
    before = {"validation accuracy": 0.7}
    shares = {"validation accuracy": 0.6, "MACs left": 0.4}
    left, right = plots.plot_layers({"conv1": 1, "conv2": 6}, {"conv1": 4, "conv2": 6}, shares, before).axes
    kept, pruned = ([bar.get_width() for bar in bars] for bars in left.containers)
    assert kept == [0.25, 1] and pruned == [0.75, 0] and texts(left) == ["1 of 4", "6 of 6"]
    assert texts(right) == ["60.0%", "40.0%"] and "before: 70.0%" in labels(right.get_yticklabels())[0]
    assert [line.get_segments()[0][0, 0] for line in right.collections] == [0.7]


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
        together += itertools.combinations([style["color"] for style in plots.LINES], 2)
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


@pytest.mark.parametrize(
    ("words", "draw"),
    [
        ("shapes must hold at least one step", lambda: plots.plot_network({})),
        (r"shapes\['a'\].*got \(3, 4\)", lambda: plots.plot_network({"a": (3, 4)})),
        (r"shapes\['a'\].*got \(0,\)", lambda: plots.plot_network({"a": (0,)})),
        (r"notes.*got \['b'\]", lambda: plots.plot_network({"a": (3,)}, {"b": ""})),
        ("same classes", lambda: plots.plot_confusion(CONFUSION[["b", "a", "c"]])),
        ("counts.*float64", lambda: plots.plot_confusion(CONFUSION / 2)),
        ("counts.*-5", lambda: plots.plot_confusion(-CONFUSION)),
        ("uint8.*float32", lambda: plots.plot_pictures(torch.ones(1, 3, 4, 4), ["a"])),
        ("titles.*2 images, got 1", lambda: plots.plot_pictures(torch.ones(2, 3, 4, 4, dtype=torch.uint8), ["a"])),
        ("columns.*got 0", lambda: plots.plot_pictures(torch.ones(1, 3, 4, 4, dtype=torch.uint8), ["a"], 0)),
        (r"1 to 30 rows.*\(0, 3\)", lambda: plots.plot_sensitivity(SENSITIVITY.iloc[:0])),
        ("accuracy.*80.0", lambda: plots.plot_sensitivity(100 * SENSITIVITY)),
        ("pruning ratios.*90", lambda: plots.plot_sensitivity(SENSITIVITY.rename(columns={0.9: 90}))),
        ("accuracy.*nan", lambda: plots.plot_sensitivity(SENSITIVITY.replace(0.1, np.nan))),
        ("y must be one of.*got 'speed'", lambda: plots.plot_history({"a": HISTORY}, "speed")),
        (r"histories\['a'\].*lacks \['lr'\]", lambda: plots.plot_history({"a": HISTORY}, "lr")),
        (r"lacks \['accuracy'\]", lambda: plots.plot_spread(RUNS.drop(columns="accuracy"), **SPREAD)),
        ("at least one row", lambda: plots.plot_spread(RUNS.iloc[:0], **SPREAD)),
        ("no gaps", lambda: plots.plot_spread(RUNS.assign(accuracy=np.nan), **SPREAD)),
        ("'accuracy' must hold shares", lambda: plots.plot_spread(RUNS.assign(accuracy=50), **SPREAD, percent="y")),
        ("'accuracy' must be above 0.*got 0", lambda: plots.plot_spread(RUNS.assign(accuracy=0), **SPREAD, log_y=True)),
        ("'method' must have 1 to 6.*got 27", lambda: plots.plot_spread(RUNS.assign(method=range(27)), **SPREAD)),
        (r"factors must name 1 to 6 bars.*got \[\]", lambda: plots.plot_factors({}, x_label="")),
        (r"lines \['a'\], got \['b'\]", lambda: plots.plot_factors({"b": 1.0}, ["a"], x_label="")),
        ("1 to 6 bars", lambda: plots.plot_factors(dict.fromkeys("abcdefg", 1.0), x_label="")),
        ("same layers", lambda: plots.plot_layers({"a": 1}, {"b": 1}, {})),
        ("kept must lie.*got 5 of 4", lambda: plots.plot_layers({"a": 5}, {"a": 4}, {})),
        (r"before.*got \['b'\]", lambda: plots.plot_layers({"a": 1}, {"a": 1}, {}, {"b": 1.0})),
    ],
)
def test_what_a_figure_cannot_show_is_named(words, draw):
    with pytest.raises(ValueError, match=words):
        draw()


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


# Two cats, one of them taken for a dog, then four dogs, three of them taken for cats, the second most surely.
LABELS = torch.tensor([0, 0, 1, 1, 1, 1])
SCORES = torch.tensor([[2.0, 0, 0], [0, 1, 0], [1, 0, 0], [3, 0, 0], [2, 0, 0], [0, 2, 0]])
NAMES = ["cat", "dog", "frog"]


def test_error_explorer_begins_with_the_most_frequent_confusion(tiny_data):
    images = tiny_data.train.images[:6]
    explorer = widgets.error_explorer(images, LABELS, SCORES, NAMES)
    true, guess = explorer.children[:2]
    assert (true.value, guess.value) == ("dog", "cat")
    assert "Of 4 pictures of class dog, the network names 3 (75%) cat." in explorer.picture.value
    true.value = "cat"
    assert "Of 2 pictures of class cat, the network names 1 (50%) cat." in explorer.picture.value
    guess.value = "frog"
    assert "names 0 (0%) frog." in explorer.picture.value
    true.value = "frog"
    assert "Of 0 pictures of class frog, the network names 0 frog." in explorer.picture.value


def test_errors_come_with_their_probability_the_surest_first(tiny_data, monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "plot_pictures", lambda *what: drawn.append(what) or plots.plot_accuracies({"": 0}))
    images = tiny_data.train.images[:6]
    widgets.error_picture(images, LABELS, SCORES, NAMES, "dog", "cat")
    (shown, titles) = drawn[0]
    assert torch.equal(shown, images[[3, 4, 2]]) and titles == ["91%", "79%", "58%"]
    many = (images.repeat(10, 1, 1, 1), LABELS.repeat(10), SCORES.repeat(10, 1), NAMES)
    _, alt = widgets.error_picture(*many, "dog", "cat")
    assert len(drawn[1][1]) == 16 and alt.endswith("30 (75%) cat; the 16 that the network is surest of are shown.")


def test_errors_that_cannot_be_shown_are_named(tiny_data):
    images = tiny_data.train.images[:6]
    for words, arguments in {
        "two different names": (images, LABELS, SCORES, ["cat", "cat", "frog"]),
        r"got \(6, 3, 16, 16\), \(5,\) and \(6, 3\)": (images, LABELS[:5], SCORES, NAMES),
        "got 0 to 3": (images, LABELS * 3, SCORES, NAMES),
    }.items():
        with pytest.raises(ValueError, match=words):
            widgets.error_explorer(*arguments)
    with pytest.raises(ValueError, match=r"guess must be one of.*'bird'"):
        widgets.error_picture(images, LABELS, SCORES, NAMES, "cat", "bird")


# One layer has the name of an argument of PictureWidget, which must not matter.
LAYERS = {"draw": 4, "conv2": 10}


def measured(ratios):
    keep = {name: round(channels * (1 - ratios[name])) for name, channels in LAYERS.items()}
    return {
        "accuracy": 0.8 - 0.4 * max(ratios.values()),
        "params": sum(keep.values()),
        "macs": 10 * keep["conv2"],
        "keep": keep,
    }


def test_layer_explorer_measures_each_setting_once():
    calls = []
    explorer = widgets.layer_explorer(lambda ratios: calls.append(ratios) or measured(ratios), LAYERS, (0, 0.25, 0.5))
    first, second = explorer.children[:2]
    assert not first.continuous_update, "nothing is measured on the way"
    start = explorer.picture.value
    assert calls == [{"draw": 0, "conv2": 0}] and "4 of 4 of draw, 10 of 10 of conv2" in start
    second.value = 0.5
    assert (
        "4 of 4 of draw, 5 of 10 of conv2, the network has 64.3% of its parameters and 50.0% of its MACs, and its "
        "validation accuracy is 60.0%, before pruning 80.0%." in explorer.picture.value
    )
    second.value = 0
    assert explorer.picture.value == start
    assert calls == [{"draw": 0, "conv2": 0}, {"draw": 0, "conv2": 0.5}]


def test_layers_that_cannot_be_explored_are_named():
    for words, arguments in {
        "at least one layer": (measured, {}),
        r"ratios must be.*\[0.5, 2\]": (measured, LAYERS, (0.5, 2)),
        r"got \['accuracy', 'params'\]: \['keep', 'macs'\] missing": (lambda _: {"accuracy": 1, "params": 1}, LAYERS),
        r"keep for each of.*\['draw'\] missing": (lambda _: measured(_) | {"keep": {"conv2": 1}}, LAYERS),
    }.items():
        with pytest.raises(ValueError, match=words):
            widgets.layer_explorer(*arguments)
    with pytest.raises(ValueError, match=r"got \['conv2'\]"):
        widgets.layer_picture(measured, LAYERS, {"conv2": 0.5})


def test_recovery_explorer_compares_what_is_ticked():
    explorer = widgets.recovery_explorer(RUNS, reference=("before pruning", 0.8))
    slider, attention, random, smallest = explorer.children[:4]
    assert (
        "At pruning ratio 50%, mean accuracy (lowest–highest): attention 71.0% (70.0%–72.0%), random 51.0% (50.0%–52.0%), "
        "L1 61.0% (60.0%–62.0%); before pruning: 80.0%." in explorer.picture.value
    )
    attention.value = random.value = False
    slider.value = 0.75
    assert "At pruning ratio 75%, mean accuracy (lowest–highest): L1 51.0% (50.0%–52.0%);" in explorer.picture.value
    smallest.value = False
    assert "chosen must be one or more of" in explorer.picture.value and "img" not in explorer.picture.value


def test_a_line_keeps_its_style_when_another_is_unticked(monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "png", lambda figure: drawn.append(figure) or b"")
    widgets.recovery_picture(RUNS, 0.5, ["attention", "random", "L1"])
    widgets.recovery_picture(RUNS, 0.5, ["L1"])
    everything, alone = (figure.axes[0].lines for figure in drawn)
    assert alone[0].get_label() == "L1" and len(alone) == 2, "a line and the mark"
    assert (alone[0].get_color(), alone[0].get_marker()) == (everything[2].get_color(), everything[2].get_marker())


def test_recovery_that_cannot_be_shown_is_named():
    with pytest.raises(ValueError, match=r"lacks \['method'\]"):
        widgets.recovery_explorer(RUNS.drop(columns="method"))
    with pytest.raises(ValueError, match="at least one row"):
        widgets.recovery_explorer(RUNS.iloc[:0])
    with pytest.raises(ValueError, match=r"at must be one of \[0.25, 0.5, 0.75\], got 0.3"):
        widgets.recovery_picture(RUNS, 0.3, ["L1"])
    one_missing = RUNS[(RUNS["method"] != "L1") | (RUNS["pruning_ratio"] < 0.7)]
    assert "L1 was not run" in widgets.recovery_picture(one_missing, 0.75, ["random", "L1"])[1]


FACTORS = pd.DataFrame(
    {"parameters": [1, 4, 99], "MACs": [1, 3.3, 36], "time, 64 pictures": [1, 2.6, 7], "time, 1 picture": [1, 0.9, 2]},
    [0, 0.5, 0.9],
)


def test_speedup_explorer_says_what_is_ticked():
    explorer = widgets.speedup_explorer(FACTORS)
    slider, *boxes = explorer.children[:5]
    assert slider.description == "pruning ratio" and [box.description for box in boxes] == list(FACTORS)
    assert (
        "At pruning ratio 50%, times less than dense: parameters 4.0; MACs 3.3; time, 64 pictures 2.6; time, 1 picture 0.9."
        in explorer.picture.value
    )
    seen = {explorer.picture.value}
    for control, value in [(slider, 0.9), *((box, False) for box in boxes[:3])]:
        control.value = value
        seen.add(explorer.picture.value)
    assert len({value.split("alt=")[0] for value in seen}) == len({value.split("alt=")[1] for value in seen}) == 5
    assert "At pruning ratio 90%, times less than dense: time, 1 picture 2.0." in explorer.picture.value
    boxes[3].value = False
    assert "chosen must be one or more of" in explorer.picture.value and "img" not in explorer.picture.value


def test_a_speedup_has_the_same_style_on_both_sides_and_when_others_are_unticked(monkeypatch):
    drawn = []
    monkeypatch.setattr(plots, "png", lambda figure: drawn.append(figure) or b"")
    widgets.speedup_picture(FACTORS, 0.5, list(FACTORS))
    widgets.speedup_picture(FACTORS, 0.5, ["time, 64 pictures", "MACs"])
    (left, right), (few, bars) = (figure.axes for figure in drawn)
    lines = {line.get_label(): line for line in few.lines[:2]}
    assert list(lines) == ["MACs", "time, 64 pictures"] and len(few.lines) == 4, "two lines, the mark and the reference"
    for line in left.lines[1:3]:
        same = lines[line.get_label()]
        for style in ("color", "linestyle", "marker"):
            assert getattr(line, f"get_{style}")() == getattr(same, f"get_{style}")()
    assert lines["MACs"].get_ydata().tolist() == [1, 3.3, 36] and few.get_yscale() == "log" and texts(few) == ["dense"]
    assert few.lines[2].get_xdata() == [0.5, 0.5] and few.lines[3].get_ydata() == [1, 1]
    assert texts(right) == ["4.0 times", "3.3 times", "2.6 times", "0.9 times"] and texts(bars) == ["3.3 times", "2.6 times"]
    assert [bar.get_facecolor() for bar in bars.patches] == [to_rgba(line.get_color()) for line in lines.values()]


@pytest.mark.parametrize(
    ("words", "factors"),
    [
        ("factors must have at least one row.*got 0 and 4", FACTORS.iloc[:0]),
        ("factors must have.*1 to 6 columns, got 3 and 0", FACTORS[[]]),
        ("factors must have.*1 to 6 columns, got 3 and 8", FACTORS.join(FACTORS.add_suffix(" again"))),
        (r"factors must have pruning ratios.*got \[0.0, 50.0, 90.0\]", FACTORS.set_axis([0.0, 50.0, 90.0])),
        (r"factors must have pruning ratios.*got \['0', '50', '90'\]", FACTORS.set_axis(["0", "50", "90"])),
        (r"factors must have pruning ratios.*each once.*got \[0.5, 0.5, 0.9\]", FACTORS.set_axis([0.5, 0.5, 0.9])),
        ("factors must have columns of different names", FACTORS.set_axis([*"abca"], axis="columns")),
        ("factors must be finite numbers above 0, got 0.0 for 'MACs' at 50%", FACTORS.replace(3.3, 0)),
        ("factors must be finite numbers above 0, got -2.6 for 'time, 64 pictures' at 50%", FACTORS.replace(2.6, -2.6)),
        ("factors must be finite numbers above 0, got inf for 'parameters' at 90%", FACTORS.replace(99, np.inf)),
        ("factors must be finite numbers above 0, got nan for 'MACs' at 90%", FACTORS.replace(36, np.nan)),
        ("factors must be finite numbers above 0, got fast for 'MACs' at 90%", FACTORS.astype(object).replace(36, "fast")),
    ],
)
def test_factors_that_cannot_be_explored_are_named(words, factors):
    with pytest.raises(ValueError, match=words):
        widgets.speedup_explorer(factors)
    with pytest.raises(ValueError, match=words):
        widgets.speedup_picture(factors, 0.5, ["MACs"])


def test_a_ratio_or_a_cost_without_factors_is_named():
    with pytest.raises(ValueError, match=r"at must be one of \[0.0, 0.5, 0.9\], got 0.3"):
        widgets.speedup_picture(FACTORS, 0.3, ["MACs"])
    for chosen in ([], ["bytes"]):
        with pytest.raises(ValueError, match=rf"chosen must be one or more of \['parameters'.*got \{chosen}"):
            widgets.speedup_picture(FACTORS, 0.5, chosen)


SWEPT = pd.DataFrame(
    [
        (criterion, ratio, seed, level - ratio / 2 + 0.01 * seed + extra, level - ratio / 4 + 0.01 * seed)
        for criterion, level, noise in [("attention", 0.8, 0.01), ("l1", 0.75, 0.0), ("random", 0.75, 0.0)]
        for ratio in (0.1, 0.5)
        for seed, extra in enumerate((0.0, 2 * noise, noise))
    ],
    columns=["criterion", "pruning_ratio", "seed", "pruned_accuracy", "accuracy"],
)


def test_difference_explorer_compares_two_criteria_at_a_stage():
    explorer = widgets.difference_explorer(SWEPT)
    first, second, stage = explorer.children[:3]
    assert (first.value, second.value, stage.options) == ("attention", "l1", ("removed", "fine-tuned"))
    # Ahead by 5, 7 and 6 points: t is 4.303, the standard deviation 1, so 6 ± 2.5.
    assert (
        "Points of accuracy by which attention is ahead of l1, removed, with the 95 % interval from 3 runs: "
        "10%: +6.0 (+3.5 to +8.5); 50%: +6.0 (+3.5 to +8.5)." in explorer.picture.value
    )
    stage.value = "fine-tuned"
    assert "10%: +5.0 (+5.0 to +5.0)" in explorer.picture.value
    first.value = "l1"
    assert "l1 is ahead of l1" in explorer.picture.value and "+0.0 (+0.0 to +0.0)" in explorer.picture.value
    alone = widgets.difference_picture(SWEPT[SWEPT.seed == 0], "attention", "l1", "removed")[1]
    assert "from 1 run: 10%: +5.0 (-inf to +inf)" in alone
    gaps = SWEPT.assign(pruned_accuracy=SWEPT.pruned_accuracy.where(SWEPT.criterion != "random"))
    assert widgets.difference_explorer(gaps).children[0].options == ("attention", "l1"), (
        "random was not measured at all stages"
    )


def test_an_interval_that_holds_zero_is_an_open_point():
    differences = pd.DataFrame(
        {"difference": [0.02, 0.01, -0.03], "low": [0.01, -0.02, -0.05], "high": [0.03, 0.04, -0.01]}, [0.1, 0.3, 0.5]
    )
    axis = plots.plot_differences(differences, x_label="ratio", y_label="points", percent="x").axes[0]
    clear, undecided = (found for found in axis.collections if isinstance(found, PathCollection))
    assert clear.get_offsets().tolist() == [[0.1, 2.0], [0.5, -3.0]] and undecided.get_offsets().tolist() == [[0.3, 1.0]]
    assert clear.get_facecolor()[0].tolist() == list(to_rgba(plots.BLUE))
    assert undecided.get_facecolor()[0].tolist() == list(to_rgba("white"))


def test_differences_that_cannot_be_shown_are_named():
    with pytest.raises(ValueError, match=r"second must be one of \['attention', 'l1', 'random'\], got 'l2'"):
        widgets.difference_explorer(SWEPT, "attention", "l2")
    with pytest.raises(ValueError, match=r"stage must be one of \['removed', 'fine-tuned'\], got 'repaired'"):
        widgets.difference_picture(SWEPT, "attention", "l1", "repaired")
    with pytest.raises(ValueError, match="table must have one of the columns"):
        widgets.difference_explorer(SWEPT.drop(columns=["accuracy", "pruned_accuracy"]))
    with pytest.raises(ValueError, match=r"it lacks \['criterion'\]"):
        widgets.difference_explorer(SWEPT.drop(columns="criterion"))
    with pytest.raises(ValueError, match=r"it lacks \['low'\]"):
        plots.plot_differences(pd.DataFrame({"difference": [0.1], "high": [0.2]}), x_label="", y_label="")
