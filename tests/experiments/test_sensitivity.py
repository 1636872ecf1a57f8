"""Sensitivity: each group of layers pruned alone, on the validation images."""

import numpy as np
import pytest
import torch

import attnprune_edu as ap


@pytest.mark.parametrize(("criterion", "seed"), [("attention", 0), ("taylor", 3), ("random", 3)])
def test_each_place_of_the_table_is_what_it_would_be_by_hand(uneven_data, imperfect, criterion, seed):
    model, ratios = imperfect(), (0.25, 0.7)
    table = ap.sensitivity(model, uneven_data, criterion, iter(ratios), seed=seed, progress=False)
    scores = ap.importance(model, criterion, data=uneven_data, seed=seed)
    assert table.shape == (3, 2) and set(table.dtypes) == {np.dtype(float)}
    for layer, ratio in [(layer, ratio) for layer in scores for ratio in ratios]:
        alone = ap.mask(model, ap.keep_by_ratio({layer: scores[layer]}, ratio))
        assert table.loc[layer, ratio] == ap.accuracy(alone, uneven_data, "validation")


@pytest.mark.filterwarnings("ignore:pruning_ratio=0.. would empty")
def test_ratios_are_tenths_by_default_and_the_bar_counts_networks(tiny_data, tiny_model, capsys):
    assert ap.sensitivity(tiny_model, tiny_data).columns.tolist() == pytest.approx([n / 10 for n in range(10)])
    assert "30/30" in capsys.readouterr().err
    ap.sensitivity(tiny_model, tiny_data, ratios=[0.5], progress=False)
    assert not capsys.readouterr().err


def test_layers_without_importance_are_left_out(tiny_data, tiny_model):
    table = ap.sensitivity(tiny_model, tiny_data, lambda model: {"conv2": torch.arange(6.0)}, [0.5], progress=False)
    assert table.index.tolist() == ["conv2"]
