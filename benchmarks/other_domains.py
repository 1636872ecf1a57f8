"""Does pruning by attention work for other data than photographs? Names, spoken digits, X-rays and faces.

    ATTNPRUNE_FACES=olivetti OMP_NUM_THREADS=1 python benchmarks/other_domains.py [--networks name-gru …] [--seeds 3]

`attnprune-edu data digits`, `… xrays` and `… faces` fetch what does not ship, unless ATTNPRUNE_DIGITS and ATTNPRUNE_XRAYS
name copies.

    name-gru            surnames: half of the units
    name-transformer    surnames: one, two or three of the four heads of each layer; or 50 or 90 % of the neurons between
                        its two linear layers
    digit-cnn           spoken digits: half of the channels of each layer
    article-net         chest X-rays: likewise
    face-net            the Database of Faces: likewise; it tells thirty people apart

Each seed has a dense network of its own: seed 0 is the one that ships with the package, if one does, the others are trained
in the same way (benchmarks/train_checkpoints.py) and kept in build/dense/. The same share is removed from every
layer, then the layers behind are solved for again (repair), and what is left is fine-tuned for three epochs. That alone may
help or harm, so the dense network is fine-tuned alike as well. Time is the processor's, of one thread, for a batch of 64,
and divided by that of the dense network, both measured in turns.

Every finished cell goes to attnprune_edu/experiments/results/other-domains.csv at once, so that a run that was stopped goes
on where it was; let only one run at a time. At the end the tables are printed, and drawn as
benchmarks/pictures/other_domains.png.
"""

import argparse
import itertools
import time
from typing import NamedTuple

import pandas as pd
import torch
from matplotlib.figure import Figure
from recovery import ROOT, append, has
from torch import nn
from torch.utils.benchmark import Timer
from train_checkpoints import RECIPES, Cycle, Recipe, dense_network

import attnprune_edu as ap
from attnprune_edu.networks.inference import evaluating, fast_layout
from attnprune_edu.widgets.difference import STAGES

TABLE = ROOT / "attnprune_edu" / "experiments" / "results" / "other-domains.csv"
PICTURE = ROOT / "benchmarks" / "pictures" / "other_domains.png"
EPOCHS = 3  # of fine-tuning
REPAIR = {"num_images": 1000}
BATCH = 64  # of the time
NETWORKS = {
    "name-gru": RECIPES["name-gru-names"],
    "name-transformer": RECIPES["name-transformer-names"],
    "digit-cnn": RECIPES["digit-cnn-digits"],
    "article-net": Recipe(ap.load_xrays, ap.ArticleNet, (Cycle({"epochs": 6, "lr": 0.001}),)),
    "face-net": RECIPES["face-net-olivetti"],
}
DENSE = ("dense", "dense, fine-tuned")
CRITERIA = ("random", "l1", "attention", "activation_attention", "taylor")
FOR_HEADS = ("random", "l1", "attention_entropy", "head_gate")


class Pruning(NamedTuple):
    """``channels``: what they are called; ``layer``: how the names of the layers that lose some end; ``ratios``: shares."""

    network: str
    channels: str
    layer: str
    ratios: tuple[float, ...] = (0.5,)
    criteria: tuple[str, ...] = CRITERIA


PRUNINGS = (
    Pruning("name-gru", "units", ""),
    Pruning("name-transformer", "heads", "attention", (0.25, 0.5, 0.75), FOR_HEADS),
    Pruning("name-transformer", "neurons", "linear1", (0.5, 0.9)),
    Pruning("digit-cnn", "filters", ""),
    Pruning("article-net", "filters and neurons", ""),
    Pruning("face-net", "filters and neurons", ""),
)


def fine_tuned(model: nn.Module, name: str, data: ap.ImageData, seed: int) -> nn.Module:
    batch_size = NETWORKS[name].single_cycle.get("batch_size", 100)
    ap.fine_tune(model, data, EPOCHS, batch_size=batch_size, seed=seed, progress=False)
    return model


def quality(model: nn.Module, data: ap.ImageData, prefix: str = "") -> dict[str, float]:
    """Of the test part: accuracy, the mean recall over the classes, and for two classes the recall of either."""
    counts = ap.confusion(model, data).to_numpy()
    recall = counts.diagonal() / counts.sum(axis=1)
    found = {"accuracy": counts.diagonal().sum() / counts.sum(), "macro_recall": recall.mean()}
    if len(recall) == 2:  # healthy, ill
        found |= {"sensitivity": recall[1], "specificity": recall[0]}
    return {prefix + name: value for name, value in found.items()}


def costs(model: nn.Module, dense: nn.Module, data: ap.ImageData) -> dict[str, float]:
    """What one input costs, and a batch in milliseconds, also divided by the time of ``dense`` in the same turn."""
    turns = processor_ms({"dense": dense, "pruned": model}, data)
    return {
        "params": ap.count_params(model),
        "macs": ap.count_macs(model, example_inputs=data.inputs(1)),
        "ms": turns.pruned.median(),
        "time_ratio": (turns.pruned / turns.dense).median(),
    }


def processor_ms(models: dict[str, nn.Module], data: ap.ImageData, rounds: int = 9) -> pd.DataFrame:
    """Milliseconds of one forward pass of ``BATCH`` images: a column per network, a row per turn."""
    inputs, timers = data.inputs(BATCH), {}
    for name, model in models.items():
        known = {"torch": torch, "model": model, "inputs": inputs.contiguous(memory_format=fast_layout(model, data))}
        timers[name] = Timer("with torch.inference_mode(): model(inputs)", timer=time.process_time, globals=known)
    with evaluating(*models.values()):
        for timer in timers.values():
            timer.timeit(2)  # to warm up
        return pd.DataFrame([{name: 1000 * timer.timeit(3).mean for name, timer in timers.items()} for _ in range(rounds)])


def measure_dense(name: str, data: ap.ImageData, seed: int) -> None:
    cell = {"network": name, "data": data.name, "channels": "none", "pruning_ratio": 0.0, "seed": seed}
    if not has(TABLE, network=name, criterion="dense", seed=seed):
        dense = dense_network(name, NETWORKS[name], data, seed)
        append(cell | {"criterion": "dense"} | quality(dense, data) | costs(dense, dense, data), TABLE)
    if not has(TABLE, network=name, criterion="dense, fine-tuned", seed=seed):
        tuned = fine_tuned(dense_network(name, NETWORKS[name], data, seed), name, data, seed)
        append(cell | {"criterion": "dense, fine-tuned"} | quality(tuned, data) | costs(tuned, tuned, data), TABLE)


def measure(
    pruning: Pruning, dense: nn.Module, data: ap.ImageData, ratio: float, criterion: str, seed: int
) -> tuple[dict[str, float], nn.Module]:
    """What the pruned network can do at each stage, and the network itself, small and fine-tuned."""
    scores = ap.importance(dense, criterion, data=data, seed=seed)
    chosen = {name: values for name, values in scores.items() if name.endswith(pruning.layer)}
    masked = ap.mask(dense, ap.keep_by_ratio(chosen, ratio), example_inputs=data.example_inputs)
    small = ap.remove(ap.repair(masked, data, dense=dense, seed=seed, **REPAIR), data.example_inputs)
    row = quality(masked, data, "pruned_") | quality(small, data, "repaired_")
    return row | quality(fine_tuned(small, pruning.network, data, seed), data), small


def measure_missing(pruning: Pruning, ratio: float, data: ap.ImageData, seed: int) -> None:
    """The cells of all criteria; all leave networks of one shape, which cost the same, so that one is timed for all."""
    cell = {"network": pruning.network, "channels": pruning.channels, "pruning_ratio": ratio, "seed": seed}
    dense, cost = dense_network(pruning.network, NETWORKS[pruning.network], data, seed), {}
    for criterion in pruning.criteria:
        if not has(TABLE, **cell, criterion=criterion):
            row, small = measure(pruning, dense, data, ratio, criterion, seed)
            cost = cost or costs(small, dense, data)
            append(cell | {"data": data.name, "criterion": criterion} | row | cost, TABLE)
            print(cell | {"criterion": criterion}, flush=True)


def cells_of(table: pd.DataFrame, pruning: Pruning, ratio: float) -> pd.DataFrame:
    """The rows of one pruning, and of the dense networks it began with."""
    rows = table[table.network == pruning.network]
    return rows[((rows.channels == pruning.channels) & (rows.pruning_ratio == ratio)) | rows.criterion.isin(DENSE)]


def text(rows: pd.DataFrame, metric: str) -> str:
    """In percent: the means right after the cut, repaired and fine-tuned, and the lowest and highest of the last."""
    stages = [rows[prefix + metric] for prefix in ("pruned_", "repaired_", "")]
    means = " / ".join(f"{100 * values.mean():.1f}" for values in stages if values.notna().any())
    return f"{means} ({100 * rows[metric].min():.1f}–{100 * rows[metric].max():.1f})"


def head(*titles: str) -> str:
    return "\n| " + " | ".join(titles) + " |\n| --- |" + " --- |" * (len(titles) - 1)


def report(table: pd.DataFrame) -> None:
    prunings = [one for one in PRUNINGS if one.network in set(table.network)]
    for criteria in (CRITERIA, FOR_HEADS):
        chosen = [one for one in prunings if one.criteria == criteria]
        shown = [(one, ratio, cells_of(table, one, ratio)) for one in chosen for ratio in one.ratios]
        for metric in ("accuracy", "macro_recall", "sensitivity", "specificity"):
            found = [entry for entry in shown if entry[2][metric].notna().any()]
            if found:
                print(head(f"{metric}, %", *DENSE, *criteria))
            for pruning, ratio, cells in found:
                texts = [text(cells[cells.criterion == name], metric) for name in (*DENSE, *criteria)]
                print(f"| `{pruning.network}`, {ratio:.0%} of the {pruning.channels} | " + " | ".join(texts) + " |")
    print(head("", "parameters", "MACs", "dense, ms", "time ÷ dense"))
    for pruning in prunings:
        for ratio in pruning.ratios:
            cells = cells_of(table, pruning, ratio)
            dense, small = cells[cells.criterion == "dense"], cells[cells.channels == pruning.channels]
            costs = [f"{dense[name].iloc[0]:,} → {small[name].iloc[0]:,}" for name in ("params", "macs")]
            ratios = small.groupby("seed").time_ratio.median()
            times = [f"{dense.ms.median():.2g}", f"{ratios.median():.2f} ({ratios.min():.2f}–{ratios.max():.2f})"]
            print(f"| `{pruning.network}`, {ratio:.0%} of the {pruning.channels} | " + " | ".join([*costs, *times]) + " |")


def picture(table: pd.DataFrame) -> Figure:
    """A panel for each pruning, at its highest ratio: what is left at each stage."""
    prunings = [one for one in PRUNINGS if one.network in set(table.network)]
    figure = Figure(figsize=(15, 7.6), layout="constrained")
    stages, columns = list(STAGES), list(STAGES.values())
    for pruning, axis in zip(prunings, figure.subplots(2, 3).flat, strict=False):
        ratio = pruning.ratios[-1]
        cells = cells_of(table, pruning, ratio)
        rows = cells[cells.channels == pruning.channels].melt("criterion", columns, "stage", "share")
        rows["stage"] = rows.stage.map(columns.index)
        rows["criterion"] = pd.Categorical(rows.criterion, pruning.criteria)
        ap.plots.plot_spread(
            rows,
            "stage",
            "share",
            "criterion",
            x_label="",
            y_label="test accuracy",
            percent="y",
            reference=("dense", cells[cells.criterion == "dense"].accuracy.mean()),
            axis=axis,
        )
        axis.set_xticks(range(len(stages)), stages)
        axis.set_title(f"{pruning.network}, {ratio:.0%} of the {pruning.channels} gone")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    datasets = {name: NETWORKS[name].load() for name in arguments.networks}
    for seed, (name, data) in itertools.product(range(arguments.seeds), datasets.items()):
        measure_dense(name, data, seed)
        for pruning in PRUNINGS:
            if pruning.network == name:
                for ratio in pruning.ratios:
                    measure_missing(pruning, ratio, data, seed)
    table = pd.read_csv(TABLE)
    report(table)
    PICTURE.write_bytes(ap.plots.png(picture(table)))


if __name__ == "__main__":
    main()
