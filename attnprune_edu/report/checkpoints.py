"""Networks on disk: tensors in a safetensors file whose header holds the architecture as plain JSON. No pickle."""

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..networks.models import ARCHITECTURES, ArticleNet, ResNet20, architecture_of, rebuild
from ..networks.sequence import NameGRU, NameTransformer
from ..networks.small_cnns import DigitCNN, FaceNet
from ..pruning.masks import mask, mask_weights
from ..pruning.silence import masks_of, unmask, weight_masks_of

PRETRAINED = Path(__file__).parent.parent / "pretrained"
# What ships: {name of a network: (its class, names of the data for which there is a trained one)}.
SHIPPED = {
    "article-net": (ArticleNet, ("cifar10", "shapes")),
    "resnet20": (ResNet20, ("cifar10", "shapes")),
    "name-gru": (NameGRU, ("names",)),
    "name-transformer": (NameTransformer, ("names",)),
    "digit-cnn": (DigitCNN, ("digits",)),
    "face-net": (FaceNet, ("drawn", "olivetti")),
}
# Masks are stored beside the weights: a prefix that says of which kind, and the name of the layer.
_MASKS = {"keep/": masks_of, "keep_weights/": weight_masks_of}


def save_model(model: nn.Module, path: str | Path, *, dtype: torch.dtype | None = None) -> Path:
    """Write ``model`` (with its masks, if it has any) to ``path`` and return the path.

    ``dtype`` stores the weights in that floating-point type, such as ``torch.float16`` for half the size; None stores them
    as they are. The file appears whole or not at all. Raises TypeError for a network that cannot be rebuilt from its widths.
    """
    if dtype is not None and not dtype.is_floating_point:
        raise TypeError(f"dtype must be a floating-point type such as torch.float16, got {dtype}")
    architecture_of(model)
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(stored_bytes(model, dtype))
    return Path(path)


def stored_bytes(model: nn.Module, dtype: torch.dtype | None = None) -> bytes:
    """What ``save_model`` writes; for a network that it cannot write, the same without an architecture in the header."""
    known = type(model) in ARCHITECTURES.values()
    header = {"architecture": json.dumps(architecture_of(model))} if known else None
    tensors = stored_tensors(model)
    if dtype is not None:
        tensors = {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}
    return safetensors.torch.save(tensors, header)


def stored_tensors(model: nn.Module) -> dict[str, Tensor]:
    """The tensors of ``model`` that ``save_model`` writes, by name: weights as they read, buffers, masks.

    A tensor that the network has under several names is there once.
    """
    tensors, seen = {}, set()
    for name, tensor in unmask(model).state_dict().items():
        if not isinstance(tensor, Tensor):
            continue
        place = (tensor.untyped_storage().data_ptr(), tensor.storage_offset(), tensor.shape, tensor.stride())
        if tensor.numel() and place in seen:
            continue
        seen.add(place)
        tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    for prefix, read in _MASKS.items():
        tensors |= {prefix + name: keep.cpu().contiguous() for name, keep in read(model).items()}
    return tensors


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a name to write to; what was written there becomes ``path`` at the end, and vanishes if something fails.

    A new file gets the permissions that new files get from the user's umask; one that is overwritten keeps its own.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        unfinished.touch()
        mode = stat.S_IMODE((path if path.exists() else unfinished).stat().st_mode)
        yield unfinished
        unfinished.chmod(mode)  # whoever wrote it may have made another file, with other permissions
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def shipped_file(name: str, data_name: str) -> Path:
    """Where the network ``name`` lies that ships for the data called ``data_name``, if there is one."""
    return PRETRAINED / f"{name}-{data_name}.safetensors"


def load_model(name: str | Path, data_name: str | None = None) -> nn.Module:
    """Load a network, ready to use (float32, evaluation mode, on the CPU).

    Either ``name`` is a file that ``save_model`` wrote, or ``name`` and ``data_name`` choose a network that ships with
    the package: ``load_model("article-net", data.name)`` or ``"resnet20"`` for ``"cifar10"`` and ``"shapes"``,
    ``"name-gru"`` or ``"name-transformer"`` for ``"names"``, ``"digit-cnn"`` for ``"digits"``, ``"face-net"`` for
    ``"drawn"`` and ``"olivetti"``. A model card (data, seed, command, accuracy) lies beside each.

    Raises FileNotFoundError if there is no such network and ValueError if the file cannot be used.
    """
    path = Path(name) if data_name is None else shipped_file(name, data_name)
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in PRETRAINED.glob("*.safetensors")))
        wanted = str(name) if data_name is None else f"{name}-{data_name}"
        raise FileNotFoundError(
            f"no network {wanted!r}: neither a file nor one of the networks that ship with the package ({shipped}). "
            "For other data, dense_network(name, data) trains one."
        )
    try:
        with safe_open(path, framework="pt") as file:
            architecture = json.loads((file.metadata() or {})["architecture"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (not a dictionary)
        model = rebuild(architecture)
        channels, weights = (
            {key.removeprefix(prefix): tensors.pop(key) for key in list(tensors) if key.startswith(prefix)}
            for prefix in _MASKS
        )
        model.load_state_dict(tensors)  # into float32, whatever the file has
    except (SafetensorError, KeyError, TypeError, RuntimeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a network that save_model wrote, or is damaged: {error}") from error
    if channels:
        widths = model.architecture
        # Only a network that takes images of one size knows it; for others mask finds some that fit.
        images = torch.zeros(2, widths["in_channels"], *widths["image_size"]) if "image_size" in widths else None
        model = mask(model, channels, example_inputs=images)
    return mask_weights(model, weights).eval()
