"""Does it pay to choose the channels while the network trains? Adaptive schemes against one shot, at equal epochs.

    python benchmarks/adaptive.py [--epochs 4 16] [--ratios 0.5 0.7 0.9] [--seeds 3] [--images 45000] [--one-parent]

Each method prunes the same share of every hidden layer of ArticleNet and has the same number of epochs in all, with the same
pictures and the dense network as the teacher (T = 4, weight 0.8). Seed 0 starts from the network that ships with the
package, the others from networks that are trained here in the same way (benchmarks/recovery.py); with --one-parent all start
from the one that ships, so that they differ in the order of the pictures only. Every finished cell goes to
attnprune_edu/experiments/results/adaptive.csv at once, so that a run that was stopped goes on where it was; let only one run
at a time. At the end the table is printed, and drawn as benchmarks/pictures/adaptive.png.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure
from recovery import append, dense_network, has
from torch import nn

import attnprune_edu as ap
from attnprune_edu.networks.models import copy_of
from attnprune_edu.report.checkpoints import architecture_of, rebuild

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "attnprune_edu" / "experiments" / "results" / "adaptive.csv"
PICTURE = ROOT / "benchmarks" / "pictures" / "adaptive.png"


class Run:
    """One cell: what all methods are given."""

    def __init__(self, dense: nn.Module, data: ap.ImageData, few: ap.ImageData, ratio: float, epochs: int, seed: int):
        self.dense, self.data, self.few, self.ratio, self.epochs, self.seed = dense, data, few, ratio, epochs, seed
        self.first = max(1, epochs // 4)  # of the methods that train before the channels are final
        self.training = {"loss_fn": ap.Distillation(dense), "seed": seed, "progress": False}

    def one_shot(self, model: nn.Module) -> nn.Module:
        """``model`` with the masks that its activation attention asks for."""
        scores = ap.importance(model, "activation_attention", data=self.few, seed=self.seed)
        return ap.mask(model, ap.keep_by_ratio(scores, self.ratio))

    def repaired(self, masked: nn.Module) -> nn.Module:
        return ap.repair(masked, self.few, dense=self.dense, seed=self.seed)

    def finished(self, masked: nn.Module, epochs: int) -> nn.Module:
        """``masked`` without its silent channels and with the ``epochs`` that are left."""
        small = ap.remove(masked)
        ap.fine_tune(small, self.few, epochs, **self.training | {"seed": self.seed + 100})
        return small

    def by_gates(self, silent_learn: bool = False) -> nn.Module:
        how = {"ramp_epochs": self.first, "silent_learn": silent_learn} | self.training
        return ap.prune_adaptively(self.dense, self.few, self.ratio, self.first, **how).model

    def by_l1(self) -> nn.Module:
        model = copy_of(self.dense)
        with ap.L1Gates(model, loss_fn=self.training["loss_fn"]) as gates:
            ap.fine_tune(model, self.few, self.first, **self.training | {"loss_fn": gates})
        return ap.mask(model, ap.keep_by_ratio(gates.importance, self.ratio))

    def by_squeeze(self) -> nn.Module:
        model = copy_of(self.dense)
        with ap.SqueezeExciteGates(model, self.few, seed=self.seed) as gates:
            ap.fine_tune(model, self.few, self.first, **self.training)
        return ap.mask(model, ap.keep_by_ratio(gates.importance, self.ratio))

    def trained_first(self) -> nn.Module:
        model = copy_of(self.dense)
        ap.fine_tune(model, self.few, self.first, **self.training)
        return self.one_shot(model)

    def from_scratch(self) -> nn.Module:
        """The shape that pruning leaves, with weights of its own."""
        torch.manual_seed(self.seed)
        small = rebuild(architecture_of(ap.remove(self.one_shot(self.dense))))
        ap.train(small, self.few, self.epochs, **self.training)
        return small


METHODS = {
    "one shot": lambda run: run.finished(run.one_shot(run.dense), run.epochs),
    "one shot, repaired": lambda run: run.finished(run.repaired(run.one_shot(run.dense)), run.epochs),
    "running gates": lambda run: run.finished(run.by_gates(), run.epochs - run.first),
    "running gates, repaired": lambda run: run.finished(run.repaired(run.by_gates()), run.epochs - run.first),
    "running gates, silent learn": lambda run: run.finished(run.by_gates(silent_learn=True), run.epochs - run.first),
    "L1 gates, repaired": lambda run: run.finished(run.repaired(run.by_l1()), run.epochs - run.first),
    "squeeze-and-excitation, repaired": lambda run: run.finished(run.repaired(run.by_squeeze()), run.epochs - run.first),
    "trained first, repaired": lambda run: run.finished(run.repaired(run.trained_first()), run.epochs - run.first),
    "from scratch": lambda run: run.from_scratch(),
}


# Six at most can be told apart in a figure.
SHOWN = [name for name in METHODS if name.endswith("repaired")] + ["from scratch"]


def report(table: pd.DataFrame) -> None:
    """Print the means, and by how much each method is ahead of the one to beat."""
    for (epochs, images), rows in table.groupby(["epochs", "images"]):
        print(f"\n{epochs} epochs of {images:,} pictures, {rows.seed.nunique()} seeds")
        summary = rows.pivot_table("accuracy", "method", "pruning_ratio", ["mean", "min", "max"], sort=False)
        ratios = sorted(summary["mean"].columns)
        print("| method | " + " | ".join(f"{ratio:.0%}" for ratio in ratios) + " |\n| --- |" + " --- |" * len(ratios))
        for method, row in summary.iterrows():
            texts = [f"{row['mean', r]:.1%} ({row['min', r]:.1%}–{row['max', r]:.1%})" for r in ratios]
            print(f"| {method} | " + " | ".join(texts) + " |")
        for method in METHODS:
            if method in set(rows.method) - {"one shot, repaired"}:
                ahead = 100 * ap.paired_difference(rows, method, "one shot, repaired", by="method")
                print(f"{method} is ahead of one shot, repaired by (points)\n{ahead.drop(columns='runs').round(2)}")
    longest = table[table.epochs == table.epochs.max()]
    ratios = sorted(longest.pruning_ratio.unique())
    figure = Figure(figsize=(5 * len(ratios), 3.6), layout="constrained")
    for axis, ratio in zip(figure.subplots(1, len(ratios), squeeze=False)[0], ratios, strict=True):
        rows = longest[(longest.pruning_ratio == ratio) & longest.method.isin(list(SHOWN))]
        by = {"method": pd.Categorical(rows.method, SHOWN)}
        label = f"test accuracy, {ratio:.0%} pruned, {longest.epochs.max()} epochs"
        ap.plots.plot_ranges(rows.assign(**by), "accuracy", "method", y_label=label, axis=axis)
    PICTURE.write_bytes(ap.plots.png(figure))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, nargs="+", default=[4, 16])
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.5, 0.7, 0.9])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=45_000)
    parser.add_argument("--one-parent", action="store_true")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="NAME")
    arguments = parser.parse_args()
    data = ap.load_data()
    few = data.subset(train=arguments.images, validation=min(500, len(data.validation.labels)))
    for epochs in arguments.epochs:
        for seed in range(arguments.seeds):
            parent = 0 if arguments.one_parent else seed
            dense = dense_network(data, parent)
            for ratio in arguments.ratios:
                for method in arguments.methods:
                    cell = {"method": method, "pruning_ratio": ratio, "seed": seed, "epochs": epochs}
                    cell |= {"images": arguments.images, "parent": parent}
                    if has(TABLE, **cell):
                        continue
                    start = time.process_time()
                    small = METHODS[method](Run(dense, data, few, ratio, epochs, seed))
                    row = cell | {"accuracy": ap.accuracy(small, data), "params": ap.count_params(small)}
                    append(row | {"cpu_seconds": time.process_time() - start}, TABLE)
                    print(row, flush=True)
    report(pd.read_csv(TABLE))


if __name__ == "__main__":
    main()
