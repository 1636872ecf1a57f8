"""Tables of long experiments, which a lesson shows instead of repeating them; each made by a script in ``benchmarks/``.

``criteria-resnet20-adamw`` is of an earlier dense network (AdamW, 40 epochs, 86.75 % on test), which the package had up to
commit 36b331c: the order of the criteria was another.
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
