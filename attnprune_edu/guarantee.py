"""As small as it may be: the most compressed network whose accuracy stays within a given drop."""

import copy
import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import nn

from .checkpoints import load_model, save_model, whole_or_not_at_all
from .data import ImageData
from .evaluation import count_params
from .importance import Criterion
from .masks import unmask
from .schedules import channels_of, prune_to
from .training import accuracy, fine_tune


@dataclass(frozen=True)
class Guarantee:
    """What ``prune_with_guarantee`` found.

    ``model``: the network; ``pruning_ratio``: share of the channels that is gone (0–1); ``reached``: False if nothing could
    go, and then ``model`` is a copy of the dense network; ``path``: a row for each attempt, in order, with
    ``pruning_ratio``, ``validation_accuracy`` (0–1), ``accepted``, ``params`` and ``seconds``; ``message``: the outcome in
    a sentence.
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
    interruption, the search goes on from there; that a function among them is the same, nobody can check. Needs a network
    that ``save_model`` can write.

    Raises ValueError for a number outside its range or a ``folder`` that holds another search.
    """
    for name, value in {"max_drop": max_drop, "step": step, "tolerance": tolerance}.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}")
    how = {"criterion": criterion, "scope": scope, "repaired": repaired, "removed": removed, "seed": seed}
    simple = {key: value for key, value in (how | training).items() if isinstance(value, int | float | str)}
    settings = {"max_drop": max_drop, "epochs": epochs, "step": step, "tolerance": tolerance, **simple}
    log = _Log(folder, settings | {"data": str(data), "model": _fingerprint(model)})

    widths, dense = channels_of(model), accuracy(model, data, "validation")
    best = log.best if log.best is not None else copy.deepcopy(model)
    while (ratio := _next_ratio(log.path, step, tolerance)) is not None:
        start = time.perf_counter()
        attempt = prune_to(best, data, ratio, widths, **how)
        fine_tune(attempt, data, epochs, seed=seed, **training)
        reached = accuracy(attempt, data, "validation")
        row = {
            "pruning_ratio": ratio,
            "validation_accuracy": reached,
            "accepted": reached >= dense - max_drop - 1e-9,  # 0.8 − 0.1 is a little more than 0.7
            "params": count_params(attempt),
            "seconds": time.perf_counter() - start,
        }
        best = attempt if row["accepted"] else best
        log.add(row, attempt)
    return _outcome(best, dense, max_drop, log.path)


def _next_ratio(path: list[dict], step: float, tolerance: float) -> float | None:
    """The ratio to try next, or None at the end: grow until one is rejected, then halve the gap."""
    accepted = max((row["pruning_ratio"] for row in path if row["accepted"]), default=0.0)
    rejected = min((row["pruning_ratio"] for row in path if not row["accepted"]), default=None)
    if rejected is None:
        following = round(min(accepted + step, 1 - tolerance), 6)
        return following if following > accepted else None
    return round((accepted + rejected) / 2, 6) if rejected - accepted > tolerance + 1e-9 else None


def _outcome(best: nn.Module, dense: float, max_drop: float, path: list[dict]) -> Guarantee:
    table = pd.DataFrame(path)
    accepted = table[table.accepted.astype(bool)]
    tried = f"{len(path)} attempts"
    if accepted.empty:
        smallest = table.loc[table.pruning_ratio.idxmin()]
        message = (
            f"not reachable: even with {smallest.pruning_ratio:.1%} of the channels pruned the validation accuracy falls by "
            f"{100 * (dense - smallest.validation_accuracy):.1f} points, more than {100 * max_drop:.1f}. The network is "
            f"unchanged ({tried}). Allow a larger max_drop or more epochs."
        )
        return Guarantee(best, 0.0, False, table, message)
    last = accepted.iloc[-1]
    message = (
        f"{last.pruning_ratio:.1%} of the channels pruned, validation accuracy {dense:.1%} → "
        f"{last.validation_accuracy:.1%}, {int(last.params):,} parameters ({tried})"
    )
    return Guarantee(best, float(last.pruning_ratio), True, table, message)


class _Log:
    """The attempts so far, and the last accepted network; on disk if there is a folder."""

    def __init__(self, folder: str | Path | None, settings: dict):
        self.folder = None if folder is None else Path(folder)
        self.settings, self.path, self.best = settings, [], None
        if self.folder is None or not self._file.exists():
            return
        stored = json.loads(self._file.read_text(encoding="utf-8"))
        if different := [key for key in settings if stored["settings"].get(key) != settings[key]]:
            raise ValueError(
                f"folder {str(self.folder)!r} holds another search: {', '.join(different)} differ. Choose a new one."
            )
        self.path = stored["path"]
        if accepted := [number for number, row in enumerate(self.path) if row["accepted"]]:
            self.best = load_model(self._network(accepted[-1]))

    @property
    def _file(self) -> Path:
        return self.folder / "search.json"

    def _network(self, number: int) -> Path:
        return self.folder / f"accepted-{number:02}.safetensors"

    def add(self, row: dict, network: nn.Module) -> None:
        """Note an attempt: first the network, then the line that refers to it, so that an interruption loses neither."""
        self.path.append(row)
        if self.folder is None:
            return
        if row["accepted"]:
            save_model(network, self._network(len(self.path) - 1))
        with whole_or_not_at_all(self._file) as unfinished:
            unfinished.write_text(json.dumps({"settings": self.settings, "path": self.path}, indent=1), encoding="utf-8")


def _fingerprint(model: nn.Module) -> str:
    """A short name for the weights of ``model``: another network gets another one."""
    digest = hashlib.sha256()
    for name, tensor in unmask(model).state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
