"""What a network can do and what it costs: against a confusion matrix, sizes and a clock that are known beforehand."""

import copy
import dataclasses
import functools
import itertools
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import torch
from torch import nn
from torch.utils.benchmark import Timer

import attnprune_edu as ap
from attnprune_edu.data.images import Images
from attnprune_edu.report import evaluation
from attnprune_edu.report.evaluation import count_pairs, count_params, latency_ms

CLASSES = ("red", "green", "blue")
CHANNELS, HEIGHT, WIDTH = SHAPE = (3, 4, 6)
# Rows: what an image shows; columns: which of its channels is bright. Several batches, no two classes of one size.
CONFUSION = {
    "train": [[5, 0, 1], [2, 6, 0], [0, 0, 7]],
    "validation": [[3, 1, 0], [0, 2, 3], [5, 0, 1]],
    "test": [[70, 21, 9], [0, 30, 2], [4, 1, 113]],
}


@pytest.fixture(scope="module")
def data() -> ap.ImageData:
    """Images in random order that ``brightest`` confuses as CONFUSION says."""
    random = np.random.default_rng(0)

    def part(counts):
        pairs = random.permutation(np.repeat(np.argwhere(np.ones((3, 3))), np.ravel(counts), axis=0))
        labels, bright = torch.from_numpy(pairs).T
        images = torch.randint(0, 100, (len(labels), *SHAPE), dtype=torch.uint8)
        images[torch.arange(len(labels)), bright] += 150
        return Images(images, labels.clone())

    return ap.ImageData("confused", CLASSES, **{name: part(counts) for name, counts in CONFUSION.items()})


def brightest() -> nn.Module:
    """Answers the brightest channel; six of its nine weights are zero."""
    conv = nn.Conv2d(3, 3, 1, bias=False)
    conv.weight.data = torch.eye(3)[:, :, None, None]
    return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def always_green() -> nn.Module:
    """Answers "green" whatever it is shown; one of its twelve parameters is not zero."""
    linear = nn.Linear(3, 3)
    linear.weight.data.zero_()
    linear.bias.data = torch.tensor([0.0, 1.0, 0.0])
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)


TURNS = np.array([5, 1, 9, 2, 4])  # quartiles 2, 4 and 5
COST = {"model": 6.0, "brightest": 6.0, "always green": 2.0}
ONNX, ONE = 10, 0.25  # how many times as long ONNX Runtime takes, and a single image


@pytest.fixture
def scripted_latency(monkeypatch):
    """Latencies of COST, without a clock and without writing networks as ONNX."""

    def scripted(networks, data, *, batch_size, rounds):
        assert rounds == len(TURNS) and batch_size in (1, 4)
        factor = ONE if batch_size == 1 else 1
        return pd.DataFrame(
            {name: TURNS * COST[name] * factor * (ONNX if network[0] == "onnx" else 1) for name, network in networks.items()}
        )

    monkeypatch.setattr(evaluation, "latency_ms", scripted)
    monkeypatch.setattr(evaluation, "onnx_bytes", lambda model, data: model)
    monkeypatch.setattr(evaluation, "OnnxNetwork", lambda model: ("onnx", model))


def stored_size(**tensors):
    return len(safetensors.torch.save(tensors))


def test_confusion_counts_every_image_once_in_the_row_of_its_class(data):
    for split, counts in CONFUSION.items():
        table = ap.confusion(brightest(), data, split)
        assert table.index.tolist() == table.columns.tolist() == list(CLASSES)
        assert table.to_numpy().tolist() == counts
        assert ap.accuracy(brightest(), data, split) == np.trace(counts) / np.sum(counts)
    assert ap.confusion(always_green(), data).to_numpy().tolist() == [[0, 100, 0], [0, 32, 0], [0, 118, 0]]
    assert ap.confusion(brightest(), data).equals(table), "the test images, if nothing else is asked for"


def test_pairs_are_counted_for_as_many_classes_as_there_are():
    pairs = count_pairs(torch.tensor([1, 1, 0]), torch.tensor([0, 0, 1]), 4)
    assert pairs.tolist() == [[0, 1, 0, 0], [2, 0, 0, 0], [0] * 4, [0] * 4] and pairs.dtype == torch.int64
    assert not count_pairs(torch.tensor([], dtype=int), torch.tensor([], dtype=int), 2).any()
    with pytest.raises(ValueError, match="guesses must lie between 0 and 3, got 4: too many outputs"):
        count_pairs(torch.tensor([0, 1]), torch.tensor([4, 0]), 4)


def test_a_report_by_hand(data, scripted_latency):
    report = ap.evaluate(brightest(), data, rounds=5, batch_sizes=(4, 1))
    assert (report.split, report.num_images) == ("test", 250)
    assert report.accuracy == (70 + 30 + 113) / 250
    assert (report.accuracy_low, report.accuracy_high) == ap.wilson(213, 250)
    assert report.recall.to_dict() == {"red": 70 / 100, "green": 30 / 32, "blue": 113 / 118}
    assert report.macro_recall == pytest.approx((70 / 100 + 30 / 32 + 113 / 118) / 3)
    assert (report.params, report.nonzero_params) == (9, 3)
    assert report.macs == 3 * 3 * HEIGHT * WIDTH
    assert report.bytes == stored_size(**{"0.weight": torch.zeros(3, 3, 1, 1)})
    # While the pool writes its averages, the images and what the convolution made of them are both there.
    assert report.peak_memory == 4 * (9 + 4 * (2 * 3 * HEIGHT * WIDTH + 3))
    assert report.threads == torch.get_num_threads()
    assert report.latency.columns.tolist() == ["low_ms", "median_ms", "high_ms"]
    assert report.latency.index.names == ["engine", "batch_size"]
    quartiles = 6 * np.array([2, 4, 5])
    for place, factor in {("torch", 4): 1, ("torch", 1): ONE, ("onnx", 4): ONNX, ("onnx", 1): ONNX * ONE}.items():
        assert report.latency.loc[place].tolist() == (quartiles * factor).tolist()

    report = dataclasses.replace(report, threads=2, macs=1_234_567, params=8_901, nonzero_params=2_345, peak_memory=67_890)
    assert repr(report).splitlines() == [
        "accuracy        85.2% (95 % interval 80.3%–89.1%, 250 test images)",
        "macro recall    86.5% (lowest: red 70.0%)",
        "parameters      8,901, 2,345 of them not zero",
        "MACs per image  1,234,567",
        f"file            {report.bytes} bytes",
        "peak memory     67,890 bytes",
        "latency         24 ms (quartiles 12–30), torch, batch of 4, 2 threads",
        "latency         6 ms (quartiles 3–7.5), torch, batch of 1, 2 threads",
        "latency         240 ms (quartiles 120–300), onnx, batch of 4, 2 threads",
        "latency         60 ms (quartiles 30–75), onnx, batch of 1, 2 threads",
    ]
    assert repr(dataclasses.replace(report, threads=1)).endswith("1 thread")


def test_a_table_by_hand(data, scripted_latency):
    models = {"brightest": brightest(), "always green": always_green()}
    table = ap.compare(models, data, "validation", batch_size=4, rounds=5)
    assert table.to_dict("index") == {
        "brightest": {
            "accuracy": 6 / 15,
            "params": 9,
            "macs": 216,
            "bytes": stored_size(**{"0.weight": torch.zeros(3, 3, 1, 1)}),
            "latency_ms": 24,
            "latency_iqr_ms": 18,
        },
        "always green": {
            "accuracy": 5 / 15,
            "params": 12,
            "macs": 9,
            "bytes": stored_size(**{"2.weight": torch.zeros(3, 3), "2.bias": torch.zeros(3)}),
            "latency_ms": 8,
            "latency_iqr_ms": 6,
        },
    }
    full = ap.compare(models, data, "validation", batch_size=4, rounds=5, full=True)
    assert full[table.columns].equals(table)
    ends = full[["accuracy_low", "accuracy_high"]].to_numpy()
    assert ends.tolist() == [list(ap.wilson(6, 15)), list(ap.wilson(5, 15))]
    assert full.macro_recall.tolist() == pytest.approx([(3 / 4 + 2 / 5 + 1 / 6) / 3, 1 / 3])
    assert full.nonzero_params.tolist() == [3, 1]
    assert full.peak_memory.tolist() == [4 * (9 + 4 * 147), 4 * (12 + 4 * (72 + 3 + 3))]
    for column, factor in {"latency_1": ONE, "onnx_latency": ONNX, "onnx_latency_1": ONNX * ONE}.items():
        assert full[f"{column}_ms"].tolist() == [24 * factor, 8 * factor]
        assert full[f"{column}_iqr_ms"].tolist() == [18 * factor, 6 * factor]
    assert full.macs_speedup.tolist() == [1, 216 / 9] and full.speedup.tolist() == [1, 24 / 8]
    whole = {"params", "nonzero_params", "macs", "bytes", "peak_memory"}
    assert set(full.select_dtypes(int).columns) == whole


class Clock:
    """A clock that stands still but for the networks on it, which take as long as they are told."""

    def __init__(self, monkeypatch):
        self.seconds, self.calls = 0.0, []
        monkeypatch.setattr(evaluation, "Timer", functools.partial(Timer, timer=lambda: self.seconds))

    def network(self, name, milliseconds):
        """A network that takes as long as ``milliseconds`` says of its inputs, and remembers how it was called."""
        return Timed(self, name, milliseconds)

    def turns(self):
        """[(network, calls)]: who was called how often until another one was."""
        return [(name, len(list(calls))) for name, calls in itertools.groupby(self.calls)]


class Timed(nn.Module):
    def __init__(self, clock, name, milliseconds):
        super().__init__()
        self.clock, self.name, self.milliseconds = clock, name, milliseconds
        self.seen = []

    def forward(self, images):
        self.clock.seconds += self.milliseconds(images) / 1000
        self.clock.calls.append(self.name)
        self.seen.append((images.clone(), self.training, torch.is_inference_mode_enabled(), torch.get_num_threads()))
        return images.mean(dim=(2, 3))


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_every_network_has_its_turn_in_each_round(data, clock):
    costs = {"quick": 0.03, "medium": 1.9, "slow": 400.0}
    networks = {name: clock.network(name, lambda images, cost=cost: cost) for name, cost in costs.items()}
    times = latency_ms(networks, data, batch_size=4, rounds=3)
    assert len(times) == 3 and list(times) == list(costs)
    for name, cost in costs.items():
        assert times[name].tolist() == pytest.approx([cost] * 3)
    # As many passes as fit into 10 ms, at least 2 and at most 100; torch's timer adds two to warm up.
    assert clock.turns()[-9:] == [("quick", 100 + 2), ("medium", 5 + 2), ("slow", 2 + 2)] * 3


def test_a_slow_moment_before_the_turns_does_not_change_how_many_passes_they_have():
    seconds = iter([0.1, 0.001, 0.002])
    timer = SimpleNamespace(timeit=lambda passes: SimpleNamespace(mean=next(seconds)))
    assert evaluation._passes(timer, 0.01) == 10


@pytest.mark.parametrize("favourite", [torch.channels_last, torch.contiguous_format])
def test_latency_is_measured_in_the_layout_that_suits_the_network_best(data, clock, favourite):
    passes = {True: 0, False: 0}

    def milliseconds(images):
        suits = images.is_contiguous(memory_format=favourite)
        passes[suits] += len(images) == 4  # others only ask whether the network takes a layout
        return (50 if passes[True] <= 8 else 3) if suits else 7

    times = latency_ms({"choosy": clock.network("choosy", milliseconds)}, data, batch_size=4, rounds=2)
    assert times["choosy"].tolist() == pytest.approx([3, 3]), "although this layout had a slow moment in the trial"
    assert passes[False] > 0, "both were tried"


def test_latency_of_a_network_that_takes_one_layout_only(data):
    class Old(nn.Module):
        def forward(self, images):
            return images.view(len(images), -1)[:, :3]

    assert (latency_ms({"old": Old()}, data, batch_size=4, rounds=2)["old"] > 0).all()


def test_latency_is_that_of_real_images_however_many_there_are(data, clock):
    network, threads = clock.network("module", lambda images: 100), torch.get_num_threads()
    network.scale = nn.Parameter(torch.ones((), dtype=torch.float64))
    answered = []
    try:
        torch.set_num_threads(threads + 1)
        latency_ms({"module": network.train(), "runtime": answered.append}, data, batch_size=17, rounds=1)
    finally:
        torch.set_num_threads(threads)
    normal = data.normalize(data.validation.images)
    expected = torch.cat([normal, normal[:2]])
    assert answered and all(torch.equal(images, expected) for images in answered)
    timed = [call for call in network.seen if len(call[0]) == 17]
    assert timed and all(images.dtype == torch.float64 and torch.equal(images.float(), expected) for images, *_ in timed)
    assert {tuple(state) for _, *state in timed} == {(False, True, threads + 1)}, "evaluation, inference, torch's threads"
    assert network.training


def test_measuring_changes_nothing_in_the_network(data):
    model = nn.Sequential(nn.Conv2d(3, 4, 4), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(12, 3))
    model.train()[1].eval()  # a frozen norm in a network that trains
    before = copy.deepcopy(model.state_dict())
    ap.evaluate(model, data, rounds=1, engines=["torch"], batch_sizes=[2])
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == [True, True, False, True, True]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_a_network_of_another_type_is_evaluated_as_it_is(data, dtype):
    full, other = (
        ap.evaluate(model, data, rounds=1, batch_sizes=[4], engines=["torch"])
        for model in (brightest(), brightest().to(dtype))
    )
    for name in ("accuracy", "params", "nonzero_params", "macs"):
        assert getattr(other, name) == getattr(full, name)
    assert other.bytes == stored_size(**{"0.weight": torch.zeros(3, 3, 1, 1, dtype=dtype)})
    assert other.peak_memory == full.peak_memory * dtype.itemsize / 4


@pytest.mark.parametrize("lost", [1, 30])
def test_a_network_that_gives_nan_has_no_accuracy(tiny_data, lost):
    class Broken(nn.Module):
        def forward(self, images):
            scores = images.mean(dim=(2, 3))
            mine = torch.isclose(scores[:, None], special[None]).all(dim=2).any(dim=1)
            return torch.where(mine[:, None], torch.nan, scores)

    special = tiny_data.normalize(tiny_data.test.images[:lost]).mean(dim=(2, 3))
    for ask in (ap.accuracy, ap.confusion, ap.evaluate, lambda model, data: ap.compare({"broken": model}, data)):
        with pytest.raises(ValueError, match=f"{lost} of 30 images get NaN scores"):
            ask(Broken(), tiny_data)


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda model, data: ap.compare({}, data), "models must hold at least one network, got an empty dictionary"),
        (lambda model, data: latency_ms({}, data), "models must hold at least one network, got an empty dictionary"),
        (lambda model, data: ap.compare({"it": model}, data, "all"), "'all'"),
        (lambda model, data: ap.confusion(model, data, "exam"), "'exam'"),
        (lambda model, data: ap.compare({"it": model}, data, rounds=0), "got batch_size=64, rounds=0"),
        (lambda model, data: ap.evaluate(model, data, batch_sizes=[2, 0]), "got batch_size=0, rounds=15"),
        (lambda model, data: ap.evaluate(model, data, engines=[]), r"engines must be one or more of .*, got \[\]"),
        (
            lambda model, data: ap.evaluate(model, data, engines=["torch", "tensorrt"]),
            r"engines must be one or more of 'torch', 'onnx', got \['torch', 'tensorrt'\]",
        ),
    ],
)
def test_bad_input_is_named(data, ask, says):
    with pytest.raises(ValueError, match=says):
        ask(brightest(), data)


def test_more_outputs_than_classes_are_named(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(CHANNELS * HEIGHT * WIDTH, 90))
    model[1].bias.data[40] = 1000
    with pytest.raises(ValueError, match="guesses must lie between 0 and 2, got 40"):
        ap.confusion(model, data)


def test_the_story_is_measured_as_it_is_told(tiny_model, tiny_data, tmp_path):
    """Nothing scripted: a dense, a masked and a removed network, in torch and in ONNX Runtime."""
    masked = ap.mask(tiny_model, ap.keep_by_ratio(ap.importance(tiny_model), 0.5))
    models = {"dense": tiny_model, "masked": masked, "removed": ap.remove(masked)}
    table = ap.compare(models, tiny_data, rounds=2, batch_size=4)
    assert table.params["masked"] == table.params["dense"] > table.params["removed"]
    assert table.macs["masked"] == table.macs["dense"] > table.macs["removed"]
    assert table.accuracy["masked"] == table.accuracy["removed"]
    assert (table.latency_ms > 0).all() and (table.latency_iqr_ms >= 0).all()
    for name, model in models.items():
        assert table.params[name] == count_params(model)
        assert table.bytes[name] == ap.save_model(model, tmp_path / name).stat().st_size
    assert 4 + 6 + 10 < table.bytes["masked"] - table.bytes["dense"] < 500, "one byte for each channel's mask, and its name"

    report = ap.evaluate(masked, tiny_data, rounds=2, engines=["onnx"], batch_sizes=[4])
    for name in ("accuracy", "params", "macs", "bytes"):
        assert getattr(report, name) == table[name]["masked"]
    assert report.params > report.nonzero_params >= table.params["removed"]
    assert (report.latency.loc["onnx", 4] > 0).all() and len(report.latency) == 1
