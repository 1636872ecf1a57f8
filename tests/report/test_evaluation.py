import copy
import time

import pytest
import safetensors.torch
import torch

import attnprune_edu as ap
from attnprune_edu.report.evaluation import count_macs, count_params, latency_ms
from attnprune_edu.report.memory import peak_memory


def test_table_shows_that_only_removal_saves(tiny_model, tiny_data):
    masked = ap.mask(tiny_model, ap.keep_by_ratio(ap.importance(tiny_model), 0.5))
    table = ap.compare(
        {"dense": tiny_model, "masked": masked, "removed": ap.remove(masked)}, tiny_data, rounds=2, batch_size=4
    )
    assert list(table.columns) == ["accuracy", "params", "macs", "bytes", "latency_ms", "latency_iqr_ms"]
    assert table.params["masked"] == table.params["dense"] > table.params["removed"]
    assert table.macs["masked"] == table.macs["dense"] > table.macs["removed"]
    assert table.accuracy["masked"] == table.accuracy["removed"]
    assert (table.latency_ms > 0).all() and (table.latency_iqr_ms >= 0).all()
    header = table.bytes["dense"] - 4 * table.params["dense"]
    assert 0 < header < 2000, "names and shapes"
    assert 4 + 6 + 10 < table.bytes["masked"] - table.bytes["dense"] < 500, "one byte for each channel's mask, and its name"


def test_one_network_is_the_row_of_a_table(tiny_model, tiny_data):
    report = ap.evaluate(tiny_model, tiny_data, "validation", rounds=3, batch_sizes=(1, 4))
    row = ap.compare({"it": tiny_model}, tiny_data, "validation", rounds=1, batch_size=4, full=True).loc["it"]
    for name in ("accuracy", "accuracy_low", "accuracy_high", "macro_recall", "params", "nonzero_params", "macs", "bytes"):
        assert getattr(report, name) == row[name]
    assert report.params == count_params(tiny_model) and report.num_images == 6 and report.peak_memory == row.peak_memory
    assert report.accuracy == ap.accuracy(tiny_model, tiny_data, "validation")
    assert row.macs_speedup == row.speedup == 1.0
    assert {"latency_ms", "latency_1_ms", "onnx_latency_ms", "onnx_latency_1_iqr_ms"} <= set(row.index)
    assert list(report.latency.index) == [("torch", 1), ("torch", 4), ("onnx", 1), ("onnx", 4)]
    assert (report.latency.low_ms <= report.latency.median_ms).all() and (report.latency.low_ms > 0).all()
    assert "95 % interval" in repr(report) and "onnx, batch of 4" in repr(report) and f"{report.macs:,}" in repr(report)


def test_recall_counts_each_class_by_itself(tiny_data):
    class Red(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            return torch.tensor([1.0, 0.0, 0.0]).expand(len(images), 3) + 0 * images.mean()

    report = ap.evaluate(Red(), tiny_data, rounds=1, engines=["torch"])
    assert report.recall.to_dict() == {"red": 1.0, "green": 0.0, "blue": 0.0}
    assert report.macro_recall == pytest.approx(1 / 3) and report.nonzero_params == 0 and report.params == 1


def test_peak_memory_of_the_article_net_by_hand(tiny_data):
    model = ap.ArticleNet()
    images = torch.zeros(64, 3, 32, 32)
    # The peak is at the first ReLU, when its input and its output are both there.
    expected = 4 * (count_params(model) + images.numel() + 2 * 64 * 32 * 28 * 28)
    assert peak_memory(model, images) == expected
    small = ap.remove(ap.mask(model, ap.keep_by_ratio(ap.importance(model), 0.5)))
    assert peak_memory(small, images) == 4 * (count_params(small) + images.numel() + 2 * 64 * 16 * 28 * 28)


def test_accuracy_counts_right_answers_and_leaves_the_mode_alone(tiny_model, tiny_data):
    class Red(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Parameter(torch.zeros(1))

        def forward(self, images):
            return torch.tensor([1.0, 0.0, 0.0]).expand(len(images), 3)

    model = Red().train()
    assert ap.accuracy(model, tiny_data) == pytest.approx((tiny_data.test.labels == 0).double().mean().item())
    assert model.training


def test_measuring_changes_nothing_in_the_network(tiny_data):
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 16), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4, 3)
    )
    model.train()[1].eval()  # a frozen norm in a network that trains
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_macs(model, tiny_data.image_shape)
    latency_ms({"model": model}, tiny_data, batch_size=2, rounds=1)
    ap.accuracy(model, tiny_data)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == [True, True, False, True, True]


def test_latency_has_a_row_per_round_and_sees_a_slow_network(tiny_model, tiny_data):
    class Slow(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, images):
            return sum(self.model(images) for _ in range(30))

    times = latency_ms({"once": tiny_model, "thirty times": Slow(tiny_model)}, tiny_data, batch_size=16, rounds=5)
    assert len(times) == 5
    assert times["thirty times"].median() > 5 * times["once"].median()


def test_latency_is_that_of_real_images_however_many_there_are(tiny_model, tiny_data):
    seen, validation = [], tiny_data.normalize(tiny_data.validation.images)
    tiny_model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    count = len(validation) + 2
    latency_ms({"model": tiny_model}, tiny_data, batch_size=count, rounds=1)
    timed = [inputs for inputs in seen if len(inputs) == count]  # others only ask whether the network takes a layout
    assert all(torch.equal(inputs, torch.cat([validation, validation[:2]])) for inputs in timed)
    assert timed and validation.std() > 0


@pytest.mark.parametrize("favourite", [torch.channels_last, torch.contiguous_format])
def test_latency_is_measured_in_the_layout_that_suits_the_network_best(tiny_data, favourite):
    class Choosy(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = []

        def forward(self, images):
            self.seen.append(images.is_contiguous(memory_format=favourite))
            if not self.seen[-1]:
                time.sleep(0.01)
            return images.mean(dim=(2, 3))

    model = Choosy()
    times = latency_ms({"model": model}, tiny_data, batch_size=4, rounds=4)
    assert times["model"].max() < 8 and not all(model.seen), "both were tried, only the faster one is reported"


def test_latency_of_a_network_that_takes_one_layout_only(tiny_data):
    class Old(torch.nn.Module):
        def forward(self, images):
            return images.view(len(images), -1)[:, :3]

    assert (latency_ms({"model": Old()}, tiny_data, batch_size=4, rounds=2)["model"] > 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_of_another_type_is_evaluated_as_it_is(tiny_model, tiny_data, dtype):
    full, other = (
        ap.compare(
            {"float32": tiny_model, "other": copy.deepcopy(tiny_model).to(dtype)},
            tiny_data,
            rounds=1,
            batch_size=4,
            full=True,
        )
        .to_dict("index")
        .values()
    )
    assert other["accuracy"] == pytest.approx(full["accuracy"], abs=0.1)
    assert other["macs"] == full["macs"] and other["nonzero_params"] == full["nonzero_params"]
    size = dtype.itemsize
    assert other["bytes"] - full["bytes"] == pytest.approx((size - 4) * full["params"], abs=100), "100: for its header"
    # Not exactly: pooling in half precision writes down where its maxima were, in whole numbers.
    assert other["peak_memory"] == pytest.approx(full["peak_memory"] * size / 4, rel=0.1)
    model = copy.deepcopy(tiny_model).to(dtype)
    scores = ap.predict(model, tiny_data, tiny_data.test.images)
    assert scores.dtype == torch.float32
    assert (scores - ap.predict(tiny_model, tiny_data, tiny_data.test.images)).abs().max() < 0.01
    images = tiny_data.normalize(tiny_data.test.images[:4])
    assert peak_memory(model, images) == peak_memory(model, images.to(dtype))


@pytest.mark.parametrize("lost", [1, 30])
def test_a_network_that_gives_nan_has_no_accuracy(tiny_data, lost):
    class Broken(torch.nn.Module):
        def forward(self, images):
            scores = images.mean(dim=(2, 3))
            mine = torch.isclose(scores[:, None], special[None]).all(dim=2).any(dim=1)
            return torch.where(mine[:, None], torch.nan, scores)

    special = tiny_data.normalize(tiny_data.test.images[:lost]).mean(dim=(2, 3))
    for ask in (ap.accuracy, ap.confusion, ap.evaluate, lambda model, data: ap.compare({"broken": model}, data)):
        with pytest.raises(ValueError, match=f"{lost} of 30 images get NaN scores"):
            ask(Broken(), tiny_data)


def test_bytes_are_those_of_the_file(tiny_model, tiny_data, tmp_path):
    masked = ap.mask(tiny_model, ap.keep_by_ratio(ap.importance(tiny_model), 0.5))
    table = ap.compare({"dense": tiny_model, "masked": masked}, tiny_data, rounds=1, batch_size=1)
    for name, model in {"dense": tiny_model, "masked": masked}.items():
        assert table.bytes[name] == ap.save_model(model, tmp_path / name).stat().st_size

    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = torch.nn.Linear(3, 3, bias=False)
            self.second = torch.nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight

        def forward(self, images):
            return self.second(self.first(images.mean(dim=(2, 3))))

    file = tmp_path / "tied.safetensors"
    safetensors.torch.save_file({"first.weight": Tied().first.weight.detach()}, file)
    assert ap.evaluate(Tied(), tiny_data, rounds=1, engines=["torch"]).bytes == file.stat().st_size


def test_bad_input_is_named(tiny_model, tiny_data):
    with pytest.raises(ValueError, match="empty dictionary"):
        ap.compare({}, tiny_data)
    with pytest.raises(ValueError, match="'all'"):
        ap.compare({"model": tiny_model}, tiny_data, "all", rounds=1)
    with pytest.raises(ValueError, match="rounds=0"):
        ap.compare({"model": tiny_model}, tiny_data, rounds=0)
    with pytest.raises(ValueError, match=r"engines must be one or more of 'torch', 'onnx', got \['tensorrt'\]"):
        ap.evaluate(tiny_model, tiny_data, engines=["tensorrt"])


def test_confusion_counts_every_image_once_in_the_row_of_its_class(tiny_model, tiny_data):
    table = ap.confusion(tiny_model, tiny_data)
    assert table.index.tolist() == table.columns.tolist() == ["red", "green", "blue"]
    guesses = ap.predict(tiny_model, tiny_data, tiny_data.test.images).argmax(1)
    for row, column in [(0, 1), (1, 1), (2, 0)]:
        assert table.iloc[row, column] == ((tiny_data.test.labels == row) & (guesses == column)).sum()
    assert table.sum(axis=1).tolist() == tiny_data.test.labels.bincount(minlength=3).tolist()
    assert table.to_numpy().trace() / 30 == pytest.approx(ap.accuracy(tiny_model, tiny_data))
    with pytest.raises(ValueError, match="'exam'"):
        ap.confusion(tiny_model, tiny_data, "exam")
    with pytest.raises(ValueError, match="guesses must lie between 0 and 2"):
        ap.confusion(ap.ArticleNet((4, 4), 5, num_classes=90, image_size=16), tiny_data)
