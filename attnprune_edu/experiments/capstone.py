"""A task that nobody has seen: data, a trained network and three budgets, all of which follow from one number.

Whoever solves it hands over a smaller network. It is judged on pictures drawn for the occasion, and stands on a board beside
what the course's own ways make of the same task.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from ..data.glyphs import CLASSES, draw_glyphs, load_glyphs
from ..data.images import ImageData, Images, cache_folder
from ..data.seeds import whole_number
from ..networks.drawn_cnn import drawn_cnn
from ..networks.inference import predict
from ..networks.kinds import Layer, note_sizes
from ..networks.macs import count_macs
from ..networks.models import copy_of
from ..networks.training import fine_tune, train
from ..pruning.budget import QUICK, STEPS, loss_curves, scores_of, smaller
from ..pruning.costs import cost_terms, dense_choice
from ..pruning.knapsack import Term, knapsack, total_cost
from ..pruning.latency import batch_of, share_of_time
from ..report.checkpoints import atomic_write, stored_tensors
from ..report.evaluation import count_params
from ..report.uncertainty import wilson
from .fingerprint import fingerprint
from .search import search_ratios

COSTS = ("params", "macs", "latency")
EPOCHS = 6  # of the dense network's training
TUNING = 2  # epochs of fine-tuning, the same for every baseline
HELD_BACK = 3_000  # pictures that a judge draws
# Images of a timed pass: of fewer, the calls alone would be timed; of more, some machines fetch new memory each time.
BATCH = 32
LATENCY_BUDGETS = (0.65, 0.9)  # the least and the most: of some networks half of the time stays, however narrow they become
LATENCY_TOLERANCE = 0.05  # of the time's budget, by which two measurements of one network may differ
TIMINGS = 6  # at most, of a network that misses its budget of time: whatever else a machine does, it only ever adds
CRITERION = "activation_attention"
CURVE_SHARES = (1 / 8, 1 / 4, 1 / 2)  # of a group's channels, at which the knapsack's curves are measured
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the parameters, beside the MACs
TRIALS = 25  # of the search


@dataclass(frozen=True)
class Capstone:
    """The task of a ``number``: ``data``, a dense ``model`` trained on it, and ``budgets`` for the network handed over.

    ``budgets``: at most so many ``"params"``, so many ``"macs"`` for one image, and ``"latency"`` as a share (0–1) of what
    the dense network takes for a batch of 32 images, both measured in turns.
    """

    number: int
    data: ImageData
    model: nn.Sequential
    budgets: dict[str, float]

    def __repr__(self) -> str:
        params, macs = count_params(self.model), count_macs(self.model, self.data.image_shape)
        return "\n".join(
            [
                f"Capstone {self.number}: {self.data}",
                f"parameters  at most {self.budgets['params']:>9,} of {params:,} ({self.budgets['params'] / params:.0%})",
                f"MACs        at most {self.budgets['macs']:>9,} of {macs:,} ({self.budgets['macs'] / macs:.0%})",
                f"time        at most {self.budgets['latency']:>9.0%} of the dense network's, for {BATCH} images",
            ]
        )

    def held_back(self, seed: int = 0) -> Images:
        """3,000 more pictures of the same glyphs, others for each ``seed``, none of which is in ``data``.

        Raises TypeError or ValueError unless ``seed`` is a whole number from 0 to 2**52 - 1.
        """
        return _drawn(self.number, whole_number("seed", seed, bits=52) + 1)

    def judge(self, model: nn.Module, *, seed: int = 0) -> pd.Series:
        """What ``model`` costs, what it can do on pictures held back (``seed``), and which budgets it meets.

        ``accuracy`` (0–1) with its 95 % interval ``low`` to ``high`` (Wilson), ``params``, ``macs`` for one image,
        ``latency`` as a share of the dense network's, and ``met``, the names of the budgets that are met, with commas
        between. A time up to 5 % over its budget counts as met, for no measurement is more exact. Masked channels and
        weights cost what they did before. The model's mode does not matter and is left as it was.

        Raises TypeError for anything but a network, and ValueError for one that does not take the images, computes in
        another type than float32, does not give a score for each of the ten classes, or gives NaN.
        """
        correct = self.correct(model, seed)
        right, of = int(correct.sum()), len(correct)
        low, high = wilson(right, of)
        costs = self.costs(model)
        met = ", ".join(cost for cost in COSTS if self.meets(costs, cost))
        return pd.Series({"accuracy": right / of, "low": low, "high": high, **costs, "met": met})

    def board(self, models: Mapping[str, nn.Module] | None = None, *, search: bool = False, seed: int = 0) -> pd.DataFrame:
        """Rows as ``judge`` makes them for the baselines and for ``models`` {name: network}, the best accuracy first.

        ``search``: with a search by Optuna, which takes a minute or two. All rows have seen the same pictures (``seed``).
        Raises as ``judge`` does, and ImportError for ``search`` without Optuna.
        """
        everybody = self.baselines(search=search) | dict(models or {})
        rows = pd.DataFrame({name: self.judge(model, seed=seed) for name, model in everybody.items()}).T
        rows = rows.astype({"accuracy": float, "low": float, "high": float, "params": int, "macs": int, "latency": float})
        return rows.sort_values("accuracy", ascending=False, kind="stable")

    def baselines(self, *, search: bool = False) -> dict[str, nn.Module]:
        """The dense network, and what each way of ``planned`` makes of it, fine-tuned for two epochs.

        ``search``: with that one. Made when first asked for, in about ten seconds, and kept in the cache folder. Raises
        ImportError for ``search`` without Optuna.
        """
        names = ("uniform", "knapsack", *(("search",) if search else ()))
        mark = fingerprint(self)
        made = {"dense": self.model}
        for name in names:
            file = f"capstone-{self.number}-{name}-{mark}"
            made[name] = _kept(file, self.model, lambda name=name: self.tuned(self.planned(name)))
        return made

    def planned(self, name: str) -> nn.Module:
        """A network within all three budgets, repaired and not fine-tuned, by one of three ways.

        ``"uniform"``: the same share of every layer's channels. ``"knapsack"``: the widths that promise the smallest loss,
        as ``allocate`` chooses them, under a weighted sum of parameters and MACs; where none of them is fast enough, it is
        the uniform cut. ``"search"``: ``search_ratios``, which needs Optuna. Raises ValueError for another name.
        """
        ways = {"uniform": self._uniform, "knapsack": self._knapsack, "search": self._search}
        if name not in ways:
            raise ValueError(f"name must be one of {', '.join(map(repr, ways))}, got {name!r}")
        return ways[name]()

    def tuned(self, model: nn.Module, epochs: int = TUNING) -> nn.Module:
        """A copy of ``model``, fine-tuned on the training images."""
        tuned = copy_of(model)
        fine_tune(tuned, self.data, epochs, progress=False)
        return tuned.eval()

    def correct(self, model: nn.Module, seed: int = 0) -> Tensor:
        """Which of the pictures held back ``model`` classifies correctly: bool (3000,). Raises as ``judge`` does."""
        images, labels = self.held_back(seed)
        return self._scores(model, images).argmax(dim=1) == labels

    def costs(self, model: nn.Module) -> dict[str, float]:
        """{cost: value} of ``model`` in the units of the budgets.

        A time above its budget is measured again, up to six times in all; the shortest counts.
        """
        return {
            "params": count_params(model),
            "macs": count_macs(model, self.data.image_shape),
            "latency": self._latency(model),
        }

    def _latency(self, model: nn.Module) -> float:
        images = batch_of(self.model, self.data, BATCH)
        shortest = math.inf
        for _ in range(TIMINGS):
            shortest = min(shortest, share_of_time(model, self.model, images))
            if shortest <= self.budgets["latency"]:
                break
        return shortest

    def meets(self, costs: Mapping[str, float], cost: str) -> bool:
        """Whether ``costs`` of a network are within the budget called ``cost``."""
        allowed = self.budgets[cost] * (1 + LATENCY_TOLERANCE if cost == "latency" else 1)
        return costs[cost] <= allowed

    def _scores(self, model: nn.Module, images: Tensor) -> Tensor:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a network, an nn.Module, got {type(model).__name__}")
        if strange := {parameter.dtype for parameter in model.parameters()} - {torch.float32}:
            raise ValueError(f"model must compute in torch.float32, as the dense network does, got {strange.pop()}")
        shape = tuple(self.data.image_shape)
        try:
            scores = predict(model, self.data, images)
        except Exception as error:  # whatever a network raises, or what it returns
            raise ValueError(f"model must take images (N, {', '.join(map(str, shape))}), and it stops: {error}") from error
        if scores.shape != (len(images), CLASSES):
            each = tuple(scores.shape[1:])
            raise ValueError(f"model must give each image {CLASSES} scores, one for each class, got the shape {each}")
        if lost := int(scores.isnan().any(dim=1).sum()):
            raise ValueError(f"model must give every image scores, got NaN for {lost:,} of {len(images):,} images")
        return scores

    @functools.cached_property
    def _dense(self) -> dict[str, int]:
        return dense_choice(self.model, self.data, [])

    @functools.cached_property
    def _terms(self) -> dict[str, list[Term]]:
        """What can be counted without a network, in units of its budget."""
        terms = {cost: cost_terms(self.model, self.data, cost, []) for cost in ("params", "macs")}
        return {cost: _scaled(of, 1 / self.budgets[cost]) for cost, of in terms.items()}

    @functools.cached_property
    def _scores_of_channels(self) -> dict[str, Tensor]:
        return scores_of(self.model, self.data, CRITERION, 0)

    def _built(self, chosen: dict[str, int], repairing: dict | None = QUICK) -> nn.Module:
        return smaller(self.model, self.data, self._scores_of_channels, chosen, repairing=repairing)

    def _fits(self, chosen: dict[str, int]) -> bool:
        """Whether a network of these widths meets all three budgets; it is built only where its time must be measured."""
        if any(total_cost(terms, chosen) > 1 for terms in self._terms.values()):
            return False
        return self._latency(self._built(chosen, None)) <= self.budgets["latency"]

    def _uniform(self) -> nn.Module:
        for share in np.arange(0.99, 0, -0.01):
            chosen = {name: max(1, int(share * size)) for name, size in self._dense.items()}
            if self._fits(chosen):
                return self._built(chosen)
        raise ValueError(f"no uniform cut meets the budgets {self.budgets}")

    def _knapsack(self) -> nn.Module:
        """Two budgets become one, a weighted sum of both; of several weights the one that promises the smallest loss."""
        curves = loss_curves(
            self.model, self.data, criterion=CRITERION, levels="filters", shares=CURVE_SHARES, progress=False
        )
        losses = {name: _options(curves[curves.name == name], size) for name, size in self._dense.items()}
        found = []
        for weight in WEIGHTS:
            both = [*_scaled(self._terms["params"], weight), *_scaled(self._terms["macs"], 1 - weight)]
            for limit in np.arange(1, 0.2, -0.04):
                try:
                    answer = knapsack(losses, both, limit)
                except ValueError:  # no combination is that small
                    break
                chosen = {name: int(width) for name, width in answer.items()}
                if self._fits(chosen):
                    found.append((sum(losses[name][width] for name, width in chosen.items()), chosen))
                    break
        if not found:  # on this machine none of these widths is fast enough
            return self._uniform()
        return self._built(min(found, key=lambda one: one[0])[1])

    def _search(self) -> nn.Module:
        """Optuna knows one budget. It gets the one in MACs, and a smaller one as long as another budget is not met."""
        share = self.budgets["macs"] / count_macs(self.model, self.data.image_shape)
        while True:
            found = search_ratios(self.model, self.data, share, trials=TRIALS, criterion=CRITERION, **QUICK)
            if self._fits(found.kept):
                return found.model
            share *= 0.85


def _scaled(terms: list[Term], factor: float) -> list[Term]:
    return [Term(term.names, lambda *values, cost=term.cost: factor * cost(*values)) for term in terms]


def _options(curve: pd.DataFrame, size: int) -> dict[int, float]:
    """{channels kept: the loss} for widths from the smallest that was measured to ``size``, with straight lines between."""
    curve = curve.sort_values("kept")
    widths = sorted({round(width) for width in np.geomspace(curve.kept.iloc[0], size, STEPS)})
    measured = np.maximum(np.append(curve.loss, 0.0), 0.0)
    return dict(zip(widths, np.interp(widths, np.append(curve.kept, size), measured).tolist(), strict=True))


@functools.lru_cache(maxsize=4)
def _data(number: int) -> ImageData:
    return load_glyphs(number)


@functools.lru_cache(maxsize=4)
def _drawn(number: int, seed: int) -> Images:
    return draw_glyphs(number, HELD_BACK, seed)


def load_capstone(number: int = 0) -> Capstone:
    """Load the task of a ``number``: the same data, architecture and budgets everywhere, and a dense network trained on it.

    The network is trained when it is first asked for, in some seconds, and kept in the cache folder. Raises TypeError
    or ValueError unless ``number`` is a whole number from 0 to 2**32 - 1.
    """
    data = _data(number)
    with torch.random.fork_rng():
        torch.manual_seed(number)
        untrained = drawn_cnn(number, data.image_shape, CLASSES)

    def trained() -> nn.Module:
        train(untrained, data, EPOCHS, progress=False)
        return untrained

    name = f"capstone-{number}-dense-{fingerprint([data, untrained, EPOCHS])}"
    model = _kept(name, untrained, trained).eval()
    return Capstone(number, data, model, _budgets(number, model, data))


def _budgets(number: int, model: nn.Module, data: ImageData) -> dict[str, float]:
    """Budgets around what a uniform cut to a drawn share of the channels costs: one that binds, and two with some room."""
    rng = np.random.RandomState([number, 3])
    share, binding = rng.uniform(0.3, 0.42), COSTS[rng.randint(len(COSTS))]
    room = {cost: 1.0 if cost == binding else rng.uniform(1.15, 1.6) for cost in COSTS}
    widths = {name: max(1, round(share * size)) for name, size in dense_choice(model, data, []).items()}
    budgets: dict[str, float] = {}
    for cost in ("params", "macs"):
        budgets[cost] = round(room[cost] * total_cost(cost_terms(model, data, cost, []), widths), -2)
    # A time differs from machine to machine: what does not depend on the widths takes a fifth of it, and often more.
    least, most = LATENCY_BUDGETS
    budgets["latency"] = round(min(most, max(least, room["latency"] * (0.2 + 0.8 * share))), 2)
    return {"params": int(budgets["params"]), "macs": int(budgets["macs"]), "latency": budgets["latency"]}


def _kept(name: str, like: nn.Module, make: Callable[[], nn.Module]) -> nn.Module:
    """The network ``name`` from the cache folder, ``like`` another but for its widths; if new, what ``make`` makes."""
    path = cache_folder() / "networks" / f"{name}.safetensors"
    if path.is_file():
        try:
            return _with_tensors(like, safetensors.torch.load_file(path))
        except (SafetensorError, KeyError):  # damaged: made anew
            path.unlink()
    network = make()
    try:
        with atomic_write(path) as unfinished:
            unfinished.write_bytes(safetensors.torch.save(stored_tensors(network)))
    except OSError:  # nowhere to keep it
        pass
    return network.eval()


def _with_tensors(like: nn.Module, tensors: dict[str, Tensor]) -> nn.Module:
    """A copy of ``like`` with these ``tensors``, whose shapes say how wide its layers are."""
    network = copy_of(like)
    for name, module in network.named_modules():
        for part in [*dict(module.named_parameters(recurse=False))]:
            setattr(module, part, nn.Parameter(tensors[f"{name}.{part}"]))
        for part in [*dict(module.named_buffers(recurse=False))]:
            setattr(module, part, tensors[f"{name}.{part}"])
        if isinstance(module, Layer):
            note_sizes(module)
        elif isinstance(module, nn.BatchNorm2d):
            module.num_features = len(module.weight)
    return network.eval()
