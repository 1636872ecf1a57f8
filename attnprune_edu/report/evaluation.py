"""What a network can do and what it costs: accuracy with its uncertainty, parameters, MACs, bytes, memory, latency."""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer

from ..data.images import ImageData
from ..networks.inference import evaluating, fast_layout, inputs_for, predict_classes
from ..networks.macs import count_macs
from ..pruning.single_weights import count_nonzero
from .checkpoints import stored_bytes
from .memory import peak_memory
from .onnx_export import OnnxNetwork, onnx_bytes
from .uncertainty import wilson

ENGINES = ("torch", "onnx")


@dataclass(frozen=True)
class Report:
    """What ``evaluate`` found about one network.

    ``accuracy`` (0–1) on ``num_images`` images of ``split``, with its 95 % confidence interval ``accuracy_low`` to
    ``accuracy_high`` (Wilson's, for these images; another training is another matter). ``recall``: {class: share of its
    images that are classified correctly}, and ``macro_recall``, its mean. ``params``, and ``nonzero_params`` of them that do
    not read as zero. ``macs``: multiply–accumulate operations for one image. ``bytes``: size of the file that
    ``save_model`` writes, header included; of a network that it cannot write, a file with the same tensors.
    ``peak_memory``: bytes at the peak of one forward pass of the largest batch. ``latency``: a row for each engine and
    batch size with ``median_ms``, ``low_ms`` and ``high_ms`` (the quartiles), measured with ``threads`` threads.
    """

    split: str
    num_images: int
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    recall: pd.Series
    macro_recall: float
    params: int
    nonzero_params: int
    macs: int
    bytes: int
    peak_memory: int
    latency: pd.DataFrame
    threads: int

    def __repr__(self) -> str:
        interval = f"{self.accuracy_low:.1%}–{self.accuracy_high:.1%}"
        lines = [
            f"accuracy        {self.accuracy:.1%} (95 % interval {interval}, {self.num_images:,} {self.split} images)",
            f"macro recall    {self.macro_recall:.1%} (lowest: {self.recall.idxmin()} {self.recall.min():.1%})",
            f"parameters      {self.params:,}, {self.nonzero_params:,} of them not zero",
            f"MACs per image  {self.macs:,}",
            f"file            {self.bytes:,} bytes",
            f"peak memory     {self.peak_memory:,} bytes",
        ]
        for (engine, batch_size), row in self.latency.iterrows():
            lines.append(
                f"latency         {row.median_ms:.3g} ms (quartiles {row.low_ms:.3g}–{row.high_ms:.3g}), {engine}, "
                f"batch of {batch_size}, {self.threads} thread{'s' if self.threads > 1 else ''}"
            )
        return "\n".join(lines)


def evaluate(
    model: nn.Module,
    data: ImageData,
    split: str = "test",
    *,
    batch_sizes: Iterable[int] = (1, 64),
    engines: Iterable[str] = ENGINES,
    rounds: int = 15,
) -> Report:
    """Report all about one network: how good it is on the images of ``split``, and what it costs.

    ``engines``: ``"torch"``, ``"onnx"`` (ONNX Runtime, on the CPU), or both; ``rounds``: measurements of each latency.
    The ONNX network computes in float32, whatever type ``model`` has.
    Raises ValueError if ``split`` or an engine is unknown, a number is below 1, or images get NaN scores.
    """
    return _reports({"model": model}, data, split, batch_sizes, engines, rounds)["model"]


def compare(
    models: dict[str, nn.Module],
    data: ImageData,
    split: str = "test",
    *,
    batch_size: int = 64,
    rounds: int = 15,
    full: bool = False,
) -> pd.DataFrame:
    """Return one row per network: {name: model} → a table with the columns

    - ``accuracy``: share of the images of ``split`` that are classified correctly, 0–1;
    - ``params``: parameters, silent ones included, because they are stored and multiplied all the same;
    - ``macs``: multiply–accumulate operations for one image;
    - ``bytes``: size of the file that ``save_model`` writes, header included (see ``Report``);
    - ``latency_ms``, ``latency_iqr_ms``: median and interquartile range of the time for one batch of ``batch_size`` images,
      where the network is, on a CPU with all of torch's threads, in the memory layout that suits it best (``latency_ms``).

    With ``full`` come ``accuracy_low`` and ``accuracy_high``, ``macro_recall``, ``nonzero_params`` and ``peak_memory`` (as
    in ``Report``), latency and its range for a single image and in ONNX Runtime (``latency_1_ms``, ``onnx_latency_ms``,
    ``onnx_latency_1_ms`` …), and against the first network ``macs_speedup`` (what the MACs promise) and ``speedup`` (what
    the latency of the batch shows).

    Latency is measured in ``rounds`` turns, every network once a turn, so that a slow moment of the machine hits all alike.
    Raises ValueError if there is no network, ``split`` is unknown, or images get NaN scores.
    """
    batch_sizes, engines = ((batch_size, 1), ENGINES) if full else ((batch_size,), ("torch",))
    table = pd.DataFrame(
        {
            name: _row(report, batch_size)
            for name, report in _reports(models, data, split, batch_sizes, engines, rounds).items()
        }
    ).T
    if full:
        for speedup, cost in {"macs_speedup": "macs", "speedup": "latency_ms"}.items():
            table[speedup] = table[cost].iloc[0] / table[cost]
    else:
        table = table[["accuracy", "params", "macs", "bytes", "latency_ms", "latency_iqr_ms"]]
    whole = table.columns.intersection(["params", "nonzero_params", "macs", "bytes", "peak_memory"])
    return table.astype(dict.fromkeys(whole, int))


def _row(report: Report, batch_size: int) -> dict[str, float]:
    row = {
        name: getattr(report, name)
        for name in ("accuracy", "accuracy_low", "accuracy_high", "macro_recall", "params", "nonzero_params", "macs")
    }
    row |= {"bytes": report.bytes, "peak_memory": report.peak_memory}
    for (engine, batch), times in report.latency.iterrows():
        name = ("" if engine == "torch" else f"{engine}_") + "latency" + ("" if batch == batch_size else f"_{batch}")
        row |= {f"{name}_ms": times.median_ms, f"{name}_iqr_ms": times.high_ms - times.low_ms}
    return row


def _reports(
    models: dict[str, nn.Module],
    data: ImageData,
    split: str,
    batch_sizes: Iterable[int],
    engines: Iterable[str],
    rounds: int,
) -> dict[str, Report]:
    if not models:
        raise ValueError("models must hold at least one network, got an empty dictionary")
    engines, batch_sizes = list(engines), list(batch_sizes)
    if not engines or not set(engines) <= set(ENGINES):
        raise ValueError(f"engines must be one or more of {', '.join(map(repr, ENGINES))}, got {engines}")
    num_images = len(data.part(split).labels)
    # What has no accuracy should not first cost all the measuring.
    confusions = {name: confusion(model, data, split) for name, model in models.items()}
    latency = _latencies(models, data, batch_sizes, engines, rounds)
    reports = {}
    for name, model in models.items():
        counts = confusions[name]
        correct = pd.Series(counts.to_numpy().diagonal(), counts.index)
        recall = correct / counts.sum(axis=1)
        low, high = wilson(correct.sum(), num_images)
        reports[name] = Report(
            split,
            num_images,
            correct.sum() / num_images,
            low,
            high,
            recall,
            recall.mean(),
            count_params(model),
            count_nonzero(model),
            count_macs(model, example_inputs=inputs_for(model, data.inputs(1))),
            len(stored_bytes(model)),
            peak_memory(model, inputs_for(model, data.inputs(max(batch_sizes)))),
            latency[name],
            torch.get_num_threads(),
        )
    return reports


def confusion(model: nn.Module, data: ImageData, split: str = "test") -> pd.DataFrame:
    """Count the images of ``split`` by class: a row for each true class, a column for each class that ``model`` predicts.

    The diagonal divided by the sums of the rows is the recall of each class. Raises ValueError if ``split`` is unknown or
    images get NaN scores.
    """
    images, labels = data.part(split)
    counts = count_pairs(labels, predict_classes(model, data, images), len(data.class_names))
    return pd.DataFrame(counts.numpy(), index=list(data.class_names), columns=list(data.class_names))


def count_pairs(labels: Tensor, guesses: Tensor, classes: int) -> Tensor:
    """Count how often each true class is predicted as each class: int64 (classes, classes) from two int64 (N,).

    Raises ValueError if a class is predicted that does not exist, which a network with more outputs than classes may do.
    """
    if len(guesses) and guesses.max() >= classes:
        raise ValueError(f"guesses must lie between 0 and {classes - 1}, got {guesses.max()}: too many outputs")
    return torch.bincount(labels * classes + guesses, minlength=classes**2).view(classes, classes)


def count_params(model: nn.Module) -> int:
    """Number of parameters of ``model``."""
    return sum(parameter.numel() for parameter in model.parameters())


def latency_ms(
    models: dict[str, nn.Module | OnnxNetwork], data: ImageData, *, batch_size: int = 64, rounds: int = 15
) -> pd.DataFrame:
    """Time of one forward pass of ``batch_size`` images in milliseconds: a column per network, a row per round.

    Every network has its turn in each round, so that a slow moment of the machine hits all alike; a turn is the mean of as
    many passes as fit into about 10 ms, at least two. Each gets its images in the memory layout that suits it best, channels
    first or last, whichever was faster in a short trial before the first round; ONNX Runtime has a layout of its own. They
    are in the network's floating-point type, and the first of the validation part, for black ones would be too fast:
    pooling is quicker where all values are equal. Raises ValueError if a number is below 1 or there is no network.
    """
    if not models:
        raise ValueError("models must hold at least one network, got an empty dictionary")
    if batch_size < 1 or rounds < 1:
        raise ValueError(f"batch_size and rounds must be at least 1, got batch_size={batch_size}, rounds={rounds}")
    inputs = data.inputs(batch_size)
    modules = [model for model in models.values() if isinstance(model, nn.Module)]
    with evaluating(*modules):
        timers = {name: _fastest(_timers(model, data, inputs)) for name, model in models.items()}
        passes = {name: _passes(timer, 0.01) for name, timer in timers.items()}
        turns = [{name: 1000 * timer.timeit(passes[name]).mean for name, timer in timers.items()} for _ in range(rounds)]
    return pd.DataFrame(turns)


def _timers(model: nn.Module | OnnxNetwork, data: ImageData, inputs: Tensor) -> list[Timer]:
    """A timer of one forward pass for each memory layout in which ``model`` takes the normalised ``inputs``."""
    choices = [inputs]
    if isinstance(model, nn.Module):
        layouts = {torch.contiguous_format, fast_layout(model, data)}
        choices = [inputs_for(model, inputs).contiguous(memory_format=layout) for layout in layouts]
    code, threads = "with torch.inference_mode(): model(inputs)", torch.get_num_threads()
    known = {"torch": torch, "model": model}
    return [Timer(code, globals=known | {"inputs": inputs}, num_threads=threads) for inputs in choices]


def _fastest(timers: list[Timer]) -> Timer:
    """The one whose best of three short turns is the shortest; the first turn of all warms up."""
    if len(timers) == 1:
        return timers[0]
    passes = [_passes(timer, 0.005) for timer in timers]
    best = [min(timer.timeit(count).mean for _ in range(3)) for timer, count in zip(timers, passes, strict=True)]
    return timers[best.index(min(best))]


def _passes(timer: Timer, seconds: float) -> int:
    """How many passes fit into so many seconds by the best of three trials: at least 2, at most 100."""
    # On a busy machine one trial may take ten times as long. Fewer passes are a disadvantage: the first of them is slow.
    return min(100, max(2, int(seconds / min(timer.timeit(2).mean for _ in range(3)))))


def _latencies(
    models: dict[str, nn.Module], data: ImageData, batch_sizes: list[int], engines: list[str], rounds: int
) -> dict[str, pd.DataFrame]:
    """{network: median and quartiles in ms, a row for each engine and batch size}."""
    found = {}
    for engine in engines:
        networks = models
        if engine == "onnx":
            networks = {name: OnnxNetwork(onnx_bytes(model, data)) for name, model in models.items()}
        for batch_size in batch_sizes:
            times = latency_ms(networks, data, batch_size=batch_size, rounds=rounds)
            found[engine, batch_size] = times.quantile([0.25, 0.5, 0.75])
    index = pd.MultiIndex.from_tuples(found, names=["engine", "batch_size"])
    return {
        name: pd.DataFrame(
            [times[name].to_numpy() for times in found.values()], index, columns=["low_ms", "median_ms", "high_ms"]
        )
        for name in models
    }
