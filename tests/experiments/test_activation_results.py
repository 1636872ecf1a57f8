"""The table of lesson 09's comparison on the embedded set: complete, and paired as the lesson pairs it."""

import itertools

import attnprune_edu as ap


def test_every_cell_of_three_seeds_is_there_and_repair_helps():
    table = ap.load_results("activation-embedded")
    keys = ["network", "criterion", "pruning_ratio", "seed"]
    cells = set(table[keys].itertuples(index=False, name=None))
    criteria = ["attention", "activation_attention"]
    assert cells == set(itertools.product(["article-net", "resnet20"], criteria, [0.3, 0.5], range(3)))
    assert len(table) == len(cells)
    assert (table.repaired_accuracy > table.pruned_accuracy).all() and table.repaired_accuracy.between(0.5, 1).all()
