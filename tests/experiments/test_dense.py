import dataclasses

import numpy as np
import pytest
import torch

import attnprune_edu as ap
from attnprune_edu.data.images import cache_folder, from_arrays
from attnprune_edu.experiments import dense
from attnprune_edu.networks import models


def own_data(seed=0, side=20, channels=1, classes=3):
    """Pictures that a network tells apart by their brightness, in size, depth and classes unlike CIFAR-10."""
    random = np.random.default_rng(seed)

    def part(count):
        labels = np.arange(count) % classes
        images = random.integers(0, 60, (count, side, side, channels), dtype=np.uint8) + 60 * labels[:, None, None, None]
        return images.astype(np.uint8), labels

    return from_arrays(*part(120), *part(30), name="own")


def test_the_networks_that_ship_are_taken_for_their_data(shapes_data):
    found = ap.dense_network("article-net", shapes_data)
    shipped = ap.load_model("article-net", "shapes")
    assert all(torch.equal(one, other) for one, other in zip(found.parameters(), shipped.parameters(), strict=True))
    assert not (cache_folder() / "networks").exists()


@pytest.mark.parametrize(("name", "kind"), [("article-net", ap.ArticleNet), ("resnet20", ap.ResNet20)])
def test_for_other_data_one_is_trained_once_and_found_again(name, kind, capsys, monkeypatch):
    from attnprune_edu.experiments import dense as module

    monkeypatch.setattr(module, "MOST_MACS", 5 * 108 * ap.count_macs(kind.for_data(own_data()), (1, 20, 20)))
    before = torch.random.get_rng_state()
    first = ap.dense_network(name, own_data())
    assert "for 5 epochs" in capsys.readouterr().out
    assert type(first) is kind and not first.training
    assert torch.equal(before, torch.random.get_rng_state())
    (file,) = (cache_folder() / "networks").iterdir()
    assert file.name.startswith(f"{name}-")
    written = file.stat().st_mtime_ns
    again = ap.dense_network(name, own_data())
    assert file.stat().st_mtime_ns == written and capsys.readouterr().out == ""
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), again.parameters(), strict=True))
    if name == "article-net":
        assert ap.accuracy(first, own_data()) > 0.9


def test_other_pictures_get_another_network(monkeypatch):
    from attnprune_edu.experiments import dense as module

    monkeypatch.setattr(module, "MOST_EPOCHS", 1)
    for seed in (0, 1):
        ap.dense_network("article-net", own_data(seed), progress=False)
    assert len(list((cache_folder() / "networks").iterdir())) == 2


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"name must be one of 'article-net', 'resnet20', .*'face-net', got 'vgg'"):
        ap.dense_network("vgg", own_data())
    with pytest.raises(ValueError, match="image_size must be at least 16"):
        ap.dense_network("article-net", own_data(side=12))
    for name, data, says in (
        ("name-gru", own_data(), "data must hold sequences for 'name-gru', got images"),
        ("resnet20", ap.load_names(announce=False), "data must hold images for 'resnet20', got sequences"),
    ):
        with pytest.raises(TypeError, match=says):
            ap.dense_network(name, data)


def test_a_network_for_names_is_trained_on_other_tokens(monkeypatch):
    monkeypatch.setattr(dense, "MOST_EPOCHS", 1)
    names = ap.load_names(announce=False).subset(train=60, validation=20)
    model = ap.dense_network("name-gru", dataclasses.replace(names, name="few names"), progress=False)
    assert isinstance(model, ap.NameGRU) and not model.training and len(list((cache_folder() / "networks").iterdir())) == 1


def test_a_network_for_large_pictures_is_warned_of_or_made_smaller(monkeypatch):
    with pytest.warns(UserWarning, match=r"fc1 of ArticleNet has 184,090,624 weights; .* hidden at most 111"):
        ap.ArticleNet(image_size=224)
    monkeypatch.setattr(models, "MANY_WEIGHTS", 6400)
    model = ap.ArticleNet.for_data(own_data(side=32))
    assert model.fc1.weight.shape == (4, 1600) and model.conv1.in_channels == 1 and model.fc2.out_features == 3
