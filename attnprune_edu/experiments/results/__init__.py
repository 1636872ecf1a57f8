"""Tables of long experiments, which a lesson shows instead of repeating them; each made by a script in ``benchmarks/``.

Two are of earlier dense networks of ResNet20, which the package had at other commits:
``criteria-resnet20-adamw`` (AdamW, 40 epochs, 86.75 % on test; up to 36b331c) and ``criteria-resnet20-momentum`` (SGD with
momentum, 120 epochs, 88.66 %; up to 105c9a1). The one that ships went on from the latter.
"""

from importlib import resources

import pandas as pd


def load_results(name: str) -> pd.DataFrame:
    """Return the table called ``name``, such as ``"recovery"`` or ``"criteria-resnet20"``; a script in benchmarks/ makes it.

    Raises ValueError that lists the tables there are.
    """
    folder = resources.files(__package__)
    file = folder / f"{name}.csv"
    if not file.is_file():
        known = sorted(entry.name.removesuffix(".csv") for entry in folder.iterdir() if entry.name.endswith(".csv"))
        raise ValueError(f"name must be one of {', '.join(map(repr, known))}, got {name!r}")
    with file.open(encoding="utf-8") as lines:
        return pd.read_csv(lines)
