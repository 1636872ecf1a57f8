import copy
import json

import pytest
import torch

import attnprune_edu as ap
from attnprune_edu import guarantee
from attnprune_edu.guarantee import _next_ratio


@pytest.fixture(scope="module")
def trained(train_tiny):
    return train_tiny((8, 8), 20)


def simulate(holds_up_to, step=0.1, tolerance=0.025):
    """The ratios that the search tries if all networks up to some ratio are good enough."""
    path = []
    while (ratio := _next_ratio(path, step, tolerance)) is not None:
        path.append({"pruning_ratio": ratio, "accepted": ratio <= holds_up_to})
        assert len(path) < 50
    return path


@pytest.mark.parametrize("limit", [0.0, 0.01, 0.07, 0.3, 0.34, 0.5, 0.888, 1.0])
def test_the_search_grows_then_halves_and_ends_near_the_limit(limit):
    path = simulate(limit)
    best = max((row["pruning_ratio"] for row in path if row["accepted"]), default=0)
    assert best <= limit and min(limit, 0.975) - best <= 0.025 + 1e-6
    ratios = [row["pruning_ratio"] for row in path]
    first_rejected = next((i for i, row in enumerate(path) if not row["accepted"]), len(path))
    assert ratios[:first_rejected] == sorted(ratios[:first_rejected])
    assert len(path) <= 10 + 3


def test_the_result_keeps_its_promise_and_tells_its_path(trained, tiny_data):
    found = ap.prune_with_guarantee(trained, tiny_data, 0.2, epochs=1, step=0.3, tolerance=0.1, progress=False)
    dense, left = (ap.accuracy(model, tiny_data, "validation") for model in (trained, found.model))
    assert found.reached and left >= dense - 0.2
    assert list(found.path.columns) == ["pruning_ratio", "validation_accuracy", "accepted", "params", "seconds"]
    accepted = found.path[found.path.accepted]
    assert found.pruning_ratio == accepted.pruning_ratio.max() and accepted.validation_accuracy.iloc[-1] == left
    assert (found.path[~found.path.accepted].validation_accuracy < dense - 0.2).all()
    assert f"{found.pruning_ratio:.1%}" in repr(found)


def test_removed_networks_get_smaller_on_the_way(trained, tiny_data):
    found = ap.prune_with_guarantee(trained, tiny_data, 0.9, epochs=1, step=0.4, tolerance=0.2, removed=True, progress=False)
    assert found.path.params.is_monotonic_decreasing and ap.count_params(found.model) == found.path.params.iloc[-1]


def test_it_says_so_when_even_the_first_step_fails(trained, tiny_data, monkeypatch):
    monkeypatch.setattr(guarantee, "fine_tune", lambda model, *_, **__: torch.nn.init.zeros_(model.fc2.weight))
    found = ap.prune_with_guarantee(trained, tiny_data, 0.01, epochs=1, progress=False)
    assert not found.reached and found.pruning_ratio == 0
    assert found.message.startswith("not reachable: even with 2.5% of the channels pruned") and "3 attempts" in found.message
    images = tiny_data.normalize(tiny_data.test.images)
    assert torch.equal(found.model(images), trained(images)) and found.model is not trained


def test_an_interrupted_search_goes_on_where_it_was(trained, tiny_data, tmp_path, monkeypatch):
    how = {"max_drop": 0.3, "epochs": 1, "step": 0.3, "tolerance": 0.1, "removed": True, "progress": False}
    whole = ap.prune_with_guarantee(trained, tiny_data, **how)
    assert len(whole.path) >= 3

    real, calls = guarantee.fine_tune, []

    def breaks_at(number):
        def tune(*arguments, **options):
            calls.append(1)
            if len(calls) == number:
                raise KeyboardInterrupt
            return real(*arguments, **options)

        return tune

    monkeypatch.setattr(guarantee, "fine_tune", breaks_at(3))
    with pytest.raises(KeyboardInterrupt):
        ap.prune_with_guarantee(trained, tiny_data, folder=tmp_path / "search", **how)
    assert len(json.loads((tmp_path / "search" / "search.json").read_text())["path"]) == 2
    resumed = ap.prune_with_guarantee(trained, tiny_data, folder=tmp_path / "search", **how)
    assert len(calls) == 3 + len(whole.path) - 2, "nothing that was finished is done again"
    columns = ["pruning_ratio", "validation_accuracy", "accepted", "params"]
    assert resumed.path[columns].equals(whole.path[columns])
    images = tiny_data.normalize(tiny_data.test.images)
    assert torch.equal(resumed.model(images), whole.model(images))
    # And a finished search is read, not repeated.
    count = len(calls)
    assert torch.equal(
        ap.prune_with_guarantee(trained, tiny_data, folder=tmp_path / "search", **how).model(images), whole.model(images)
    )
    assert len(calls) == count


def test_a_folder_of_another_search_is_refused(trained, tiny_data, tmp_path):
    how = {"epochs": 1, "step": 0.9, "tolerance": 0.5, "folder": tmp_path, "progress": False}
    ap.prune_with_guarantee(trained, tiny_data, 0.9, **how)
    with pytest.raises(ValueError, match="holds another search: max_drop differ"):
        ap.prune_with_guarantee(trained, tiny_data, 0.8, **how)
    other = copy.deepcopy(trained)
    torch.nn.init.zeros_(other.fc2.bias)
    with pytest.raises(ValueError, match="holds another search: model differ"):
        ap.prune_with_guarantee(other, tiny_data, 0.9, **how)


@pytest.mark.parametrize("name", ["max_drop", "step", "tolerance"])
def test_numbers_out_of_range_are_named(trained, tiny_data, name):
    with pytest.raises(ValueError, match=f"{name} must lie between 0 and 1, got 1.5"):
        ap.prune_with_guarantee(trained, tiny_data, **{name: 1.5})
