import numpy as np
import pytest
import torch

import attnprune_edu as ap
from attnprune_edu.data.images import from_arrays


def arrays(count=40, height=8, width=8, channels=3, classes=4):
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    return {"x_train": x, "y_train": np.arange(count) % classes, "x_test": x[:8], "y_test": np.arange(8) % classes}


def write(path, **changes):
    np.savez(path, **(arrays() | changes))
    return path


def test_embedded_set_is_used_where_there_is_no_cifar10_and_says_so(capsys):
    data = ap.load_data()
    line = capsys.readouterr().out
    assert data.name == "shapes" and line.count("\n") == 1
    assert "WARNING" in line and "not CIFAR-10" in line and "4,000 / 1,000 / 1,000" in line


def test_environment_variable_chooses(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("ATTNPRUNE_DATA", str(write(tmp_path / "own.npz", note="drawn by hand")))
    data = ap.load_data()
    assert data.name == "own" and "drawn by hand" in capsys.readouterr().out
    assert ap.load_data("shapes", announce=False).name == "shapes", "an explicit source goes before the variable"
    assert capsys.readouterr().out == ""


def test_npz_is_read_as_written(tmp_path):
    path = write(
        tmp_path / "set.npz", name="mine", class_names=np.array(["a", "b", "c", "d"]), y_train=(np.arange(40) % 4)[:, None]
    )
    data = ap.load_data(path, announce=False)
    assert (data.name, data.class_names, data.image_shape) == ("mine", ("a", "b", "c", "d"), (3, 8, 8))
    assert [len(part.labels) for part in (data.train, data.validation, data.test)] == [36, 4, 8]
    assert data.train.images.dtype == torch.uint8 and data.train.labels.dtype == torch.int64
    everything = torch.cat([data.train.images, data.validation.images]).permute(0, 2, 3, 1).flatten(1)
    assert sorted(everything.tolist()) == sorted(arrays()["x_train"].reshape(40, -1).tolist()), "no image lost, none twice"
    assert (data.test.images.permute(0, 2, 3, 1).numpy() == arrays()["x_test"]).all()


def test_grey_images_of_any_size_and_number_of_classes():
    x = np.zeros((20, 28, 30), np.uint8)
    data = from_arrays(x, np.arange(20) % 7, x, np.arange(20) % 7, name="grey")
    assert data.image_shape == (1, 28, 30) and data.class_names == tuple("0123456")
    model = ap.ArticleNet(in_channels=1, num_classes=7, image_size=(28, 30))
    assert model(data.normalize(data.test.images)).shape == (20, 7), "a constant channel must not turn into NaN"
    assert torch.isfinite(data.normalize(data.test.images)).all()


def test_mean_and_std_are_those_of_the_training_part(tmp_path):
    data = ap.load_data(write(tmp_path / "set.npz"), announce=False)
    pixels = data.train.images.double() / 255
    assert torch.allclose(data.mean.double(), pixels.mean(dim=(0, 2, 3)), atol=1e-6)
    assert torch.allclose(data.std.double(), pixels.std(dim=(0, 2, 3), correction=0), atol=1e-6)
    normalized = data.normalize(data.train.images)
    assert normalized.dtype == torch.float32
    assert normalized.mean(dim=(0, 2, 3)).abs().max() < 1e-5
    assert torch.allclose(normalized.std(dim=(0, 2, 3)), torch.ones(3), atol=1e-3)


def test_cifar10s_validation_part_goes_by_index():
    x = np.zeros((50_000, 2, 2, 1), np.uint8)
    x[45_000:] = 1
    data = from_arrays(x, np.arange(50_000) % 10, x[:10], np.arange(10), name="cifar10")
    assert len(data.validation.labels) == 5_000
    assert (data.validation.images == 1).all() and (data.train.images == 0).all()


def test_jpeg_copy_has_cifar10s_order(cifar10_npz, capsys):
    data = ap.load_data(cifar10_npz)
    assert data.name == "cifar10" and "JPEG" in capsys.readouterr().out
    assert [len(part.labels) for part in (data.train, data.validation, data.test)] == [45_000, 5_000, 10_000]
    # The first labels of the original files: frog, truck, truck, deer, automobile.
    assert data.train.labels[:5].tolist() == [6, 9, 9, 4, 1]


def test_torchvision_reads_what_the_download_leaves(monkeypatch, tmp_path):
    """A miniature of CIFAR-10's files, with their own checksums, in the place where the download puts them."""
    import hashlib
    import pickle

    from torchvision.datasets import CIFAR10

    folder = tmp_path / "cache" / "cifar-10-batches-py"
    folder.mkdir(parents=True)

    def store(name, content):
        raw = pickle.dumps(content)
        (folder / name).write_bytes(raw)
        return [name, hashlib.md5(raw).hexdigest()]

    def batch(count, start):
        return {"data": np.full((count, 3072), start, np.uint8), "labels": [i % 10 for i in range(count)]}

    train = [store(f"data_batch_{i}", batch(10_000, i)) for i in range(1, 6)]
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", [store("test_batch", batch(1_000, 9))])
    name, checksum = store("batches.meta", {"label_names": list("abcdefghij")})
    monkeypatch.setattr(CIFAR10, "meta", {"filename": name, "key": "label_names", "md5": checksum})

    data = ap.load_data(announce=False)
    assert data.name == "cifar10" and data.class_names == tuple("abcdefghij")
    assert (data.validation.images == 5).all() and len(data.validation.labels) == 5_000
    (folder / "data_batch_3").write_bytes(b"cut short")
    with pytest.raises(ValueError, match="damaged"):
        ap.load_data("cifar10")


def test_cifar10_that_is_not_there_says_how_to_get_it():
    with pytest.raises(FileNotFoundError, match="make data"):
        ap.load_data("cifar10")


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"x_train": np.zeros((40, 8, 8, 4), np.uint8)}, ValueError, r"x_train .* \(40, 8, 8, 4\)"),
        ({"x_train": np.zeros((40, 64), np.uint8)}, ValueError, r"x_train .* \(40, 64\)"),
        ({"x_test": np.zeros((8, 9, 9, 3), np.uint8)}, ValueError, "x_train and x_test"),
        ({"x_train": np.zeros((40, 8, 8, 3), np.float32)}, TypeError, "x_train must be uint8.*float32"),
        ({"x_test": np.zeros((0, 8, 8, 3), np.uint8)}, ValueError, "x_test"),
        ({"y_train": np.zeros(39, int)}, ValueError, r"y_train .*\(39,\)"),
        ({"y_train": np.zeros(40, float)}, TypeError, "y_train must hold whole numbers.*float64"),
        ({"y_test": np.arange(8) - 1}, ValueError, "y_test must lie between 0 and"),
        ({"class_names": np.array(["a", "b"])}, ValueError, "y_train must lie between 0 and 1.*got 0 to 3"),
        ({"name": "cifar10"}, ValueError, "50,000"),
        ({"class_names": np.array("abcd")}, ValueError, "class_names"),
        ({"y_test": np.array([0, 1, 2, 3, 0, 1, 2, 255])}, ValueError, "y_test must lie between 0 and 3.*got 0 to 255"),
    ],
)
def test_unusable_arrays_are_named(tmp_path, changes, error, says):
    with pytest.raises(error, match=says):
        ap.load_data(write(tmp_path / "bad.npz", **changes))


def test_missing_array_missing_file_and_unknown_source(tmp_path):
    np.savez(tmp_path / "part.npz", x_train=arrays()["x_train"])
    with pytest.raises(ValueError, match="lacks y_train, x_test, y_test"):
        ap.load_data(tmp_path / "part.npz")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        ap.load_data(tmp_path / "nowhere.npz")
    with pytest.raises(ValueError, match="'mnist'"):
        ap.load_data("mnist")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_truncated_file_is_called_damaged(tmp_path, share):
    path = write(tmp_path / "cut.npz")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match="cut short or damaged"):
        ap.load_data(path)


def test_pickled_objects_are_refused(tmp_path):
    with pytest.raises(ValueError, match="damaged"):
        ap.load_data(write(tmp_path / "pickle.npz", x_train=np.array([object()], dtype=object)))


def test_unknown_part_is_named(tiny_data):
    with pytest.raises(ValueError, match="'training'"):
        tiny_data.part("training")


def test_a_subset_has_the_first_images_of_a_part_and_the_same_normalisation(tiny_data):
    few = tiny_data.subset(train=5, test=7)
    assert [len(part.labels) for part in (few.train, few.validation, few.test)] == [5, len(tiny_data.validation.labels), 7]
    assert torch.equal(few.train.images, tiny_data.train.images[:5]) and torch.equal(few.mean, tiny_data.mean)
    assert torch.equal(few.normalize(few.train.images), tiny_data.normalize(few.train.images))
    assert len(tiny_data.train.labels) == 54, "the original stays whole"
    with pytest.raises(ValueError, match="train must be between 1 and 54, the number of its images, got 55"):
        tiny_data.subset(train=55)
    with pytest.raises(ValueError, match="'exam'"):
        tiny_data.subset(exam=1)


def test_a_sample_is_drawn_from_the_training_part_without_repetition(tiny_data):
    few, same = (tiny_data.sample(10, torch.Generator().manual_seed(seed)) for seed in (0, 0))
    assert torch.equal(few.images, same.images) and len(few.labels) == 10
    distances = (few.images[:, None].float() - tiny_data.train.images[None].float()).flatten(2).abs().sum(dim=2)
    places = distances.argmin(dim=1)
    assert (distances.min(dim=1).values == 0).all() and len(places.unique()) == 10
    assert torch.equal(few.labels, tiny_data.train.labels[places]) and places.tolist() != sorted(places.tolist())
    assert len(tiny_data.sample(1000, torch.Generator()).labels) == len(tiny_data.train.labels)
    with pytest.raises(ValueError, match="num_images must be at least 1, got 0"):
        tiny_data.sample(0, torch.Generator())


def test_no_other_data_pass_for_the_embedded_set(tmp_path):
    images, labels = np.zeros((10, 28, 28), np.uint8), np.arange(10) % 2
    path = tmp_path / "shapes.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(ValueError, match="name must not be 'shapes', which is the embedded set"):
        ap.load_data(path, announce=False)
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels, name="own shapes")
    assert ap.load_data(path, announce=False).name == "own shapes"
