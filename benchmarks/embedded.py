"""Does the embedded set tell CIFAR-10's story? The same questions to the article-net of either, side by side.

    python benchmarks/embedded.py [--images 2000] [--seeds 3]

CIFAR-10 is the one `load_data("auto")` finds; set ATTNPRUNE_DATA to use a copy. The accuracies are those of the first
``--images`` test images of CIFAR-10, and of as many pictures drawn anew, for the embedded set has 1,000 to test with.
Fine-tuning sees 4,000 training images of either, which are all that the embedded set has. The shipped networks were
initialised with seed 0. So what is random here is drawn with the seeds from 1.

Every finished cell is kept in build/embedded/, so that a run that was stopped goes on.
"""

import argparse
import dataclasses
import functools
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

import attnprune_edu as ap
from attnprune_edu.data import shapes
from attnprune_edu.networks.inference import predict

CELLS = Path(__file__).resolve().parent.parent / "build" / "embedded"
LAYERS = ("conv1", "conv2", "fc1")
BY_WEIGHTS_OR_IMAGES = ("l1", "attention", "activation_attention", "taylor")
RATIOS = (0.3, 0.5, 0.7)
TO_TRAIN = 4_000  # images


def silent(model: nn.Module, data: ap.ImageData, num_images: int = 1000) -> dict[str, int]:
    """How many channels of each layer let nothing through their ReLU in any of ``num_images`` training images."""
    highest: dict[str, Tensor] = {}  # (channels,) for each layer

    def look(layer, inputs, output, name):
        seen = output.transpose(0, 1).flatten(1).amax(dim=1)
        highest[name] = torch.maximum(highest.get(name, seen), seen)

    hooks = [model.get_submodule(name).register_forward_hook(functools.partial(look, name=name)) for name in LAYERS]
    predict(model, data, data.train.images[:num_images])
    for hook in hooks:
        hook.remove()
    return {name: int((highest[name] <= 0).sum()) for name in LAYERS}


def story(data: ap.ImageData, seeds: int) -> dict[str, str]:
    """{what was measured: what came out} for the article-net that ships for ``data``."""
    model = ap.load_model("article-net", data.name)
    sweep = functools.partial(ap.sweep, {"article-net": model}, folder=CELLS, progress=False)
    drawn = range(1, seeds + 1)
    widths = {name: model.get_submodule(name).weight.shape[0] for name in LAYERS}
    rows = {"dense": f"{ap.accuracy(model, data):.1%}"}
    rows |= {f"silent in `{name}`": f"{count} of {widths[name]:,}" for name, count in silent(model, data).items()}

    cells = sweep(data, ["random"], RATIOS, seeds=drawn)
    cells = pd.concat([cells, sweep(data, BY_WEIGHTS_OR_IMAGES, RATIOS, ["local", "global"], seeds=[1])])
    for scope, criteria in {"local": ("random", *BY_WEIGHTS_OR_IMAGES), "global": BY_WEIGHTS_OR_IMAGES}.items():
        for criterion in criteria:
            some = cells[(cells.criterion == criterion) & (cells.scope == scope)]
            rows[f"{criterion}, {scope}"] = by_ratio(some, "pruned_accuracy")

    rows["attention, repaired"] = by_ratio(sweep(data, ["attention"], RATIOS, seeds=drawn, repaired=True), "accuracy")
    for epochs in (1, 2):
        cells = sweep(data.subset(train=TO_TRAIN), ["attention"], [0, 0.5], seeds=drawn, epochs=epochs)
        for ratio, network in {0: "dense", 0.5: "half by attention"}.items():
            rows[f"{network}, fine-tuned, epochs={epochs}"] = spread(cells[cells.pruning_ratio == ratio].accuracy)

    for name in LAYERS:
        keep = ap.keep_by_ratio({name: ap.importance(model, "attention")[name]}, 0.5)
        rows[f"half of `{name}` alone"] = f"{ap.accuracy(ap.mask(model, keep), data):.1%}"
    return rows


def by_ratio(cells: pd.DataFrame, column: str) -> str:
    return " / ".join(spread(values) for _, values in cells.groupby("pruning_ratio")[column])


def spread(values: pd.Series) -> str:
    mean = f"{values.mean():.1%}"
    return f"{mean} ({values.min():.1%}–{values.max():.1%})" if len(values) > 1 else mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2_000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    photographs = ap.load_data().subset(test=arguments.images)
    drawn = ap.load_data("shapes", announce=False)
    drawn = dataclasses.replace(drawn, test=ap.Images(*shapes.draw(arguments.images, seed=1)))
    table = pd.DataFrame({data.name: story(data, arguments.seeds) for data in (drawn, photographs)})
    print("| | " + " | ".join(table.columns) + " |\n| --- | --- | --- |")
    for what, row in table.iterrows():
        print(f"| {what} | " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
