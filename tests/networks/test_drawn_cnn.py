import itertools

import pytest
import torch
from torch import nn

from attnprune_edu.networks.drawn_cnn import MACS, PARAMS, drawn_cnn
from attnprune_edu.networks.macs import count_macs


def architecture(network):
    return [str(layer) for layer in network]


@pytest.mark.parametrize("number", range(8))
def test_every_number_gives_a_network_of_torchs_layers_within_bounds(number):
    network = drawn_cnn(number, (1, 16, 16), 10)
    assert PARAMS[0] <= sum(weight.numel() for weight in network.parameters()) <= PARAMS[1]
    assert MACS[0] <= count_macs(network, (1, 16, 16)) <= MACS[1]
    assert network.eval()(torch.zeros(2, 1, 16, 16)).shape == (2, 10)
    assert all(type(layer).__module__.startswith("torch.nn.modules.") for layer in network.modules())
    assert architecture(network) == architecture(drawn_cnn(number, (1, 16, 16), 10))
    for layer, following in itertools.pairwise(network):
        if isinstance(layer, nn.Conv2d):  # a normalisation behind it has a bias already
            assert (layer.bias is None) == isinstance(following, nn.BatchNorm2d)


def test_images_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"image_shape must be \(channels, 16, 16\), got \(1, 64, 64\)"):
        drawn_cnn(1, (1, 64, 64), 10)


def test_numbers_give_different_networks():
    drawn = [drawn_cnn(number, (1, 16, 16), 10) for number in range(16)]
    assert len({tuple(architecture(network)) for network in drawn}) == 16
    kinds = {type(layer) for network in drawn for layer in network}
    assert {nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d} <= kinds
    assert {sum(isinstance(layer, nn.Conv2d) for layer in network) for network in drawn} == {3, 4}
