"""Ten times fewer parameters: prune hard, repair, distil. With how much loss?

    python benchmarks/recipe.py [--seeds 3]

The recipe: score the channels by "taylor", keep half of both convolutions and 180 of 1024 hidden neurons, solve the next
layers again in closed form, remove, and train with the dense network as the teacher. Beside it the same small network from
random weights, with the very same training: what pruning itself is worth. The dense parents are those of
benchmarks/recovery.py. Every finished network goes to attnprune_edu/results/recipe.csv at once; a stopped run goes on.
Latency is measured at the end, all networks in turn, so nothing else should run then.
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


def pruned(dense: torch.nn.Module, data: ap.ImageData, seed: int) -> torch.nn.Module:
    importance = ap.importance(dense, "taylor", data=data, seed=seed)
    keep = {}
    for name, values in importance.items():
        keep |= ap.keep_by_ratio({name: values}, 1 - KEPT[name] / len(values))
    return ap.remove(ap.repair(ap.mask(dense, keep), data, seed=seed))


def from_scratch(dense: torch.nn.Module, data: ap.ImageData, seed: int) -> torch.nn.Module:
    torch.manual_seed(seed)
    return ap.ArticleNet(conv_channels=(KEPT["conv1"], KEPT["conv2"]), hidden=KEPT["fc1"])


METHODS = {"recipe": pruned, "from scratch": from_scratch}


def build(method: str, dense: torch.nn.Module, data: ap.ImageData, seed: int) -> dict:
    model = METHODS[method](dense, data, seed)
    before = ap.accuracy(model, data)
    ap.fine_tune(model, data, seed=seed, loss_fn=ap.Distillation(Bfloat16(dense)), progress=False, **TRAINING)
    ap.save_model(model, NETWORKS / f"{method.replace(' ', '-')}-{data.name}-{seed}.safetensors")
    costs = {"params": ap.count_params(model), "macs": ap.count_macs(model, data.image_shape)}
    return {"epochs": TRAINING["epochs"], "accuracy_before": before, "accuracy": ap.accuracy(model, data)} | costs


def report(data: ap.ImageData, seeds: int) -> None:
    table = pd.read_csv(TABLE)
    dense = {seed: dense_network(data, seed) for seed in range(seeds)}
    small = {seed: ap.load_model(NETWORKS / f"recipe-{data.name}-{seed}.safetensors") for seed in range(seeds)}
    parents = {seed: ap.accuracy(model, data) for seed, model in dense.items()}
    costs = ap.compare({"dense": dense[0], "recipe": small[0]}, data, rounds=30)
    print(f"\n{data}\n{TRAINING}, {seeds} seeds, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print(costs.to_string())
    print(f"\nparameters ÷ {costs.params['dense'] / costs.params['recipe']:.1f}", end=", ")
    print(f"MACs ÷ {costs.macs['dense'] / costs.macs['recipe']:.1f}", end=", ")
    print(f"latency of 64 images ÷ {costs.latency_ms['dense'] / costs.latency_ms['recipe']:.2f}\n")
    print("| network | before training | after | lost against its dense parent, mean (lowest–highest) |")
    print("| --- | --- | --- | --- |")
    for method, rows in table.groupby("method", sort=False):
        lost = [parents[row.seed] - row.accuracy for row in rows.itertuples()]
        mean, low, high = (100 * value for value in (sum(lost) / len(lost), min(lost), max(lost)))
        print(f"| {method} | {rows.accuracy_before.mean():.1%} | {rows.accuracy.mean():.1%} ", end="")
        print(f"| {mean:.1f} points ({low:.1f}–{high:.1f}) |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    data = ap.load_data()
    for method in METHODS:
        for seed in range(seeds):
            if not has(TABLE, method=method, seed=seed):
                row = {"method": method, "seed": seed} | build(method, dense_network(data, seed), data, seed)
                append(row, TABLE)
                print(row, flush=True)
    report(data, seeds)


if __name__ == "__main__":
    main()
