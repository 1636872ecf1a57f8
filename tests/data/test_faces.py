import hashlib
import io

import numpy as np
import pytest
import scipy.io
import torch

import attnprune_edu as ap
from attnprune_edu.data import drawn_faces
from attnprune_edu.data.faces import download_faces, from_pictures, load_faces


@pytest.fixture(scope="module")
def drawn():
    return load_faces("drawn", announce=False)


def marked(people=8, pictures=10, side=6):
    """Pictures whose first two pixels tell the person and the picture."""
    labels = np.arange(people).repeat(pictures)
    images = np.zeros((len(labels), side, side), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = labels, np.tile(np.arange(pictures), people)
    return images, labels


def test_a_quarter_of_the_people_is_never_trained_on_and_no_picture_is_in_two_parts():
    data = from_pictures(*marked(), name="marked")
    assert [len(data.part(name).labels) for name in ("train", "validation", "test")] == [30, 12, 18]
    assert data.class_names == tuple(f"person {number}" for number in range(2, 8))
    seen = []
    for name in ("train", "validation", "test"):
        images, labels = data.part(name)
        assert torch.equal(images[:, 0, 0, 0].long() - 2, labels), "labels follow the person"
        assert len(set(labels.bincount().tolist())) == 1, "as many pictures of each"
        seen += [tuple(corner) for corner in images[:, 0, 0, :2].tolist()]
    assert len(set(seen)) == len(seen) == 60
    assert set(data.unseen.images[:, 0, 0, 0].tolist()) == {0, 1} and data.unseen.labels.bincount().tolist() == [10, 10]
    assert "Beside them, 20 images of 2 people" in str(data)
    again, few = from_pictures(*marked(), name="again"), data.subset(train=3)
    assert torch.equal(again.train.images, data.train.images), "the same split for everybody"
    assert torch.equal(few.unseen.images, data.unseen.images)


@pytest.mark.parametrize("people", [4, 5])
def test_there_are_two_strangers_at_least(people):
    data = from_pictures(*marked(people), name="few")
    assert len(data.unseen.labels.unique()) == 2 and len(data.class_names) == people - 2


@pytest.mark.parametrize(
    ("people", "pictures", "says"), [(3, 10, r"at least 4 people .* got \[10, 10, 10\]"), (4, 4, "at least 5 pictures")]
)
def test_too_few_faces_are_refused(people, pictures, says):
    with pytest.raises(ValueError, match=says):
        from_pictures(*marked(people, pictures), name="few")


def test_which_faces_are_taken(monkeypatch, tmp_path, capsys):
    assert load_faces().name == "drawn" and "WARNING: these people do not exist" in capsys.readouterr().out
    images, labels = marked()
    np.savez(tmp_path / "own.npz", images=images, labels=labels, note="drawn by hand")
    monkeypatch.setenv("ATTNPRUNE_FACES", str(tmp_path / "own.npz"))
    assert load_faces().name == "own" and "drawn by hand" in capsys.readouterr().out
    assert load_faces("drawn", announce=False).name == "drawn" and capsys.readouterr().out == ""
    for name in ("drawn", "olivetti"):
        np.savez(tmp_path / "false.npz", images=images, labels=labels, name=name)
        with pytest.raises(ValueError, match=f"'{name}'"):
            load_faces(tmp_path / "false.npz")
    with pytest.raises(ValueError, match=r"source must be 'auto', 'drawn', 'olivetti' or the path .*, got 'lfw'"):
        load_faces("lfw")
    with pytest.raises(FileNotFoundError, match="attnprune-edu data faces"):
        load_faces("olivetti")


def test_the_downloaded_file_is_read_upright(tmp_path, serve):
    pictures = np.zeros((400, 64, 64), np.uint8)
    pictures[:, :, 0] = np.arange(64)  # down the left side it grows lighter
    pictures[:, 0, 63] = np.arange(400) // 10
    file = io.BytesIO()
    scipy.io.savemat(file, {"faces": pictures.transpose(0, 2, 1).reshape(400, -1).T})
    content, cache = file.getvalue(), tmp_path / "cache"
    download_faces(cache, urls=[serve("f.mat", content)], sha256=hashlib.sha256(content).hexdigest(), progress=False)
    data = load_faces(announce=False)
    assert (data.name, data.image_shape, len(data.class_names)) == ("olivetti", (1, 64, 64), 30)
    assert (data.train.images[:, 0, :, 0] == torch.arange(64)).all()
    assert torch.equal(data.train.images[:, 0, 0, 63].long() - 10, data.train.labels)
    (cache / "olivettifaces.mat").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="is damaged"):
        load_faces("olivetti")


def test_drawn_people_differ_more_than_the_pictures_of_one(drawn):
    assert drawn.image_shape == (1, 64, 64) and len(drawn.class_names) == 45
    images = torch.cat([drawn.train.images, drawn.test.images]).flatten(1).float()
    labels = torch.cat([drawn.train.labels, drawn.test.labels])
    assert len(images.unique(dim=0)) == len(images), "no picture twice"
    distances = torch.cdist(images, images)
    same = labels[:, None] == labels
    assert distances[same].mean() < 0.95 * distances[~same].mean()
    images, _ = drawn_faces.draw(2, 3, seed=1)
    assert images.shape == (6, 64, 64) and images.min() < 60 and images.max() > 180
    assert not (drawn_faces.draw(2, 3, seed=2)[0] == images).all()
    with pytest.raises(ValueError, match="got people=0, pictures=3"):
        drawn_faces.draw(0, 3)


def test_drawn_people_are_the_same_everywhere():
    images, labels = drawn_faces.draw(3, 2)
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert images.mean(axis=(1, 2)) == pytest.approx([151.54, 76.75, 126.44, 92.72, 153.29, 109.30], abs=0.02)


def test_real_faces(shared_data):
    data = load_faces(shared_data("att_faces.npz"), announce=False)
    assert (data.name, data.image_shape, len(data.unseen.labels)) == ("att_faces", (1, 112, 92), 100)
    assert isinstance(data, ap.FaceData) and len(data.test.labels) == 90
