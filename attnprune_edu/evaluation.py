"""What a network can do and what it costs: accuracy, parameters, MACs, bytes, latency."""

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer
from torch.utils.flop_counter import FlopCounterMode

from .data import ImageData
from .training import accuracy, evaluating, predict


def evaluate(model: nn.Module, data: ImageData, split: str = "test", **options) -> pd.Series:
    """Report one network: the row that ``compare`` gives it, with the same options and errors."""
    return compare({"model": model}, data, split, **options).loc["model"]


def compare(
    models: dict[str, nn.Module], data: ImageData, split: str = "test", *, batch_size: int = 64, rounds: int = 15
) -> pd.DataFrame:
    """Return one row per network: {name: model} → a table with the columns

    - ``accuracy``: share of the images of ``split`` named rightly, 0–1;
    - ``params``: parameters, silent ones included, because they are stored and multiplied all the same;
    - ``macs``: multiply–accumulate operations for one image;
    - ``bytes``: size of the network's tensors;
    - ``latency_ms``, ``latency_iqr_ms``: median and interquartile range of the time for one batch of ``batch_size`` images,
      where the network is, on a CPU with all of torch's threads.

    Latency is measured in ``rounds`` turns, every network once a turn, so that a slow moment of the machine hits all alike.
    Raises ValueError if there is no network or ``split`` is unknown.
    """
    if not models:
        raise ValueError("models must hold at least one network, got an empty dictionary")
    data.part(split)  # an unknown name should not first cost all the measuring
    times = latency_ms(models, data, batch_size=batch_size, rounds=rounds)
    low, middle, high = (times.quantile(share) for share in (0.25, 0.5, 0.75))
    return pd.DataFrame(
        {
            name: {
                "accuracy": accuracy(model, data, split),
                "params": count_params(model),
                "macs": count_macs(model, data.image_shape),
                "bytes": sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers())),
                "latency_ms": middle[name],
                "latency_iqr_ms": high[name] - low[name],
            }
            for name, model in models.items()
        }
    ).T.astype({"params": int, "macs": int, "bytes": int})


def confusion(model: nn.Module, data: ImageData, split: str = "test") -> pd.DataFrame:
    """Count what ``model`` calls the images of ``split``: a row for each true class, a column for each class it names.

    The diagonal divided by the sums of the rows is the recall of each class. Raises ValueError if ``split`` is unknown.
    """
    images, labels = data.part(split)
    counts = count_pairs(labels, predict(model, data, images).argmax(dim=1), len(data.class_names))
    return pd.DataFrame(counts.numpy(), index=list(data.class_names), columns=list(data.class_names))


def count_pairs(labels: Tensor, guesses: Tensor, classes: int) -> Tensor:
    """Count how often each true class is called each class: int64 (classes, classes) from two int64 (N,).

    Raises ValueError if a class is named that there is not, which a network with more outputs than classes may do.
    """
    if len(guesses) and guesses.max() >= classes:
        raise ValueError(
            f"guesses must lie between 0 and {classes - 1}, got {guesses.max()}: the network has too many outputs"
        )
    return torch.bincount(labels * classes + guesses, minlength=classes**2).view(classes, classes)


def count_params(model: nn.Module) -> int:
    """Number of parameters of ``model``."""
    return sum(parameter.numel() for parameter in model.parameters())


@torch.no_grad()
def count_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply–accumulate operations of ``model`` for one image (channels, height, width).

    Counted by ``torch.utils.flop_counter`` in convolutions and matrix products, with two operations to a MAC.
    """
    device = next(model.parameters()).device
    with evaluating(model), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *image_shape, device=device))
    return counter.get_total_flops() // 2


def latency_ms(models: dict[str, nn.Module], data: ImageData, *, batch_size: int = 64, rounds: int = 15) -> pd.DataFrame:
    """Time of one forward pass of ``batch_size`` images in milliseconds: a column per network, a row per round."""
    if batch_size < 1 or rounds < 1:
        raise ValueError(f"batch_size and rounds must be at least 1, got batch_size={batch_size}, rounds={rounds}")
    inputs = torch.zeros(batch_size, *data.image_shape)
    timers = {
        name: Timer(
            "with torch.inference_mode(): model(inputs)",
            globals={"torch": torch, "model": model, "inputs": inputs.to(next(model.parameters()).device)},
            num_threads=torch.get_num_threads(),
        )
        for name, model in models.items()
    }
    with evaluating(*models.values()):
        turns = [{name: timer.timeit(2).mean * 1000 for name, timer in timers.items()} for _ in range(rounds + 1)]
    return pd.DataFrame(turns[1:])  # the first turn warms up
