"""Image data in memory: CIFAR-10, any ``.npz`` in the Keras layout, or the embedded set of drawn shapes.

Everything is held as uint8 tensors, which is small enough for a laptop (CIFAR-10: 184 MB) and lets a training loop cut its
batches without a data loader. Three parts are kept apart from the start: training images teach, validation images choose,
test images report.
"""

import copy
import os
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from platformdirs import user_cache_path
from torch import Tensor

from . import shapes
from .augmentation import Augmentation, flip_and_crop

CIFAR10_VALIDATION = 5_000  # the last 5,000 of CIFAR-10's 50,000 training images, fixed for all users
OTHER_VALIDATION_SHARE = 0.1  # of any other data set's training images, drawn with a fixed seed
SOURCES = ("auto", "cifar10", "shapes")


class Images(NamedTuple):
    """Pictures and what they show: ``images`` uint8 (N, channels, height, width), ``labels`` int64 (N,)."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class ImageData:
    """A data set in memory, in three parts.

    ``train``, ``validation`` and ``test`` are ``Images``. ``mean`` and ``std`` (channels,) are those of the training part
    on the scale 0–1. ``name`` chooses the checkpoint that fits, ``note`` says what a reader of any figure must know.
    ``augment`` is what training usually does to such images, a function of a batch and a generator; None for nothing.
    """

    each: ClassVar[str] = "images"  # what the parts hold, in words

    name: str
    class_names: tuple[str, ...]
    train: Images
    validation: Images
    test: Images
    note: str = ""
    augment: Augmentation | None = flip_and_crop
    mean: Tensor = field(init=False)
    std: Tensor = field(init=False)

    def __post_init__(self):
        # Counting grey values needs no float copy of the images, which would be four times their size.
        grey = torch.arange(256, dtype=torch.float64) / 255
        channels = self.train.images.transpose(0, 1).flatten(1)
        counts = torch.stack([torch.bincount(channel, minlength=256) for channel in channels])
        share = counts / counts.sum(dim=1, keepdim=True)  # (channels, 256)
        mean = share.double() @ grey
        variance = (share.double() * (grey - mean[:, None]) ** 2).sum(dim=1)
        object.__setattr__(self, "mean", mean.float())
        # A channel that never changes carries nothing; a std of 1 keeps it from turning into NaN.
        object.__setattr__(self, "std", torch.where(variance > 0, variance.sqrt(), 1.0).float())

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of every image."""
        return tuple(self.train.images.shape[1:])

    def normalize(self, images: Tensor) -> Tensor:
        """Turn uint8 images (N, channels, height, width) into the float32 values that networks here are trained on."""
        scale = (255 * self.std).to(images.device)[:, None, None]
        shift = (self.mean / self.std).to(images.device)[:, None, None]
        return images / scale - shift

    def inputs(self, count: int) -> Tensor:
        """``count`` normalised validation images (count, channels, height, width), the first again where they are fewer."""
        images = self.validation.images
        return self.normalize(images[torch.arange(count) % len(images)])

    @property
    def example_inputs(self) -> Tensor:
        """Two normalised validation images (2, channels, height, width): a batch to follow a network with."""
        return self.inputs(2)

    def subset(self, **counts: int) -> "ImageData":
        """Return a copy with only the first images of some parts, such as ``subset(train=1000)``, normalised as before.

        Raises ValueError for an unknown part or a count that is not between 1 and the number of its images.
        """
        smaller = copy.copy(self)
        for name, count in counts.items():
            images, labels = self.part(name)
            if not 1 <= count <= len(labels):
                raise ValueError(f"{name} must be between 1 and {len(labels):,}, the number of its {self.each}, got {count}")
            object.__setattr__(smaller, name, Images(images[:count], labels[:count]))
        return smaller

    def sample(self, num_images: int, generator: torch.Generator) -> Images:
        """Draw ``num_images`` of the training part without repetition, all of them in random order if it has fewer.

        Raises ValueError if ``num_images`` is below 1.
        """
        if num_images < 1:
            raise ValueError(f"num_images must be at least 1, got {num_images}")
        chosen = torch.randperm(len(self.train.labels), generator=generator)[:num_images]
        return Images(self.train.images[chosen], self.train.labels[chosen])

    def part(self, name: str) -> Images:
        """Return the part called ``"train"``, ``"validation"`` or ``"test"``; any other name is a ValueError."""
        if name not in ("train", "validation", "test"):
            raise ValueError(f"split must be 'train', 'validation' or 'test', got {name!r}")
        return getattr(self, name)

    def __str__(self) -> str:
        sizes = " / ".join(f"{len(part.labels):,}" for part in (self.train, self.validation, self.test))
        line = (
            f"Data in use: {self.name} ({sizes} training / validation / test {self.each} of "
            f"{self._size}, {len(self.class_names)} classes)."
        )
        return f"{line} {self.note}".strip()

    @property
    def _size(self) -> str:
        channels, height, width = self.image_shape
        return f"{height}×{width}×{channels}"

    __repr__ = __str__  # the default would print half a million pixels


def load_data(source: str | Path = "auto", *, announce: bool = True) -> ImageData:
    """Load a data set and say in one line which one it is.

    ``source`` is ``"cifar10"`` (from the cache folder), ``"shapes"`` (the embedded set), the path of an ``.npz`` in the
    Keras layout, or ``"auto"``: what the environment variable ``ATTNPRUNE_DATA`` names, if it is set; else CIFAR-10
    if it is on this machine; else the embedded set. ``announce=False`` prints nothing.

    Raises FileNotFoundError where nothing lies at the source, and ValueError where what lies there cannot be used.
    """
    source = source_of(source, "ATTNPRUNE_DATA", lambda: "cifar10" if has_cifar10() else "shapes")
    if source == "cifar10":
        data = _load_cifar10()
    elif source == "shapes":
        data = _load_shapes()
    elif source.endswith(".npz"):
        data = _load_npz(Path(source))
    else:
        raise ValueError(
            f"source must be one of {', '.join(map(repr, SOURCES))} or the path of an .npz file, got {source!r} "
            "(given as an argument or in ATTNPRUNE_DATA)"
        )
    if announce:
        print(data)
    return data


def source_of(source: str | Path, variable: str, otherwise: Callable[[], str | Path]) -> str:
    """``source``, if it is not ``"auto"``; else what the environment variable names, if it is set; else ``otherwise()``."""
    chosen = str(source)
    if chosen == "auto":
        chosen = os.environ.get(variable, "").strip() or "auto"
    return str(otherwise()) if chosen == "auto" else chosen


def cache_folder() -> Path:
    """The folder that holds what was downloaded: ``ATTNPRUNE_CACHE`` if set, else this user's cache folder."""
    chosen = os.environ.get("ATTNPRUNE_CACHE", "").strip()
    return Path(chosen).expanduser() if chosen else user_cache_path("attnprune_edu")


def downloaded(file: Path, what: str, advice: str) -> Path:
    """The ``file`` in the cache folder that holds ``what``; FileNotFoundError with ``advice`` if it is not there."""
    if not file.is_file():
        raise FileNotFoundError(f"{what} not on this machine: nothing at {file}. {advice}")
    return file


def has_cifar10() -> bool:
    """Is CIFAR-10 in the cache folder? The download puts it there whole or not at all."""
    return (cache_folder() / "cifar-10-batches-py").is_dir()


def _load_shapes() -> ImageData:
    images, labels = shapes.draw(count=6_000, seed=0)
    return ImageData(
        name="shapes",
        class_names=shapes.CLASS_NAMES,
        train=Images(images[:4_000], labels[:4_000]),
        validation=Images(images[4_000:5_000], labels[4_000:5_000]),
        test=Images(images[5_000:], labels[5_000:]),
        note=(
            "WARNING: this is the small drawn set that ships with the course, not CIFAR-10; its figures say nothing about "
            "photographs. `attnprune-edu data` fetches CIFAR-10."
        ),
    )


def _load_cifar10() -> ImageData:
    from torchvision.datasets import CIFAR10

    folder = cache_folder()
    if not has_cifar10():
        raise FileNotFoundError(
            f"CIFAR-10 is not on this machine: nothing at {folder / 'cifar-10-batches-py'}. "
            "Fetch it with `attnprune-edu data` (or `make data`), or use the embedded set: load_data('shapes')."
        )
    try:
        train, test = (CIFAR10(folder, train=is_train, download=False) for is_train in (True, False))
    except RuntimeError as error:  # torchvision compared checksums
        raise ValueError(
            f"the CIFAR-10 files at {folder / 'cifar-10-batches-py'} are damaged. Delete that folder and run "
            "`attnprune-edu data`."
        ) from error
    return from_arrays(train.data, train.targets, test.data, test.targets, name="cifar10", class_names=tuple(train.classes))


def _load_npz(path: Path) -> ImageData:
    needed = ("x_train", "y_train", "x_test", "y_test")
    found = read_npz(path, needed, ("name", "note", "class_names"), given="as source or in ATTNPRUNE_DATA")
    if "class_names" in found and found["class_names"].ndim != 1:
        raise ValueError(f"class_names must be a list of names, got the shape {found['class_names'].shape}")
    return from_arrays(
        *(found[name] for name in needed),
        name=str(found.get("name", path.stem)),
        note=str(found.get("note", "")),
        class_names=tuple(str(name) for name in found["class_names"]) if "class_names" in found else None,
    )


def read_npz(path: Path, needed: Iterable[str], optional: Iterable[str] = (), *, given: str) -> dict[str, np.ndarray]:
    """Return {name: array} of the arrays in the ``.npz`` at ``path``: all of ``needed``, and what it has of ``optional``.

    ``given`` tells in an error where the path may come from. Raises FileNotFoundError where there is no such file, and
    ValueError where it cannot be read or lacks an array.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path.resolve()} (given {given})")
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in (*needed, *optional) if name in archive}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as an .npz; it may be cut short or damaged ({error})") from error
    if missing := [name for name in needed if name not in found]:
        raise ValueError(f"{path} lacks {', '.join(missing)}; it must have {', '.join(needed)}")
    return found


def from_arrays(x_train, y_train, x_test, y_test, *, name: str, class_names=None, note: str = "") -> ImageData:
    """Build an ``ImageData`` from arrays in the Keras layout, after checking them.

    ``x_…`` are uint8, (N, height, width) or (N, height, width, 1 or 3); ``y_…`` are whole numbers from 0, (N,) or (N, 1).
    Without ``class_names`` there are as many classes as ``y_train`` shows.
    Data called ``cifar10`` must be CIFAR-10's images in their own order: its validation part goes by index, so that a
    network trained on any copy has never seen it. Other data give a tenth of the training images, drawn with a fixed seed,
    and may not be called ``shapes``, as the embedded set is: either name brings the networks that were trained on its data.

    Raises ValueError or TypeError that names the array, what it holds and what is accepted.
    """
    x_train, x_test = check_images("x_train", x_train), check_images("x_test", x_test)
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ValueError(
            "x_train and x_test must hold images of one shape (channels, height, width), "
            f"got {tuple(x_train.shape[1:])} and {tuple(x_test.shape[1:])}"
        )
    y_train, y_test = np.asarray(y_train), np.asarray(y_test)
    if class_names is None:
        top = int(y_train.max()) if y_train.size and y_train.dtype.kind in "iu" else -1
        class_names = tuple(str(label) for label in range(top + 1))
    y_train = check_labels("y_train", y_train, len(x_train), class_names)
    y_test = check_labels("y_test", y_test, len(x_test), class_names)

    if name == "cifar10":
        if len(x_train) != 50_000:
            raise ValueError(
                "data called 'cifar10' must hold all 50,000 training images in their own order; "
                f"x_train has {len(x_train):,}. Give a part of CIFAR-10 another name"
            )
        order, held_out = torch.arange(50_000), CIFAR10_VALIDATION
    elif name == "shapes":
        raise ValueError("name must not be 'shapes', which is the embedded set, with networks of its own: give another one")
    else:
        order = torch.randperm(len(x_train), generator=torch.Generator().manual_seed(0))
        held_out = max(1, round(OTHER_VALIDATION_SHARE * len(x_train)))
        if len(x_train) < 2:
            raise ValueError(f"x_train must hold at least 2 images (one is kept for validation), got {len(x_train)}")
    for_training, for_validation = order[:-held_out], order[-held_out:]
    return ImageData(
        name=name,
        class_names=tuple(class_names),
        train=Images(x_train[for_training], y_train[for_training]),
        validation=Images(x_train[for_validation], y_train[for_validation]),
        test=Images(x_test, y_test),
        note=note,
    )


def check_images(name: str, array) -> Tensor:
    """Return ``array``, uint8 (N, height, width) or (N, height, width, 1 or 3), as (N, channels, height, width).

    Raises TypeError or ValueError that calls it ``name`` and says what is accepted.
    """
    array = np.asarray(array)
    if array.dtype != np.uint8:
        raise TypeError(f"{name} must be uint8 with values 0–255, got {array.dtype}")
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4 or array.shape[-1] not in (1, 3) or 0 in array.shape:
        raise ValueError(
            f"{name} must hold images of the shape (N, height, width) or (N, height, width, 1 or 3), got {array.shape}"
        )
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def check_labels(name: str, array: np.ndarray, count: int, class_names) -> Tensor:
    """Return ``array``, whole numbers (``count``,) or (``count``, 1) below the number of ``class_names``, as int64 (count,).

    Raises TypeError or ValueError that calls it ``name`` and says what is accepted.
    """
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold whole numbers, got {array.dtype}")
    if array.shape not in ((count,), (count, 1)):
        raise ValueError(f"{name} must have one label an image, shape ({count},) or ({count}, 1), got {array.shape}")
    labels = torch.from_numpy(array.reshape(-1).astype(np.int64))
    if labels.min() < 0 or labels.max() >= len(class_names):
        raise ValueError(
            f"{name} must lie between 0 and {len(class_names) - 1} ({len(class_names)} classes), "
            f"got {labels.min()} to {labels.max()}"
        )
    return labels
