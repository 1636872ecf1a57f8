"""ResNet20 with half of its multiplications: how much accuracy does it cost?

    python benchmarks/half_macs.py [--seeds 3] [--epochs 3]

The network that ships loses as many channels, the same share everywhere, as bring its MACs to a half; coupled layers lose
the same ones. The criterion is attention, which the course teaches. Then repair, removal, and a few epochs of training. A
training with that many more epochs may make the dense network better as well; so it gets the same epochs, and is what the
small one is compared with, besides the network as it ships.

Every finished run goes to attnprune_edu/results/half-macs.csv at once, so that what was stopped goes on. The table is
printed at the end.
"""

import argparse

import pandas as pd
import torch
from recovery import ROOT, append, has
from torch import nn
from train_checkpoints import InBfloat16, nesterov_sgd

import attnprune_edu as ap

TABLE = ROOT / "attnprune_edu" / "results" / "half-macs.csv"
# As the dense network was trained, with a third of its peak learning rate.
TRAINING = {"optimizer": nesterov_sgd, "lr": 0.05, "weight_decay": 5e-4, "progress": False}


def halved(dense: nn.Module, data: ap.ImageData, seed: int) -> tuple[nn.Module, nn.Module]:
    """``dense`` with half of its MACs, as it is cut and after repair."""
    example = data.normalize(data.validation.images[:2])
    scores = ap.importance(dense, "attention")
    scores = ap.couple(scores, ap.coupled_layers(dense, data.image_shape))

    def macs(keep):
        return ap.count_macs(ap.remove(ap.mask(dense, keep), example), data.image_shape)

    keep = ap.threshold_by_budget(scores, ap.count_macs(dense, data.image_shape) / 2, macs).keep
    masked = ap.mask(dense, keep)
    repaired = ap.repair(masked, data, images=1000, positions=25, seed=seed)
    return ap.remove(masked, example), ap.remove(repaired, example)


def run(network: str, data: ap.ImageData, epochs: int, seed: int) -> dict:
    model = ap.load_model("resnet20", data.name)
    row = {"before": ap.accuracy(model, data)}
    if network == "half":
        cut, model = halved(model, data, seed)
        row |= {"pruned_accuracy": ap.accuracy(cut, data), "repaired_accuracy": ap.accuracy(model, data)}
    ap.fine_tune(InBfloat16(model), data, epochs, seed=seed, **TRAINING)
    row |= {"accuracy": ap.accuracy(model, data), "params": ap.count_params(model)}
    return row | {"macs": ap.count_macs(model, data.image_shape)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    data = ap.load_data()
    for network in ("half", "dense"):
        for seed in range(arguments.seeds):
            cell = {"network": network, "epochs": arguments.epochs, "seed": seed}
            if not has(TABLE, **cell):
                append(cell | run(network, data, arguments.epochs, seed), TABLE)
                print(cell, flush=True)
    table = pd.read_csv(TABLE)
    table = table[table.epochs == arguments.epochs]
    print(f"\n{data}\n{arguments.epochs} epochs, {torch.get_num_threads()} threads")
    print("| network | as it ships | cut | repaired | trained | points lost | parameters | MACs |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for network, rows in table.groupby("network", sort=False):
        means = [rows[column].mean() for column in ("before", "pruned_accuracy", "repaired_accuracy")]
        shown = ["" if pd.isna(mean) else f"{mean:.1%}" for mean in means]
        shown += [f"{rows.accuracy.mean():.1%} ({rows.accuracy.min():.1%}–{rows.accuracy.max():.1%})"]
        shown += [interval(ap.mean_interval(rows.before - rows.accuracy))]
        print(f"| {network} | {' | '.join(shown)} | {rows.params.iloc[0]:,} | {rows.macs.iloc[0]:,} |")
    if set(table.network) == {"half", "dense"}:
        found = ap.paired_difference(table, "dense", "half", by="network", x="epochs").loc[arguments.epochs]
        trained_alike = interval((found.difference, found.low, found.high))
        print(f"\npoints behind the dense network after the same training: {trained_alike}, {found.runs:.0f} runs")


def interval(found: tuple[float, float, float]) -> str:
    """In points; of fine-tuning seeds of one network, so it says nothing about others."""
    mean, low, high = (100 * value for value in found)
    return f"{mean:.2f} (95 % interval {low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
