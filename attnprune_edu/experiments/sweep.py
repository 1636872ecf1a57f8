"""Sweeps: many pruning experiments, in this process or in many, that lose nothing when they are stopped."""

import functools
import inspect
import itertools
import json
import re
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from torch import nn
from tqdm.auto import tqdm

from ..data.images import ImageData
from ..networks.inference import accuracy, network_inputs
from ..networks.training import fine_tune
from ..pruning.gates import prune_adaptively
from ..pruning.importance import Criterion
from ..pruning.removal import remove
from ..pruning.repair import repair
from ..pruning.schedules import channels_of, masked_to
from ..report.checkpoints import atomic_write
from ..report.evaluation import count_macs, count_params
from .fingerprint import fingerprint
from .questions import load, store

ADAPTIVE = "adaptive"  # no criterion of `importance`, for it needs training
Models = dict[str, nn.Module | Callable[[int], nn.Module]]


def sweep(
    models: Models,
    data: ImageData,
    criteria: Iterable[str] | dict[str, Criterion] = ("attention",),
    ratios: Iterable[float] = (0.5,),
    scopes: Iterable[str] = ("local",),
    seeds: Iterable[int] = (0,),
    *,
    repaired: bool | dict = False,
    epochs: int = 0,
    split: str = "test",
    executor: Executor | None = None,
    folder: str | Path | None = None,
    progress: bool = True,
    **training,
) -> pd.DataFrame:
    """Prune every network by every criterion, ratio, scope and seed, and return a table with a row for each cell.

    ``models``: {name: a network, or a function of the seed that returns one}. ``criteria``: names that ``importance`` knows,
    or {name: such a name, or a function of the model that returns importance}; or ``"adaptive"``, which chooses while it
    trains: ``prune_adaptively`` for half of the ``epochs``, at least one, in place of scoring and masking, and what follows
    gets the epochs that are left. ``ratios``: shares of the channels, 0–1. Coupled layers lose the same channels.
    ``repaired``: solve for the weights behind the pruned channels again (``repair``); a dictionary holds options for that,
    other than ``dense`` and ``seed``. ``epochs``: of fine-tuning after that; ``training``: its options. ``split``: the
    images for the accuracies.

    The columns are ``model``, ``criterion``, ``pruning_ratio``, ``scope``, ``seed``; ``pruned_accuracy`` (right after
    pruning), ``repaired_accuracy`` (if ``repaired``), ``accuracy`` (in the end; all 0–1); ``params`` and ``macs`` of the
    network without the silent channels; ``seconds``.

    ``folder``: each finished cell is written there at once, as a file of its own. The same call again, after whatever
    stopped it, does only what is missing; another call may share the folder. ``executor``: any
    ``concurrent.futures.Executor``, such as a ``ProcessPoolExecutor`` (which should start its processes with
    ``multiprocessing.get_context("spawn")``) or that of a Dask cluster; None runs one cell after the other here. Its workers
    must see the folder under the same path.

    Raises ValueError for an unknown split, an empty list, a ``repaired`` that is neither, or ``"adaptive"`` without epochs.
    If cells fail, the others are finished first; then RuntimeError names the first failure.
    """
    named = criteria if isinstance(criteria, dict) else {name: name for name in criteria}
    axes = {"models": models, "criteria": named, "ratios": ratios, "scopes": scopes, "seeds": seeds}
    axes = {name: list(values) for name, values in axes.items()}
    if empty := [name for name, values in axes.items() if not values]:
        raise ValueError(f"{empty[0]} must hold at least one value, got none")
    data.part(split)
    _check_repaired(repaired)
    if ADAPTIVE in named.values() and epochs < 1:
        raise ValueError(
            f"epochs must be at least 1 for the criterion {ADAPTIVE!r}, which chooses while it trains, got {epochs}"
        )
    how = {"repaired": repaired, "epochs": epochs, "split": split, "training": training}
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary).resolve()
        question = _Question(models, data, named, how)
        cells = {_name(cell, question): cell for cell in itertools.starmap(Cell, itertools.product(*axes.values()))}
        missing = {name: cell for name, cell in cells.items() if not (place / f"{name}.json").exists()}
        with tqdm(total=len(cells), initial=len(cells) - len(missing), unit="cell", disable=not progress) as bar:
            _run_all(missing, question, place, executor, bar)
        rows = [json.loads((place / f"{name}.json").read_text(encoding="utf-8")) for name in cells]
    return pd.DataFrame(rows)


def _check_repaired(repaired: bool | dict) -> None:
    allowed = set(inspect.signature(repair).parameters) - {"masked", "data", "dense", "seed"}
    if not isinstance(repaired, bool) and not (isinstance(repaired, dict) and set(repaired) <= allowed):
        raise ValueError(f"repaired must be True, False or a dictionary with some of {sorted(allowed)}, got {repaired!r}")


@dataclass(frozen=True)
class Cell:
    """One experiment of a sweep."""

    model: str
    criterion: str
    pruning_ratio: float
    scope: str
    seed: int


@dataclass(frozen=True)
class _Question:
    """What all cells of a sweep have in common."""

    models: Models
    data: ImageData
    criteria: dict[str, Criterion]
    how: dict

    @functools.cached_property
    def fingerprints(self) -> dict:
        """Of each network and each criterion, and of all the rest."""
        parts = [("model", self.models), ("criterion", self.criteria)]
        found = {(kind, name): fingerprint(value) for kind, named in parts for name, value in named.items()}
        return found | {"rest": fingerprint([self.data, self.how])}


def _name(cell: Cell, question: _Question) -> str:
    """The name of a cell's file: the same question gets the same name, whatever else the sweep asks."""
    prints = question.fingerprints
    about = [prints["model", cell.model], prints["criterion", cell.criterion], prints["rest"]]
    readable = f"{cell.model}-{cell.criterion}-{cell.pruning_ratio:g}-{cell.scope}-{cell.seed}"
    return re.sub(r"[^-.\w]+", "_", readable) + "-" + fingerprint([about, cell])


def _run_all(missing: dict[str, Cell], question: _Question, place: Path, executor: Executor | None, bar) -> None:
    failures = []

    def finished(name, outcome):
        try:
            bar.set_postfix_str(f"{name.rsplit('-', 1)[0]}: {outcome():.1%}")
        except Exception as error:  # whatever a network, a criterion or a lost worker raises
            failures.append((name, error))
        else:
            bar.update()

    if executor is None:
        for name, cell in missing.items():
            finished(name, functools.partial(_run, cell, question, place / f"{name}.json"))
    elif missing:
        stored = store(question, place / f"question-{fingerprint(list(question.fingerprints.values()))}.pickle")
        futures = {}
        try:
            for name, cell in missing.items():
                futures[executor.submit(_run_stored, cell, stored, place / f"{name}.json")] = name
            for future in as_completed(futures):
                finished(futures[future], future.result)
        finally:  # also after Ctrl-C
            for future in futures:
                future.cancel()
            stored.unlink(missing_ok=True)
    if failures:
        name, error = failures[0]
        raise RuntimeError(
            f"{len(failures)} of {len(missing)} cells failed; what is finished is kept if there is a folder, and the same "
            f"call goes on from there. The first failure, {name}: {error!r}"
        ) from error


def _run(cell: Cell, question: _Question, path: Path) -> float:
    """Do one experiment, write its row to ``path`` and return its accuracy."""
    start = time.perf_counter()
    model, data, how = question.models[cell.model], question.data, question.how
    if not isinstance(model, nn.Module):
        model = model(cell.seed)
    masked, epochs = _masked(model, question.criteria[cell.criterion], cell, data, how)
    example = data.example_inputs
    small = remove(masked, example)  # gives the same answers as the masked one, and sooner
    row = asdict(cell) | {"pruned_accuracy": accuracy(small, data, how["split"])}
    if how["repaired"] is not False:
        options = how["repaired"] if isinstance(how["repaired"], dict) else {}
        small = remove(repair(masked, data, dense=model, seed=cell.seed, **options), example)
        row["repaired_accuracy"] = accuracy(small, data, how["split"])
    if epochs:
        fine_tune(small, data, epochs, seed=cell.seed, progress=False, **how["training"])
    row |= {
        "accuracy": accuracy(small, data, how["split"]),
        "params": count_params(small),
        "macs": count_macs(small, example_inputs=network_inputs(small, data, data.validation.images[:1])),
        "seconds": time.perf_counter() - start,
    }
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(row), encoding="utf-8")
    return row["accuracy"]


def _masked(model: nn.Module, criterion: Criterion, cell: Cell, data: ImageData, how: dict) -> tuple[nn.Module, int]:
    """``model`` with the masks that the ``cell`` asks for, and how many epochs are left for fine-tuning."""
    scope, seed = cell.scope, cell.seed
    if criterion == ADAPTIVE:
        epochs = max(1, how["epochs"] // 2)
        options = {"ramp_epochs": epochs, "scope": scope, "seed": seed, "progress": False, **how["training"]}
        return prune_adaptively(model, data, cell.pruning_ratio, epochs, **options).model, how["epochs"] - epochs
    widths = channels_of(model, data.example_inputs)
    return masked_to(model, data, cell.pruning_ratio, widths, criterion, scope=scope, seed=seed), how["epochs"]


def _run_stored(cell: Cell, stored: Path, path: Path) -> float:
    return _run(cell, load(stored), path)
