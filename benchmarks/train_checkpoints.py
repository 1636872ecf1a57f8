"""Train the networks that ship with the package, and write a model card beside each.

    python benchmarks/train_checkpoints.py                 # all of them: `make checkpoints`
    python benchmarks/train_checkpoints.py article-net-shapes

CIFAR-10 is the one `load_data("auto")` finds; set ATTNPRUNE_DATA to use a copy. After each epoch the network is kept in
build/checkpoints/, so that a training that was stopped goes on there (with a fresh optimiser, at the learning rate it had).
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

import attnprune_edu as ap
from attnprune_edu.checkpoints import PRETRAINED, whole_or_not_at_all
from attnprune_edu.evaluation import count_params
from attnprune_edu.models import ResNet20
from attnprune_edu.training import flip_and_crop

SEED = 0
UNFINISHED = Path(__file__).resolve().parent.parent / "build" / "checkpoints"


class Recipe(NamedTuple):
    """``source``: for ``load_data``; ``network``: its class; ``options``: of ``train``; ``bfloat16``: see ``InBfloat16``.

    ``small_epochs``: so many epochs at first see windows of three quarters of the images' height and width, which takes
    nearly half of the time. A network that ends in a mean over all positions takes images of any size.
    """

    source: str
    network: type[nn.Module]
    options: dict
    bfloat16: bool = False
    small_epochs: int = 0


def nesterov_sgd(parameters, lr: float, weight_decay: float) -> torch.optim.SGD:
    """Stochastic gradient descent with Nesterov's momentum, which the one-cycle schedule moves between 0.85 and 0.95."""
    return torch.optim.SGD(parameters, lr=lr, weight_decay=weight_decay, momentum=0.9, nesterov=True)


RECIPES = {
    "article-net-shapes": Recipe("shapes", ap.ArticleNet, {"epochs": 10}),  # first those that need no download
    "resnet20-shapes": Recipe("shapes", ResNet20, {"epochs": 20, "lr": 0.01}),
    "article-net-cifar10": Recipe("auto", ap.ArticleNet, {"epochs": 16}),
    "resnet20-cifar10": Recipe(
        "auto",
        ResNet20,
        {"epochs": 120, "optimizer": nesterov_sgd, "lr": 0.15, "weight_decay": 5e-4},
        bfloat16=True,
        small_epochs=80,
    ),
}


class InBfloat16(nn.Module):
    """Lets ``model`` multiply in bfloat16, which takes half of the time on a CPU that knows it; its weights stay float32."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16):
            return self.model(inputs).float()


CARD = """\
# {name}

| | |
| --- | --- |
| network | `{network}()`, {params:,} parameters, weights stored as float16 |
| data | {data}. {note} |
| split | {train:,} training images; {validation:,} validation images, never trained on; {test:,} test images |
| training | `ap.train` ({optimizer}, one cycle, batches of 100, flips and shifts) with {options}; seed {seed}{more} |
| command | `python benchmarks/train_checkpoints.py {name}`, with `ATTNPRUNE_DATA` naming the data where it is a copy |
| validation accuracy | {validation_accuracy:.2%} |
| test accuracy | {test_accuracy:.2%} (as stored; looked at once, after training; one network, so no spread) |
| time | {minutes:.1f} minutes, {threads} threads, torch {torch_version} |
| use | teaching. Not fit for any decision about real pictures. |
"""


def trained(name: str, recipe: Recipe, data: ap.ImageData) -> tuple[nn.Module, pd.DataFrame]:
    """The network of ``recipe``, trained from where an earlier run stopped, and what happened in each epoch."""
    network, table = UNFINISHED / f"{name}.safetensors", UNFINISHED / f"{name}.csv"
    torch.manual_seed(SEED)
    model, before = recipe.network(), pd.DataFrame()
    if table.exists():
        model, before = ap.load_model(network), pd.read_csv(table)
    done, options = len(before), dict(recipe.options)
    rows = before.to_dict("records")

    def augment(images: Tensor, generator: torch.Generator) -> Tensor:
        small = [3 * side // 4 for side in data.image_shape[1:]]
        if len(rows) < recipe.small_epochs:
            return flip_and_crop(images, generator, padding=0, size=small)
        return flip_and_crop(images, generator)

    def keep(_, row):
        rows.append(row | {"epoch": len(rows) + 1})
        ap.save_model(model, network)
        with whole_or_not_at_all(table) as unfinished:
            pd.DataFrame(rows).to_csv(unfinished, index=False)
        print(rows[-1], flush=True)

    if epochs := options.pop("epochs") - done:
        learner = InBfloat16(model) if recipe.bfloat16 else model
        ap.train(
            learner,
            data,
            epochs,
            done_epochs=done,
            seed=SEED + done,
            augment=augment,
            callbacks=[keep],
            progress=False,
            **options,
        )
    return model, pd.DataFrame(rows)


def build(name: str) -> None:
    recipe = RECIPES[name]
    data = ap.load_data(recipe.source)
    if not name.endswith(data.name):
        raise SystemExit(f"{name} needs the data set its name ends with, but {recipe.source!r} gave {data.name!r}")
    model, history = trained(name, recipe, data)
    minutes = history.seconds.sum() / 60
    print(history.to_string(index=False))

    stored = ap.load_model(ap.save_model(model, PRETRAINED / f"{name}.safetensors", dtype=torch.float16))
    card = CARD.format(
        name=name,
        params=count_params(model),
        data=data.name,
        note=data.note,
        train=len(data.train.labels),
        validation=len(data.validation.labels),
        test=len(data.test.labels),
        seed=SEED,
        validation_accuracy=ap.accuracy(stored, data, "validation"),
        test_accuracy=ap.accuracy(stored, data, "test"),
        minutes=minutes,
        threads=torch.get_num_threads(),
        torch_version=torch.__version__,
        network=type(model).__name__,
        optimizer=recipe.options.get("optimizer", torch.optim.AdamW).__name__,
        options=", ".join(f"{key}={value}" for key, value in recipe.options.items() if key != "optimizer"),
        more=(f"; in the first {recipe.small_epochs} epochs on windows of ¾ of the side" if recipe.small_epochs else "")
        + ("; multiplications in bfloat16" if recipe.bfloat16 else ""),
    )
    (PRETRAINED / f"{name}.md").write_text(card, encoding="utf-8")
    print(card)
    for file in UNFINISHED.glob(f"{name}.*"):  # or the next call would find it finished, and train nothing
        file.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(RECIPES), metavar="NAME", help=", ".join(RECIPES))
    for chosen in parser.parse_args().names:
        if chosen not in RECIPES:
            parser.error(f"NAME must be one of {', '.join(RECIPES)}, got {chosen!r}")
        build(chosen)
