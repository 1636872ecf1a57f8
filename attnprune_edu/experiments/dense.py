"""A trained network for the data in use: one that ships with the package, or one that is trained once and then kept."""

import torch
from torch import nn

from ..data.images import ImageData, cache_folder
from ..data.tokens import TokenData
from ..networks.macs import count_macs
from ..networks.sequence import NameGRU, NameTransformer
from ..networks.training import train
from ..report.checkpoints import SHIPPED, load_model, save_model, shipped_file
from .fingerprint import fingerprint

MOST_EPOCHS = 20
MOST_MACS = 3e12  # of all forward passes of a training: one to two minutes on two cores


def dense_network(name: str, data: ImageData, *, progress: bool = True) -> nn.Module:
    """Return the network called ``name``, one of those that ``load_model`` knows, trained on ``data``, in evaluation mode.

    For CIFAR-10 and the embedded data it ships with the package. For any other data it is trained when it is first asked
    for, within two minutes for images of 32×32 pixels, and kept in the cache folder; the same data, bit by bit, find it
    there again. ``progress`` shows a bar meanwhile.

    Raises ValueError for an unknown name or images that are too small for the network, and TypeError for data of a kind that
    it does not take.
    """
    if name not in SHIPPED:
        raise ValueError(f"name must be one of {', '.join(map(repr, SHIPPED))}, got {name!r}")
    network, _ = SHIPPED[name]
    takes = TokenData.each if network in (NameGRU, NameTransformer) else ImageData.each
    if data.each != takes:
        raise TypeError(f"data must hold {takes} for {name!r}, got {data.each}")
    if shipped_file(name, data.name).is_file():
        return load_model(name, data.name)
    path = cache_folder() / "networks" / f"{name}-{fingerprint(data)}.safetensors"
    if not path.is_file():
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = network.for_data(data)
        one_epoch = count_macs(model, example_inputs=data.inputs(1)) * len(data.train.labels)
        epochs = min(MOST_EPOCHS, max(1, int(MOST_MACS / one_epoch)))
        if progress:
            print(f"No network ships for {data.name!r}: one is trained now, for {epochs} epochs, and kept in {path.parent}")
        train(model, data, epochs, progress=progress)
        save_model(model, path)
    return load_model(path)
