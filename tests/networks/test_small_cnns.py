"""The networks for spoken digits and faces: built for their data, stored, pruned and removed like the others."""

import pytest
import torch

import attnprune_edu as ap
from attnprune_edu.networks.models import architecture_of, rebuild


def grey(height, width, classes=4, channels=1):
    """Noise, lighter with each class, below a black edge: 40 training, 12 validation and 12 test pictures."""
    random = torch.Generator().manual_seed(0)

    def part(count):
        labels = torch.arange(count) % classes
        images = torch.randint(0, 80, (count, channels, height, width), generator=random, dtype=torch.uint8)
        images += (40 * labels).to(torch.uint8)[:, None, None, None]
        images[:, :, :4] = 0
        return ap.Images(images, labels)

    return ap.ImageData("noise", tuple("abcd"[:classes]), part(40), part(12), part(12))


NETWORKS = {
    "digits": (ap.DigitCNN, grey(20, 24), {"conv_channels": (6, 8, 10)}),
    "faces": (ap.FaceNet, grey(32, 32), {"conv_channels": (4, 6, 8, 8), "embedding": 10}),
}


@pytest.fixture(params=NETWORKS)
def network_and_data(request):
    kind, data, widths = NETWORKS[request.param]
    torch.manual_seed(0)
    return rebuild({**architecture_of(kind.for_data(data)), **widths}).eval(), data


def test_the_default_networks_are_as_large_as_they_say():
    assert ap.count_params(ap.DigitCNN()) == 44_570
    assert ap.count_params(ap.FaceNet()) == 161_790
    for kind in (ap.DigitCNN, ap.FaceNet):
        assert f"{ap.count_params(kind()):,} parameters" in kind.__doc__


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_for_data_takes_its_pictures_and_knows_its_classes(kind):
    network, data, _ = NETWORKS[kind]
    assert network.for_data(data)(data.example_inputs).shape == (2, 4)


def test_a_face_is_compared_by_what_the_last_layer_reads(network_and_data):
    model, data = network_and_data
    if isinstance(model, ap.DigitCNN):
        scores = [model(data.example_inputs[..., :frames]) for frames in (24, 9)]
        assert [found.shape for found in scores] == [(2, 4), (2, 4)], "recordings of any length"
    else:
        embedded = model.embed(data.example_inputs)
        assert (
            embedded.shape == (2, 10)
            and (embedded >= 0).all()
            and torch.equal(model.fc(embedded), model(data.example_inputs))
        )


def test_half_of_the_channels_are_removed_without_a_trace(network_and_data):
    model, data = network_and_data
    masked = ap.mask(model, ap.keep_by_ratio(ap.importance(model, "attention"), 0.5))
    small = ap.remove(masked)
    before, after = (ap.predict(network, data, data.test.images) for network in (masked, small))
    assert torch.allclose(before, after, atol=1e-6) and not torch.allclose(before, ap.predict(model, data, data.test.images))
    widths = architecture_of(small)
    assert widths["conv_channels"] == [width // 2 for width in architecture_of(model)["conv_channels"]]
    assert ap.count_params(rebuild(widths)) == ap.count_params(small) < 0.5 * ap.count_params(model)


def test_it_is_stored_with_its_masks(network_and_data, tmp_path):
    model, data = network_and_data
    masked = ap.mask(model, ap.keep_by_ratio(ap.importance(model, "l1"), 0.3))
    loaded = ap.load_model(ap.save_model(masked, tmp_path / "network.safetensors"))
    assert torch.equal(loaded(data.example_inputs), masked(data.example_inputs))
    assert ap.sparsity(loaded).equals(ap.sparsity(masked))


def test_it_learns(network_and_data):
    model, data = network_and_data
    history = ap.train(model, data, 8, lr=0.01, batch_size=10, augment=None, progress=False)
    assert history.loss.iloc[-1] < 0.9 * history.loss.iloc[0]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ap.DigitCNN(conv_channels=(4, 4)), r"conv_channels must be 3 numbers, got \(4, 4\)"),
        (lambda: ap.DigitCNN(bands=0), "at least 1, got .* bands=0, num_classes=10"),
        (lambda: ap.DigitCNN.for_data(grey(20, 24, channels=3)), r"one channel.*got the image shape \(3, 20, 24\)"),
        (lambda: ap.FaceNet(conv_channels=(4, 4, 4)), r"conv_channels must be 4 numbers, got \(4, 4, 4\)"),
        (lambda: ap.FaceNet(embedding=0), "at least 1, got .* embedding=0"),
        (lambda: ap.FaceNet(image_size=(64, 15)), r"at least 16 pixels, got \(64, 15\)"),
    ],
)
def test_what_cannot_be_built_is_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()
