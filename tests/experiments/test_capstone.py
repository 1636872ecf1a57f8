"""The capstone's judge and baselines, on a dense network that was trained for one epoch alone."""

import pandas as pd
import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.data.images import cache_folder
from attnprune_edu.experiments import capstone as module
from attnprune_edu.experiments.capstone import COSTS


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTNPRUNE_CACHE", str(tmp_path_factory.mktemp("capstone")))
        patch.setattr(module, "EPOCHS", 1)
        yield ap.load_capstone(5)


def cut(task, share=0.2):
    return task._built({name: max(1, int(share * size)) for name, size in task._dense.items()}, None)


def test_the_judge_counts_what_anybody_counts(task):
    network = cut(task)
    row = task.judge(network, seed=3)
    images, labels = task.held_back(3)
    right = int((ap.predict(network, task.data, images).argmax(dim=1) == labels).sum())
    assert (row.accuracy, row.low, row.high) == (right / 3000, *ap.wilson(right, 3000))
    assert row.params == ap.count_params(network) and row.macs == ap.count_macs(network, (1, 16, 16))
    assert 0.05 < row.latency < 0.8
    assert row.met == ", ".join(cost for cost in COSTS if task.meets(row, cost))


def test_budgets_are_met_up_to_them_and_time_a_little_beyond(task):
    for cost in COSTS:
        assert task.meets(task.budgets, cost)
        assert not task.meets(task.budgets | {cost: 1.06 * task.budgets[cost]}, cost)
        assert task.meets(task.budgets | {cost: 1.04 * task.budgets[cost]}, cost) == (cost == "latency")


def test_seeds_give_other_pictures_none_of_them_in_the_data(task):
    known = {image.numpy().tobytes() for part in ("train", "validation", "test") for image in task.data.part(part).images}
    first, second = (task.held_back(seed).images for seed in (0, 1))
    assert not torch.equal(first, second)
    for seed, error in ((-1, ValueError), (2**52, ValueError), ("1", TypeError)):
        with pytest.raises(error, match=r"seed must be a whole number from 0 to 2\*\*52 - 1, got"):
            task.held_back(seed)
    assert known.isdisjoint(image.numpy().tobytes() for image in torch.cat([first, second]))


class Lost(nn.Module):
    def forward(self, images):
        return images.new_full((len(images), 10), float("nan"))


@pytest.mark.parametrize(("model", "error", "says"), [
    ("a network", TypeError, "nn.Module, got str"),
    (nn.Sequential(nn.Conv2d(3, 10, 16), nn.Flatten()), ValueError, r"images \(N, 1, 16, 16\)"),
    (nn.Sequential(nn.Flatten(), nn.Linear(256, 9)), ValueError, r"10 scores, one for each class, got the shape \(9,\)"),
    (Lost(), ValueError, "NaN for 3,000 of 3,000"),
    (nn.Sequential(nn.Flatten(), nn.GRU(256, 10)), ValueError, "it stops: 'tuple' object"),
    (nn.Sequential(nn.Flatten(), nn.LazyLinear(10), nn.Linear(9, 10)), ValueError, "it stops"),
    (nn.Sequential(nn.Flatten(), nn.Linear(256, 10)).double(), ValueError, "float32, as the dense network does, got .*64"),
])  # fmt: skip
def test_what_is_no_such_network_is_told(task, model, error, says):
    with pytest.raises(error, match=says):
        task.judge(model)


def test_training_mode_changes_nothing_and_stays(task):
    network = cut(task, 0.3)
    before = task.judge(network).accuracy
    network.train()
    assert task.judge(network).accuracy == before and network.training
    network.eval()


@pytest.mark.parametrize("way", ["uniform", "knapsack"])
def test_the_baselines_meet_all_budgets_and_spend_one_of_them(task, way):
    costs = task.costs(task.planned(way))
    assert all(task.meets(costs, cost) for cost in COSTS)
    assert max(costs[cost] / task.budgets[cost] for cost in COSTS) > 0.8


def test_where_no_width_of_the_knapsack_is_fast_enough_it_is_the_uniform_cut(task, monkeypatch):
    curve = [{"name": name, "kept": size // 2, "loss": 0.1} for name, size in task._dense.items()]
    monkeypatch.setattr(module, "loss_curves", lambda *_, **__: pd.DataFrame(curve))
    monkeypatch.setattr(module.Capstone, "_fits", lambda *_: False)
    monkeypatch.setattr(module.Capstone, "_uniform", lambda _: "the uniform cut")
    assert task.planned("knapsack") == "the uniform cut"


def test_of_several_weights_the_knapsack_takes_the_one_that_promises_the_smallest_loss(task, monkeypatch):
    rows = [(name, size // part, part * size) for name, size in task._dense.items() for part in (8, 2)]
    curves = pd.DataFrame(rows, columns=["name", "kept", "loss"])
    monkeypatch.setattr(module, "loss_curves", lambda *_, **__: curves)
    monkeypatch.setattr(module.Capstone, "_fits", lambda *_: True)
    monkeypatch.setattr(module.Capstone, "_built", lambda _, chosen: chosen)

    def promised(*weights):
        monkeypatch.setattr(module, "WEIGHTS", weights)
        chosen = task.planned("knapsack")
        return sum(module._options(curves[curves.name == name], task._dense[name])[kept] for name, kept in chosen.items())

    alone = [promised(weight) for weight in (0.0, 0.5, 1.0)]
    assert promised(0.0, 0.5, 1.0) == min(alone) < max(alone)


@pytest.mark.parametrize("number", [3, 14, 17])
def test_a_time_that_binds_leaves_room_for_what_no_width_changes(number, task):
    network = module.drawn_cnn(number, task.data.image_shape, 10)
    assert module._budgets(number, network, task.data)["latency"] >= 0.65


def test_an_unknown_way_is_told(task):
    with pytest.raises(ValueError, match="'uniform', 'knapsack', 'search', got 'luck'"):
        task.planned("luck")


def test_a_kept_network_is_found_again_and_a_damaged_file_is_made_anew(task):
    made = []

    def make():
        made.append(cut(task))
        return made[-1]

    for count in (1, 1):
        found = module._kept("small", task.model, make)
        assert len(made) == count and str(found) == str(cut(task))
        assert ap.count_macs(found, (1, 16, 16)) == ap.count_macs(cut(task), (1, 16, 16))
        assert torch.equal(found(task.data.example_inputs), cut(task)(task.data.example_inputs))
    (cache_folder() / "networks" / "small.safetensors").write_bytes(b"broken")
    module._kept("small", task.model, make)
    assert len(made) == 2


def test_the_board_has_everybody_sorted(task, monkeypatch):
    monkeypatch.setattr(module.Capstone, "baselines", lambda self, search=False: {"dense": task.model})
    board = task.board({"mine": cut(task), "none": nn.Sequential(nn.Flatten(), nn.Linear(256, 10))})
    assert set(board.index) == {"dense", "mine", "none"} and board.accuracy.is_monotonic_decreasing
    pd.testing.assert_series_equal(
        board.loc["mine"].drop("latency"), task.judge(cut(task)).drop("latency"), check_names=False
    )
