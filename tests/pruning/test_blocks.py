import pytest
import torch
import torchvision
from conftest import Network, trained_norms
from torch import nn

import attnprune_edu as ap
from attnprune_edu.pruning.blocks import removable_blocks, remove_blocks, silence_blocks


def resnet(seed=0):
    torch.manual_seed(seed)
    return trained_norms(ap.ResNet20((4, 6, 8), ((4, 3, 2), (5, 4, 3), (6, 5, 4)), num_classes=4), 16)


def test_blocks_that_keep_the_shape_can_go():
    identity = ["stage1.0", "stage1.1", "stage1.2", "stage2.1", "stage2.2", "stage3.1", "stage3.2"]
    assert removable_blocks(resnet()) == identity
    assert removable_blocks(torchvision.models.resnet18(), torch.zeros(2, 3, 32, 32) + 0.5) == [
        "layer1.0", "layer1.1", "layer2.1", "layer3.1", "layer4.1",
    ]  # fmt: skip
    assert removable_blocks(ap.ArticleNet((2, 3), 4)) == []


def test_a_block_whose_sum_goes_through_something_else_stays():
    torch.manual_seed(0)
    block = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Conv2d(5, 3, 1))
    halved = Network(lambda net, x: 0.5 * (x + net.block(x)), block=block)
    model = nn.Sequential(halved, nn.Flatten(), nn.Linear(12, 2))
    assert removable_blocks(model, torch.rand(2, 3, 2, 2)) == []


def test_a_removed_block_computes_what_the_silent_one_does():
    model, images, gone = resnet(), torch.randn(5, 3, 16, 16), ["stage1.1", "stage3.2"]
    silent, smaller = silence_blocks(model, gone), remove_blocks(model, gone)
    with torch.no_grad():
        assert not torch.allclose(model(images), silent(images))
        torch.testing.assert_close(smaller(images), silent(images))
    assert isinstance(smaller.stage1[1], nn.Identity) and not isinstance(model.stage1[1], nn.Identity)
    assert ap.count_params(smaller) < ap.count_params(silent) == ap.count_params(model)


@pytest.mark.parametrize("change", [silence_blocks, remove_blocks])
@pytest.mark.parametrize("name", ["stage9", "", "stage1.0.shortcut"])
def test_a_name_without_layers_is_refused(change, name):
    model = nn.Identity() if name == "" else resnet()
    with pytest.raises(ValueError, match="blocks must name modules"):
        change(model, [name])
