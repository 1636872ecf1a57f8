"""What the checks of lesson 15 answer."""

import copy
import math

import pytest
import torch
from answering import verdict_test
from torch import nn

import attnprune_edu as ap
from attnprune_edu import checks
from attnprune_edu.data.glyphs import load_glyphs
from attnprune_edu.experiments import capstone

NUMBER = 16  # of the task that the exercise asks for
CASES = [
    (
        checks.share_within_budgets,
        0.3,
        True,
        "the budget of time binds; alone, the others would allow 0.50 (parameters) and 0.40",
    ),
    (checks.share_within_budgets, 30, False, "in percent"),
    (checks.share_within_budgets, 0.7, False, "the channels that go"),
    (checks.share_within_budgets, 0.5, False, "the parameters alone"),
    (checks.share_within_budgets, 0.4, False, "the MACs alone"),
    (checks.share_within_budgets, (0.5 + 0.4 + 0.3) / 3 + 0.001, False, "the MACs alone"),  # the mean is 0.4, too
    (checks.share_within_budgets, 0.16, False, "the smallest budget"),
    (checks.share_within_budgets, 0.44, False, "the budget of time itself"),
    (checks.share_within_budgets, 0.24, False, "Divide it"),
    (checks.share_within_budgets, 0.55, False, "subtract it from the budget"),
    (checks.share_within_budgets, math.sqrt(0.44), False, "in proportion"),
    (checks.share_within_budgets, 0.09, False, "the square of the share"),
    (checks.share_within_budgets, 0.2, False, "a larger share does, too"),
    (checks.share_within_budgets, 0.35, False, "too much is left of: time."),
    (checks.share_within_budgets, 0.9, False, "too much is left of: parameters, MACs and time."),
    (checks.share_within_budgets, 1, False, "too much is left of: parameters, MACs and time."),
    (checks.share_within_budgets, 1.5, False, "between 0 and 1"),
    (checks.share_within_budgets, -0.3, False, "between 0 and 1"),
    (checks.share_within_budgets, [0.3], False, "this is a list"),
    (checks.share_within_budgets, True, False, "this is True"),
    # What needs no judging; the right answers of this check take a training, and stand below.
    (checks.capstone, 0.85, False, "a network is asked for"),
    (checks.capstone, nn.Sequential, False, "Hand over the network itself"),
    (checks.capstone, ap.ArticleNet(), False, "must be torch's own"),
    (
        checks.capstone,
        ap.mask(nn.Sequential(nn.Linear(4, 3)), {"0": torch.tensor([True, False, True])}),
        False,
        "it has masks",
    ),
]

test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


@pytest.mark.parametrize(
    ("budgets", "best", "binds"),
    [
        ({"params": 0.09, "macs": 0.25, "latency": 0.6}, 0.3, "parameters"),
        ({"params": 0.49, "macs": 0.25, "latency": 0.8}, 0.5, "MACs"),
        ({"params": 0.49, "macs": 0.36, "latency": 0.5, "fixed": 0.25}, 1 / 3, "time"),
    ],
)
def test_any_of_the_three_can_bind(budgets, best, binds):
    verdict = checks.share_within_budgets(best, **budgets)
    assert verdict.solved and f"the budget of {binds} binds" in verdict.message
    assert not checks.share_within_budgets(0.3 if binds != "parameters" else 0.5, **budgets).solved


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the dense network stays from one test to the next."""
    return tmp_path_factory.mktemp("capstone")


@pytest.fixture
def task(kept, monkeypatch):
    """The exercise's task with fewer pictures to judge by, and a dense network that was trained for one epoch alone."""
    monkeypatch.setenv("ATTNPRUNE_CACHE", str(kept))
    monkeypatch.setattr(capstone, "EPOCHS", 1)
    monkeypatch.setattr(capstone, "HELD_BACK", 1000)
    return ap.load_capstone(NUMBER)


@pytest.fixture(scope="module")
def small():
    """Networks within all budgets, trained for ever more epochs."""
    data, found = load_glyphs(NUMBER), {}
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU()),
        *(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10)),
    )
    for name, epochs in {"poor": 1, "fair": 1, "good": 10}.items():
        ap.train(network, data, epochs, lr=0.01, progress=False)
        found[name] = copy.deepcopy(network).eval()
    return found


def test_the_dense_network_meets_no_budget(task):
    verdict = checks.capstone(task.model)
    assert verdict.solved is False and verdict.share == 0
    assert "parameters: 62,714 where" in verdict.message and "time:" in verdict.message


def test_a_small_network_that_was_never_trained_earns_nothing(task):
    verdict = checks.capstone(nn.Sequential(nn.MaxPool2d(4), nn.Flatten(), nn.Linear(16, 10)))
    assert verdict.solved is False and verdict.share == 0 and "not even half" in verdict.message


@pytest.mark.parametrize(
    ("handed_in", "uniform", "knapsack", "share", "says"),
    [
        ("good", "fair", "fair", 1, "all three budgets"),
        ("fair", "fair", "fair", 5 / 6, "5 of 6 parts. The same share"),
        (
            "fair",
            "poor",
            "good",
            4 / 6,
            "4 of 6 parts. The knapsack is ahead by more than chance. Was it trained",
        ),
        ("fair", "good", "good", 3 / 6, "3 of 6 parts. The knapsack"),
    ],
)
def test_a_place_on_the_board_earns_its_share(task, small, handed_in, uniform, knapsack, share, says, monkeypatch):
    board = {"uniform": small[uniform], "knapsack": small[knapsack]}
    monkeypatch.setattr(capstone.Capstone, "baselines", lambda task: board)
    before = torch.get_rng_state()
    verdict = checks.capstone(small[handed_in])
    assert verdict.share == pytest.approx(share) and verdict.solved is (share == 1), verdict.message
    assert says in verdict.message
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize(("shares", "solved"), [([0.9, 0.9, 0.1], True), ([0.9] * 100, False)])
def test_a_time_that_was_missed_on_a_busy_machine_is_measured_again(task, small, shares, solved, monkeypatch):
    monkeypatch.setattr(capstone.Capstone, "baselines", lambda task: {"uniform": small["poor"], "knapsack": small["poor"]})
    shares = iter(shares)
    monkeypatch.setattr(capstone, "share_of_time", lambda *networks: next(shares))
    verdict = checks.capstone(small["good"])
    assert verdict.solved is solved and verdict.share == pytest.approx(1 if solved else 2 / 6), verdict.message


def test_a_network_that_would_keep_the_judge_busy_for_hours_is_not_run(task):
    wide = nn.Conv2d(300, 300, 5, padding=2)
    deep = nn.Sequential(nn.Conv2d(1, 300, 1), *[wide] * 300, nn.MaxPool2d(16), nn.Flatten(), nn.Linear(300, 10))
    verdict = checks.capstone(deep)
    assert verdict.share == 0 and "172,800,079,800 MACs for an image, and the dense network 1,137,120" in verdict.message
