"""Inference: what a network is called with, in which type, and what comes back."""

import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.networks.inference import call, evaluating, fast_layout, floating_type, inputs_for, modes_of


class Difference(nn.Module):
    def forward(self, first, second):
        return first - second


@pytest.mark.parametrize("inputs", [(5, 3), [5, 3], {"second": 3, "first": 5}], ids=["tuple", "list", "dictionary"])
def test_several_inputs_are_positional_or_keyword_arguments(inputs):
    assert call(Difference(), inputs) == 2


def test_a_tensor_is_the_only_argument():
    assert call(nn.Identity(), torch.ones(2, 3)).shape == (2, 3)


def test_the_type_of_a_network_is_that_of_its_first_floating_parameter():
    assert floating_type(nn.Linear(2, 2).double()) == torch.float64
    counted = nn.Module()
    counted.count = nn.Parameter(torch.tensor(3), requires_grad=False)
    assert floating_type(counted) == torch.float32
    counted.weight = nn.Parameter(torch.ones(1, dtype=torch.bfloat16))
    assert floating_type(counted) == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("batch_size", [1000, 100, 7])
def test_scores_are_those_of_evaluation_mode_in_the_order_of_the_images(uneven_data, dtype, batch_size):
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 4, 5, stride=2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 4)
    model = nn.Sequential(*layers).to(dtype)
    model[1].eval()
    modes = modes_of(model)
    scores = ap.predict(model, uneven_data, uneven_data.test.images, batch_size)
    assert modes_of(model) == modes and scores.dtype == torch.float32 and not scores.requires_grad
    expected = model.eval()(uneven_data.normalize(uneven_data.test.images).to(dtype)).float()
    assert torch.allclose(scores, expected, atol=0.05 if dtype == torch.bfloat16 else 1e-5)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_accuracy_is_the_share_of_the_images_of_a_part_rightly_classified(uneven_data, imperfect, split):
    images, labels = uneven_data.part(split)
    model = imperfect()
    guesses = [int(model(uneven_data.normalize(image[None])).argmax()) for image in images]
    right = sum(guess == label for guess, label in zip(guesses, labels.tolist(), strict=True))
    assert ap.accuracy(model, uneven_data, split) == pytest.approx(right / len(labels)) and 0 < right < len(labels)


def test_images_without_a_highest_score_are_counted(uneven_data):
    class Lost(nn.Module):
        def forward(self, images):
            return torch.where(images[:, 0, 0, :1] > 0, torch.eye(4)[:1], torch.nan)

    lost = int((uneven_data.normalize(uneven_data.test.images)[:, 0, 0, 0] <= 0).sum())
    with pytest.raises(ValueError, match=f"{lost} of 170 images get NaN scores"):
        ap.accuracy(Lost(), uneven_data)
    assert 0 < lost < 170


def test_images_come_channels_last_where_the_network_can_take_them_so(tiny_data):
    assert fast_layout(nn.Conv2d(3, 4, 3).double(), tiny_data) == torch.channels_last
    by_view = nn.Module()
    by_view.forward = lambda images: images.view(len(images), -1)
    assert fast_layout(by_view, tiny_data) == torch.contiguous_format


def test_modes_come_back_module_by_module_also_after_an_error():
    one, other = nn.Sequential(nn.Dropout(), nn.Linear(1, 1)), nn.Dropout().eval()
    one[1].eval()
    before = modes_of(one, other)
    with pytest.raises(ZeroDivisionError), evaluating(one, other):
        1 / any(modes_of(one, other).values())  # none is in training mode: an error
    assert modes_of(one, other) == before and list(before.values()) == [True, True, False, False]


def test_inputs_go_to_the_type_of_the_network_unless_they_count():
    found = inputs_for(nn.Linear(2, 2).double(), {"x": [torch.ones(1), torch.ones(1, dtype=torch.int64)], "flag": True})
    assert found["x"][0].dtype == torch.float64 and found["x"][1].dtype == torch.int64 and found["flag"] is True
