"""Ten times fewer parameters: prune hard, repair, distil. With how much loss?

    python benchmarks/recipe.py [--seeds 3]

The recipe: score the channels by "taylor", keep half of both convolutions and 180 of 1024 hidden neurons, solve the next
layers again in closed form, remove, and train with the dense network as the teacher. The dense parents are those of
benchmarks/recovery.py. Every finished network goes to attnprune_edu/results/recipe.csv at once; a stopped run goes on.
Latency is measured at the end, both networks in turn, so nothing else should run then.
"""

import argparse
import copy

import pandas as pd
import torch
from recovery import ROOT, append, dense_network, has

import attnprune_edu as ap

TABLE = ROOT / "attnprune_edu" / "results" / "recipe.csv"
NETWORKS = ROOT / "build" / "recovery"
KEPT = {"conv1": 16, "conv2": 32, "fc1": 180}
TRAINING = {"epochs": 40, "lr": 0.003}


class Bfloat16(torch.nn.Module):
    """A network that computes in bfloat16: as a teacher it is good enough, and takes less than half of the time."""

    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = copy.deepcopy(model).to(torch.bfloat16)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.model(inputs.bfloat16()).float()


def recipe(dense: torch.nn.Module, data: ap.ImageData, seed: int) -> dict:
    """Make the small network of ``seed``, keep it, and return its row of the table."""
    importance = ap.importance(dense, "taylor", data=data, seed=seed)
    keep = {}
    for name, values in importance.items():
        keep |= ap.keep_by_ratio({name: values}, 1 - KEPT[name] / len(values))
    masked = ap.mask(dense, keep)
    small = ap.remove(ap.repair(masked, data, seed=seed))
    row = {"removed": ap.accuracy(masked, data), "repaired": ap.accuracy(small, data)}
    ap.fine_tune(small, data, seed=seed, loss_fn=ap.Distillation(Bfloat16(dense)), progress=False, **TRAINING)
    ap.save_model(small, NETWORKS / f"recipe-{data.name}-{seed}.safetensors")
    return row | {"epochs": TRAINING["epochs"], "accuracy": ap.accuracy(small, data), "dense": ap.accuracy(dense, data)}


def report(data: ap.ImageData, seeds: int) -> None:
    table = pd.read_csv(TABLE)
    networks = {"dense": dense_network(data, 0), "small": ap.load_model(NETWORKS / f"recipe-{data.name}-0.safetensors")}
    costs = ap.compare(networks, data, rounds=30)
    print(f"\n{data}\n{TRAINING}, {seeds} seeds, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print(table.to_string(index=False))
    for column in ("params", "macs", "bytes", "latency_ms"):
        dense, small = costs[column]
        print(f"{column}: {dense:,.6g} → {small:,.6g}, {dense / small:.2f} times less")
    lost = 100 * (table.dense - table.accuracy)
    print(f"points lost against the dense parent: {lost.mean():.2f} ({lost.min():.2f}–{lost.max():.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    data = ap.load_data()
    for seed in range(seeds):
        if not has(TABLE, seed=seed):
            row = {"seed": seed} | recipe(dense_network(data, seed), data, seed)
            append(row, TABLE)
            print(row, flush=True)
    report(data, seeds)


if __name__ == "__main__":
    main()
