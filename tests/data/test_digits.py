import hashlib
import io
import sys
import wave
import zipfile

import numpy as np
import pytest
import torch

from attnprune_edu.data import digits
from attnprune_edu.data.digits import SPEAKERS, download_digits, load_digits, log_mel, pictures_of


def arrays():
    """A picture for each of the 3,000 recordings, whose first three pixels tell which it is."""
    digit, speaker, index = (axis.flatten().astype(np.uint8) for axis in np.indices((10, 6, 50)))
    images = np.zeros((3_000, 40, 48), np.uint8)
    images[:, 0, :3] = np.stack([digit, speaker, index], axis=1)
    return {"images": images, "labels": digit, "speaker": speaker, "index": index}


@pytest.fixture
def npz(tmp_path, monkeypatch):
    np.savez(tmp_path / "digits.npz", **arrays())
    monkeypatch.setenv("ATTNPRUNE_DIGITS", str(tmp_path / "digits.npz"))


def test_recordings_are_split_by_their_number_and_keep_their_label(npz, capsys):
    data = load_digits()
    line = capsys.readouterr().out
    assert "digits (2,400 / 300 / 300 " in line and "CC BY-SA 4.0" in line and "george" in line
    assert data.augment is None and data.image_shape == (1, 40, 48)
    for name, numbers in (("test", range(5)), ("validation", range(5, 10)), ("train", range(10, 50))):
        images, labels = data.part(name)
        shown, speaker, index = images[:, 0, 0, :3].long().unbind(dim=1)
        assert torch.equal(shown, labels) and set(index.tolist()) == set(numbers)
        assert speaker.bincount().tolist() == [10 * len(numbers)] * 6


def test_speakers_can_be_chosen(npz):
    data = load_digits(speakers=["theo", "lucas"], announce=False)
    assert set(data.test.images[:, 0, 0, 1].tolist()) == {SPEAKERS.index("lucas"), SPEAKERS.index("theo")}
    assert len(data.train.labels) == 800
    for speakers in ([], ["theo", "anna"]):
        with pytest.raises(ValueError, match=r"speakers must be one or more of george, .*, got "):
            load_digits(speakers=speakers)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"images": np.zeros((3_000, 40), np.uint8)}, ValueError, "images must hold"),
        ({"speaker": np.full(3_000, 6)}, ValueError, "speaker must lie between 0 and 5"),
        ({"index": np.full(3_000, 50)}, ValueError, "index must lie between 0 and 49"),
        ({"index": np.full(3_000, 4)}, ValueError, "must be in each part, got none for validation, train"),
    ],
)
def test_unusable_arrays_are_named(tmp_path, changes, error, says):
    np.savez(tmp_path / "bad.npz", **arrays() | changes)
    with pytest.raises(error, match=says):
        load_digits(tmp_path / "bad.npz")


def test_absent_digits_say_how_to_get_them():
    with pytest.raises(FileNotFoundError, match="attnprune-edu data digits"):
        load_digits()


# --- From sound to pictures -----------------------------------------------------------------------


def tone(hertz, seconds=0.5, rate=8_000):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


def recording(samples, rate=8_000, channels=1):
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((channels, 2, rate, 0, "NONE", ""))
        sound.writeframes((32_767 * samples).astype("<i2").tobytes())
    return file.getvalue()


def archive(monkeypatch, speakers=("george", "theo"), recordings=2, **changes):
    """An archive of tones: the digit tells the pitch, the recording how long it sounds. ``changes``: {name: its bytes}."""
    monkeypatch.setattr(digits, "SPEAKERS", speakers)
    monkeypatch.setattr(digits, "RECORDINGS", recordings)
    sounds = {
        f"{digit}_{speaker}_{index}": recording(tone(200 + 300 * digit, 0.2 + 0.4 * index))
        for digit in range(10)
        for speaker in speakers
        for index in range(recordings)
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("digits-1.0/README.md", "no recording")
        for name, content in (sounds | changes).items():
            packed.writestr(f"digits-1.0/recordings/{name}.wav", content)
    return file.getvalue()


def test_recordings_become_pictures_in_which_pitch_and_length_show(monkeypatch, tmp_path, serve):
    pytest.importorskip("librosa", reason="pip install 'attnprune-edu[audio]'")
    content = archive(monkeypatch)
    url, checksum = serve("digits.zip", content), hashlib.sha256(content).hexdigest()
    path = download_digits(tmp_path / "cache", urls=[url], sha256=checksum, progress=False)
    assert [file.name for file in path.parent.iterdir()] == ["spoken-digits.npz"], "the archive is not kept"
    assert download_digits(tmp_path / "cache", urls=[], progress=False) == path, "what is there is not fetched again"
    with np.load(path) as found:
        images, labels, speaker, index = (found[name] for name in ("images", "labels", "speaker", "index"))
    assert images.shape == (40, 40, 48) and images.dtype == np.uint8
    assert labels.tolist() == [digit for digit in range(10) for _ in range(4)]
    assert speaker.tolist() == 10 * [0, 0, 1, 1] and index.tolist() == 20 * [0, 1]
    pitch = images[:, :, 3].argmax(axis=1)
    assert (np.diff(pitch[::4]) > 0).all(), "a higher tone, a higher band"
    sounding = (images.max(axis=1) > 30).sum(axis=1)
    assert set(sounding[index == 0]) == {13} and set(sounding[index == 1]) == {38}, "0.2 s and 0.6 s in steps of 16 ms"
    assert (images[index == 0][:, :, 20:] == 0).all(), "silence is black"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"3_theo_7": recording(tone(300))}, "lacks 0 and has 1 others"),
        ({"3_theo_1": recording(tone(300), rate=16_000)}, r"mono at 8000 samples per second, got \(4000,\) at 16000"),
        ({"3_theo_1": recording(tone(300), channels=2)}, r"mono at 8000 samples per second, got \(2000, 2\) at 8000"),
    ],
)
def test_other_recordings_are_refused(monkeypatch, tmp_path, changes, says):
    pytest.importorskip("librosa", reason="pip install 'attnprune-edu[audio]'")
    (tmp_path / "digits.zip").write_bytes(archive(monkeypatch, **changes))
    with pytest.raises(ValueError, match=says):
        pictures_of(tmp_path / "digits.zip")


def test_a_tone_of_known_strength_has_the_grey_of_its_decibels():
    pytest.importorskip("librosa", reason="pip install 'attnprune-edu[audio]'")
    full, tenth = log_mel(np.stack([tone(1_000), 0.1 * tone(1_000)]).astype(np.float32)).astype(int)
    loudest = full.max(axis=0) - tenth.max(axis=0)
    assert abs(loudest - 255 * 20 / 93.3).max() <= 1, "a tenth of the amplitude is 20 dB less"


def test_without_librosa_nothing_is_downloaded(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(ImportError, match=r"attnprune-edu\[audio\]"):
        download_digits(tmp_path, urls=["http://127.0.0.1:1/"], progress=False)
    assert list(tmp_path.iterdir()) == []


def test_real_digits(shared_data):
    data = load_digits(shared_data("spoken_digits_logmel.npz"), announce=False)
    assert (data.name, data.image_shape) == ("digits", (1, 40, 48))
    assert data.test.labels.bincount().tolist() == [30] * 10 and data.train.labels.bincount().tolist() == [240] * 10
