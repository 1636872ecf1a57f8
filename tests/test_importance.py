import math

import pytest
import torch
from torch import nn

import attnprune_edu as ap
from attnprune_edu.importance import CRITERIA


@pytest.mark.parametrize("criterion", CRITERIA)
def test_one_value_per_channel_of_every_layer_but_the_last(tiny_model, criterion):
    values = ap.importance(tiny_model, criterion)
    assert {name: tuple(v.shape) for name, v in values.items()} == {"conv1": (4,), "conv2": (6,), "fc1": (10,)}
    assert all(torch.isfinite(v).all() and not v.requires_grad for v in values.values())


def linear_pair(rows) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(2, len(rows), bias=False), nn.Linear(len(rows), 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(rows))
    return model


def test_values_by_hand():
    model = linear_pair([[0.2, -0.4], [-3.0, -3.0]])
    share = math.exp(0.2) / (math.exp(0.2) + math.exp(0.4))
    assert ap.importance(model, "attention")["0"].tolist() == pytest.approx([share * 0.2 + (1 - share) * 0.4, 3.0])
    assert ap.importance(model, "l1")["0"].tolist() == pytest.approx([0.6, 6.0])
    share = math.exp(0.2) / (math.exp(0.2) + math.exp(-0.4))
    signed = ap.importance(model, "attention_signed")["0"]
    assert signed.tolist() == pytest.approx([share * 0.2 - (1 - share) * 0.4, -3.0])
    assert signed.argmin() == 1, "as printed, the strong negative filter comes out last"


def test_temperature_runs_from_the_mean_to_the_maximum():
    model = linear_pair([[1.0, 3.0], [0.0, 2.0]])
    assert ap.importance(model, temperature=1e6)["0"].tolist() == pytest.approx([2.0, 1.0], abs=1e-4)
    assert ap.importance(model, temperature=1e-6)["0"].tolist() == pytest.approx([3.0, 2.0], abs=1e-4)


def test_random_follows_its_seed(tiny_model):
    first, same, other = (ap.importance(tiny_model, "random", seed=seed)["fc1"] for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_bad_input_is_named(tiny_model):
    with pytest.raises(ValueError, match=r"'attention', 'attention_signed', 'l1', 'random'.*'magnitude'"):
        ap.importance(tiny_model, "magnitude")
    with pytest.raises(ValueError, match="no prunable layer"):
        ap.importance(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    with pytest.raises(ValueError, match="no prunable layer"):
        ap.importance(nn.ReLU())
    with pytest.raises(ValueError, match=r"ignored_layers names \['conv9'\]"):
        ap.importance(tiny_model, ignored_layers=["conv9"])
    with pytest.raises(ValueError, match="temperature must be above 0, got 0"):
        ap.importance(tiny_model, temperature=0)
    with torch.no_grad():
        tiny_model.conv2.weight[0, 0] = math.nan
    with pytest.raises(ValueError, match="'conv2' has NaN"):
        ap.importance(tiny_model, "l1")


def test_ignored_layers_are_left_out(tiny_model):
    assert set(ap.importance(tiny_model, ignored_layers=["fc1"])) == {"conv1", "conv2"}
