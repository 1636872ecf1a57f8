import pytest
import torch

import attnprune_edu as ap
from attnprune_edu.evaluation import count_macs, count_params, latency_ms


def test_costs_of_the_article_net_by_hand():
    model = ap.ArticleNet()
    macs = 32 * 28 * 28 * 3 * 25 + 64 * 10 * 10 * 32 * 25 + 1600 * 1024 + 1024 * 10
    assert count_macs(model, (3, 32, 32)) == macs
    assert count_params(model) == 1_703_370


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
    assert table.bytes["dense"] == 4 * table.params["dense"]
    assert table.bytes["masked"] == table.bytes["dense"] + 4 + 6 + 10, "one byte for each channel's mask"


def test_one_network_is_the_row_of_a_table(tiny_model, tiny_data):
    report = ap.evaluate(tiny_model, tiny_data, "validation", rounds=1, batch_size=2)
    assert report["params"] == count_params(tiny_model)
    assert report["accuracy"] == ap.accuracy(tiny_model, tiny_data, "validation")


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


def test_bad_input_is_named(tiny_model, tiny_data):
    with pytest.raises(ValueError, match="empty dictionary"):
        ap.compare({}, tiny_data)
    with pytest.raises(ValueError, match="'all'"):
        ap.compare({"model": tiny_model}, tiny_data, "all", rounds=1)
    with pytest.raises(ValueError, match="rounds=0"):
        ap.compare({"model": tiny_model}, tiny_data, rounds=0)


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
