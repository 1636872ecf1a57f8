"""How milliseconds are taken: with clocks that the tests move by hand."""

import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.data.tokens import TokenData
from attnprune_edu.pruning import latency
from attnprune_edu.pruning.costs import cost_terms, dense_choice
from attnprune_edu.pruning.knapsack import total_cost

CASES = {
    "convolution": (nn.Conv2d(8, 12, 3), (5, 8, 9, 9), (4, 10), (4 * 9 + 1) * 10 + 5 * 4 * 81),
    "no bias": (nn.Conv1d(8, 12, 3, bias=False), (5, 8, 9), (4, 10), 4 * 3 * 10 + 5 * 4 * 9),
    "depthwise": (nn.Conv2d(12, 12, 3, groups=12), (5, 12, 9, 9), (10, 10), (9 + 1) * 10 + 5 * 10 * 81),
    "transposed": (nn.ConvTranspose2d(8, 12, 3), (5, 8, 9, 9), (4, 10), (4 * 9 + 1) * 10 + 5 * 4 * 81),
    "linear": (nn.Linear(8, 12), (5, 7, 8), (4, 10), (4 + 1) * 10 + 5 * 7 * 4),
}


@pytest.fixture
def moving(monkeypatch):
    """A clock that stands still until its ``now``, in seconds, is set."""
    moving = SimpleNamespace(now=0.0)
    monkeypatch.setattr(latency, "clock", lambda device: lambda: moving.now)
    return moving


@pytest.mark.parametrize(("layer", "shape", "widths", "numbers"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_layer_is_timed_with_fewer_channels_in_its_own_layout(layer, shape, widths, numbers, layout, monkeypatch):
    class CountingTimer(latency.Timer):
        def blocked_autorange(self, min_run_time):
            module, x = self._globals["module"], self._globals["x"]
            assert module(x).shape != layer(torch.zeros(shape)).shape
            assert x.ndim != 4 or x.is_contiguous(memory_format=layout)
            count = x.numel() + sum(parameter.numel() for parameter in module.parameters())
            return SimpleNamespace(times=[2 * count, count])

    monkeypatch.setattr(latency, "Timer", CountingTimer)
    like = torch.empty(shape, device="meta")
    like = like.contiguous(memory_format=layout) if like.ndim == 4 else like
    assert latency.layer_ms(layer, like, *widths) == 1000 * numbers


def test_the_parts_of_a_pass_are_those_of_its_fastest_moments(moving):
    def spending(seconds):
        def spend(*_):
            moving.now += next(seconds)

        return spend

    passes = 1 + latency.PASSES
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3), nn.Linear(3, 3))
    network[3] = network[2]  # called twice
    network[0].register_forward_pre_hook(spending(iter([0.5] * passes)))
    network[0].register_forward_hook(spending(iter([0.001, 5.0, 2.0, *[4.0] * passes])))  # the first pass warms up
    network[1].register_forward_hook(spending(iter([9.0, 3.0, 7.0, *[8.0] * passes])))
    network[2].register_forward_hook(spending(iter([1.0, 0.25] * passes)))
    inside, after = latency.parts_ms(network, torch.zeros(1, 2))
    assert inside == pytest.approx({"0": 2000, "2": 1250})
    assert after == pytest.approx({"": 500, "0": 3000, "2": 0})
    assert not any(module._forward_pre_hooks for module in network[1:].modules()) and len(network[0]._forward_hooks) == 1


def test_two_networks_take_turns_so_that_a_machine_that_slows_down_does_not_matter(moving, monkeypatch):
    slow, dense, small = iter([1.0] * 3 + [1.5**turn for turn in range(100)]), nn.Linear(2, 2), nn.Linear(2, 1)

    class SlowingTimer(latency.Timer):
        def timeit(self, number):
            factor = next(slow)
            return SimpleNamespace(mean=factor * sum(p.numel() for p in self._globals["module"].parameters()))

    monkeypatch.setattr(latency, "Timer", SlowingTimer)
    share = latency.share_of_time(small.train(), dense, torch.zeros(1, 2))
    assert 1 / 3 <= share <= 0.5 and small.training


def test_widths_stand_before_on_and_behind_each_stair():
    assert latency.stairs(1) == [1] and latency.stairs(7) == [1, 7] and latency.stairs(8) == [1, 7, 8]
    assert latency.stairs(44) == [1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 39, 40, 41, 44]
    assert len(latency.stairs(2048)) < 100


@pytest.mark.parametrize(("threads", "clock"), [(1, time.process_time), (2, latency.timer)])
def test_on_one_thread_the_processors_clock_counts(threads, clock, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert latency.clock(torch.device("cpu")) is clock and latency.clock(torch.device("cuda")) is latency.timer


def test_milliseconds_of_a_network_with_torchs_attention_are_planned():
    tokens = torch.randint(1, 5, (4, 3))
    parts = [ap.Images(tokens, torch.tensor([0, 1, 0, 1]))] * 3
    data = TokenData("tokens", ("a", "b"), *parts, symbols=tuple(" abcd"))
    encoder = nn.TransformerEncoderLayer(4, 2, 3, batch_first=True)
    model = nn.Sequential(nn.Embedding(5, 4), encoder, nn.Flatten(), nn.Linear(12, 2)).eval()
    terms, chosen = cost_terms(model, data, "latency", [], batch_size=2), dense_choice(model, data, [])
    assert chosen.keys() == {"1.linear1"} and total_cost(terms, chosen) > 0
