import functools
import os
import sys

import pytest
import torch
from safetensors.torch import load_file

import attnprune_edu as ap
from attnprune_edu.report.checkpoints import PRETRAINED, SHIPPED, atomic_write


def test_article_net_is_the_articles():
    model = ap.ArticleNet()
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_703_370
    assert model.fc1.in_features == 1600
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(("network", "params"), [(ap.ResNet20, 272_474), (ap.VGG, 9_228_362)])
def test_widths_rebuild_a_network(network, params, tmp_path):
    model = network().eval()
    assert ap.count_params(model) == params
    assert model(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    again = network(**model.architecture).eval()
    again.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(again(images), model(images))
        loaded = ap.load_model(ap.save_model(model, tmp_path / "net.safetensors"))
        assert torch.equal(loaded(images), model(images)) and loaded.architecture == model.architecture


@pytest.mark.parametrize(
    ("network", "options", "says"),
    [
        (ap.ResNet20, {"stage_channels": (16, 32)}, "stage_channels must be three numbers"),
        (ap.ResNet20, {"block_channels": ((16, 16), (32,) * 3, (64,) * 3)}, "block_channels three times three"),
        (ap.ResNet20, {"stage_channels": (16, 0, 64)}, "at least 1, got stage_channels=\\(16, 0, 64\\)"),
        (ap.VGG, {"conv_channels": (64, 128)}, "eight numbers, got \\(64, 128\\)"),
        (ap.VGG, {"num_classes": 0}, "num_classes=0"),
    ],
)
def test_widths_that_make_no_network_are_named(network, options, says):
    with pytest.raises(ValueError, match=says):
        network(**options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"conv_channels": (0, 64)}, "conv_channels=\\(0, 64\\)"),
        ({"conv_channels": (8,)}, "two numbers"),
        ({"hidden": 0}, "hidden=0"),
        ({"image_size": 15}, "at least 16"),
    ],
)
def test_impossible_widths_are_named(options, says):
    with pytest.raises(ValueError, match=says):
        ap.ArticleNet(**options)


@pytest.mark.parametrize(("dtype", "tolerance"), [(None, 0), (torch.float16, 2e-3)])
def test_a_network_comes_back_as_it_was_saved(tmp_path, tiny_model, tiny_data, dtype, tolerance):
    images = tiny_data.normalize(tiny_data.test.images)
    path = ap.save_model(tiny_model, tmp_path / "folder" / "net.safetensors", dtype=dtype)
    loaded = ap.load_model(path)
    assert loaded.architecture == tiny_model.architecture and not loaded.training
    assert (loaded(images) - tiny_model(images)).abs().max() <= tolerance
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert list(path.parent.iterdir()) == [path], "nothing half-written is left"


def test_masks_are_saved_and_hold_after_loading(tmp_path, tiny_model, tiny_data):
    keep = ap.keep_by_ratio(ap.importance(tiny_model), 0.5)
    loaded = ap.load_model(ap.save_model(ap.mask(tiny_model, keep), tmp_path / "masked.safetensors"))
    before = loaded.fc1.weight.detach().clone()
    ap.fine_tune(loaded, tiny_data, epochs=1, progress=False)
    assert (before - loaded.fc1.weight).abs().max() > 1e-4, "what stays must learn"
    for name, stays in keep.items():
        assert (loaded.get_submodule(name).weight[~stays] == 0).all()
        assert (loaded.get_submodule(name).weight[stays] != 0).any()


def test_a_failed_save_keeps_the_old_file(tmp_path, tiny_model, monkeypatch):
    path = ap.save_model(tiny_model, tmp_path / "net.safetensors")
    before = path.read_bytes()

    def full_disk(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full_disk)
    with pytest.raises(OSError, match="no space"):
        ap.save_model(tiny_model, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such permissions")
def test_a_file_has_the_permissions_of_any_other(tmp_path, tiny_model):
    before = os.umask(0o027)
    try:
        path = ap.save_model(tiny_model, tmp_path / "net.safetensors")
        assert path.stat().st_mode & 0o777 == 0o640, "a new one follows the umask"
        path.chmod(0o604)
        ap.save_model(tiny_model, path)
        assert path.stat().st_mode & 0o777 == 0o604, "what is overwritten keeps its own"
        with atomic_write(path) as unfinished:
            unfinished.unlink()
            unfinished.touch(mode=0o600)  # as libraries do that write to a file of their own first
        assert path.stat().st_mode & 0o777 == 0o604
    finally:
        os.umask(before)


def test_files_that_are_no_networks_are_named(tmp_path, tiny_model):
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"not a network")
    cut = ap.save_model(tiny_model, tmp_path / "cut.safetensors")
    cut.write_bytes(cut.read_bytes()[:-100])
    for path in (garbage, cut):
        with pytest.raises(ValueError, match="damaged"):
            ap.load_model(path)
    with pytest.raises(FileNotFoundError, match="article-net-shapes"):
        ap.load_model("article-net", "mnist")
    with pytest.raises(TypeError, match=r"torch\.int8"):
        ap.save_model(tiny_model, tmp_path / "int8.safetensors", dtype=torch.int8)
    with pytest.raises(TypeError, match="Linear"):
        ap.save_model(torch.nn.Linear(2, 2), tmp_path / "linear.safetensors")


SIZES = {
    "article-net-cifar10": 1_703_370,
    "article-net-shapes": 1_703_370,
    "resnet20-cifar10": 272_474,
    "resnet20-shapes": 272_474,
    "name-gru-names": 18_715,
    "name-transformer-names": 70_731,
    "digit-cnn-digits": 44_570,
    "face-net-drawn": 163_245,
    "face-net-olivetti": 161_790,
}


@pytest.mark.parametrize("stem", SIZES)
def test_shipped_networks_have_a_card_that_tells_the_truth_about_their_size(stem):
    file = PRETRAINED / f"{stem}.safetensors"
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    name, _, data_name = stem.rpartition("-")
    assert f"{SIZES[stem]:,} parameters" in card and f"python benchmarks/train_checkpoints.py {stem}`" in card
    model = ap.load_model(name, data_name)
    assert type(model) is SHIPPED[name][0] and ap.count_params(model) == SIZES[stem]
    assert all(tensor.dtype == torch.float16 for tensor in load_file(file).values() if tensor.is_floating_point())


def test_every_shipped_network_is_known_to_the_doctor():
    known = {f"{name}-{data_name}" for name, (_, all_data) in SHIPPED.items() for data_name in all_data}
    assert known == set(SIZES) == {file.stem for file in PRETRAINED.glob("*.safetensors")}


def accuracy_on_card(name: str) -> float:
    lines = (PRETRAINED / f"{name}.md").read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith("| test accuracy"))
    return float(row.split("|")[2].split("%")[0]) / 100


@pytest.mark.parametrize(("name", "low", "high"), [("article-net", 0.75, 0.85), ("resnet20", 0.95, 1.0)])
def test_a_shapes_network_reaches_what_its_card_says(shapes_data, name, low, high):
    measured = ap.accuracy(ap.load_model(name, "shapes"), shapes_data)
    assert abs(measured - accuracy_on_card(f"{name}-shapes")) < 0.005
    assert low <= measured <= high


@pytest.mark.parametrize(
    ("name", "load", "low", "high"),
    [
        ("name-gru", ap.load_names, 0.65, 0.8),
        ("name-transformer", ap.load_names, 0.6, 0.8),
        ("face-net", functools.partial(ap.load_faces, "drawn"), 0.7, 0.98),
    ],
)
def test_a_network_for_other_embedded_data_reaches_what_its_card_says(name, load, low, high):
    data = load(announce=False)
    measured = ap.accuracy(ap.load_model(name, data.name), data)
    assert abs(measured - accuracy_on_card(f"{name}-{data.name}")) < 0.005
    assert low <= measured <= high


def test_the_network_for_spoken_digits_reaches_what_its_card_says(shared_data):
    data = ap.load_digits(shared_data("spoken_digits_logmel.npz"), announce=False)
    measured = ap.accuracy(ap.load_model("digit-cnn", data.name), data)
    assert abs(measured - accuracy_on_card("digit-cnn-digits")) < 0.015, "pictures made by another program"


def test_removing_half_of_the_channels_clearly_hurts_on_the_embedded_set(shapes_data):
    model = ap.load_model("article-net", "shapes")
    for criterion in ("attention", "l1", "random"):
        masked = ap.mask(model, ap.keep_by_ratio(ap.importance(model, criterion), 0.5))
        assert ap.accuracy(masked, shapes_data) < ap.accuracy(model, shapes_data) - 0.1


@pytest.mark.parametrize(("name", "low"), [("article-net", 0.77), ("resnet20", 0.89)])
def test_a_cifar10_network_reaches_what_its_card_says(cifar10_npz, name, low):
    data = ap.load_data(cifar10_npz, announce=False)
    measured = ap.accuracy(ap.load_model(name, "cifar10"), data)
    assert abs(measured - accuracy_on_card(f"{name}-cifar10")) < 0.005
    assert measured >= low
