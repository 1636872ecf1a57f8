"""Faces, for telling known people apart and for saying whether two pictures of strangers show the same one.

Either drawn ones, which ship with the course (``drawn_faces``), or real ones: *The Database of Faces* of AT&T Laboratories
Cambridge, also called Olivetti or ORL, ten pictures of each of forty people, free for research with this credit: F. Samaria
and A. Harter, *Parameterisation of a stochastic model for human face identification*, WACV 1994. Cropped by S. Roweis.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from . import drawn_faces
from .images import ImageData, Images, cache_folder, check_images, check_labels, downloaded, read_npz, source_of

SOURCES = ("https://ndownloader.figshare.com/files/5976027", "https://cs.nyu.edu/~roweis/data/olivettifaces.mat")
SHA256 = "b612fb967f2dc77c9c62d3e1266e0c73d5fca46a4b8906c18e454d41af987794"  # as in scikit-learn's fetch_olivetti_faces

UNSEEN_SHARE = 0.25  # of the people, the first ones
TRAIN_SHARE, VALIDATION_SHARE = 0.5, 0.2  # of the pictures of every other person
DRAWN_PEOPLE, DRAWN_PICTURES = 60, 16
OLIVETTI = (400, 64, 64)


@dataclass(frozen=True, repr=False)
class FaceData(ImageData):
    """Pictures of known people in three parts, whose class is the person, and ``unseen``: ``Images`` of people in none.

    ``unseen.labels`` number these people from 0; two pictures with the same label show the same person.
    """

    unseen: Images = field(kw_only=True)

    def __str__(self) -> str:
        pictures, people = len(self.unseen.labels), len(self.unseen.labels.unique())
        return f"{super().__str__()} Beside them, {pictures} images of {people} people who are in none of these parts."


def load_faces(source: str | Path = "auto", *, announce: bool = True) -> FaceData:
    """Load faces, and say so in one line (``announce``).

    ``source`` is ``"drawn"`` (60 people who do not exist), ``"olivetti"`` (the Database of Faces, 64×64 pixels, from the
    cache folder), the path of an ``.npz`` with ``images`` uint8 (N, height, width), ``labels`` and perhaps a ``name`` and a
    ``note``, or ``"auto"``: what the environment variable ``ATTNPRUNE_FACES`` names, if it is set; else real faces if they
    are on this machine; else drawn ones.

    The first quarter of the people are ``unseen``. Of the pictures of every other one, half are for training, a fifth for
    validation and the rest for the test, drawn with a fixed seed.

    Raises FileNotFoundError where nothing lies at the source, and TypeError or ValueError where it cannot be used.
    """
    source = source_of(source, "ATTNPRUNE_FACES", lambda: "olivetti" if has_faces() else "drawn")
    if source == "drawn":
        data = from_pictures(
            *_drawn(),
            name="drawn",
            note=(
                "WARNING: these people do not exist, formulas drew them; figures say nothing about photographs. "
                "`attnprune-edu data faces` fetches real ones."
            ),
        )
    elif source == "olivetti":
        data = from_pictures(*_olivetti(), name="olivetti", note="The Database of Faces, AT&T Laboratories Cambridge.")
    elif source.endswith(".npz"):
        path = Path(source)
        found = read_npz(path, ("images", "labels"), ("name", "note"), given="as source or in ATTNPRUNE_FACES")
        name, note = str(found.get("name", path.stem)), str(found.get("note", ""))
        if name == "drawn":
            raise ValueError("name must not be 'drawn', which are the embedded faces, with a network of their own")
        if name == "olivetti" and found["images"].shape != OLIVETTI:
            raise ValueError(f"faces called 'olivetti' must be {OLIVETTI}, got {found['images'].shape}; give another name")
        data = from_pictures(found["images"], found["labels"], name=name, note=note)
    else:
        raise ValueError(
            f"source must be 'auto', 'drawn', 'olivetti' or the path of an .npz file, got {source!r} "
            "(given as an argument or in ATTNPRUNE_FACES)"
        )
    if announce:
        print(data)
    return data


def from_pictures(images: np.ndarray, labels: np.ndarray, *, name: str, note: str = "") -> FaceData:
    """Build a ``FaceData`` from ``images`` uint8 (N, height, width) and ``labels`` (N,), a number from 0 for each person.

    The first quarter of the people, at least two, are ``unseen``. Raises TypeError or ValueError where they cannot be used:
    at least 4 people with at least 5 pictures of each.
    """
    images = check_images("images", images)
    labels = np.asarray(labels)
    people = int(labels.max()) + 1 if labels.size and labels.dtype.kind in "iu" else 0
    labels = check_labels("labels", labels, len(images), range(people))
    if people < 4 or labels.bincount(minlength=people).min() < 5:
        raise ValueError(
            "labels must show at least 4 people and at least 5 pictures of each, "
            f"got {labels.bincount(minlength=people).tolist()}"
        )
    strangers = max(2, round(UNSEEN_SHARE * people))  # one alone has nobody to be told from
    generator = torch.Generator().manual_seed(0)
    parts = ([], [], [])
    for person in range(strangers, people):
        own = torch.nonzero(labels == person).flatten()
        own = own[torch.randperm(len(own), generator=generator)]
        train, validation = round(TRAIN_SHARE * len(own)), round(VALIDATION_SHARE * len(own))
        for part, chosen in zip(parts, own.split([train, validation, len(own) - train - validation]), strict=True):
            part.append(chosen)
    chosen = [torch.cat(part) for part in parts]
    unseen = labels < strangers
    return FaceData(
        name,
        tuple(f"person {person}" for person in range(strangers, people)),
        *(Images(images[these], labels[these] - strangers) for these in chosen),
        note=note,
        unseen=Images(images[unseen], labels[unseen]),
    )


def has_faces() -> bool:
    """Is the Database of Faces in the cache folder?"""
    return _cached().is_file()


def download_faces(folder: Path, *, urls: Sequence[str] = SOURCES, sha256: str = SHA256, progress: bool = True) -> Path:
    """Download the Database of Faces, 400 pictures of 40 people, into ``folder``, and return the path of the file.

    The arguments and errors are those of ``fetch``.
    """
    from .download import fetch  # here, for who loads data need not be able to download any

    return fetch(urls, Path(folder) / _cached().name, sha256, progress=progress)


@functools.cache  # to draw them takes a second, and a lesson asks for them more than once
def _drawn() -> tuple[np.ndarray, np.ndarray]:
    return drawn_faces.draw(DRAWN_PEOPLE, DRAWN_PICTURES)


def _olivetti() -> tuple[np.ndarray, np.ndarray]:
    """The 400 pictures, and who they show: ten of one person after the other."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    advice = "Fetch it with `attnprune-edu data faces`, or use drawn faces: load_faces('drawn')."
    file = downloaded(_cached(), "the Database of Faces is", advice)
    try:
        columns = loadmat(file)["faces"]  # uint8 (pixels, pictures); MATLAB counts pixels down each column first
        images = np.ascontiguousarray(columns.T.reshape(OLIVETTI).transpose(0, 2, 1)).astype(np.uint8)
    except (MatReadError, KeyError, OSError, TypeError, ValueError) as error:
        raise ValueError(f"{file} is damaged ({error}). Delete it and run `attnprune-edu data faces`.") from error
    return images, np.arange(len(images)) // 10


def _cached() -> Path:
    return cache_folder() / "olivettifaces.mat"
