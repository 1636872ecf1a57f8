"""Attention maps: the formula, what a layer's outputs are, pruned channels, and other networks."""

import pytest
import torch
from conftest import Network, trained_norms

import attnprune_edu as ap


def outputs_of(model, module, data, images):
    """What ``module`` of ``model`` gives, with another hook than the library's."""
    found = []
    hook = model.get_submodule(module).register_forward_hook(lambda layer, inputs, output: found.append(output.detach()))
    with torch.no_grad():
        model(data.normalize(images))
    hook.remove()
    return found[0]


@pytest.mark.parametrize("power", [0.5, 1, 2, 40])
def test_a_map_is_the_sum_over_channels_of_a_power_of_what_passes_the_relu(tiny_model, tiny_data, power):
    images = tiny_data.test.images[:7]
    through = outputs_of(tiny_model, "conv2", tiny_data, images).relu().double()
    wanted = (through**power).sum(dim=1)
    wanted = wanted / wanted.amax(dim=(1, 2), keepdim=True)
    maps = ap.attention_maps(tiny_model, tiny_data, images, "conv2", power, batch_size=3)
    assert maps.shape == wanted.shape and maps.dtype == torch.float32
    torch.testing.assert_close(maps, wanted.float(), rtol=1e-3, atol=1e-5)
    assert (maps.amax(dim=(1, 2)) == 1).all() and maps.min() >= 0


def test_a_convolution_is_seen_behind_its_norm_and_a_block_as_it_is(tiny_data):
    torch.manual_seed(0)
    model = trained_norms(ap.ResNet20(((4, 6, 8)), ((4,) * 3, (6,) * 3, (8,) * 3), num_classes=3), 16)
    images = tiny_data.test.images[:2]
    for layer, module in (("conv1", "bn1"), ("stage2.0.conv1", "stage2.0.bn1"), ("stage1.1", "stage1.1")):
        sizes = outputs_of(model, module, tiny_data, images).relu().square().sum(dim=1)
        torch.testing.assert_close(
            ap.attention_maps(model, tiny_data, images, layer), sizes / sizes.amax(dim=(1, 2), keepdim=True)
        )


def test_what_another_module_gives_counts_by_its_size(tiny_data):
    model = Network(
        lambda self, x: self.conv(self.shift(x)).mean(dim=(2, 3)), shift=torch.nn.Identity(), conv=torch.nn.Conv2d(3, 3, 3)
    )
    images = tiny_data.test.images[:2]
    sizes = tiny_data.normalize(images).square().sum(dim=1)
    torch.testing.assert_close(
        ap.attention_maps(model, tiny_data, images, "shift"), sizes / sizes.amax(dim=(1, 2), keepdim=True)
    )


def test_silent_channels_attend_to_nothing(tiny_model, tiny_data):
    images, keep = tiny_data.test.images[:3], torch.tensor([True, False, False, False])
    masked = ap.mask(tiny_model, {"conv1": keep})
    alone = outputs_of(tiny_model, "conv1", tiny_data, images)[:, 0].relu().square()
    torch.testing.assert_close(
        ap.attention_maps(masked, tiny_data, images, "conv1"), alone / alone.amax(dim=(1, 2), keepdim=True)
    )
    with torch.no_grad():
        tiny_model.conv1.weight.zero_()
        tiny_model.conv1.bias.fill_(-1)
    assert (ap.attention_maps(tiny_model, tiny_data, images, "conv1") == 0).all(), "zeros, not NaN"


def test_the_network_is_left_as_it_was(tiny_model, tiny_data):
    tiny_model.train()
    ap.attention_maps(tiny_model, tiny_data, tiny_data.test.images[:1], "conv1")
    assert tiny_model.training and not tiny_model.conv1._forward_hooks


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"layer": "conv9"}, r"layer must be .* such as \['conv1', 'conv2'\], got 'conv9'"),
        ({"layer": ""}, "layer must be the name"),
        ({"layer": "fc1"}, r"outputs of 'fc1' have the shape \(2, 10\)"),
        ({"power": 0}, "power must be above 0, got 0"),
        ({"images": torch.zeros(2, 3, 16, 16)}, "images must be uint8 .*got torch.float32"),
        ({"images": torch.zeros(0, 3, 16, 16, dtype=torch.uint8)}, r"images must be .*\(0, 3, 16, 16\)"),
    ],
)
def test_what_has_no_maps_is_named(tiny_model, tiny_data, options, says):
    with pytest.raises(ValueError, match=says):
        ap.attention_maps(tiny_model, tiny_data, **({"images": tiny_data.test.images[:2], "layer": "conv1"} | options))


def test_a_layer_that_is_never_called_is_named(tiny_model, tiny_data):
    tiny_model.spare = torch.nn.Identity()
    with pytest.raises(ValueError, match="never calls 'spare'"):
        ap.attention_maps(tiny_model, tiny_data, tiny_data.test.images[:1], "spare")
