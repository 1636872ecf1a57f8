"""Search: widths found by trying, with Optuna (Akiba et al., KDD 2019, arXiv:1907.10902), to compare ``allocate`` with."""

import functools
import tempfile
import time
import warnings
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import nn

from ..data.images import ImageData
from ..pruning.budget import QUICK, loss_on_validation, scores_of, smaller, topped_up
from ..pruning.costs import cost_terms, dense_choice
from ..pruning.importance import Criterion
from ..pruning.knapsack import Term, in_figures, total_cost
from ..pruning.multiples import check_round_to, fewest, width_within
from .fingerprint import fingerprint
from .questions import load, store

FIRST_LOOK = {"num_images": 100, "positions": 10, "rounds": 3}  # of repair, to see which trials are not worth a second one
STARTUP = 8  # trials at random before Optuna looks at what it has seen
LEAST = 1 / 16  # the smallest weight of a group, of 1
BISECTIONS = 30


@dataclass(frozen=True)
class Search:
    """What ``search_ratios`` found.

    ``model``: the best network, repaired and really smaller; ``kept``: {group, called by its first layer: channels};
    ``spent``: what it costs; ``trials``: a row for each trial with its ``state``, ``loss`` on validation images, ``seconds``
    and the channels kept of each group; ``importance``: {group: how much its width decides about the loss, shares of 1}.
    """

    model: nn.Module
    kept: dict[str, int]
    spent: float
    trials: pd.DataFrame
    importance: pd.Series


def search_ratios(
    model: nn.Module,
    data: ImageData,
    budget: float,
    *,
    trials: int = 25,
    seconds: float | None = None,
    cost: str = "macs",
    criterion: Criterion = "attention",
    round_to: int = 1,
    folder: str | Path | None = None,
    executor: Executor | None = None,
    seed: int = 0,
    **repairing,
) -> Search:
    """Search for the widths of the best network that costs at most ``budget`` (0–1) of what ``model`` costs.

    A trial draws a weight for each group of coupled layers, keeps channels in proportion to them, as many as the budget
    allows, repairs, and looks at the loss on validation images. It is pruned after a first, quick repair if that is worse
    than the median of the trials before (Optuna's ``TPESampler`` and ``MedianPruner``). ``trials``: how many in all;
    ``seconds``: of processor time for all of them together; none starts after that. ``cost``, ``criterion``,
    ``round_to``, ``repairing``: as for ``allocate``.

    ``folder``: where each trial is written at once; the same call again does only what is missing. ``executor``: as for
    ``sweep``; its workers share the folder, and each trial sees those that were finished when it began.

    Raises ValueError or TypeError as ``allocate`` does, ValueError if ``trials`` is below 1 or no trial was finished in
    time, and ImportError without Optuna, which ``pip install attnprune-edu[optuna]`` brings.
    """
    _optuna()
    if trials < 1:
        raise ValueError(f"trials must be at least 1, got {trials}")
    if not 0 < budget < 1:
        raise ValueError(f"budget must lie between 0 and 1, a share of what model costs, got {budget}")
    check_round_to(round_to)
    question = _Question(model, data, budget, cost, criterion, round_to, seed)
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary).resolve()
        place.mkdir(parents=True, exist_ok=True)
        log = place / f"search-{fingerprint(question.parts)}.log"
        numbers = range(sum(1 for trial in _study(log).trials if trial.state.is_finished()), trials)
        if executor is None:
            for number in numbers:
                _run(question, log, number, seconds)
        else:
            stored = store(question, log.with_suffix(".pickle"))
            futures = [executor.submit(_run_stored, stored, log, number, seconds) for number in numbers]
            try:
                for future in as_completed(futures):
                    future.result()
            finally:
                for future in futures:
                    future.cancel()
                stored.unlink(missing_ok=True)
        study = _study(log)
        finished = [trial for trial in study.trials if trial.state.is_finished()]  # as long as the file is there
        complete = [trial for trial in finished if trial.state.name == "COMPLETE"]
        importance = _importance(study) if len(complete) > STARTUP else {}
    if not complete:
        raise ValueError(f"seconds must be enough for one trial, got {seconds}")
    kept = min(complete, key=lambda trial: trial.value).user_attrs["kept"]
    return Search(
        smaller(model, data, question.scores, kept, repairing=repairing, seed=seed),
        kept,
        total_cost(question.terms, kept),
        _table(finished),
        pd.Series(importance, dtype=float),
    )


@dataclass(frozen=True)
class _Question:
    """What all trials of a search have in common."""

    model: nn.Module
    data: ImageData
    budget: float
    cost: str
    criterion: Criterion
    round_to: int
    seed: int

    @property
    def parts(self) -> list:
        """What the trials depend on, for the name of their file."""
        return [self.model, self.data, self.budget, self.cost, self.criterion, self.round_to, self.seed]

    @functools.cached_property
    def scores(self):
        return scores_of(self.model, self.data, self.criterion, self.seed)

    @functools.cached_property
    def dense(self) -> dict[str, int]:
        return dense_choice(self.model, self.data, [])

    @functools.cached_property
    def terms(self) -> list[Term]:
        return cost_terms(self.model, self.data, self.cost, [])

    @functools.cached_property
    def limit(self) -> float:
        return self.budget * total_cost(self.terms, self.dense)

    def widths(self, weights: dict[str, float]) -> dict[str, int]:
        """Channels in proportion to the ``weights`` {group: 0–1} of each group's, as many as the budget allows.

        What whole numbers, or multiples, leave of the budget goes to the groups with the smallest shares.
        """

        def at(scale):
            return {
                name: width_within(scale * weights[name] * size, size, self.round_to) for name, size in self.dense.items()
            }

        low, high = 0.0, 1 / min(weights.values())
        if total_cost(self.terms, at(low)) > self.limit:
            least = total_cost(self.terms, at(low))
            of_what = f"the cost of {fewest(self.round_to)} in each group"
            raise ValueError(f"budget must be at least {in_figures(least)}, {of_what}, got {in_figures(self.limit)}")
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if total_cost(self.terms, at(middle)) <= self.limit else (low, middle)
        return topped_up(at(low), {}, self.dense, self.terms, self.limit, self.round_to)

    def objective(self, trial) -> float:
        """The loss of one trial; pruned if a quick repair leaves it worse than most."""
        start = time.process_time()
        try:
            weights = {name: trial.suggest_float(name, LEAST, 1.0, log=True) for name in self.dense}
            kept = self.widths(weights)
            trial.set_user_attr("kept", kept)
            for step, options in enumerate((FIRST_LOOK, QUICK)):
                network = smaller(self.model, self.data, self.scores, kept, repairing=options, seed=self.seed)
                loss = loss_on_validation(network, self.data)
                trial.report(loss, step)
                if trial.should_prune():
                    raise _optuna().TrialPruned
            return loss
        finally:
            trial.set_user_attr("seconds", time.process_time() - start)


def _optuna():
    try:
        import optuna
    except ImportError as error:
        raise ImportError("search_ratios needs Optuna: pip install attnprune-edu[optuna]") from error
    return optuna


def _study(log: Path, seed: int = 0):
    """The study that ``log`` holds, or a new one. A file of lines is enough for many processes, also on a shared disk."""
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    backend = optuna.storages.journal.JournalFileBackend(
        str(log), lock_obj=optuna.storages.journal.JournalFileOpenLock(str(log))
    )
    return optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name=log.stem,
        load_if_exists=True,
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP),
    )


def _run(question: _Question, log: Path, number: int, seconds: float | None) -> None:
    """Do one trial, unless the others have taken all the time there is."""
    study = _study(log, seed=1000 * question.seed + number)  # each trial draws for itself, whoever runs it
    if seconds is None or sum(_seconds(trial) for trial in study.trials) < seconds:
        study.optimize(question.objective, n_trials=1)


def _run_stored(stored: Path, log: Path, number: int, seconds: float | None) -> None:
    _run(load(stored), log, number, seconds)


def _seconds(trial) -> float:
    return trial.user_attrs.get("seconds", 0.0)


def _table(finished: list) -> pd.DataFrame:
    rows = [
        {
            "state": trial.state.name.lower(),
            "loss": trial.value,
            "seconds": _seconds(trial),
            **trial.user_attrs.get("kept", {}),
        }
        for trial in finished
    ]
    return pd.DataFrame(rows).rename_axis("trial")


def _importance(study) -> dict[str, float]:
    optuna = _optuna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.importance.get_param_importances(study, evaluator=optuna.importance.PedAnovaImportanceEvaluator())
