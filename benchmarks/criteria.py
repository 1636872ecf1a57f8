"""Which criterion chooses best? Every one at every ratio, before and after repair and after fine-tuning, with baselines.

    python benchmarks/criteria.py article-net [--seeds 3] [--ratios 0.1 0.3 0.5 0.7 0.9] [--processes 1]
    python benchmarks/criteria.py resnet20 ...

The same share of channels is removed from every layer; coupled layers lose the same ones. Then the weights behind are
solved for again (repair), and the smaller network is fine-tuned for two epochs. Two baselines are run at the same ratios:
the pruned shape with fresh weights, trained for as many epochs ("from scratch"), and Torch-Pruning's own L2 pruner,
fine-tuned alike ("Torch-Pruning L2"). The dense parents of `article-net` are those of benchmarks/recovery.py; there is one
`resnet20`.

Every finished cell is kept in build/criteria/, so that a run that was stopped goes on. At the end the table goes to
attnprune_edu/results/criteria-NETWORK.csv and is printed.
"""

import argparse
import functools
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import pandas as pd
import torch
from recovery import ROOT, append, dense_network, has
from torch import nn

import attnprune_edu as ap
from attnprune_edu.checkpoints import whole_or_not_at_all
from attnprune_edu.models import rebuild

CELLS = ROOT / "build" / "criteria"
CRITERIA = ["random", "l1", "l2", "fpgm", "taylor", "attention_signed", "attention", "activation_attention"]
TRAINING = {"article-net": {"epochs": 2}, "resnet20": {"epochs": 2, "lr": 0.003}}
METHODS = {"pruned_accuracy": "removed", "repaired_accuracy": "repaired", "accuracy": "repaired, fine-tuned"}


def parent(network: str, data: ap.ImageData, seed: int) -> nn.Module:
    return dense_network(data, seed) if network == "article-net" else ap.load_model(network, data.name)


def from_scratch(dense: nn.Module, data: ap.ImageData, ratio: float, seed: int) -> nn.Module:
    """A network of the shape that pruning leaves, with weights of its own."""
    groups = ap.coupled_layers(dense, data.image_shape)
    keep = ap.keep_by_ratio(ap.couple(ap.importance(dense, "random", seed=seed), groups), ratio)
    shape = ap.remove(ap.mask(dense, keep), data.normalize(data.validation.images[:2])).architecture
    torch.manual_seed(seed)
    return rebuild({"class": type(dense).__name__, **shape})


def by_torch_pruning(dense: nn.Module, data: ap.ImageData, ratio: float, seed: int) -> nn.Module:
    import torch_pruning as tp

    output = list(dense.modules())[-1]
    inputs = data.normalize(data.validation.images[:2])
    for parameter in dense.parameters():
        parameter.requires_grad_(True)
    importance = tp.importance.MagnitudeImportance(p=2)
    tp.pruner.MagnitudePruner(dense, inputs, importance, pruning_ratio=ratio, ignored_layers=[output]).step()
    return dense.eval()


BASELINES = {"from scratch": from_scratch, "Torch-Pruning L2": by_torch_pruning}


def baselines(network: str, data: ap.ImageData, ratios: list[float], seeds: int) -> pd.DataFrame:
    path = CELLS / f"baselines-{network}.csv"
    CELLS.mkdir(parents=True, exist_ok=True)
    for seed in range(seeds):
        for ratio in ratios:
            for criterion, make in BASELINES.items():
                cell = {"model": network, "criterion": criterion, "pruning_ratio": ratio, "scope": "local", "seed": seed}
                if has(path, **cell):
                    continue
                start = time.perf_counter()
                small = make(parent(network, data, seed), data, ratio, seed)
                row = cell | {"pruned_accuracy": ap.accuracy(small, data)}
                ap.fine_tune(small, data, seed=seed, progress=False, **TRAINING[network])
                row |= {"accuracy": ap.accuracy(small, data), "params": ap.count_params(small)}
                row |= {"macs": ap.count_macs(small, data.image_shape), "seconds": time.perf_counter() - start}
                append(row, path)
                print(row, flush=True)
    return pd.read_csv(path)


def report(network: str, table: pd.DataFrame, data: ap.ImageData) -> None:
    print(f"\n{data}\n{network}, {TRAINING[network]}")
    for column, method in METHODS.items():
        summary = table.pivot_table(column, "criterion", "pruning_ratio", ["mean", "min", "max"], sort=False)
        print(f"\n| {method} | " + " | ".join(f"{ratio:.0%}" for ratio in summary["mean"].columns) + " |")
        print("| --- |" + " --- |" * len(summary["mean"].columns))
        for criterion, row in summary.iterrows():
            texts = [f"{row['mean', r]:.1%} ({row['min', r]:.1%}–{row['max', r]:.1%})" for r in summary["mean"].columns]
            print(f"| {criterion} | " + " | ".join(texts) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=list(TRAINING))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.1, 0.3, 0.5, 0.7, 0.9])
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    network, ratios = arguments.network, arguments.ratios
    data = ap.load_data()
    criteria = CRITERIA + (["bn_scale"] if network == "resnet20" else [])
    spawn = {"mp_context": multiprocessing.get_context("spawn"), "initializer": torch.set_num_threads, "initargs": (1,)}
    executor = ProcessPoolExecutor(arguments.processes, **spawn) if arguments.processes > 1 else None
    table = ap.sweep(
        {network: functools.partial(parent, network, data)},
        data,
        criteria,
        ratios,
        seeds=range(arguments.seeds),
        repaired=True,
        executor=executor,
        folder=CELLS,
        **TRAINING[network],
    )
    table = pd.concat([table, baselines(network, data, ratios, arguments.seeds)])
    with whole_or_not_at_all(ROOT / "attnprune_edu" / "results" / f"criteria-{network}.csv") as unfinished:
        table.drop(columns=["model", "scope"]).to_csv(unfinished, index=False, float_format="%.6g")
    report(network, table, data)


if __name__ == "__main__":
    main()
