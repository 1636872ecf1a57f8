"""Spoken digits as pictures: the Free Spoken Digit Dataset, six people who say each digit fifty times.

Z. Jackson and others, https://github.com/Jakobovski/free-spoken-digit-dataset, version 1.0.10, CC BY-SA 4.0.
"""

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from .images import ImageData, Images, cache_folder, check_images, check_labels, downloaded, read_npz, source_of

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
RECORDINGS = 50  # of each digit by each speaker
TEST, VALIDATION = 5, 5  # recordings 0–4, which the data set's authors call the test set, and 5–9, which we hold back

SOURCES = (
    "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.zip",
    "https://codeload.github.com/Jakobovski/free-spoken-digit-dataset/zip/refs/tags/v1.0.10",
)
# The host packs the archive when it is asked for. `TZ=America/Los_Angeles git archive --format=zip
# --prefix=free-spoken-digit-dataset-1.0.10/ v1.0.10` in a clone gives the same bytes.
SHA256 = "c680098f5d2355ba7cc4bd8b0ca9e0a24c00ebe3b4c552208889a4d28d4fbc2b"

RATE = 8_000  # samples per second
FRAME, HOP, FRAMES = 256, 128, 48  # samples: frames of 32 ms every 16 ms, and the first 0.78 s of a recording
BANDS, LOWEST = 40, 50.0  # mel bands from so many Hz up to half of the rate
SILENT, LOUD = -60.0, 33.3  # dB that become 0 and 255; the loudest band of all recordings has 33.26


def load_digits(
    path: str | Path | None = None, *, speakers: Iterable[str] | None = None, announce: bool = True
) -> ImageData:
    """Load the spoken digits as log-mel pictures, and say so in one line (``announce``).

    ``path``: an ``.npz`` as ``download_digits`` writes it; by default the one that the environment variable
    ``ATTNPRUNE_DIGITS`` names, else the one in the cache folder. ``speakers``: take the recordings of these people only.

    Pictures are uint8 (N, 1, 40 mel bands from low to high, 48 frames of 32 ms every 16 ms); a shorter recording ends in
    black, which is silence. Recordings 0–4 of each digit and speaker are the test part, as usual, 5–9 are for validation.

    Raises FileNotFoundError where there is no such file, and ValueError where it cannot be used or for unknown speakers.
    """
    advice = "Fetch them with `attnprune-edu data digits`"
    source = source_of(path or "auto", "ATTNPRUNE_DIGITS", lambda: downloaded(_cached(), "the spoken digits are", advice))
    needed = ("images", "labels", "speaker", "index")
    found = read_npz(Path(source), needed, given="as path or in ATTNPRUNE_DIGITS")
    images = check_images("images", found["images"])
    labels = check_labels("labels", found["labels"], len(images), range(10))
    speaker = check_labels("speaker", found["speaker"], len(images), SPEAKERS)
    index = check_labels("index", found["index"], len(images), range(RECORDINGS))

    speakers = SPEAKERS if speakers is None else tuple(speakers)
    if not speakers or not set(speakers) <= set(SPEAKERS):
        raise ValueError(f"speakers must be one or more of {', '.join(SPEAKERS)}, got {list(speakers)}")
    heard = torch.isin(speaker, torch.tensor([SPEAKERS.index(name) for name in speakers]))
    parts = {
        "test": heard & (index < TEST),
        "validation": heard & (index >= TEST) & (index < TEST + VALIDATION),
        "train": heard & (index >= TEST + VALIDATION),
    }
    if empty := [name for name, these in parts.items() if not these.any()]:
        raise ValueError(f"the recordings of {', '.join(speakers)} must be in each part, got none for {', '.join(empty)}")
    data = ImageData(
        name="digits",
        class_names=tuple("0123456789"),
        **{name: Images(images[these], labels[these]) for name, these in parts.items()},
        note=f"Log-mel pictures of the Free Spoken Digit Dataset (CC BY-SA 4.0), spoken by {', '.join(speakers)}.",
        augment=None,  # neither sounds backwards nor in other pitches
    )
    if announce:
        print(data)
    return data


def has_digits() -> bool:
    """Are the spoken digits in the cache folder?"""
    return _cached().is_file()


def download_digits(folder: Path, *, urls: Sequence[str] = SOURCES, sha256: str = SHA256, progress: bool = True) -> Path:
    """Download the recordings (16 MB), turn them into pictures, and return the ``.npz`` in ``folder`` that holds them.

    It has ``images`` uint8 (N, 40, 48), and for each its digit (``labels``), its ``speaker``, a number in ``SPEAKERS``, and
    its ``index``, 0–49, all uint8 (N,). ``urls``, ``sha256`` and ``progress``: as for ``fetch``. The archive is not kept.

    Raises DownloadError if no source delivered the archive, ValueError if it holds other recordings than it should, and
    ImportError where librosa is missing, which computes the pictures.
    """
    from .download import fetch, one_process_at_a_time  # here, for who loads data need not be able to download any

    _librosa()  # if it is missing, that should show before minutes of downloading
    finished = Path(folder) / _cached().name
    archive = finished.with_name("free-spoken-digit-dataset.zip")
    finished.parent.mkdir(parents=True, exist_ok=True)
    with one_process_at_a_time(Path(f"{finished}.lock")):
        if not finished.is_file():
            fetch(urls, archive, sha256, progress=progress)
            unfinished = finished.with_suffix(".part.npz")
            np.savez_compressed(unfinished, **pictures_of(archive))
            unfinished.replace(finished)
            archive.unlink()
    return finished


def pictures_of(archive: Path) -> dict[str, np.ndarray]:
    """The arrays of the ``.npz`` that ``download_digits`` writes, from the recordings in ``archive``.

    Raises ValueError unless it has fifty recordings of each digit by each speaker, at 8,000 samples per second.
    """
    recordings = {}
    with zipfile.ZipFile(archive) as files:
        for name in files.namelist():
            if name.endswith(".wav") and "/recordings/" in name:
                digit, speaker, index = Path(name).stem.split("_")
                with files.open(name) as file:
                    recordings[int(digit), speaker, int(index)] = _samples(file)
    expected = {(digit, speaker, index) for digit in range(10) for speaker in SPEAKERS for index in range(RECORDINGS)}
    if recordings.keys() != expected:
        raise ValueError(
            f"{archive} must hold recordings 0–{RECORDINGS - 1} of each digit by {', '.join(SPEAKERS)}; "
            f"it lacks {len(expected - recordings.keys())} and has {len(recordings.keys() - expected)} others"
        )
    order = sorted(recordings)
    digits, speakers, indices = zip(*order, strict=True)
    return {
        "images": log_mel(np.stack([recordings[key] for key in order])),
        "labels": np.array(digits, np.uint8),
        "speaker": np.array([SPEAKERS.index(name) for name in speakers], np.uint8),
        "index": np.array(indices, np.uint8),
    }


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Turn ``samples`` (N, length), −1 to 1, 8,000 per second, into uint8 log-mel pictures (N, 40, frames).

    Decibels of the power in each mel band (the scale of HTK, triangles of height 1) within a Hann window.
    """
    power = _librosa().feature.melspectrogram(
        y=samples, sr=RATE, n_fft=FRAME, hop_length=HOP, center=False, n_mels=BANDS, fmin=LOWEST, htk=True, norm=None
    )
    decibels = _librosa().power_to_db(power, amin=10 ** (SILENT / 10), top_db=None)
    return np.rint(255 * (decibels - SILENT) / (LOUD - SILENT)).clip(0, 255).astype(np.uint8)


def _samples(file: BinaryIO) -> np.ndarray:
    """The first 0.78 s of a recording, float32 (6,272,); silence at the end of a shorter one."""
    import soundfile  # comes with librosa

    samples, rate = soundfile.read(file, dtype="float32")
    if rate != RATE or samples.ndim != 1:
        raise ValueError(f"recordings must be mono at {RATE} samples per second, got {samples.shape} at {rate}")
    return _librosa().util.fix_length(samples, size=FRAME + HOP * (FRAMES - 1))


def _librosa():
    try:
        import librosa
    except ImportError as error:
        raise ImportError("librosa turns sound into pictures; install it: pip install 'attnprune-edu[audio]'") from error
    return librosa


def _cached() -> Path:
    return cache_folder() / "spoken-digits.npz"
