"""What heads look at, as a figure and in the widget that shows it."""

import numpy as np
import pytest
import torch

import attnprune_edu as ap
from attnprune_edu import plots, widgets
from attnprune_edu.data.tokens import TokenData

SYMBOLS = ("", *"abcde")


@pytest.fixture(scope="module")
def letters() -> TokenData:
    tokens = torch.tensor([[1, 2, 3, 4], [5, 4, 0, 0]])
    part = ap.Images(tokens, torch.tensor([0, 1]))
    return TokenData("letters", ("first", "second"), part, part, part, symbols=SYMBOLS)


@pytest.fixture(scope="module")
def network(letters):
    torch.manual_seed(0)
    return ap.NameTransformer(len(SYMBOLS), 4, 2, embed_dim=8, num_heads=(3, 1), head_dim=4, hidden=(5, 5)).eval()


def test_a_bright_square_stands_where_a_token_looks():
    looks = torch.eye(3).roll(1, dims=1)  # each at the next
    figure = plots.plot_heads("abc", {f"head {number}": looks / number for number in range(1, 6)})
    squares = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in squares] == [f"head {number}" for number in range(1, 6)]
    for number, axis in enumerate(squares, start=1):
        (picture,) = axis.images
        assert np.allclose(picture.get_array(), looks / number)
        assert picture.norm(1.0) == 1 and picture.norm(0.0) == 0, "all heads have the same colours"
        for ticks in (axis.get_xticklabels(), axis.get_yticklabels()):
            assert [label.get_text() for label in ticks] == list("abc")
    assert figure.axes[-1].get_ylabel() == "attention"


@pytest.mark.parametrize(
    ("tokens", "heads", "says"),
    [
        ("", {"a": torch.eye(1)}, "must hold at least one each, got 0 and 1"),
        ("ab", {}, "must hold at least one each, got 2 and 0"),
        ("ab", {"a": torch.eye(3)}, r"heads must be \(2, 2\) for these tokens, got \(3, 3\) for 'a'"),
        ("ab", {"a": 2 * torch.eye(2)}, "between 0 and 1, got 0 to 2 for 'a'"),
    ],
)
def test_what_does_not_fit_is_named(tokens, heads, says):
    with pytest.raises(ValueError, match=says):
        plots.plot_heads(tokens, heads)


def test_the_widget_says_what_the_network_says_with_and_without_the_head(network, letters):
    sequences = letters.train.images
    explorer = widgets.head_explorer(network, letters, sequences)
    number, layer, head = explorer.children[:3]
    assert (number.max, layer.options, head.max) == (2, ("layers.0.attention", "layers.1.attention"), 2)
    number.value, head.value = 2, 1
    seen = ap.attention_probabilities(network, sequences[1:])["layers.0.attention"][0, 1, :2, :2]
    without = ap.remove(ap.mask(network, {"layers.0.attention": torch.tensor([True, False, True])}))
    said = []
    for each in (network, without):
        shares = ap.predict(each, letters, sequences[1:])[0].softmax(dim=0)
        said.append(f"{letters.class_names[shares.argmax()]} ({shares.max():.0%})")
    _, alt = widgets.head_picture(network, letters, sequences, 2, "layers.0.attention", 1)
    row, column = divmod(int(seen.argmax()), 2)
    looks, at = (f"letter {place + 1} ({'ed'[place]})" for place in (row, column))
    assert f"at 'ed': {looks} looks most, at {at}, with {seen.max():.0%}." in alt
    assert f"It says {said[0]}; without this head {said[1]}." in alt
    assert "Head 1 of layers.0.attention" in explorer.picture.value
    layer.value = "layers.1.attention"
    assert explorer.picture.value.endswith("head must lie between 0 and 0 in &#x27;layers.1.attention&#x27;, got 1</div>")
    head.value = 0
    assert "without this head" not in explorer.picture.value, "the only head of a layer cannot go"


def test_the_widget_names_what_is_not_there(network, letters):
    with pytest.raises(ValueError, match="sequences must hold at least one, got none"):
        widgets.head_explorer(network, letters, letters.train.images[:0])
    with pytest.raises(ValueError, match="number must lie between 1 and 2, got 3"):
        widgets.head_picture(network, letters, letters.train.images, 3, "layers.0.attention", 0)
    with pytest.raises(ValueError, match="layer must be one of"):
        widgets.head_picture(network, letters, letters.train.images, 1, "fc", 0)
    with pytest.raises(ValueError, match="calls none"):
        widgets.head_explorer(ap.NameGRU(6, 2), letters, letters.train.images)
