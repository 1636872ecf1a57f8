"""The tables of long experiments that ship with the package: complete, and as the lessons and the README need them."""

import pytest

import attnprune_edu as ap


def test_an_unknown_table_names_the_known_ones():
    with pytest.raises(ValueError, match=r"name must be one of .*'recovery'.*, got 'nothing'"):
        ap.load_results("nothing")


def test_recovery_has_every_cell_of_three_seeds():
    table = ap.load_results("recovery")
    assert list(table.columns) == ["method", "pruning_ratio", "seed", "epochs", "accuracy", "params", "macs"]
    cells = table[table.method != "dense"]
    assert len(cells) == cells.method.nunique() * cells.pruning_ratio.nunique() * 3 == 6 * 5 * 3
    assert not cells.duplicated(["method", "pruning_ratio", "seed"]).any()
    assert sorted(table[table.method == "dense"].seed) == [0, 1, 2]
    assert table.accuracy.between(0.1, 0.8).all()
    # An equal training budget, and equal widths whatever the way there.
    assert set(cells[~cells.method.isin(["removed", "repaired"])].epochs) == {4}
    assert (cells.groupby("pruning_ratio").params.nunique() == 1).all()
