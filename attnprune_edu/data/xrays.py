"""Chest X-rays of children with and without pneumonia: PneumoniaMNIST, 28×28 pixels.

J. Yang and others, *MedMNIST v2*, Scientific Data, 2023; CC BY 4.0. From D. Kermany and others, *Identifying Medical
Diagnoses and Treatable Diseases by Image-Based Deep Learning*, Cell, 2018.
"""

from collections.abc import Sequence
from pathlib import Path

from .augmentation import crop
from .images import ImageData, Images, cache_folder, check_images, check_labels, downloaded, read_npz, source_of

CLASS_NAMES = ("normal", "pneumonia")
OFFICIAL = (4_708, 524, 624)  # pictures for training, validation, test

SOURCES = (
    "https://zenodo.org/records/10519652/files/pneumoniamnist.npz?download=1",
    "https://zenodo.org/record/6496656/files/pneumoniamnist.npz?download=1",
)
CHECKSUM = "md5:28209eda62fecd6e6a2d98b1501bb15f"  # as in `medmnist.INFO`, version 3.0.2


def load_xrays(path: str | Path | None = None, *, announce: bool = True) -> ImageData:
    """Load the chest X-rays, and say so in one line (``announce``). Class 1 is pneumonia.

    ``path``: an ``.npz`` of MedMNIST (``train_images`` uint8 (N, 28, 28), ``train_labels``, and likewise ``val_…`` and
    ``test_…``); by default the one that the environment variable ``ATTNPRUNE_XRAYS`` names, else the one in the cache
    folder. The official 4,708 / 524 / 624 pictures are called ``xrays``, any others as their file.

    Raises FileNotFoundError where there is no such file, and TypeError or ValueError where it cannot be used.
    """
    advice = "Fetch them with `attnprune-edu data xrays`"
    source = source_of(path or "auto", "ATTNPRUNE_XRAYS", lambda: downloaded(_cached(), "the X-rays are", advice))
    needed = [f"{part}_{kind}" for part in ("train", "val", "test") for kind in ("images", "labels")]
    found = read_npz(Path(source), needed, given="as path or in ATTNPRUNE_XRAYS")
    parts = []
    for part in ("train", "val", "test"):
        images = check_images(f"{part}_images", found[f"{part}_images"])
        parts.append(Images(images, check_labels(f"{part}_labels", found[f"{part}_labels"], len(images), CLASS_NAMES)))
    data = ImageData(
        "xrays" if tuple(len(part.labels) for part in parts) == OFFICIAL else Path(source).stem,
        CLASS_NAMES,
        *parts,
        note="Chest X-rays from MedMNIST (CC BY 4.0), far too small for a physician: not fit for any medical decision.",
        augment=crop,  # mirrored, the heart would be on the right
    )
    if announce:
        print(data)
    return data


def has_xrays() -> bool:
    """Are the X-rays in the cache folder?"""
    return _cached().is_file()


def download_xrays(folder: Path, *, urls: Sequence[str] = SOURCES, checksum: str = CHECKSUM, progress: bool = True) -> Path:
    """Download MedMNIST's file of X-rays (4 MB) into ``folder``, and return its path.

    The arguments and errors are those of ``fetch``.
    """
    from .download import fetch  # here, for who loads data need not be able to download any

    return fetch(urls, Path(folder) / _cached().name, checksum, progress=progress)


def _cached() -> Path:
    return cache_folder() / "pneumoniamnist.npz"
