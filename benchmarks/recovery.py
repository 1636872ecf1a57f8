"""How much accuracy comes back after pruning: by repair, by fine-tuning, by both, in one shot and in stages.

    python benchmarks/recovery.py [--seeds 3] [--ratios 0.1 0.3 0.5 0.7 0.9]

For each seed there is a dense ArticleNet: seed 0 is the network that ships with the package, the others are trained here in
the same way and kept in build/dense/. Every finished cell goes to attnprune_edu/experiments/results/recovery.csv at once,
so that a run that was stopped goes on where it was; let only one run at a time. At the end the table is printed, and drawn
as benchmarks/pictures/recovery.png.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch
import train_checkpoints
from train_checkpoints import RECIPES

import attnprune_edu as ap
from attnprune_edu.pruning.schedules import channels_of, prune_to
from attnprune_edu.report.checkpoints import atomic_write

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "attnprune_edu" / "experiments" / "results" / "recovery.csv"
PICTURE = ROOT / "benchmarks" / "pictures" / "recovery.png"
EPOCHS = 4  # of fine-tuning in all, however many stages share them
METHODS = {  # name: (repaired, stages), with 0 stages for no training at all
    "removed": (False, 0),
    "repaired": (True, 0),
    "fine-tuned": (False, 1),
    "repaired, fine-tuned": (True, 1),
    "2 stages": (False, 2),
    "4 stages": (False, 4),
}


def dense_network(data: ap.ImageData, seed: int) -> torch.nn.Module:
    """The dense ``ArticleNet`` of ``seed`` (benchmarks/train_checkpoints.py)."""
    return train_checkpoints.dense_network("article-net", RECIPES[f"article-net-{data.name}"], data, seed)


def measure(dense: torch.nn.Module, data: ap.ImageData, seed: int, ratio: float, repaired: bool, stages: int) -> dict:
    how = {"criterion": "attention", "repaired": repaired, "removed": True, "seed": seed}
    if stages:
        pruned = ap.prune_in_stages(dense, data, ratio, stages, EPOCHS, progress=False, **how).model
    else:
        pruned = prune_to(dense, data, ratio, channels_of(dense), **how)
    return {
        "epochs": EPOCHS if stages else 0,
        "accuracy": ap.accuracy(pruned, data),
        "params": ap.count_params(pruned),
        "macs": ap.count_macs(pruned, data.image_shape),
    }


def append(row: dict, path: Path) -> None:
    """Add ``row`` to the table at ``path``, sorted, whole or not at all."""
    table = pd.concat([pd.read_csv(path), pd.DataFrame([row])]) if path.exists() else pd.DataFrame([row])
    keys = [key for key in ("method", "pruning_ratio", "seed") if key in table]
    with atomic_write(path) as unfinished:
        table.sort_values(keys).to_csv(unfinished, index=False, float_format="%.6g")


def has(path: Path, **keys) -> bool:
    if not path.exists():
        return False
    table = pd.read_csv(path)
    return bool(pd.concat([table[key] == value for key, value in keys.items()], axis=1).all(axis=1).any())


def report(data: ap.ImageData, seeds: int) -> None:
    table = pd.read_csv(TABLE)
    dense = table[table.method == "dense"].accuracy
    pruned = table[table.method != "dense"].assign(method=lambda t: pd.Categorical(t.method, METHODS))
    summary = pruned.pivot_table("accuracy", "pruning_ratio", "method", ["mean", "min", "max"], observed=True)
    print(f"\n{data}\nArticleNet, criterion attention, {EPOCHS} epochs of fine-tuning in all, {seeds} seeds")
    print(f"dense: {dense.mean():.1%} ({dense.min():.1%}–{dense.max():.1%})\n")
    print("| pruning ratio | " + " | ".join(METHODS) + " |")
    print("| --- |" + " --- |" * len(METHODS))
    for ratio, row in summary.iterrows():
        texts = [f"{row['mean', m]:.1%} ({row['min', m]:.1%}–{row['max', m]:.1%})" for m in METHODS]
        print(f"| {ratio:.0%} | " + " | ".join(texts) + " |")
    figure = ap.plots.plot_spread(
        pruned,
        "pruning_ratio",
        "accuracy",
        "method",
        x_label="pruning ratio",
        y_label="test accuracy",
        percent="xy",
        reference=("dense", dense.mean()),
    )
    PICTURE.write_bytes(ap.plots.png(figure))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.1, 0.3, 0.5, 0.7, 0.9])
    arguments = parser.parse_args()
    data = ap.load_data()
    for seed in range(arguments.seeds):
        dense = dense_network(data, seed)
        if not has(TABLE, method="dense", seed=seed):
            costs = {"params": ap.count_params(dense), "macs": ap.count_macs(dense, data.image_shape)}
            cell = {"method": "dense", "pruning_ratio": 0.0, "seed": seed}
            append(cell | {"epochs": 0, "accuracy": ap.accuracy(dense, data)} | costs, TABLE)
        for ratio in arguments.ratios:
            for method, (repaired, stages) in METHODS.items():
                cell = {"method": method, "pruning_ratio": ratio, "seed": seed}
                if not has(TABLE, **cell):
                    append(cell | measure(dense, data, seed, ratio, repaired, stages), TABLE)
                    print(cell, flush=True)
    report(data, arguments.seeds)


if __name__ == "__main__":
    main()
