"""Does a criterion that looks at activations choose better than one that looks at weights? On the embedded set.

    ATTNPRUNE_DATA=shapes python benchmarks/activation.py [--networks article-net resnet20] [--seeds 3] [--ratios 0.3 0.5]

benchmarks/criteria.py measures the same on CIFAR-10. Here it is done for `article-net` and `resnet20` on the drawn pictures,
right after the cut and after repair, without training. Each seed of `article-net` has a dense network of its own, as in
benchmarks/recovery.py; there is one `resnet20`, so that its seeds differ only in the images that are drawn
for the scores and the repair. Every finished cell goes to attnprune_edu/experiments/results/activation-embedded.csv at once,
so that a run that was stopped goes on where it was. At the end the table is printed.
"""

import argparse

import pandas as pd
from criteria import PLANS, parent
from recovery import ROOT, append, has

import attnprune_edu as ap

TABLE = ROOT / "attnprune_edu" / "experiments" / "results" / "activation-embedded.csv"
CRITERIA = ["attention", "activation_attention"]
STAGES = ["pruned_accuracy", "repaired_accuracy"]


def measure(dense, data: ap.ImageData, network: str, criterion: str, ratio: float, seed: int) -> dict:
    masked = ap.mask(dense, ap.keep_by_ratio(ap.importance(dense, criterion, data=data, seed=seed), ratio))
    repaired = ap.repair(masked, data, seed=seed, **PLANS[network].repair)
    return dict(zip(STAGES, (ap.accuracy(model, data) for model in (masked, repaired)), strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(PLANS), default=list(PLANS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--ratios", type=float, nargs="+", default=[0.3, 0.5])
    arguments = parser.parse_args()
    data = ap.load_data()
    for network in arguments.networks:
        for seed in range(arguments.seeds):
            dense = parent(network, data, seed)
            for ratio in arguments.ratios:
                for criterion in CRITERIA:
                    cell = {"network": network, "criterion": criterion, "pruning_ratio": ratio, "seed": seed}
                    if not has(TABLE, **cell):
                        append(cell | measure(dense, data, network, criterion, ratio, seed), TABLE)
                        print(cell, flush=True)
    table = pd.read_csv(TABLE)
    print(table.pivot_table(STAGES, ["network", "pruning_ratio"], "criterion").map("{:.1%}".format).to_string())


if __name__ == "__main__":
    main()
