"""As small as it may be: the most compressed network whose accuracy stays within a given drop."""

import copy
import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import nn

from ..data.images import ImageData
from ..networks.inference import accuracy
from ..networks.models import architecture_of
from ..networks.training import fine_tune
from ..pruning.importance import Criterion
from ..pruning.schedules import channels_of, prune_to
from ..pruning.silence import live_channels
from ..report.checkpoints import atomic_write, load_model, save_model
from ..report.evaluation import count_params
from .fingerprint import fingerprint

SMALLEST_STEP = 0.001  # of a pruning ratio; a network with more than a thousand channels in a layer would hardly notice less


@dataclass(frozen=True)
class Guarantee:
    """What ``prune_with_guarantee`` found.

    ``model``: the network; ``pruning_ratio``: share of the channels that is gone (0–1), counted in the network; ``reached``:
    False if nothing could go, and then ``model`` is a copy of the dense network; ``path``: a row for each attempt, in order,
    with ``pruning_ratio`` (as asked for; what is gone is a whole number of channels), ``validation_accuracy`` (0–1),
    ``accepted``, ``channels`` (those left), ``params`` and ``seconds``; ``message``: the outcome in a sentence.
    """

    model: nn.Module
    pruning_ratio: float
    reached: bool
    path: pd.DataFrame
    message: str

    def __repr__(self) -> str:
        return self.message


def prune_with_guarantee(
    model: nn.Module,
    data: ImageData,
    max_drop: float = 0.01,
    *,
    epochs: int = 2,
    step: float = 0.1,
    tolerance: float = 0.025,
    criterion: Criterion = "attention",
    scope: str = "local",
    repaired: bool = False,
    removed: bool = False,
    folder: str | Path | None = None,
    seed: int = 0,
    **training,
) -> Guarantee:
    """Find the most compressed network whose *validation* accuracy falls at most ``max_drop`` (0–1) below ``model``'s.

    The pruning ratio grows by ``step``, each attempt starting from the last accepted network and fine-tuned for a number of
    ``epochs``, until one falls too low. Then the gap between the last accepted and the first rejected ratio is halved until
    it is at most ``tolerance``. The network is chosen on the validation images, so its accuracy there is a little
    flattered; what it is worth, the test images say. ``criterion``, ``scope``, ``repaired``, ``removed``, ``training``: as
    in ``prune_in_stages``.

    ``folder``: where each attempt is written down as soon as it is finished. Called again with the same arguments after an
    interruption, the search goes on from there. What it was asked is told by the arguments' ``fingerprint``.

    Raises ValueError for a number outside its range or a ``folder`` that holds another search, and with a ``folder``
    TypeError for a network that ``save_model`` cannot write.
    """
    if not 0 < max_drop < 1:
        raise ValueError(f"max_drop must lie between 0 and 1, got {max_drop}")
    for name, value in {"step": step, "tolerance": tolerance}.items():
        if not SMALLEST_STEP <= value < 1:
            raise ValueError(f"{name} must be at least {SMALLEST_STEP} and below 1, got {value}")
    how = {"criterion": criterion, "scope": scope, "repaired": repaired, "removed": removed, "seed": seed}
    asked = {"max_drop": max_drop, "epochs": epochs, "step": step, "tolerance": tolerance, **how, **training}
    asked.pop("progress", None)  # says nothing about the result
    log = _Log() if folder is None else _LogInFolder(Path(folder), {"model": model, "data": data, **asked})

    widths, dense = channels_of(model, data.example_inputs), accuracy(model, data, "validation")
    best = log.best if log.best is not None else copy.deepcopy(model)
    while (ratio := _next_ratio(log.path, step, tolerance)) is not None:
        start = time.perf_counter()
        attempt = prune_to(best, data, ratio, widths, **how)
        fine_tune(attempt, data, epochs, seed=seed, **training)
        reached = accuracy(attempt, data, "validation")
        row = {
            "pruning_ratio": ratio,
            "validation_accuracy": reached,
            "accepted": bool(reached >= dense - max_drop - 1e-9),  # 0.8 − 0.1 is a little more than 0.7
            "channels": _channels_left(attempt, widths),
            "params": count_params(attempt),
            "seconds": time.perf_counter() - start,
        }
        best = attempt if row["accepted"] else best
        log.add(row, attempt)
    return _outcome(model, best, dense, max_drop, log.path)


def _channels_left(model: nn.Module, layers: Iterable[str]) -> int:
    live = live_channels(model)
    return sum(int(live[name].sum()) for name in layers)


def _next_ratio(path: list[dict], step: float, tolerance: float) -> float | None:
    """The ratio to try next, or None at the end: grow until one is rejected, then halve the gap."""
    accepted = max((row["pruning_ratio"] for row in path if row["accepted"]), default=0.0)
    rejected = min((row["pruning_ratio"] for row in path if not row["accepted"]), default=None)
    if rejected is None:
        following = round(min(accepted + step, 1 - tolerance), 6)
        return following if following > accepted else None
    return round((accepted + rejected) / 2, 6) if rejected - accepted > tolerance + 1e-9 else None


def _outcome(model: nn.Module, best: nn.Module, dense: float, max_drop: float, path: list[dict]) -> Guarantee:
    channels = _channels_left(model, channels_of(model))
    table = pd.DataFrame(path)
    pruned = table[table.channels < channels]  # a small ratio of few channels may be rounded to none
    accepted = pruned[pruned.accepted.astype(bool)]
    tried = f"{len(path)} attempts"
    if pruned.empty:
        message = f"nothing to prune: every ratio is rounded to no channel at all ({tried}). The network is unchanged."
        return Guarantee(copy.deepcopy(model), 0.0, False, table, message)
    if accepted.empty:
        smallest = pruned.loc[pruned.pruning_ratio.idxmin()]
        gone, lost = 1 - smallest.channels / channels, dense - smallest.validation_accuracy
        message = (
            f"not reachable: even with {gone:.1%} of the channels pruned the validation accuracy falls by {100 * lost:.1f} "
            f"points, more than {100 * max_drop:.1f}. The network is unchanged ({tried}). Allow more loss or epochs."
        )
        return Guarantee(copy.deepcopy(model), 0.0, False, table, message)
    last = accepted.iloc[-1]
    gone = 1 - last.channels / channels
    message = (
        f"{gone:.1%} of the channels pruned, validation accuracy {dense:.1%} → "
        f"{last.validation_accuracy:.1%}, {int(last.params):,} parameters ({tried})"
    )
    return Guarantee(best, float(gone), True, table, message)


class _Log:
    """The attempts so far, ``path``, and the last accepted network, ``best``."""

    def __init__(self):
        self.path: list[dict] = []
        self.best: nn.Module | None = None

    def add(self, row: dict, network: nn.Module) -> None:
        self.path.append(row)


class _LogInFolder(_Log):
    """The same on disk, for a search that may be interrupted."""

    def __init__(self, folder: Path, asked: dict):
        super().__init__()
        architecture_of(asked["model"])  # what cannot be saved should not first be searched for
        self.folder, self.file = folder, folder / "search.json"
        self.asked = {name: fingerprint(value) for name, value in asked.items()}
        if not self.file.exists():
            return
        stored = json.loads(self.file.read_text(encoding="utf-8"))
        before = stored["asked"]
        if different := [key for key in self.asked | before if self.asked.get(key) != before.get(key)]:
            raise ValueError(
                f"folder {str(folder)!r} holds another search: {', '.join(different)} differ. Choose a new one."
            )
        self.path = stored["path"]
        if accepted := [number for number, row in enumerate(self.path) if row["accepted"]]:
            self.best = load_model(self._network(accepted[-1]))

    def _network(self, number: int) -> Path:
        return self.folder / f"accepted-{number:02}.safetensors"

    def add(self, row: dict, network: nn.Module) -> None:
        """Note an attempt: first the network, then the line that refers to it, so that an interruption loses neither."""
        super().add(row, network)
        if row["accepted"]:
            save_model(network, self._network(len(self.path) - 1))
        with atomic_write(self.file) as unfinished:
            unfinished.write_text(json.dumps({"asked": self.asked, "path": self.path}, indent=1), encoding="utf-8")
