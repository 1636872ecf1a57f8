"""Train the networks that ship with the package, and write a model card beside each.

    python benchmarks/train_checkpoints.py                 # all of them: `make checkpoints`
    python benchmarks/train_checkpoints.py article-net-shapes

CIFAR-10, the spoken digits and the Database of Faces are those in the cache folder (`attnprune-edu data NAME`), or copies
that ATTNPRUNE_DATA, ATTNPRUNE_DIGITS and ATTNPRUNE_FACES name. After each epoch the network is kept in build/checkpoints/,
so that a training that was stopped goes on there (with a fresh optimiser, at the learning rate it had).
"""

import argparse
import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

import attnprune_edu as ap
from attnprune_edu.data.augmentation import crop, flip_and_crop
from attnprune_edu.report.checkpoints import PRETRAINED, SHIPPED, atomic_write
from attnprune_edu.report.evaluation import count_params

SEED = 0
BUILD = Path(__file__).resolve().parent.parent / "build"
UNFINISHED, DENSE = BUILD / "checkpoints", BUILD / "dense"


class Cycle(NamedTuple):
    """One cycle of the learning rate: ``options`` of ``train``, and what its ``augment`` does beside flips and shifts.

    ``small_epochs``: so many epochs at first see windows of three quarters of the images' height and width, which takes
    nearly half of the time. A network that ends in a mean over all positions takes images of any size. ``erasing``: in half
    of the images a random rectangle is painted grey (random erasing; Zhong et al., AAAI 2020, arXiv:1708.04896).
    """

    options: dict
    small_epochs: int = 0
    erasing: bool = False

    @property
    def plain(self) -> bool:
        """Does it do to images what is usual for the data, and no more?"""
        return not (self.small_epochs or self.erasing)

    def augment(self, images: Tensor, generator: torch.Generator, done: int) -> Tensor:
        """``images`` as the network sees them after ``done`` epochs of this cycle."""
        small = {"padding": 0, "size": [3 * side // 4 for side in images.shape[2:]]}
        images = flip_and_crop(images, generator, **(small if done < self.small_epochs else {}))
        if not self.erasing:
            return images
        from torchvision.transforms import v2  # here, for attnprune_edu must be imported before it

        erase = v2.RandomErasing(p=0.5, value=127)  # draws from torch's global generator, which `train` seeds
        return torch.stack([erase(image) for image in images])

    def __str__(self) -> str:
        options = {"optimizer": torch.optim.AdamW} | self.options
        options.pop("batch_size", None)  # stands elsewhere in the card
        words = [f"{options.pop('optimizer').__name__}, one cycle"]
        if done := options.pop("done_epochs", 0):
            words[0] += f" without its first {done} epochs"
        words += [f"{key}={value}" for key, value in options.items()]
        words += [f"the first {self.small_epochs} epochs on windows of ¾ of the side"] if self.small_epochs else []
        words += ["random erasing"] if self.erasing else []
        return ", ".join(words)


class Recipe(NamedTuple):
    """How a network that ships is made.

    ``load``: the function that loads its data; ``network``: its class; ``cycles``: one after the other; ``bfloat16``: see
    below; ``variable``: what may name a copy of the data; ``credit``: what the card owes to those who made them.
    """

    load: Callable[[], ap.ImageData]
    network: type[nn.Module]
    cycles: tuple[Cycle, ...]
    bfloat16: bool = False
    variable: str = ""
    credit: str = ""

    @property
    def single_cycle(self) -> dict:
        """Options of ``train`` for a network made in the same way, if that takes one plain cycle."""
        (cycle,) = self.cycles  # a second one would fail here, and not be left out in silence
        return cycle.options


def nesterov_sgd(parameters, lr: float, weight_decay: float) -> torch.optim.SGD:
    """Stochastic gradient descent with Nesterov's momentum, which the one-cycle schedule moves between 0.85 and 0.95."""
    return torch.optim.SGD(parameters, lr=lr, weight_decay=weight_decay, momentum=0.9, nesterov=True)


SHAPES, DRAWN = functools.partial(ap.load_data, "shapes"), functools.partial(ap.load_faces, "drawn")
MOMENTUM = {"optimizer": nesterov_sgd, "weight_decay": 5e-4}
RECIPES = {
    # First those that need no download. At the learning rate of CIFAR-10's, which rises to its peak eleven times as slowly,
    # 18 of the 64 filters of conv2 fell silent for good; at this one, 3.
    "article-net-shapes": Recipe(SHAPES, ap.ArticleNet, (Cycle({"epochs": 24, "lr": 0.001}),)),
    "resnet20-shapes": Recipe(SHAPES, ap.ResNet20, (Cycle({"epochs": 16, "lr": 0.01}, small_epochs=8),), bfloat16=True),
    "name-gru-names": Recipe(ap.load_names, ap.NameGRU, (Cycle({"epochs": 12, "lr": 0.01}),)),
    "name-transformer-names": Recipe(ap.load_names, ap.NameTransformer, (Cycle({"epochs": 15, "lr": 0.002}),)),
    "face-net-drawn": Recipe(DRAWN, ap.FaceNet, (Cycle({"epochs": 50, "batch_size": 30}),)),
    "digit-cnn-digits": Recipe(
        ap.load_digits,
        ap.DigitCNN,
        (Cycle({"epochs": 30, "lr": 0.006}),),
        variable="ATTNPRUNE_DIGITS",
        credit="Free Spoken Digit Dataset, version 1.0.10, by Z. Jackson and others, CC BY-SA 4.0",
    ),
    "face-net-olivetti": Recipe(
        ap.load_faces,
        ap.FaceNet,
        (Cycle({"epochs": 60, "lr": 0.002, "batch_size": 30}),),
        variable="ATTNPRUNE_FACES",
        credit="The Database of Faces, AT&T Laboratories Cambridge, free for research with this credit: F. Samaria and A. "
        "Harter, *Parameterisation of a stochastic model for human face identification*, WACV 1994",
    ),
    "article-net-cifar10": Recipe(ap.load_data, ap.ArticleNet, (Cycle({"epochs": 16}),), variable="ATTNPRUNE_DATA"),
    "resnet20-cifar10": Recipe(
        ap.load_data,
        ap.ResNet20,
        (
            Cycle({"epochs": 120, "lr": 0.15} | MOMENTUM, small_epochs=80),
            # Then 97.6 % of the training and 88.8 % of the validation images were right. So we supposed that what was
            # missing is not steps but regularisation. The second cycle begins at its peak.
            Cycle({"epochs": 92, "done_epochs": 39, "lr": 0.1} | MOMENTUM, small_epochs=30, erasing=True),
        ),
        bfloat16=True,
        variable="ATTNPRUNE_DATA",
    ),
}


class InBfloat16(nn.Module):
    """Lets ``model`` multiply in bfloat16, which takes half of the time on a CPU that knows it; its weights stay float32."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.train(model.training)  # or what is in evaluation mode inside would count as frozen

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, torch.bfloat16):
            return self.model(inputs).float()


CARD = """\
# {name}

| | |
| --- | --- |
| network | `{network}`, {params:,} parameters, weights stored as float16 |
| data | {data}. {note} |
{credit}| split | {train:,} training {each}; {validation:,} validation {each}, never trained on; {test:,} test {each} |
| training | `ap.train`, batches of {batch_size}, {augmentation}, seed {seed}{bfloat16}: {cycles} |
| command | `python benchmarks/train_checkpoints.py {name}`{copy} |
| validation accuracy | {validation_accuracy:.2%} |
| test accuracy | {test_accuracy:.2%} (as stored; looked at once, after training; one network, so no spread) |
| time | {minutes:.1f} minutes, {threads} threads, torch {torch_version} |
| use | teaching. Not fit for any decision about real {subjects}. |
"""
AUGMENTATIONS = {flip_and_crop: "flips and shifts", crop: "shifts", None: "no augmentation"}
SUBJECTS = {"names": "people", "digits": "speech", "drawn": "people", "olivetti": "people"}  # else pictures


class Unfinished:
    """The training of ``model``, kept in ``folder`` under ``name`` after each epoch, so that it can go on another day.

    ``model`` is as it was when it was kept last, if it was. ``rows`` are those of ``train``, one for each epoch so far.
    """

    def __init__(self, model: nn.Module, folder: Path, name: str):
        self.network, self.table = folder / f"{name}.safetensors", folder / f"{name}.csv"
        self.model, self.name, self.rows = model, name, []
        if self.table.exists():
            self.model, self.rows = ap.load_model(self.network), pd.read_csv(self.table).to_dict("records")

    def keep(self, _, row: dict) -> None:
        self.rows.append(row | {"epoch": len(self.rows) + 1})
        ap.save_model(self.model, self.network)
        with atomic_write(self.table) as unfinished:
            pd.DataFrame(self.rows).to_csv(unfinished, index=False)
        print(self.name, self.rows[-1], flush=True)

    def go_on(
        self, data: ap.ImageData, cycle: Cycle, *, before: int = 0, bfloat16: bool = False, seed: int = SEED, **options
    ) -> None:
        """Train for the rest of ``cycle``; the first ``before`` epochs were of others. ``options``: of ``train``."""
        planned = {"done_epochs": 0} | cycle.options
        done = len(self.rows) - before
        if done >= planned["epochs"]:
            return

        def augment(images: Tensor, generator: torch.Generator) -> Tensor:
            return cycle.augment(images, generator, done=len(self.rows) - before)

        planned["epochs"] -= done
        planned["done_epochs"] += done
        planned |= {"seed": seed + len(self.rows), "augment": "usual" if cycle.plain else augment}
        model = InBfloat16(self.model) if bfloat16 else self.model
        ap.train(model, data, callbacks=[self.keep], progress=False, **planned, **options)


def trained(name: str, recipe: Recipe, data: ap.ImageData) -> tuple[nn.Module, pd.DataFrame]:
    """The network of ``recipe``, trained from where an earlier run stopped, and what happened in each epoch."""
    torch.manual_seed(SEED)
    run, before = Unfinished(recipe.network.for_data(data), UNFINISHED, name), 0
    for cycle in recipe.cycles:
        run.go_on(data, cycle, before=before, bfloat16=recipe.bfloat16)
        before += cycle.options["epochs"]
    return run.model, pd.DataFrame(run.rows)


def dense_network(name: str, recipe: Recipe, data: ap.ImageData, seed: int) -> nn.Module:
    """The dense network of ``seed``: 0 is the one that ships, if one does, the others are trained in the same way.

    These are kept in build/dense.
    """
    if seed == 0 and data.name in SHIPPED[name][1]:
        return ap.load_model(name, data.name)
    path = DENSE / f"{name}-{data.name}-{seed}.safetensors"
    if not path.exists():
        torch.manual_seed(seed)
        model = recipe.network.for_data(data)
        ap.train(model, data, seed=seed, progress=False, **recipe.single_cycle)
        ap.save_model(model, path, dtype=torch.float16)
    return ap.load_model(path)


def build(name: str) -> None:
    recipe = RECIPES[name]
    data = recipe.load()
    if not name.endswith(f"-{data.name}"):
        raise SystemExit(f"{name} needs the data set its name ends with, but {data.name!r} was loaded")
    model, history = trained(name, recipe, data)
    minutes = history.seconds.sum() / 60
    print(history.to_string(index=False))

    stored = ap.load_model(ap.save_model(model, PRETRAINED / f"{name}.safetensors", dtype=torch.float16))
    card = CARD.format(
        name=name,
        params=count_params(model),
        data=data.name,
        note=data.note,
        credit=f"| credit | {recipe.credit} |\n" if recipe.credit else "",
        each=data.each,
        batch_size=recipe.cycles[0].options.get("batch_size", 100),
        augmentation=AUGMENTATIONS[data.augment],
        copy=f", with `{recipe.variable}` naming the data where it is a copy" if recipe.variable else "",
        subjects=SUBJECTS.get(data.name, "pictures"),
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
        bfloat16=", multiplications in bfloat16" if recipe.bfloat16 else "",
        cycles="; then ".join(map(str, recipe.cycles)),
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
