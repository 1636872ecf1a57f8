"""What the callback writes is read back as TensorBoard reads it."""

import sys

import pytest
import torch

import attnprune_edu as ap


@pytest.fixture(scope="module")
def read():
    """A function of a folder that returns what TensorBoard finds in it."""
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="tensorboard is not installed; `make extras` installs it",
    )

    def accumulated(folder):
        events = reader.EventAccumulator(str(folder), size_guidance={"histograms": 0})  # 0: all of them
        events.Reload()
        return events

    return accumulated


def test_each_epoch_is_written_and_a_second_training_goes_on(read, tiny_data, tiny_model, tmp_path):
    callback = ap.to_tensorboard(tmp_path / "run", histograms=lambda: {"gates": tiny_model.fc2.weight})
    options = {"batch_size": 30, "progress": False}
    options["callbacks"] = [lambda model, row: row.update(added=0.25, kind="text"), callback]
    first, second = (ap.train(tiny_model, tiny_data, epochs, **options) for epochs in (2, 1))
    events = read(tmp_path / "run")
    assert sorted(events.Tags()["scalars"]) == ["added", "loss", "lr", "seconds", "validation_accuracy"]
    for name in events.Tags()["scalars"]:
        found = events.Scalars(name)
        assert [event.step for event in found] == [1, 2, 3]
        assert [event.value for event in found] == pytest.approx([*first[name], *second[name]], rel=1e-5)
    gates = events.Histograms("gates")
    assert [event.step for event in gates] == [1, 2, 3]
    last, weights = gates[-1].histogram_value, tiny_model.fc2.weight
    assert last.num == weights.numel() and last.max == pytest.approx(weights.max().item())


def test_without_histograms_there_are_none(read, tiny_model, tmp_path):
    ap.to_tensorboard(tmp_path)(tiny_model, {"epoch": 1, "loss": torch.tensor(2.0).item()})
    assert read(tmp_path).Tags()["histograms"] == [] and read(tmp_path).Scalars("loss")[0].value == 2


def test_without_tensorboard_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match=r'pip install "attnprune-edu\[tensorboard\]"'):
        ap.to_tensorboard(tmp_path)
    assert not list(tmp_path.iterdir())
