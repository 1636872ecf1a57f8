"""Tables of long experiments, which a lesson shows instead of repeating them; each made by a script in ``benchmarks/``.

Two are of earlier dense networks of ResNet20, which the package had at other commits:
``criteria-resnet20-adamw`` (AdamW, 40 epochs, 86.75 % on test; up to 36b331c) and ``criteria-resnet20-momentum`` (SGD with
momentum, 120 epochs, 88.66 %; up to 105c9a1). The one that ships went on from the latter. Their repair was that of these
commits, which fitted a bias to layers that have none and dropped it.
"""

import io

import pandas as pd

from ...data.shipped import read_shipped


def load_results(name: str) -> pd.DataFrame:
    """Return the table called ``name``, such as ``"recovery"`` or ``"criteria-resnet20"``; a script in benchmarks/ makes it.

    Raises ValueError that lists the tables there are.
    """
    return pd.read_csv(io.StringIO(read_shipped(__package__, "name", name, ".csv")))
