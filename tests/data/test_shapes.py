"""The drawn shapes: always the same pictures, visible, balanced, and out of reach of a linear model."""

import time

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d

from attnprune_edu.data import shapes

# Of draw(500): the mean of red, green and blue for each class, in the order of CLASS_NAMES. A checkpoint is trained on
# these pictures, so whoever changes a number here must train it again.
CHANNEL_MEANS = [
    [124.77, 118.88, 123.97],
    [121.56, 122.12, 120.43],
    [128.23, 124.11, 119.94],
    [129.80, 127.69, 121.65],
    [127.03, 138.76, 131.65],
    [124.65, 129.64, 130.01],
    [120.37, 120.48, 130.43],
    [130.42, 124.92, 130.87],
    [127.77, 124.04, 127.06],
    [131.76, 124.22, 130.33],
]
FIRST_LABELS = [0, 4, 3, 5, 1, 5, 6, 9, 9, 3, 1, 0, 0, 9, 1, 9, 8, 5, 4, 7]
FIRST_ROW = [123, 82, 83, 156, 171, 92, 147, 83]  # every fourth pixel of the middle row of the first picture, red


def test_fingerprint():
    images, labels = shapes.draw(500)
    assert labels[:20].tolist() == FIRST_LABELS
    means = torch.stack([images[labels == label].double().mean(dim=(0, 2, 3)) for label in range(10)])
    # Rounding may move a stray pixel by one on another machine; that shifts a mean by 0.00002.
    torch.testing.assert_close(means, torch.tensor(CHANNEL_MEANS, dtype=torch.float64), rtol=0, atol=0.02)
    row = images[0, 0, 16, ::4].int()
    assert (row - torch.tensor(FIRST_ROW)).abs().max() <= 1


def test_seed_decides():
    (images, labels), (again, labels_again), (other, other_labels) = (shapes.draw(200, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(images, again) and torch.equal(labels, labels_again)
    assert not torch.equal(labels, other_labels)
    assert (images != other).double().mean() > 0.9


def test_global_random_state_is_left_alone():
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.RandomState(0).rand()
    shapes.draw(20)
    assert np.random.rand() == expected  # noqa: NPY002


@pytest.mark.parametrize("count", [1, 9, 10, 57, 1000])
def test_dtype_shape_and_balance(count):
    images, labels = shapes.draw(count)
    assert images.dtype == torch.uint8 and images.shape == (count, 3, 32, 32)
    assert labels.dtype == torch.int64 and labels.shape == (count,)
    frequency = torch.bincount(labels, minlength=10)
    assert len(frequency) == 10 and frequency.max() - frequency.min() <= 1


def test_order_is_random():
    labels = shapes.draw(1000)[1]
    assert (labels.diff() == 1).double().mean() < 0.2, "labels must not count up"
    assert torch.bincount(labels[:500], minlength=10).min() > 25, "each part of the set needs every class"


def test_ten_different_names():
    assert len(shapes.CLASS_NAMES) == len(set(shapes.CLASS_NAMES)) == 10


def difference(name: str, hue: float = 0.0, count: int = 100) -> np.ndarray:
    """Paint the same pictures with the shape and without it: what the shape itself adds, (count, 3, 32, 32)."""
    nothing = np.full((count, 32, 32), 1e3)
    with_shape = shapes._paint(shapes.SHAPES[name], hue, count, np.random.RandomState(0)).astype(int)
    return with_shape - shapes._paint(lambda x, y: nothing, hue, count, np.random.RandomState(0))


@pytest.mark.parametrize("name", shapes.CLASS_NAMES)
def test_shape_stands_out(name):
    change = abs(difference(name)).max(axis=1)  # (count, 32, 32)
    inside = change > 10
    covered = inside.mean(axis=(1, 2))
    assert covered.min() > 0.05 and covered.max() < 0.45, "too small to be named, or larger than the picture"
    contrast = [one[where].mean() for one, where in zip(change, inside, strict=True)]
    assert min(contrast) > 35, "hardly to be seen"
    assert np.mean(contrast) < 100, "glaring"


@pytest.mark.parametrize(("name", "heavy_end"), [("heart", "top"), ("arrow", "top"), ("drop", "bottom")])
def test_shapes_stand_upright(name, heavy_end):
    filled = (abs(difference(name)).max(axis=1) > 10).sum(axis=(0, 2))  # (32 rows,), from the top
    middle = (filled * np.arange(32)).sum() / filled.sum() - 15.5
    assert (middle < -0.5) == (heavy_end == "top") and (middle > 0.5) == (heavy_end == "bottom")


@pytest.mark.parametrize("channel", range(3))
def test_shape_leans_towards_its_hue(channel):
    lean = difference("circle", hue=channel * 2 * np.pi / 3).mean(axis=(0, 2, 3))  # red, green, blue
    others = np.delete(lean, channel)
    assert lean[channel] > others.max() + 3


def test_speed():
    start = time.process_time()  # other programs may want the processor too
    shapes.draw(6_000)
    assert time.process_time() - start < 3


@pytest.mark.parametrize("name", ["count", "seed"])
@pytest.mark.parametrize("value", [1.5, "10", None, True])
def test_not_a_whole_number(name, value):
    with pytest.raises(TypeError, match=rf"{name} must be a whole number from \d.*got {value!r}"):
        shapes.draw(**{"count": 10, name: value})


@pytest.mark.parametrize(("name", "value"), [("count", 0), ("count", -3), ("seed", -1), ("seed", 2**32)])
def test_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be a whole number from \d.*got {value}"):
        shapes.draw(**{"count": 10, name: value})


def test_numpy_integers_are_accepted():
    assert torch.equal(shapes.draw(np.int64(10), seed=np.int32(2))[0], shapes.draw(10, seed=2)[0])


def test_linear_model_fails(shapes_data):
    """Ridge regression on one-hot targets, in closed form, with the penalty that suits the test part best.

    It sees means of 2×2 pixels, of which it makes as much as of the pixels, in a twentieth of the time. Colour tells it more
    than chance would.
    """
    parts = shapes_data.train, shapes_data.test
    x, x_test = (avg_pool2d(shapes_data.normalize(part.images), 2).flatten(1) for part in parts)
    target = torch.nn.functional.one_hot(shapes_data.train.labels, 10).float() - 0.1
    values, vectors = torch.linalg.eigh(x.T @ x)  # one decomposition serves every penalty
    seen, projected = vectors.T @ (x.T @ target), x_test @ vectors
    best = 0.0
    for penalty in (1e2, 1e3, 1e4, 1e5):
        scores = projected @ (seen / (values + penalty)[:, None])
        best = max(best, (scores.argmax(dim=1) == shapes_data.test.labels).double().mean().item())
    assert 0.2 < best < 0.45
