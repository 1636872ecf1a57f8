"""Surnames by language, letter by letter: a data set without a download.

``tools/surnames.py`` made ``surnames.json`` from the lists in the package ``faker`` 40.63.0, whose licence (MIT) lies beside
it, in ``LICENSE-faker``.
"""

import json
from importlib import resources

import torch

from .images import Images
from .tokens import TokenData, tokenize

SYMBOLS = ("", *"abcdefghijklmnopqrstuvwxyz '-")
VALIDATION, TEST = 500, 1_000


def load_names(*, announce: bool = True) -> TokenData:
    """Load the embedded surnames, whose class is their language, and say so in one line (``announce``).

    5,462 surnames in 11 languages, without accents, of 3 to 16 letters: tokens int64 (N, 16), 0 behind the last letter. The
    split is the same for everybody: 3,962 for training, 500 for validation, 1,000 for the test.
    """
    text = (resources.files(__package__) / "surnames.json").read_text(encoding="utf-8")
    surnames = json.loads(text)  # {language: [surname, …]}
    tokens = tokenize([name for names in surnames.values() for name in names], SYMBOLS)
    labels = torch.tensor([label for label, names in enumerate(surnames.values()) for _ in names])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    train, validation, test = (
        Images(tokens[chosen], labels[chosen]) for chosen in order.split([len(order) - VALIDATION - TEST, VALIDATION, TEST])
    )
    data = TokenData(
        name="names",
        class_names=tuple(surnames),
        train=train,
        validation=validation,
        test=test,
        note="Surnames from the lists of the package faker, without accents and without those of several languages.",
        symbols=SYMBOLS,
    )
    if announce:
        print(data)
    return data
