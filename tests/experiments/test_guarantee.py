import copy
import dataclasses
import json

import numpy as np
import pytest
import torch

import attnprune_edu as ap
from attnprune_edu.experiments import guarantee
from attnprune_edu.experiments.guarantee import _next_ratio
from attnprune_edu.pruning.schedules import channels_of, prune_to
from attnprune_edu.pruning.silence import masks_of


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


def test_the_ratios_are_tried_in_this_order():
    assert [row["pruning_ratio"] for row in simulate(0.34)] == [0.1, 0.2, 0.3, 0.4, 0.35, 0.325]
    assert [row["pruning_ratio"] for row in simulate(1.0, step=0.4)] == [0.4, 0.8, 0.975], "nearly all, and not further"
    assert [row["pruning_ratio"] for row in simulate(0.0, step=0.2, tolerance=0.1)] == [0.2, 0.1]
    assert [row["pruning_ratio"] for row in simulate(0.3, step=0.3, tolerance=0.3)] == [0.3, 0.6], "0.3 is within tolerance"


def test_the_result_keeps_its_promise_and_tells_its_path(trained, tiny_data):
    found = ap.prune_with_guarantee(trained, tiny_data, 0.2, epochs=1, step=0.3, tolerance=0.1, progress=False)
    dense, left = (ap.accuracy(model, tiny_data, "validation") for model in (trained, found.model))
    assert found.reached and left >= dense - 0.2
    assert list(found.path.columns) == ["pruning_ratio", "validation_accuracy", "accepted", "channels", "params", "seconds"]
    accepted = found.path[found.path.accepted]
    left_over = sum(int(stays.sum()) for stays in masks_of(found.model).values())
    assert found.pruning_ratio == pytest.approx(1 - left_over / 36) and accepted.channels.iloc[-1] == left_over
    assert abs(found.pruning_ratio - accepted.pruning_ratio.max()) < 0.05 and accepted.validation_accuracy.iloc[-1] == left
    assert (found.path[~found.path.accepted].validation_accuracy < dense - 0.2).all()
    assert f"{found.pruning_ratio:.1%}" in repr(found)


@pytest.mark.parametrize(
    "how",
    [
        {"criterion": "taylor", "seed": 3},
        {"criterion": "random", "scope": "global", "repaired": True, "removed": True, "seed": 1},
    ],
    ids=["masked", "repaired and removed"],
)
def test_each_attempt_is_what_it_would_be_by_hand(uneven_data, imperfect, how):
    model, max_drop = imperfect(), 0.1
    dense, widths = ap.accuracy(model, uneven_data, "validation"), channels_of(model)
    training = {"epochs": 1, "lr": 0.005, "batch_size": 40, "progress": False}
    sealed = dataclasses.replace(uneven_data, test=None)  # the test images choose nothing
    found = ap.prune_with_guarantee(model, sealed, max_drop, step=0.3, tolerance=0.1, **training, **how)
    best = model
    for row in found.path.itertuples():
        attempt = prune_to(best, uneven_data, row.pruning_ratio, widths, **how)
        ap.fine_tune(attempt, uneven_data, seed=how["seed"], **training)
        reached = ap.accuracy(attempt, uneven_data, "validation")
        assert (row.validation_accuracy, row.params) == (reached, ap.count_params(attempt))
        assert row.accepted == (reached >= dense - max_drop)
        assert row.channels == sum(channels_of(ap.remove(attempt)).values()) and row.seconds > 0
        best = attempt if row.accepted else best
    assert set(found.path.accepted) == {True, False}
    scores, expected = (ap.predict(network, uneven_data, uneven_data.test.images) for network in (found.model, best))
    assert torch.equal(scores, expected)
    last = found.path[found.path.accepted].iloc[-1]
    assert (
        found.message
        == repr(found)
        == (
            f"{1 - last.channels / sum(widths.values()):.1%} of the channels pruned, validation accuracy {dense:.1%} → "
            f"{last.validation_accuracy:.1%}, {last.params:,} parameters ({len(found.path)} attempts)"
        )
    )


@pytest.mark.parametrize(("reached", "accepted"), [(0.7, True), (0.6999, False)])
def test_a_drop_of_just_as_much_as_allowed_is_accepted(train_tiny, tiny_data, monkeypatch, reached, accepted):
    """0.8 − 0.1 is a little more than 0.7 for a computer."""
    accuracies = iter([0.8])
    monkeypatch.setattr(guarantee, "accuracy", lambda *_: next(accuracies, reached))
    monkeypatch.setattr(guarantee, "fine_tune", lambda *_, **__: None)
    found = ap.prune_with_guarantee(train_tiny((8, 8), 20), tiny_data, 0.1, step=0.5, tolerance=0.5)
    assert found.path.accepted.tolist() == [accepted] and found.reached == accepted


def test_removed_networks_get_smaller_on_the_way(trained, tiny_data):
    found = ap.prune_with_guarantee(trained, tiny_data, 0.9, epochs=1, step=0.4, tolerance=0.2, removed=True, progress=False)
    assert found.path.params.is_monotonic_decreasing and ap.count_params(found.model) == found.path.params.iloc[-1]


def test_it_says_so_when_even_the_first_step_fails(trained, tiny_data, monkeypatch):
    monkeypatch.setattr(guarantee, "fine_tune", lambda model, *_, **__: torch.nn.init.zeros_(model.fc2.weight))
    found = ap.prune_with_guarantee(trained, tiny_data, 0.01, epochs=1, progress=False)
    assert not found.reached and found.pruning_ratio == 0
    dense, smallest = ap.accuracy(trained, tiny_data, "validation"), found.path.iloc[found.path.pruning_ratio.argmin()]
    assert found.message == (
        f"not reachable: even with {1 / 36:.1%} of the channels pruned the validation accuracy falls by "
        f"{100 * (dense - smallest.validation_accuracy):.1f} points, more than 1.0. The network is unchanged (3 attempts). "
        "Allow more loss or epochs."
    )
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


def test_a_search_that_found_nothing_yet_goes_on_too(trained, tiny_data, tmp_path, monkeypatch):
    monkeypatch.setattr(guarantee, "fine_tune", lambda model, *_, **__: torch.nn.init.zeros_(model.fc2.weight))
    first, again = (
        ap.prune_with_guarantee(trained, tiny_data, 0.01, step=0.5, tolerance=0.3, folder=tmp_path) for _ in range(2)
    )
    assert not first.reached and len(first.path) == 2 and again.path.equals(first.path)


def test_a_ratio_that_is_rounded_to_nothing_is_no_success(train_tiny, tiny_data, monkeypatch):
    """One of three channels is the least that can go, and it is too much."""
    small = train_tiny((3, 3), 3)
    monkeypatch.setattr(guarantee, "fine_tune", lambda model, *_, **__: None)
    truth = guarantee.accuracy
    monkeypatch.setattr(
        guarantee,
        "accuracy",
        lambda model, *_: (
            truth(model, *_) if not masks_of(model) or all(stays.all() for stays in masks_of(model).values()) else 0.0
        ),
    )
    found = ap.prune_with_guarantee(small, tiny_data, 0.01, epochs=1, step=0.1, tolerance=0.05, progress=False)
    assert found.path.accepted.any() and (found.path[found.path.accepted].channels == 9).all()
    assert not found.reached and found.pruning_ratio == 0 and found.message.startswith("not reachable: even with 33.3%")


def test_it_says_so_when_every_ratio_is_rounded_to_no_channel(train_tiny, tiny_data, monkeypatch):
    small = train_tiny((3, 3), 3)
    monkeypatch.setattr(guarantee, "fine_tune", lambda model, *_, **__: torch.nn.init.zeros_(model.fc2.weight))
    found = ap.prune_with_guarantee(small, tiny_data, 0.01, step=0.1, tolerance=0.1)
    assert found.message.startswith("nothing to prune: every ratio is rounded to no channel at all (1 attempts)")
    assert (found.pruning_ratio, found.reached, len(found.path)) == (0, False, 1) and found.model is not small
    assert torch.equal(found.model.fc2.weight, small.fc2.weight)


def test_a_folder_of_another_search_is_refused(trained, tiny_data, tmp_path):
    how = {"epochs": 1, "step": 0.9, "tolerance": 0.5, "folder": tmp_path, "progress": False}
    ap.prune_with_guarantee(trained, tiny_data, 0.9, **how)
    with pytest.raises(ValueError, match="holds another search: max_drop differ"):
        ap.prune_with_guarantee(trained, tiny_data, 0.8, **how)
    other = copy.deepcopy(trained)
    torch.nn.init.zeros_(other.fc2.bias)
    with pytest.raises(ValueError, match="holds another search: model differ"):
        ap.prune_with_guarantee(other, tiny_data, 0.9, **how)
    dimmed = dataclasses.replace(tiny_data, train=tiny_data.train._replace(images=tiny_data.train.images // 2))
    with pytest.raises(ValueError, match="holds another search: data differ"):
        ap.prune_with_guarantee(trained, dimmed, 0.9, **how)
    changes = {"epochs": 2, "step": 0.8, "tolerance": 0.4, "scope": "global", "repaired": True, "removed": True, "seed": 1}
    changes |= {"criterion": lambda model: ap.importance(model, "l1"), "augment": None, "rewind": ap.Rewind(3)}
    for name, value in changes.items():
        with pytest.raises(ValueError, match=f"holds another search: {name} differ"):
            ap.prune_with_guarantee(trained, tiny_data, 0.9, **how | {name: value})
    ap.prune_with_guarantee(trained, tiny_data, np.float64(0.9), **how | {"progress": True})  # nothing that matters


def test_what_cannot_be_saved_is_refused_before_the_search(tiny_data, tmp_path):
    with pytest.raises(TypeError, match=r"model must be one of ArticleNet, .*got Sequential"):
        ap.prune_with_guarantee(torch.nn.Sequential(), tiny_data, folder=tmp_path)


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ({"max_drop": 0}, "max_drop must lie between 0 and 1, got 0"),
        ({"max_drop": 1}, "max_drop must lie between 0 and 1, got 1"),
        ({"step": 1}, "step must be at least 0.001 and below 1, got 1"),
        ({"tolerance": 1e-7}, "tolerance must be at least 0.001 and below 1, got 1e-07"),
    ],
)
def test_numbers_out_of_range_are_named(trained, tiny_data, number, says):
    with pytest.raises(ValueError, match=says):
        ap.prune_with_guarantee(trained, tiny_data, **number)
