"""Ten times fewer parameters: prune hard, repair, distil. With how much loss?

    python benchmarks/recipe.py [--seeds 3]

The recipe: score the channels by "taylor", keep half of both convolutions and 180 of 1024 hidden neurons, solve the next
layers again in closed form, remove, and train with the dense network as the teacher. The pictures are shifted by up to 2
pixels instead of 4: a small network has enough to do without (chosen on validation images, with seed 0 and 10 epochs). The
dense parents are those of benchmarks/recovery.py. Every finished network goes to build/recovery/ and its row to
attnprune_edu/experiments/results/recipe.csv at once; a stopped run goes on with the next seed. Latency is measured at the
end, dense and small in turn, so nothing else should run then.
"""

import argparse
import copy
import functools

import pandas as pd
import torch
from recovery import ROOT, append, dense_network, has

import attnprune_edu as ap
from attnprune_edu.data.augmentation import flip_and_crop

TABLE = ROOT / "attnprune_edu" / "experiments" / "results" / "recipe.csv"
NETWORKS = ROOT / "build" / "recovery"
KEPT = {"conv1": 16, "conv2": 32, "fc1": 180}
TRAINING = {"epochs": 60, "lr": 0.003, "augment": functools.partial(flip_and_crop, padding=2)}


def recipe(dense: torch.nn.Module, data: ap.ImageData, seed: int) -> dict:
    """Make the small network of ``seed``, keep it, and return its row of the table."""
    importance = ap.importance(dense, "taylor", data=data, seed=seed)
    keep = {}
    for name, values in importance.items():
        keep |= ap.keep_by_ratio({name: values}, 1 - KEPT[name] / len(values))
    masked = ap.mask(dense, keep)
    small = ap.remove(ap.repair(masked, data, seed=seed))
    row = {"removed": ap.accuracy(masked, data), "repaired": ap.accuracy(small, data)}
    teacher = copy.deepcopy(dense).bfloat16()  # good enough, and takes less than half of the time
    ap.fine_tune(small, data, seed=seed, loss_fn=ap.Distillation(teacher), progress=False, **TRAINING)
    ap.save_model(small, NETWORKS / f"recipe-{data.name}-{seed}.safetensors")
    return row | {"epochs": TRAINING["epochs"], "accuracy": ap.accuracy(small, data), "dense": ap.accuracy(dense, data)}


def report(data: ap.ImageData) -> None:
    table = pd.read_csv(TABLE)
    # What a network costs depends on its widths alone, so these need not have learned anything.
    small = ap.ArticleNet((KEPT["conv1"], KEPT["conv2"]), KEPT["fc1"])
    costs = ap.compare({"dense": ap.ArticleNet(), "small": small}, data, rounds=30)
    print(f"\n{data}\n{TRAINING['epochs']} epochs, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
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
    report(data)


if __name__ == "__main__":
    main()
