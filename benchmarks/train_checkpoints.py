"""Train the networks that ship with the package, and write a model card beside each.

    python benchmarks/train_checkpoints.py                 # all of them: `make checkpoints`
    python benchmarks/train_checkpoints.py article-net-shapes

CIFAR-10 is the one `load_data("auto")` finds; set ATTNPRUNE_DATA to use a copy.
"""

import argparse
import time

import torch

import attnprune_edu as ap
from attnprune_edu.checkpoints import PRETRAINED
from attnprune_edu.evaluation import count_params

SEED = 0
RECIPES = {  # name: (data source, options of `train`)
    "article-net-shapes": ("shapes", {"epochs": 10}),  # first, because it needs no download
    "article-net-cifar10": ("auto", {"epochs": 16}),
}

CARD = """\
# {name}

| | |
| --- | --- |
| network | `ArticleNet()`, {params:,} parameters, weights stored as float16 |
| data | {data}. {note} |
| split | {train:,} training images; {validation:,} validation images, never trained on; {test:,} test images |
| training | the defaults of `ap.train` (AdamW, one cycle, batches of 100, flips and shifts); {epochs} epochs, seed {seed} |
| command | `python benchmarks/train_checkpoints.py {name}`, with `ATTNPRUNE_DATA` naming the data where it is a copy |
| validation accuracy | {validation_accuracy:.2%} |
| test accuracy | {test_accuracy:.2%} (as stored; looked at once, after training; one network, so no spread) |
| time | {minutes:.1f} minutes, {threads} threads, torch {torch_version} |
| use | teaching. Not fit for any decision about real pictures. |
"""


def build(name: str) -> None:
    source, options = RECIPES[name]
    data = ap.load_data(source)
    if not name.endswith(data.name):
        raise SystemExit(f"{name} needs the data set its name ends with, but {source!r} gave {data.name!r}")
    torch.manual_seed(SEED)
    model = ap.ArticleNet()
    start = time.perf_counter()
    history = ap.train(model, data, seed=SEED, **options)
    minutes = (time.perf_counter() - start) / 60
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
        **options,
    )
    (PRETRAINED / f"{name}.md").write_text(card, encoding="utf-8")
    print(card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(RECIPES), metavar="NAME", help=", ".join(RECIPES))
    for chosen in parser.parse_args().names:
        if chosen not in RECIPES:
            parser.error(f"NAME must be one of {', '.join(RECIPES)}, got {chosen!r}")
        build(chosen)
