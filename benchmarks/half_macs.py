"""ResNet20 with half of its multiplications: how much accuracy does it cost?

    python benchmarks/half_macs.py [--seeds 3] [--epochs 8]

The network that ships loses as many channels within its blocks, the same share in each, as bring its MACs to a half; what
the additions tie together stays whole. The criterion is attention, which the course teaches. Then repair, removal, and a few
epochs of training with the dense network as the teacher. The dense network gets no further epochs.

Channels within the blocks alone, the teacher and the number of epochs replaced an earlier way (the same share everywhere,
three plain epochs) after its test accuracy was known. The teacher was chosen on validation images: 86.6 against 86.1 % after
two epochs, one run each.

Every finished run goes to attnprune_edu/experiments/results/half-macs.csv at once, so that what was stopped goes on. The
table is printed at the end.
"""

import argparse

import pandas as pd
import torch
from recovery import ROOT, append, has
from torch import nn
from train_checkpoints import MOMENTUM, InBfloat16

import attnprune_edu as ap

TABLE = ROOT / "attnprune_edu" / "experiments" / "results" / "half-macs.csv"
# As the dense network was trained, with half of the peak learning rate of its last cycle.
TRAINING = MOMENTUM | {"lr": 0.05, "progress": False}


def halved(dense: nn.Module, data: ap.ImageData, seed: int) -> tuple[nn.Module, nn.Module]:
    """``dense`` with half of its MACs, as it is cut and after repair."""
    example = data.normalize(data.validation.images[:2])
    alone = [group[0] for group in ap.coupled_layers(dense, data.image_shape) if len(group) == 1]
    scores = {name: values for name, values in ap.importance(dense, "attention").items() if name in alone}

    def macs(keep):
        return ap.count_macs(ap.remove(ap.mask(dense, keep), example), data.image_shape)

    keep = ap.threshold_by_budget(scores, ap.count_macs(dense, data.image_shape) / 2, macs).keep
    masked = ap.mask(dense, keep)
    repaired = ap.repair(masked, data, images=1000, positions=25, seed=seed)
    return ap.remove(masked, example), ap.remove(repaired, example)


def run(data: ap.ImageData, epochs: int, seed: int) -> dict:
    dense = ap.load_model("resnet20", data.name)
    cut, small = halved(dense, data, seed)
    row = {
        "before": ap.accuracy(dense, data),
        "pruned_accuracy": ap.accuracy(cut, data),
        "repaired_accuracy": ap.accuracy(small, data),
    }
    taught = ap.Distillation(InBfloat16(dense))
    ap.fine_tune(InBfloat16(small), data, epochs, loss_fn=taught, seed=seed, **TRAINING)
    row |= {"accuracy": ap.accuracy(small, data), "params": ap.count_params(small)}
    return row | {"macs": ap.count_macs(small, data.image_shape)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    arguments = parser.parse_args()
    data = ap.load_data()
    for seed in range(arguments.seeds):
        cell = {"epochs": arguments.epochs, "seed": seed}
        if not has(TABLE, **cell):
            append(cell | run(data, arguments.epochs, seed), TABLE)
            print(cell, flush=True)
    rows = pd.read_csv(TABLE)
    rows = rows[rows.epochs == arguments.epochs]
    print(f"\n{data}\n{arguments.epochs} epochs, {len(rows)} seeds, {torch.get_num_threads()} threads")
    for title, column in {
        "as it ships": "before",
        "cut": "pruned_accuracy",
        "repaired": "repaired_accuracy",
        "trained": "accuracy",
    }.items():
        print(f"{title}: {rows[column].mean():.2%} ({rows[column].min():.2%}–{rows[column].max():.2%})")
    mean, low, high = ap.mean_interval(100 * (rows.before - rows.accuracy))
    # Of fine-tuning seeds of one network, so it says nothing about others.
    print(f"points lost: {mean:.2f} (95 % interval {low:.2f} to {high:.2f})")
    print(f"{rows.params.iloc[0]:,} parameters, {rows.macs.iloc[0]:,} MACs")


if __name__ == "__main__":
    main()
