"""Half of the multiplications, half of the time, a tenth of the parameters: what is lost after a long fine-tuning?

    python benchmarks/aims.py [--aims macs latency params] [--seeds 1] [--epochs 32]

Each aim takes a network that ships, the plan of ``allocate`` for its budget (benchmarks/budget.py: curves after repair, the
knapsack, for ResNet20 whole blocks as well as channels), and ``--epochs`` of training with the dense network as the teacher:

    macs       ResNet20 with half of its MACs
    latency    ResNet20 in half of the milliseconds, both networks measured in turns
    params     the article's network with a tenth of its parameters: by channels alone, by channels for four times the
               budget of which the largest weights stay, and by the largest weights alone; beside them the dense network
               gets the same further epochs, with the labels alone

All multiply in bfloat16, and a ResNet20 sees smaller windows in the first two thirds of the epochs, as in its own training.
Seeds differ in what scores and repair see and in the order of training; the dense network is the same. Every finished
network goes to attnprune_edu/experiments/results/aims.csv at once; one that is under way is kept in build/aims after each
epoch, so that what was stopped goes on there. The table is printed at the end.
"""

import argparse
import copy
from typing import NamedTuple

import pandas as pd
import torch
from budget import Parent
from recovery import ROOT, append, has
from torch import nn
from train_checkpoints import MOMENTUM, Cycle, Unfinished

import attnprune_edu as ap
from attnprune_edu.networks.training import cross_entropy
from attnprune_edu.pruning.single_weights import count_nonzero, keep_largest

TABLE = ROOT / "attnprune_edu" / "experiments" / "results" / "aims.csv"
UNFINISHED = ROOT / "build" / "aims"


class Aim(NamedTuple):
    """``methods``: of ``pruned``; ``budget``: a share of what ``network`` costs; ``controls``: losses with which
    the dense network is trained on."""

    network: str
    methods: tuple[str, ...]
    budget: float
    controls: tuple[str, ...] = ()


AIMS = {
    "macs": Aim("resnet20", ("with blocks",), 0.5),
    "latency": Aim("resnet20", ("with blocks",), 0.5),
    "params": Aim("article-net", ("knapsack", "four times the channels", "single weights"), 0.1, controls=("labels",)),
}
RECIPES = {  # options of `train` for an aim's network
    "resnet20": {"lr": 0.05} | MOMENTUM,  # half of the peak of the last cycle in which the dense network was trained
    "article-net": {"lr": 0.003},
}


def trained(
    model: nn.Module, network: str, loss: str, teacher: nn.Module, data: ap.ImageData, name: str, epochs: int, seed: int
) -> nn.Module:
    """``model`` after ``epochs`` by the recipe of ``network``, from where an earlier run of the same ``name`` stopped."""
    windows = 2 * epochs // 3 if network == "resnet20" else 0  # the article's takes one size of image alone
    cycle = Cycle({"epochs": epochs} | RECIPES[network], small_epochs=windows)
    loss_fn = ap.Distillation(copy.deepcopy(teacher).bfloat16()) if loss == "teacher" else cross_entropy
    run = Unfinished(model, UNFINISHED, name)
    run.go_on(data, cycle, bfloat16=True, seed=1000 * seed, loss_fn=loss_fn)
    return run.model


def pruned(parent: Parent, method: str, cost: str, budget: float) -> tuple[nn.Module, dict]:
    """The plan of ``method``, and what it keeps of each group and block."""
    most = int(budget * ap.count_params(parent.model))
    if method == "single weights":
        return keep_largest(parent.model, most), {}
    if method == "four times the channels":
        wide, kept, _ = parent.prune("knapsack", cost, 4 * budget)
        return keep_largest(wide, most), kept
    return parent.prune(method, cost, budget)[:2]


def finish(row: dict, model: nn.Module, dense: nn.Module, data: ap.ImageData) -> None:
    """Measure ``model`` and add it to the table."""
    both = ap.latency_ms({"dense": dense, "small": model}, data, rounds=15)
    row |= {
        "accuracy": ap.accuracy(model, data),
        "macs": ap.count_macs(model, data.image_shape),
        "params": count_nonzero(model),
        "measured_time": (both.small / both.dense).median(),
    }
    append(row, TABLE)
    print(row, flush=True)


def run(aim: str, data: ap.ImageData, epochs: int, seed: int) -> None:
    network, methods, budget, controls = AIMS[aim]
    parent = Parent(network, data, seed)
    dense = parent.model
    cell = {"aim": aim, "network": network, "budget": budget, "epochs": epochs, "seed": seed}
    before = {"before": ap.accuracy(dense, data)}
    for loss in controls:
        if not has(TABLE, **cell, method=f"dense, {loss}"):
            name = f"{network}-dense-{loss}-{epochs}-{seed}"
            model = trained(copy.deepcopy(dense), network, loss, dense, data, name, epochs, seed)
            finish(cell | {"method": f"dense, {loss}"} | before, model, dense, data)
    for method in methods:
        if not has(TABLE, **cell, method=method):
            small, kept = pruned(parent, method, aim, budget)
            print(aim, method, kept, flush=True)
            row = cell | {"method": method} | before | {"repaired_accuracy": ap.accuracy(small, data)}
            name = f"{network}-{aim}-{method.replace(' ', '-')}-{epochs}-{seed}"
            finish(row, trained(small, network, "teacher", dense, data, name, epochs, seed), dense, data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--aims", nargs="+", default=list(AIMS), choices=AIMS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=32)
    arguments = parser.parse_args()
    data = ap.load_data()
    for seed in range(arguments.seeds):
        for aim in arguments.aims:
            run(aim, data, arguments.epochs, seed)
    table = pd.read_csv(TABLE)
    print(f"\n{data}\n{torch.get_num_threads()} threads")
    for (aim, method, epochs), rows in table.groupby(["aim", "method", "epochs"], sort=False):
        lost = 100 * (rows.before - rows.accuracy)
        print(
            f"{aim}, {method}, {epochs} epochs, {len(rows)} seeds: {rows.before.mean():.2%} before, "
            f"{rows.accuracy.mean():.2%} after, {lost.mean():.2f} points lost ({lost.min():.2f} to {lost.max():.2f}); "
            f"{rows.macs.mean():,.0f} MACs, {rows.params.mean():,.0f} parameters, "
            f"{rows.measured_time.mean():.0%} of the time"
        )


if __name__ == "__main__":
    main()
