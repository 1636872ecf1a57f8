"""What runs on a CPU runs on a GPU, and gives the same there; results come back to where the network is, or to the CPU."""

import copy

import pytest
import torch

import attnprune_edu as ap
from attnprune_edu.networks.inference import device_of, predict

DEVICE = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
pytestmark = pytest.mark.skipif(DEVICE is None, reason="torch finds no accelerator, such as a GPU, on this machine")
CRITERIA = ("attention", "l1", "fpgm", "bn_scale", "taylor", "activation_attention")


def of_kind(tensor: torch.Tensor) -> bool:
    return tensor.device.type == DEVICE.type


@pytest.fixture
def here():
    torch.manual_seed(0)
    return ap.ResNet20((4, 6, 8), ((4, 5, 6), (6, 7, 8), (8, 9, 10)), num_classes=3).eval()


@pytest.fixture
def there(here):
    return copy.deepcopy(here).to(DEVICE)


@pytest.fixture
def keep(here, tiny_data):
    groups = ap.coupled_layers(here, tiny_data.image_shape)
    return ap.keep_by_ratio(ap.couple(ap.importance(here, "l1", data=tiny_data), groups), 0.5)


def test_training_uses_the_device_and_brings_the_network_back(tiny_model, tiny_data):
    seen = []
    ap.train(
        tiny_model, tiny_data, 8, batch_size=10, lr=0.01, progress=False, callbacks=[lambda m, _: seen.append(device_of(m))]
    )
    assert {device.type for device in seen} == {DEVICE.type} and device_of(tiny_model).type == "cpu"
    assert ap.accuracy(tiny_model, tiny_data) > 0.9


@pytest.mark.parametrize("criterion", CRITERIA)
def test_importance_is_the_same_and_comes_back_to_the_cpu(here, there, tiny_data, criterion):
    ignored = ["fc"] if criterion != "bn_scale" else []
    expected = ap.importance(here, criterion, data=tiny_data, ignored_layers=ignored)
    found = ap.importance(there, criterion, data=tiny_data, ignored_layers=ignored)
    for name, values in expected.items():
        torch.testing.assert_close(found[name], values, rtol=1e-3, atol=1e-5, check_device=True)


def test_masking_and_removal_stay_on_the_device(there, tiny_data, keep):
    masked = ap.mask(there, keep)
    small = ap.remove(masked, tiny_data.example_inputs)
    for network in (masked, small):
        assert all(of_kind(tensor) for tensor in [*network.parameters(), *network.buffers()])
    torch.testing.assert_close(*(predict(network, tiny_data, tiny_data.test.images) for network in (masked, small)))
    assert ap.count_params(small) < ap.count_params(there)


def test_fine_tuning_keeps_masks(there, tiny_data, keep):
    masked = ap.mask(there, keep)
    ap.fine_tune(masked, tiny_data, 1, batch_size=10, progress=False)
    assert all(of_kind(parameter) for parameter in masked.parameters())
    assert ap.sparsity(masked).loc["all", "kept_channels"] == sum(int(stays.sum()) for stays in keep.values()) + 3


def test_repair_solves_there_what_it_solves_here(here, there, tiny_data, keep):
    ways = [ap.repair(ap.mask(network, keep), tiny_data, num_images=60) for network in (here, there)]
    assert of_kind(next(ways[1].parameters()))
    scores = [predict(network, tiny_data, tiny_data.test.images) for network in ways]
    torch.testing.assert_close(*scores, rtol=1e-2, atol=1e-2)


def test_a_report_on_the_device_is_that_of_the_same_network_here(there, tiny_data, keep):
    small = ap.remove(ap.mask(there, keep), tiny_data.example_inputs)
    reports = [ap.evaluate(network, tiny_data, rounds=2, batch_sizes=[2]) for network in (small, copy.deepcopy(small).cpu())]
    for part in ("num_images", "accuracy", "params", "macs", "bytes"):
        assert getattr(reports[0], part) == getattr(reports[1], part), part
    assert reports[0].latency.median_ms.gt(0).all()
