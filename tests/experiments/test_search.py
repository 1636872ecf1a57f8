import re
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

import attnprune_edu as ap
from attnprune_edu.experiments import search

pytest.importorskip("optuna", reason="optuna is not installed; `make extras` installs it")


def test_a_search_stays_in_its_budget_and_goes_on_where_it_was_stopped(imperfect, uneven_data, tmp_path, monkeypatch):
    model, how = imperfect(), {"folder": tmp_path, "num_images": 100, "seed": 3}
    first = ap.search_ratios(model, uneven_data, 0.4, trials=10, **how)
    assert (
        first.spent
        == ap.count_macs(first.model, uneven_data.image_shape)
        <= 0.4 * ap.count_macs(model, uneven_data.image_shape)
    )
    assert first.trials.loss.min() == first.trials[first.trials.state == "complete"].loss.min()
    assert first.trials.loc[first.trials.loss.idxmin(), list(first.kept)].to_dict() == first.kept
    assert set(first.importance.index) == set(first.kept) and first.importance.sum() == pytest.approx(1)

    ran = []
    monkeypatch.setattr(search, "_run", lambda *given, run=search._run: (ran.append(given[2]), run(*given)))
    again = ap.search_ratios(model, uneven_data, 0.4, trials=12, **how)
    assert ran == [10, 11] and len(again.trials) == 12
    assert again.trials[:10].equals(first.trials)
    other = ap.search_ratios(model, uneven_data, 0.5, trials=1, **how)
    assert len(other.trials) == 1, "another question has a file of its own"


def test_a_search_in_multiples(imperfect, uneven_data):
    model = imperfect()
    found = ap.search_ratios(model, uneven_data, 0.8, trials=2, num_images=20, round_to=4)
    dense = {"conv1": 6, "conv2": 8, "fc1": 12}
    assert found.trials[list(dense)].apply(lambda kept: (kept % 4 == 0) | (kept == dense[kept.name])).all(axis=None)
    assert found.spent <= 0.8 * ap.count_macs(model, uneven_data.image_shape)


def test_a_hopeless_trial_is_pruned_after_its_first_look(imperfect, uneven_data, monkeypatch):
    monkeypatch.setattr(search, "STARTUP", 2)
    losses = iter([1.0, 1.0, 2.0, 2.0, 5.0, 0.5, 0.5])
    monkeypatch.setattr(search, "loss_on_validation", lambda *_: next(losses))
    found = ap.search_ratios(imperfect(), uneven_data, 0.4, trials=4, num_images=20)
    assert list(found.trials.state) == ["complete", "complete", "pruned", "complete"]
    assert found.trials.loss.idxmin() == 3


def test_time_is_up_when_the_trials_have_taken_it(imperfect, uneven_data):
    found = ap.search_ratios(imperfect(), uneven_data, 0.4, trials=50, seconds=1e-6, num_images=20)
    assert len(found.trials) == 1 and found.importance.empty
    with pytest.raises(ValueError, match="seconds must be enough for one trial, got 0"):
        ap.search_ratios(imperfect(), uneven_data, 0.4, trials=5, seconds=0)


def test_workers_share_one_search(imperfect, uneven_data, tmp_path):
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        found = ap.search_ratios(imperfect(), uneven_data, 0.4, trials=3, folder=tmp_path, executor=executor, num_images=20)
    assert len(found.trials) == 3 and not list(tmp_path.glob("*.pickle"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"budget": 1.0}, "budget must lie between 0 and 1"),
        ({"budget": 0.5, "trials": 0}, "trials must be at least 1, got 0"),
        ({"budget": 0.5, "cost": "time"}, "cost must be one of"),
        ({"budget": 0.001}, "budget must be at least"),
        ({"budget": 0.1, "round_to": 4}, "the cost of 4 channels in each group"),
        ({"budget": 0.5, "round_to": 0}, "round_to must be at least 1 channel, got 0"),
    ],
)
def test_what_cannot_be_is_refused(arguments, words, imperfect, uneven_data):
    with pytest.raises(ValueError, match=re.escape(words)):
        ap.search_ratios(imperfect(), uneven_data, **arguments)


def test_without_optuna_it_says_how_to_get_it(imperfect, uneven_data, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=re.escape("pip install attnprune-edu[optuna]")):
        ap.search_ratios(imperfect(), uneven_data, 0.5)
