"""Inference: what a network is called with, in which type, and what comes back."""

import pytest
import torch
from torch import nn

from attnprune_edu.networks.inference import call, floating_type


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
