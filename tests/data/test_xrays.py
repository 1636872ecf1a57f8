import hashlib
import io

import numpy as np
import pytest
import torch

from attnprune_edu.data.augmentation import crop
from attnprune_edu.data.download import DownloadError
from attnprune_edu.data.xrays import OFFICIAL, download_xrays, load_xrays


def arrays(counts=(8, 4, 6)):
    random = np.random.default_rng(0)
    found = {}
    for part, count in zip(("train", "val", "test"), counts, strict=True):
        found[f"{part}_images"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        found[f"{part}_labels"] = (np.arange(count, dtype=np.uint8) % 2)[:, None]
    return found


def write(path, **changes):
    np.savez(path, **(arrays() | changes))
    return path


def test_xrays_keep_their_parts_and_are_shifted_but_never_mirrored(tmp_path, capsys):
    data = load_xrays(write(tmp_path / "few.npz"))
    line = capsys.readouterr().out
    assert "few (8 / 4 / 6 " in line and "CC BY 4.0" in line and "not fit for any medical decision" in line
    assert data.class_names == ("normal", "pneumonia") and data.image_shape == (1, 28, 28)
    for part, name in ((data.train, "train"), (data.validation, "val"), (data.test, "test")):
        assert (part.images[:, 0].numpy() == arrays()[f"{name}_images"]).all()
        assert (part.labels.numpy() == arrays()[f"{name}_labels"][:, 0]).all() and part.labels.dtype == torch.int64
    assert data.augment is crop


def test_only_the_official_file_is_called_xrays(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNPRUNE_XRAYS", str(write(tmp_path / "all.npz", **arrays(OFFICIAL))))
    assert load_xrays(announce=False).name == "xrays"
    assert load_xrays(write(tmp_path / "some.npz"), announce=False).name == "some", "a path goes before the variable"


def test_a_downloaded_file_is_found(tmp_path, serve):
    with pytest.raises(FileNotFoundError, match="attnprune-edu data xrays"):
        load_xrays()
    file = io.BytesIO()
    np.savez(file, **arrays(OFFICIAL))
    url, cache = serve("pneumoniamnist.npz", file.getvalue()), tmp_path / "cache"
    with pytest.raises(DownloadError, match="wrong checksum"):
        download_xrays(cache, urls=[url], progress=False)
    checksum = "md5:" + hashlib.md5(file.getvalue()).hexdigest()
    assert download_xrays(cache, urls=[url], checksum=checksum, progress=False).parent == cache
    assert len(load_xrays(announce=False).train.labels) == 4_708


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"val_images": np.zeros((4, 28), np.uint8)}, ValueError, r"val_images .*\(4, 28\)"),
        ({"test_images": np.zeros((6, 28, 28))}, TypeError, "test_images must be uint8.*float64"),
        ({"train_labels": np.full((8, 1), 2)}, ValueError, "train_labels must lie between 0 and 1.*got 2 to 2"),
        ({"train_labels": np.zeros(7, int)}, ValueError, r"train_labels .*\(7,\)"),
    ],
)
def test_unusable_arrays_are_named(tmp_path, changes, error, says):
    with pytest.raises(error, match=says):
        load_xrays(write(tmp_path / "bad.npz", **changes))


def test_a_file_without_its_arrays_says_which(tmp_path):
    np.savez(tmp_path / "part.npz", train_images=np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(ValueError, match="lacks train_labels, val_images, val_labels, test_images, test_labels"):
        load_xrays(tmp_path / "part.npz")


def test_real_xrays(shared_data):
    data = load_xrays(shared_data("pneumoniamnist_balanced.npz"), announce=False)
    assert data.name == "pneumoniamnist_balanced" and [len(data.part(p).labels) for p in ("train", "test")] == [2_428, 468]
    assert data.train.labels.bincount().tolist() == [1_214, 1_214]
