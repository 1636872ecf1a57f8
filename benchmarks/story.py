"""Run the README's story with several seeds of fine-tuning, and print its table and draw the README's pictures.

    python benchmarks/story.py [--seeds 3]

The trained network is always the same one that ships with the package; what varies is the order of the images while
fine-tuning, and with it the accuracy afterwards. The pictures go to benchmarks/pictures/.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch

import attnprune_edu as ap

PICTURES = Path(__file__).parent / "pictures"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = range(parser.parse_args().seeds)

    data = ap.load_data()
    model = ap.load_model("article-net", data.name)
    keep = ap.keep_by_ratio(ap.importance(model, "attention"), 0.5)
    pruned = ap.accuracy(ap.mask(model, keep), data)
    tables = []
    for seed in seeds:
        masked = ap.mask(model, keep)
        ap.fine_tune(masked, data, epochs=2, seed=seed)
        tables.append(ap.compare({"dense": model, "masked": masked, "removed": ap.remove(masked)}, data))
    by_seed = pd.concat(tables, keys=seeds, names=["seed", "network"])
    table = by_seed.groupby("network", sort=False).mean()
    spread = by_seed.accuracy.groupby("network", sort=False).agg(["min", "max"])

    print(f"\n{data}\n{len(seeds)} seeds, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"right after pruning, before fine-tuning: {pruned:.1%}\n")
    print("| network | accuracy, mean (lowest–highest) | parameters | MACs | bytes | latency of 64 images |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, row in table.iterrows():
        low, high = spread.loc[name]
        accuracy = f"{row.accuracy:.1%}" if low == high else f"{row.accuracy:.1%} ({low:.1%}–{high:.1%})"
        print(
            f"| {name} | {accuracy} | {row.params:,.0f} | {row.macs:,.0f} | {row.bytes:,.0f} "
            f"| {row.latency_ms:.1f} ms (IQR {row.latency_iqr_ms:.1f}) |"
        )

    PICTURES.mkdir(exist_ok=True)
    embedded = ap.plots.plot_images(ap.load_data("shapes", announce=False), per_class=3)
    (PICTURES / "shapes.png").write_bytes(ap.plots.png(embedded))
    accuracies = {"dense": table.accuracy["dense"], "pruned": pruned, "fine-tuned": table.accuracy["removed"]}
    (PICTURES / "accuracy.png").write_bytes(ap.plots.png(ap.plots.plot_accuracies(accuracies, 1 / len(data.class_names))))
    (PICTURES / "costs.png").write_bytes(ap.plots.png(ap.plots.plot_costs(table)))


if __name__ == "__main__":
    main()
