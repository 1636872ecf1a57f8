"""Which criterion chooses best? Every one at every ratio, before and after repair and after fine-tuning, with baselines.

    python benchmarks/criteria.py article-net [--seeds 3] [--ratios 0.1 0.3 0.5 0.7 0.9] [--processes 1]
    python benchmarks/criteria.py resnet20 --ratios 0.3 0.5 0.7

The same share of channels is removed from every layer; coupled layers lose the same ones. Then the weights behind are
solved for again (repair), and the smaller network is fine-tuned for one epoch: of all training images for `article-net`, of
10,000 of them for `resnet20`. Two baselines are run as well, each with the same seeds:

- "Torch-Pruning L2": the pruner of that library at the same ratios, fine-tuned alike; it knows no repair.
- "from scratch": a network of the shape that pruning leaves, with fresh weights, trained as the dense one was, at the
  ratios and for the epochs of SCRATCH.

The dense parents of `article-net` are those of benchmarks/recovery.py, one for each seed; there is one `resnet20`, so that
its seeds differ only in what is drawn by them: images for the scores and the repair, and the order of the batches.

Every finished cell is kept in build/criteria/, so that a run that was stopped goes on. At the end the table goes to
attnprune_edu/results/criteria-NETWORK.csv, is printed, and drawn as benchmarks/pictures/criteria-NETWORK.png.
"""

import argparse
import functools
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import pandas as pd
import torch
from matplotlib.figure import Figure
from recovery import ROOT, append, dense_network, has
from torch import nn
from train_checkpoints import RECIPES, InBfloat16

import attnprune_edu as ap
from attnprune_edu.checkpoints import whole_or_not_at_all
from attnprune_edu.models import rebuild

CELLS = ROOT / "build" / "criteria"
PICTURES = ROOT / "benchmarks" / "pictures"
CRITERIA = ["random", "l1", "l2", "fpgm", "taylor", "attention_signed", "attention", "activation_attention"]
METHODS = {"pruned_accuracy": "removed", "repaired_accuracy": "repaired", "accuracy": "fine-tuned"}


class Plan(NamedTuple):
    """``criteria``; ``images`` of the training part for fine-tuning (None: all); options of ``repair`` and ``fine_tune``;
    ``scratch``: the ratios and the epochs of the baseline with fresh weights; ``also``: criteria that are run at 20 % too,
    because the source texts speak of 10, 20 and 30 %.
    """

    criteria: list[str]
    images: int | None
    repair: dict
    training: dict
    scratch: tuple[list[float], int]
    also: tuple[str, ...] = ()


PLANS = {
    "article-net": Plan(CRITERIA, None, {}, {"epochs": 1}, ([0.5, 0.9], 17), ("random", "l1", "attention")),
    "resnet20": Plan(
        [*CRITERIA, "bn_scale"],
        10_000,
        {"images": 1000, "positions": 25},  # as many windows as by default; passes through a deep network are dear
        {"epochs": 1, "lr": 0.003},
        ([0.5], 10),
    ),
}


def parent(network: str, data: ap.ImageData, seed: int) -> nn.Module:
    return dense_network(data, seed) if network == "article-net" else ap.load_model(network, data.name)


def few(network: str, data: ap.ImageData) -> ap.ImageData:
    """The images for scores, repair and fine-tuning."""
    images = PLANS[network].images
    return data.subset(train=images) if images else data


def from_scratch(network: str, data: ap.ImageData, ratio: float, seed: int) -> dict:
    """What a network of the shape that pruning leaves, with weights of its own, reaches after training."""
    dense = parent(network, data, seed)
    groups = ap.coupled_layers(dense, data.image_shape)
    keep = ap.keep_by_ratio(ap.couple(ap.importance(dense, "random", seed=seed), groups), ratio)
    shape = ap.remove(ap.mask(dense, keep), data.normalize(data.validation.images[:2])).architecture
    torch.manual_seed(seed)
    small = rebuild({"class": type(dense).__name__, **shape})
    recipe = RECIPES[f"{network}-cifar10"]
    options = recipe.options | {"epochs": PLANS[network].scratch[1]}
    ap.train(InBfloat16(small) if recipe.bfloat16 else small, data, seed=seed, progress=False, **options)
    return costs(small, data)


def by_torch_pruning(network: str, data: ap.ImageData, ratio: float, seed: int) -> dict:
    import torch_pruning as tp

    dense = parent(network, data, seed)
    output = list(dense.modules())[-1]
    inputs = data.normalize(data.validation.images[:2])
    for parameter in dense.parameters():
        parameter.requires_grad_(True)
    importance = tp.importance.MagnitudeImportance(p=2)
    tp.pruner.MagnitudePruner(dense, inputs, importance, pruning_ratio=ratio, ignored_layers=[output]).step()
    pruned_accuracy = ap.accuracy(dense, data)
    ap.fine_tune(dense, few(network, data), seed=seed, progress=False, **PLANS[network].training)
    return {"pruned_accuracy": pruned_accuracy} | costs(dense, data)


def costs(small: nn.Module, data: ap.ImageData) -> dict:
    return {
        "accuracy": ap.accuracy(small, data),
        "params": ap.count_params(small),
        "macs": ap.count_macs(small, data.image_shape),
    }


def baselines(network: str, data: ap.ImageData, ratios: list[float], seeds: int) -> pd.DataFrame:
    path = CELLS / f"baselines-{network}.csv"
    scratch = [ratio for ratio in PLANS[network].scratch[0] if ratio in ratios]
    for seed in range(seeds):
        for name, measure, where in [
            ("Torch-Pruning L2", by_torch_pruning, ratios),
            ("from scratch", from_scratch, scratch),
        ]:
            for ratio in where:
                cell = {"model": network, "criterion": name, "pruning_ratio": ratio, "scope": "local", "seed": seed}
                if not has(path, **cell):
                    start = time.perf_counter()
                    row = cell | measure(network, data, ratio, seed)
                    append(row | {"seconds": time.perf_counter() - start}, path)
                    print(row, flush=True)
    return pd.read_csv(path)


def report(network: str, table: pd.DataFrame, data: ap.ImageData) -> None:
    print(f"\n{data}\n{network}, {PLANS[network]}")
    for column, method in METHODS.items():
        rows = table.dropna(subset=column)
        summary = rows.pivot_table(column, "criterion", "pruning_ratio", ["mean", "min", "max"], sort=False)
        ratios = sorted(summary["mean"].columns)
        print(f"\n| {method} | " + " | ".join(f"{ratio:.0%}" for ratio in ratios) + " |")
        print("| --- |" + " --- |" * len(ratios))
        for criterion, row in summary.iterrows():
            texts = [
                "" if pd.isna(row["mean", r]) else f"{row['mean', r]:.1%} ({row['min', r]:.1%}–{row['max', r]:.1%})"
                for r in ratios
            ]
            print(f"| {criterion} | " + " | ".join(texts) + " |")


def picture(network: str, table: pd.DataFrame) -> Figure:
    """Six lines before and after: more could not be told apart."""
    shown = ["random", "l1", "fpgm", "taylor", "attention", "activation_attention"]
    rows = table[table.criterion.isin(shown)].assign(criterion=lambda t: pd.Categorical(t.criterion, shown))
    figure = Figure(figsize=(15, 3.8), layout="constrained")
    for axis, (column, method) in zip(figure.subplots(1, 3), METHODS.items(), strict=True):
        labels = {"x_label": "pruning ratio", "y_label": f"test accuracy, {method}"}
        ap.plots.plot_spread(rows, "pruning_ratio", column, "criterion", **labels, percent="xy", axis=axis)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=list(PLANS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.1, 0.3, 0.5, 0.7, 0.9])
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    network, ratios, plan = arguments.network, arguments.ratios, PLANS[arguments.network]
    data = ap.load_data()
    CELLS.mkdir(parents=True, exist_ok=True)
    spawn = {"mp_context": multiprocessing.get_context("spawn"), "initializer": torch.set_num_threads, "initargs": (1,)}
    executor = ProcessPoolExecutor(arguments.processes, **spawn) if arguments.processes > 1 else None
    sweep = functools.partial(
        ap.sweep,
        {network: functools.partial(parent, network, data)},
        few(network, data),
        seeds=range(arguments.seeds),
        repaired=plan.repair or True,
        executor=executor,
        folder=CELLS,
        **plan.training,
    )
    tables = [sweep(plan.criteria, ratios)] + ([sweep(plan.also, [0.2])] if plan.also else [])
    table = pd.concat([*tables, baselines(network, data, ratios, arguments.seeds)])
    with whole_or_not_at_all(ROOT / "attnprune_edu" / "results" / f"criteria-{network}.csv") as unfinished:
        table.drop(columns=["model", "scope"]).to_csv(unfinished, index=False, float_format="%.6g")
    (PICTURES / f"criteria-{network}.png").write_bytes(ap.plots.png(picture(network, table)))
    report(network, table, data)


if __name__ == "__main__":
    main()
