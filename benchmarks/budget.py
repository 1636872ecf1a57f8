"""One budget for a whole network: who spends it best?

    python benchmarks/budget.py [--networks article-net resnet20] [--costs macs params latency] [--budgets 0.5 0.3 0.2 0.1]
                                [--methods uniform knapsack …] [--seeds 3] [--epochs 1] [--images 10000] [--until 06:40]

Each method chooses the widths of a network that costs at most the given share of the dense one, which ships with the
package; the channels that stay are those with the highest activation attention (ArticleNet) or attention (ResNet20). Then
repair on 1,000 images, and some epochs of fine-tuning on the first so many training images, the same for all. Seeds differ
in the images that scores and repair see and in the order of training; the dense network is the same.

    uniform             the same share of each group of coupled layers
    global              the channels of all layers compared, each layer in units of its mean (threshold_by_budget)
    knapsack, plain     allocate, with curves of the loss right after the cut
    greedy              allocate, with curves after repair, one step after the other
    knapsack            allocate, with curves after repair, channels alone
    with blocks         the same with whole residual blocks (ResNet20)
    blocks alone        whole residual blocks and no channels (ResNet20)
    search              Optuna, for as many seconds of processor time as knapsack and its curves took

Every finished row goes to attnprune_edu/experiments/results/budget.csv at once, and the curves to budget-curves.csv, so that
a run that was stopped goes on where it was; let only one run at a time. Accuracies are those of all test images.
"""

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from recovery import append, has
from torch import nn

import attnprune_edu as ap
from attnprune_edu.pruning.budget import SHARES, smaller
from attnprune_edu.pruning.costs import cost_terms, dense_choice
from attnprune_edu.pruning.knapsack import total_cost
from attnprune_edu.report.checkpoints import atomic_write

RESULTS = Path(__file__).resolve().parent.parent / "attnprune_edu" / "experiments" / "results"
TABLE, CURVES = RESULTS / "budget.csv", RESULTS / "budget-curves.csv"
CRITERIA = {"article-net": "activation_attention", "resnet20": "attention"}
METHODS = {
    "article-net": ("uniform", "global", "knapsack, plain", "greedy", "knapsack", "search"),
    "resnet20": ("uniform", "global", "knapsack, plain", "greedy", "knapsack", "with blocks", "blocks alone"),
}
REPAIR = {"num_images": 1000, "positions": 10}


class Parent:
    """A dense network, and what is measured of it once for each seed."""

    def __init__(self, name: str, data: ap.ImageData, seed: int):
        self.name, self.data, self.seed = name, data, seed
        self.model = ap.load_model(name, data.name)
        groups = ap.coupled_layers(self.model, data.image_shape)
        scores = ap.importance(self.model, CRITERIA[name], data=data, seed=seed)
        self.scores = ap.couple(scores, groups)
        self.firsts = [group[0] for group in groups]

    def criterion(self, _) -> dict:
        return self.scores

    def curves(self, repaired: bool) -> pd.DataFrame:
        """The curves, from the table if they are there; ``seconds`` of processor time stand beside each."""
        about = {"network": self.name, "seed": self.seed, "repaired": repaired}
        if not has(CURVES, **about):
            start = time.process_time()
            shares = SHARES if self.name == "article-net" else SHARES[2:]
            table = ap.loss_curves(
                self.model,
                self.data,
                criterion=self.criterion,
                shares=shares,
                repaired=repaired,
                seed=self.seed,
                progress=False,
            )
            table = table.assign(**about, seconds=time.process_time() - start)
            known = [pd.read_csv(CURVES)] if CURVES.exists() else []
            with atomic_write(CURVES) as unfinished:
                pd.concat([*known, table]).to_csv(unfinished, index=False, float_format="%.6g")
        known = pd.read_csv(CURVES)
        return known[(known.network == self.name) & (known.seed == self.seed) & (known.repaired == repaired)]

    def by_importance(self, cost: str, budget: float) -> tuple[nn.Module, dict, float]:
        """All channels compared, each layer in units of its mean."""
        terms = cost_terms(self.model, self.data, cost, [])
        values = {name: self.scores[name] / self.scores[name].mean() for name in self.firsts}
        limit = budget * total_cost(terms, dense_choice(self.model, self.data, []))

        def cost_of(keep):
            return total_cost(terms, {name: int(stays.sum()) for name, stays in keep.items()})

        keep = ap.threshold_by_budget(values, limit, cost_of, scope="global").keep
        chosen = {name: int(stays.sum()) for name, stays in keep.items()}
        small = smaller(self.model, self.data, self.scores, chosen, repairing=REPAIR, seed=self.seed)
        return small, chosen, total_cost(terms, chosen)

    def prune(self, method: str, cost: str, budget: float) -> tuple[nn.Module, dict, float]:
        """The network that ``method`` finds, what it keeps of each group and block, and what it costs in its own unit."""
        if method == "global":
            return self.by_importance(cost, budget)
        if method == "search":
            seconds = self.curves(repaired=True).seconds.iloc[0]
            found = ap.search_ratios(
                self.model, self.data, budget, cost=cost, criterion=self.criterion, seconds=seconds, trials=1000,
                seed=self.seed, **REPAIR,
            )  # fmt: skip
            return found.model, found.kept, found.spent
        levels = {"with blocks": ("layers", "filters"), "blocks alone": ("layers",)}.get(method, ("filters",))
        how = {"uniform": "uniform", "greedy": "greedy"}.get(method, "knapsack")
        curves = None if method == "uniform" else self.curves(repaired="plain" not in method)
        plan = ap.allocate(
            self.model, self.data, budget, cost=cost, levels=levels, method=how, criterion=self.criterion, curves=curves,
            seed=self.seed, **REPAIR,
        )  # fmt: skip
        return plan.model, plan.kept.kept.to_dict(), plan.spent


def measure(parent: Parent, small: nn.Module, epochs: int, images: int) -> dict:
    data = parent.data
    both = ap.latency_ms({"dense": parent.model, "small": small}, data, rounds=7)
    row = {
        "macs": ap.count_macs(small, data.image_shape),
        "params": ap.count_params(small),
        "measured_time": (both.small / both.dense).median(),
        "repaired_accuracy": ap.accuracy(small, data),
    }
    if epochs:
        few = data.subset(train=min(images, len(data.train.labels)))
        loss_fn = ap.Distillation(parent.model)
        ap.fine_tune(small, few, epochs, seed=parent.seed, loss_fn=loss_fn, progress=False)
        row["accuracy"] = ap.accuracy(small, data)
    return row


def cells(arguments) -> Iterator[dict]:
    for network in arguments.networks:
        for seed in range(arguments.seeds):
            for cost in arguments.costs:
                for budget in arguments.budgets:
                    for method in METHODS[network]:
                        yield {"network": network, "cost": cost, "budget": budget, "method": method, "seed": seed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["article-net", "resnet20"])
    parser.add_argument("--costs", nargs="+", default=["macs", "params", "latency"])
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.5, 0.3, 0.2, 0.1])
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--until", help="start nothing after this time of the clock, HH:MM")
    arguments = parser.parse_args()
    data = ap.load_data()
    parents: dict[tuple[str, int], Parent] = {}
    for cell in cells(arguments):
        cell["epochs"] = arguments.epochs
        if has(TABLE, **cell) or cell["method"] not in (arguments.methods or [cell["method"]]):
            continue
        if arguments.until and time.strftime("%H:%M") >= arguments.until:
            break
        key = cell["network"], cell["seed"]
        parent = parents.get(key) or Parent(key[0], data, key[1])
        parents[key] = parent
        try:
            small, kept, spent = parent.prune(cell["method"], cell["cost"], cell["budget"])
        except ValueError as error:  # a budget that a method cannot meet, such as blocks alone
            print(cell, error, flush=True)
            continue
        widths = " ".join(f"{name}={value}" for name, value in kept.items())
        row = cell | {"spent": spent} | measure(parent, small, arguments.epochs, arguments.images) | {"kept": widths}
        append(row, TABLE)
        print(row, flush=True)
    report(data)


def report(data: ap.ImageData) -> None:
    table = pd.read_csv(TABLE)
    print(f"\n{data}\n{torch.get_num_threads()} threads")
    for (network, cost), rows in table.groupby(["network", "cost"]):
        for column in ("repaired_accuracy", "accuracy", "measured_time"):
            if column in rows and rows[column].notna().any():
                means = rows.pivot_table(column, "method", "budget", ["mean", "min", "max"])
                print(f"\n{network}, budget of {cost}: {column.replace('_', ' ')}")
                print("| method | " + " | ".join(f"{budget:.0%}" for budget in means["mean"]) + " |")
                print("| --- |" + " --- |" * len(means["mean"].columns))
                for method, row in means.iterrows():
                    of = [f"{row['mean', b]:.1%} ({row['min', b]:.1%}–{row['max', b]:.1%})" for b in means["mean"]]
                    print(f"| {method} | " + " | ".join(of) + " |")


if __name__ == "__main__":
    main()
