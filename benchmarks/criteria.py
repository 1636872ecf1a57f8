"""Which criterion chooses best? Every one at every ratio, before and after repair and after fine-tuning, with baselines.

    python benchmarks/criteria.py article-net [--seeds 3] [--ratios 0.1 0.3 0.5 0.7 0.9] [--processes 1]
    python benchmarks/criteria.py resnet20 [--ratios 0.3 0.5]

The same share of channels is removed from every layer; coupled layers lose the same ones. Then the weights behind are
solved for again (repair), and the smaller network is fine-tuned for one epoch: of all training images for `article-net`, of
10,000 of them for `resnet20`. Two baselines are run as well, each with the same seeds:

- "Torch-Pruning L2": the pruner of that library with its defaults at the same ratios, fine-tuned alike. It also scores the
  weights that read a channel, rounds the number of channels down, and knows no repair.
- "from scratch", for `article-net` at 50 % only: a network of the shape that pruning leaves, with fresh weights, trained as
  the dense one was and for as many epochs as that and the fine-tuning took together.

The dense parents of `article-net` are those of benchmarks/recovery.py, one for each seed; there is one `resnet20`, so that
its seeds differ only in what is drawn by them: random channels, images for the scores and the repair, the order of the
batches, flips and shifts.

Every finished cell is kept in build/criteria/, so that a run that was stopped goes on. At the end the table goes to
attnprune_edu/experiments/results/criteria-NETWORK.csv, is printed, and drawn as benchmarks/pictures/criteria-NETWORK.png.
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
from prune_speed import torch_pruning
from recovery import ROOT, append, dense_network, has
from torch import nn
from train_checkpoints import RECIPES

import attnprune_edu as ap
from attnprune_edu.networks.models import architecture_of, rebuild
from attnprune_edu.pruning.schedules import channels_of, prune_to
from attnprune_edu.report.checkpoints import atomic_write
from attnprune_edu.widgets.difference import STAGES

CELLS = ROOT / "build" / "criteria"
PICTURES = ROOT / "benchmarks" / "pictures"
CRITERIA = ["random", "l1", "l2", "fpgm", "taylor", "attention_signed", "attention", "activation_attention"]


class Plan(NamedTuple):
    """``criteria`` and ``ratios``; ``images`` of the training part for fine-tuning (None: all); options of ``repair`` and
    ``fine_tune``; ``scratch``: the ratios and the epochs of the baseline with fresh weights; ``also``: criteria that are run
    at 20 % too, because the article speaks of 10, 20 and 30 %.
    """

    criteria: list[str]
    ratios: list[float]
    images: int | None
    repair: dict
    training: dict
    scratch: tuple[list[float], int] = ([], 0)
    also: tuple[str, ...] = ()


PLANS = {
    "article-net": Plan(
        CRITERIA, [0.1, 0.3, 0.5, 0.7, 0.9], None, {}, {"epochs": 1}, scratch=([0.5], 17), also=("attention",)
    ),
    "resnet20": Plan(
        [*CRITERIA, "bn_scale"],
        [0.3, 0.5],
        10_000,
        {"num_images": 1000, "positions": 25},  # as many windows as by default; passes through a deep network are dear
        {"epochs": 1, "lr": 0.003},
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
    pruned = prune_to(dense, data, ratio, channels_of(dense), "random", removed=True, seed=seed)
    torch.manual_seed(seed)
    small = rebuild(architecture_of(pruned))
    options = RECIPES[f"{network}-cifar10"].single_cycle | {"epochs": PLANS[network].scratch[1]}
    ap.train(small, data, seed=seed, progress=False, **options)
    return costs(small, data)


def by_torch_pruning(network: str, data: ap.ImageData, ratio: float, seed: int) -> dict:
    small = torch_pruning(parent(network, data, seed), data.example_inputs, ratio)
    row = {"pruned_accuracy": ap.accuracy(small, data)}
    ap.fine_tune(small, few(network, data), seed=seed, progress=False, **PLANS[network].training)
    return row | costs(small, data)


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
    for stage, column in STAGES.items():
        rows = table.dropna(subset=column)
        summary = rows.pivot_table(column, "criterion", "pruning_ratio", ["mean", "min", "max"], sort=False)
        ratios = sorted(summary["mean"].columns)
        print(f"\n| {stage} | " + " | ".join(f"{ratio:.0%}" for ratio in ratios) + " |")
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
    for axis, (stage, column) in zip(figure.subplots(1, 3), STAGES.items(), strict=True):
        labels = {"x_label": "pruning ratio", "y_label": f"test accuracy, {stage}"}
        ap.plots.plot_spread(rows, "pruning_ratio", column, "criterion", **labels, percent="xy", axis=axis)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=list(PLANS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ratios", type=float, nargs="+", help="those of PLANS if left out")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    network, plan = arguments.network, PLANS[arguments.network]
    ratios = arguments.ratios or plan.ratios
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
    with atomic_write(ROOT / "attnprune_edu" / "experiments" / "results" / f"criteria-{network}.csv") as unfinished:
        table.drop(columns=["model", "scope"]).to_csv(unfinished, index=False, float_format="%.6g")
    (PICTURES / f"criteria-{network}.png").write_bytes(ap.plots.png(picture(network, table)))
    report(network, table, data)


if __name__ == "__main__":
    main()
