"""The invented glyphs: the same everywhere, others for another number, and no two of one number alike."""

import itertools

import numpy as np
import pytest
import torch

from attnprune_edu.data import glyphs

# Of draw_glyphs(0, 100). Whoever changes a number here changes everybody's task.
LABELS = [1, 6, 5, 4, 9, 7, 5, 0, 7, 9]
MEAN = 59.786
ROW = [217, 252, 114, 96]  # every fourth pixel of the middle row of the first picture


def test_a_number_and_a_seed_decide():
    images, labels = glyphs.draw_glyphs(7, 60, seed=3)
    again, same_labels = glyphs.draw_glyphs(np.uint8(7), np.int16(60), seed=np.int32(3))
    assert torch.equal(images, again) and torch.equal(labels, same_labels)
    for number, seed in ((8, 3), (7, 4), (7, 3 + 2**32)):
        assert (images != glyphs.draw_glyphs(number, 60, seed).images).double().mean() > 0.9


def test_pictures_are_the_same_on_every_machine():
    images, labels = glyphs.draw_glyphs(0, 100)
    assert labels[:10].tolist() == LABELS
    assert images.double().mean().item() == pytest.approx(MEAN, abs=0.01)
    assert (images[0, 0, 8, ::4].int() - torch.tensor(ROW)).abs().max() <= 1


@pytest.mark.parametrize("count", [1, 57, 200])
def test_shape_and_balance(count):
    images, labels = glyphs.draw_glyphs(1, count)
    assert images.dtype == torch.uint8 and images.shape == (count, 1, 16, 16)
    frequency = torch.bincount(labels, minlength=10)
    assert frequency.max() - frequency.min() <= 1
    assert count < 50 or not torch.equal(labels, labels.sort().values)


@pytest.mark.parametrize("number", [0, 15, 2**32 - 1])
def test_no_two_glyphs_are_alike_and_strokes_hang_together(number):
    found = glyphs.glyphs_of(number)
    assert all(glyphs._distance(one, other) > glyphs.APART for one, other in itertools.combinations(found, 2))
    for glyph in found:
        ends = [tuple(point) for stroke in glyph for point in stroke[[0, 2]]]
        assert len(set(ends)) == glyphs.STROKES + 1


def test_parts_of_the_data_have_no_picture_in_common():
    data = glyphs.load_glyphs(2)
    assert data.augment is None, "a mirrored glyph may be another one"
    parts = [data.train, data.validation, data.test, glyphs.draw_glyphs(2, 500, seed=1)]
    seen = torch.cat([part.images.flatten(1) for part in parts])
    assert len(seen.unique(dim=0)) == len(seen) == 5_500


@pytest.mark.parametrize(("arguments", "error"), [
    (("3", 5, 0), TypeError), ((True, 5, 0), TypeError), ((-1, 5, 0), ValueError), ((2**32, 5, 0), ValueError),
    ((1, 0, 0), ValueError), ((1, 5, 2**53), ValueError), ((1, 5, 0.5), TypeError),
])  # fmt: skip
def test_wrong_arguments_are_named(arguments, error):
    with pytest.raises(error, match="must be a whole number from"):
        glyphs.draw_glyphs(*arguments)
