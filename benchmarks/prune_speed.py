"""How long does it take to score, choose and remove half of the channels, next to Torch-Pruning?

    python benchmarks/prune_speed.py [--rounds 15]

Both libraries prune `ArticleNet` and `ResNet20` with fresh weights by the L2 norm of the filters, half of each layer, the
output layer left alone. They take turns, each once a round, so that a slow moment of the machine hits all alike:

- ours: `ap.coupled_layers`, `ap.importance`, `ap.couple`, `ap.keep_by_ratio`, `ap.mask` and `ap.remove`, on a network that
  nothing is known of yet. It returns a new network and leaves the dense one as it was. It cuts a few channels of every group
  out of a copy first, and in the end it makes sure that the smaller network computes the same as the masked one (`ap.remove`
  cuts `ArticleNet` by hand, without that comparison);
- unchecked: the same with `check=False`, which leaves out both;
- Torch-Pruning: `MagnitudePruner` with `MagnitudeImportance(p=2)`, made and stepped once. It cuts the network that it gets,
  so it gets a fresh deep copy of the dense one, made before its clock starts. It makes sure of nothing.

All see the same random image. They may choose different channels, because Torch-Pruning also scores what reads a channel,
but all must leave equally many parameters. A first round warms up and is not counted. The ratios are those of each round.
"""

import argparse
import copy
import functools
import time
from importlib.metadata import version

import pandas as pd
import torch
import torch_pruning as tp
from torch import Tensor, nn

import attnprune_edu as ap

RATIO = 0.5
NETWORKS = {"ArticleNet": ap.ArticleNet, "ResNet20": ap.ResNet20}


def ours(dense: nn.Module, inputs: Tensor, check: bool = True) -> nn.Module:
    groups = ap.coupled_layers(dense, example_inputs=inputs, check=check)
    importance = ap.couple(ap.importance(dense, "l2", example_inputs=inputs), groups)
    masked = ap.mask(dense, ap.keep_by_ratio(importance, RATIO), example_inputs=inputs)
    return ap.remove(masked, inputs, check=check)


def torch_pruning(dense: nn.Module, inputs: Tensor, ratio: float = RATIO) -> nn.Module:
    """``dense`` itself, cut by that library's L2 pruner with its defaults; the output layer is left alone."""
    output = list(dense.modules())[-1]
    importance = tp.importance.MagnitudeImportance(p=2)
    tp.pruner.MagnitudePruner(dense, inputs, importance, pruning_ratio=ratio, ignored_layers=[output]).step()
    return dense


WAYS = {"ours": ours, "unchecked": functools.partial(ours, check=False), "Torch-Pruning": torch_pruning}


def measure(dense: nn.Module, rounds: int) -> pd.DataFrame:
    """Milliseconds of each way, a row for each round."""
    inputs = torch.randn(1, 3, 32, 32)
    rows = []
    for _ in range(rounds + 1):
        row, left = {}, {}
        for way, prune in WAYS.items():
            network = copy.deepcopy(dense)
            start = time.perf_counter()
            small = prune(network, inputs)
            row[way] = 1000 * (time.perf_counter() - start)
            left[way] = ap.count_params(small)
        if len(set(left.values())) > 1 or left["ours"] >= ap.count_params(dense):
            raise SystemExit(f"not the same task: of {ap.count_params(dense)} parameters are left {left}")
        rows.append(row)
    return pd.DataFrame(rows[1:])


def spread(values: pd.Series, digits: int) -> str:
    return f"{values.median():.{digits}f} ({values.min():.{digits}f}–{values.max():.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    print(f"{arguments.rounds} rounds, {torch.get_num_threads()} threads, torch {torch.__version__}, ", end="")
    print(f"torch-pruning {version('torch-pruning')}; median (lowest–highest)\n")
    print(f"| network | {', ms | '.join(WAYS)}, ms | ours ÷ Torch-Pruning | unchecked ÷ Torch-Pruning |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, build in NETWORKS.items():
        torch.manual_seed(0)
        table = measure(build().eval(), arguments.rounds)
        times = " | ".join(spread(table[way], 0) for way in WAYS)
        ratios = " | ".join(spread(table[way] / table["Torch-Pruning"], 2) for way in ("ours", "unchecked"))
        print(f"| {name} | {times} | {ratios} |", flush=True)


if __name__ == "__main__":
    main()
