"""The tables of long experiments that ship with the package: complete, and as the lessons and the README need them."""

import pytest
from conftest import ROOT

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


@pytest.mark.parametrize(
    ("network", "ratios", "criteria"),
    [
        ("article-net", [0.1, 0.3, 0.5, 0.7, 0.9], 8),
        ("resnet20", [0.3, 0.5], 9),
        ("resnet20-adamw", [0.3, 0.5], 9),
        ("resnet20-momentum", [0.3, 0.5], 9),
    ],
)
def test_criteria_has_every_cell_of_three_seeds_and_the_baselines(network, ratios, criteria):
    table = ap.load_results(f"criteria-{network}")
    assert not table.duplicated(["criterion", "pruning_ratio", "seed"]).any()
    baselines = table.criterion.isin(["from scratch", "Torch-Pruning L2"])
    ours, outside = table[~baselines], table[table.criterion == "Torch-Pruning L2"]
    assert ours.criterion.nunique() == criteria
    for rows in (ours[ours.pruning_ratio != 0.2], outside):
        assert (rows.groupby(["criterion", "pruning_ratio"]).seed.apply(sorted).map(tuple) == (0, 1, 2)).all()
        assert sorted(rows.pruning_ratio.unique()) == ratios
    assert (table[table.criterion == "from scratch"].groupby("pruning_ratio").seed.nunique() == 3).all()
    assert ("from scratch" in set(table.criterion)) == (network == "article-net")
    # All that is compared at one ratio has the same shape, and so the same costs; Torch-Pruning rounds by itself.
    same = table[table.criterion != "Torch-Pruning L2"].groupby("pruning_ratio")
    assert (same.params.nunique() == 1).all() and (same.macs.nunique() == 1).all()
    assert ours[["pruned_accuracy", "repaired_accuracy", "accuracy"]].notna().all(axis=None)
    assert table.accuracy.between(0.05, 0.9).all()


def test_aims_have_networks_within_their_budgets():
    table = ap.load_results("aims").set_index(["aim", "method"])
    assert not table.reset_index().duplicated(["aim", "method", "epochs", "seed"]).any()
    kinds = {"resnet20": ap.ResNet20(), "article-net": ap.ArticleNet()}
    for (aim, method), row in table.iterrows():
        model, whole = kinds[row.network], method.startswith("dense")
        assert row.before == pytest.approx({"resnet20": 0.892, "article-net": 0.7791}[row.network])
        assert row.macs <= ap.count_macs(model, (3, 32, 32)) * (row.budget if aim == "macs" else 1)
        assert row.params <= ap.count_params(model) * (row.budget if aim == "params" and not whole else 1)
        assert row.measured_time < (row.budget if aim == "latency" else 1.25)  # masks take time
        assert row.before - 0.03 < row.accuracy and (whole or row.repaired_accuracy < row.accuracy)
    assert {aim for aim, _ in table.index} == {"macs", "latency", "params"}


def test_adaptive_gives_all_methods_the_same_budget_and_the_same_widths():
    table = ap.load_results("adaptive")
    assert not table.duplicated(["method", "pruning_ratio", "seed", "epochs"]).any()
    assert set(table.epochs) == {4, 16} and table.images.nunique() == 1 and table.accuracy.between(0.3, 0.8).all()
    assert (table.groupby("pruning_ratio").params.nunique() == 1).all()
    compared = table[table.method.isin(["one shot, repaired", "running gates, repaired", "L1 gates, repaired"])]
    assert (compared.groupby(["epochs", "method"]).seed.nunique() >= 2).all() and compared.epochs.nunique() == 2


def test_devices_compares_each_network_in_both_types_within_the_same_budget():
    table = ap.load_results("devices")
    assert not table.duplicated(["network", "pruning", "type"]).any()
    networks = table.set_index(["network", "pruning", "type"])
    float32, int8 = networks.xs("float32", level="type"), networks.xs("int8", level="type")
    assert list(float32.index) == list(int8.index) and (float32.macs == int8.macs).all()
    assert (int8.bytes < 0.5 * float32.bytes).all() and (int8.peak_memory < float32.peak_memory).all()
    assert (int8.accuracy - float32.accuracy).abs().max() < 0.02
    for _, rows in float32.groupby("network"):
        macs, dense = rows.macs.droplevel("network"), rows.macs.iloc[0]
        assert macs[[name for name in macs.index if "half of the MACs" in name]].between(0.45 * dense, 0.5 * dense).all()


def test_the_table_of_devices_in_the_readme_is_that_of_the_benchmark():
    page = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8").replace("`", "")
    shown = {"article-net": "ArticleNet", "resnet20": "ResNet20"}
    for row in ap.load_results("devices").itertuples():
        costs = f"{row.macs:,} | {row.bytes:,} | {row.accuracy:.1%} | {row.speedup_1:.1f} | {row.speedup_64:.1f} ("
        assert f"| {shown[row.network]}, {row.pruning} | {row.type} | {costs}" in page
    widths = ap.load_results("devices-widths")
    for kind, rows in widths[widths.width.isin([17, 20, 23, 24, 25, 28, 31, 32])].groupby("type"):
        assert f"| {kind}, ms | " + " | ".join(f"{ms:.1f}" for ms in rows.sort_values("width").ms) + " |" in page


def test_other_domains_has_every_criterion_for_three_dense_networks():
    table = ap.load_results("other-domains")
    shapes = ["network", "channels", "pruning_ratio"]
    assert not table.duplicated([*shapes, "criterion", "seed"]).any()
    criteria = {
        **{(network, "none", 0.0): 2 for network in table.network.unique()},
        ("name-gru", "units", 0.5): 5,
        **{("name-transformer", "heads", ratio): 4 for ratio in (0.25, 0.5, 0.75)},
        **{("name-transformer", "neurons", ratio): 5 for ratio in (0.5, 0.9)},
        ("digit-cnn", "filters", 0.5): 5,
        **{(network, "filters and neurons", 0.5): 5 for network in ("article-net", "face-net")},
    }
    found = table.groupby([*shapes, "seed"]).criterion.nunique()
    assert set(found.index.droplevel("seed")) == criteria.keys()
    for shape, count in criteria.items():
        assert found[shape].to_dict() == dict.fromkeys(range(3), count)
    # All that is compared has the same shape, and so the same costs, which are below those of the dense network.
    assert (table.groupby(shapes)[["params", "macs"]].nunique() == 1).all(axis=None)
    pruned, dense = table[table.channels != "none"], table[table.criterion == "dense"].groupby("network")
    for cost in ("params", "macs"):
        assert (pruned[cost] < pruned.network.map(dense[cost].first())).all()
    stages = [prefix + metric for prefix in ("pruned_", "repaired_", "") for metric in ("accuracy", "macro_recall")]
    assert pruned[stages].stack().between(0, 1).all() and table[stages[-2:]].stack().between(0, 1).all()
    # Where there are two classes, the recall of either is told as well.
    xrays = table.network == "article-net"
    assert (table[["sensitivity", "specificity"]].notna().all(axis=1) == xrays).all()
    assert table.macro_recall[xrays].tolist() == pytest.approx(
        table[["sensitivity", "specificity"]].mean(axis=1)[xrays].tolist()
    )
