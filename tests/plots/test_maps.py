"""Attention maps over pictures, and the widget that shows them."""

import colorspacious
import numpy as np
import pytest
import torch
from matplotlib import colormaps

import attnprune_edu as ap
from attnprune_edu import plots, widgets

GREY = torch.full((2, 3, 8, 8), 100, dtype=torch.uint8)
CORNER = torch.zeros(2, 4, 4)
CORNER[0, 0, 0] = CORNER[1, 3, 3] = 1


def drawn(axis):
    return np.asarray(axis.images[0].get_array())


def test_maps_lie_over_their_pictures_where_they_belong():
    figure = plots.plot_attention_maps(GREY, {"dense": CORNER, "pruned": 0 * CORNER}, ["cat", "dog"])
    axes = figure.axes[:6]
    assert [axis.get_ylabel() for axis in axes[::2]] == ["picture", "dense", "pruned"]
    assert [axis.get_title() for axis in axes[:2]] == ["cat", "dog"] and figure.axes[6].get_ylabel() == "attention"
    assert drawn(axes[0]) == pytest.approx(100 / 255)
    for axis, row, column in ((axes[2], 0, 0), (axes[3], 7, 7)):
        brightness = drawn(axis).mean(axis=2)
        assert np.unravel_index(brightness.argmax(), brightness.shape) == (row, column), "the map has the picture's size"
        assert brightness.max() > brightness.min() + 0.2
    assert np.ptp(drawn(axes[4]).mean(axis=2)) < 1e-6, "no attention anywhere: the same everywhere"


def test_a_single_picture_has_its_maps_beside_it_and_grey_pictures_are_drawn_too():
    figure = plots.plot_attention_maps(GREY[:1, :1], {"dense": CORNER[:1]}, ["cat"])
    assert [axis.get_title() for axis in figure.axes[:2]] == ["cat", "dense"]
    assert figure.axes[0].get_subplotspec().rowspan == figure.axes[1].get_subplotspec().rowspan


def test_the_picture_can_be_seen_through_its_map():
    images = GREY.clone()
    images[..., 4:] = 250
    laid = drawn(plots.plot_attention_maps(images, {"dense": 0 * CORNER}).axes[2])
    assert (laid[:, 4:].mean(axis=2) > laid[:, :4].mean(axis=2) + 0.1).all()


@pytest.mark.parametrize("kind", ["protanomaly", "deuteranomaly", "tritanomaly", None])
def test_more_attention_is_brighter_for_everybody(kind):
    colours = colormaps["cividis"](np.linspace(0, 1, 9))[:, :3]
    space = {"name": "sRGB1+CVD", "cvd_type": kind, "severity": 100} if kind else "sRGB1"
    seen = np.clip(colorspacious.cspace_convert(colours, space, "sRGB1"), 0, 1)
    assert (np.diff(colorspacious.cspace_convert(seen, "sRGB1", "CIELab")[:, 0]) > 3).all()


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("images must be uint8", (GREY.float(), {"a": CORNER})),
        (r"images must be uint8 .*\(0, 3, 8, 8\)", (GREY[:0], {"a": CORNER[:0]})),
        ("maps must hold at least one name", (GREY, {})),
        (r"maps must be \(N, height, width\) for the 2 images, got \(1, 4, 4\) for 'a'", (GREY, {"a": CORNER[:1]})),
        ("maps must lie between 0 and 1, got 0 to 2 for 'a'", (GREY, {"a": 2 * CORNER})),
        ("titles.*2 images, got 1", (GREY, {"a": CORNER}, ["cat"])),
    ],
)
def test_maps_that_cannot_be_drawn_are_named(words, arguments):
    with pytest.raises(ValueError, match=words):
        plots.plot_attention_maps(*arguments)


def test_map_explorer_shows_another_picture_layer_and_power(tiny_model, tiny_data):
    masked = ap.mask(tiny_model, {"conv1": torch.tensor([True, False, True, False])})
    networks = {"dense": tiny_model, "pruned": masked}
    pictures = ap.Images(*(part[:3] for part in tiny_data.validation))
    explorer = widgets.map_explorer(networks, tiny_data, pictures, ["conv1", "conv2"])
    number, layer, power = explorer.children[:3]
    assert "picture 1, of class red, at conv2 with power 2: dense says " in explorer.picture.value
    number.value, layer.value, power.value = 2, "conv1", 4
    maps = [ap.attention_maps(net, tiny_data, pictures.images[1:2], "conv1", 4).flatten() for net in networks.values()]
    cosine = torch.nn.functional.cosine_similarity(*maps, dim=0)
    assert (
        f"picture 2, of class green, at conv1 with power 4: dense says {says(tiny_model, tiny_data, 1)}; pruned says "
        in (explorer.picture.value)
    )
    assert f"pruned says {says(masked, tiny_data, 1)}, and its map has the cosine {cosine:.2f}" in explorer.picture.value


def says(model, data, number):
    return data.class_names[ap.predict(model, data, data.validation.images[number : number + 1]).argmax()]


def test_pictures_that_cannot_be_explored_are_named(tiny_model, tiny_data):
    networks, pictures = {"dense": tiny_model}, tiny_data.validation
    with pytest.raises(ValueError, match="at least one each, got 1, 6, 0 and 3"):
        widgets.map_explorer(networks, tiny_data, pictures, [])
    with pytest.raises(ValueError, match="number must lie between 1 and 6, got 7"):
        widgets.map_picture(networks, tiny_data, pictures, 7, "conv1", 2)
