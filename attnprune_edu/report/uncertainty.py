"""How sure a number is: 95 % intervals for an accuracy, for a mean of several runs, and for what two criteria differ by."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
from scipy import special

TWO_SIDED = 0.975  # a 95 % interval leaves 2.5 % on either side


class Interval(NamedTuple):
    """An ``estimate`` and the ends of its 95 % interval; both are infinite where a single run leaves everything open."""

    estimate: float
    low: float
    high: float


def wilson(correct: int, num_images: int) -> tuple[float, float]:
    """The 95 % confidence interval (0–1) of an accuracy of ``correct`` out of ``num_images`` (Wilson, 1927).

    Unlike accuracy ± 2 standard errors it never leaves 0–1, and it is not empty where all images are classified correctly.
    Raises ValueError unless there is at least one image and ``correct`` lies between 0 and ``num_images``.
    """
    if num_images < 1 or not 0 <= correct <= num_images:
        raise ValueError(
            "correct must lie between 0 and num_images, which must be at least 1; "
            f"got correct={correct}, num_images={num_images}"
        )
    n, z = num_images, float(special.ndtri(TWO_SIDED))  # 1.96
    share = correct / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)  # rounding may reach a little beyond


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of several runs and its 95 % interval by Student's t: mean ± t · s / √n (Student, 1908).

    It supposes that the runs are independent and about normally distributed. With 3 runs t is 4.3, with 30 it is 2.0. Equal
    values give an empty interval: then nothing that varied was measured, which does not mean that nothing varies.
    Raises ValueError if there is no value or one is not finite.
    """
    values = pd.Series(list(values), dtype=float)
    if not len(values) or not values.map(math.isfinite).all():
        raise ValueError(f"values must be one or more finite numbers, got {list(values)}")
    mean, runs = float(values.mean()), len(values)
    if runs == 1:
        return Interval(mean, -math.inf, math.inf)
    half = float(special.stdtrit(runs - 1, TWO_SIDED) * values.std() / math.sqrt(runs))
    return Interval(mean, mean - half, mean + half)


def paired_difference(
    table: pd.DataFrame, first: str, second: str, y: str = "accuracy", by: str = "criterion", x: str = "pruning_ratio"
) -> pd.DataFrame:
    """Return by how much ``first`` is ahead of ``second`` at each ``x``, with its 95 % interval (``mean_interval``).

    ``table``: one row for each run with the columns ``by``, ``x``, ``seed`` and ``y``, as ``sweep`` returns it. Runs with
    the same seed are compared with each other (the same dense network, the same images), which takes out what the seeds
    share: so the interval of the difference is usually narrower than two separate ones would suggest.

    The result has a row for each ``x`` at which both were run, and the columns ``difference``, ``low``, ``high`` and
    ``runs``. Raises ValueError if a column is missing, a run comes twice, or the two have no run in common.
    """
    if missing := {by, x, "seed", y} - set(table.columns):
        raise ValueError(f"table must have the columns {by!r}, {x!r}, 'seed' and {y!r}, it lacks {sorted(missing)}")
    runs = {name: table[table[by] == name].dropna(subset=y).set_index([x, "seed"])[y] for name in (first, second)}
    if twice := [name for name, values in runs.items() if values.index.has_duplicates]:
        raise ValueError(f"table must have each run once, but {twice[0]!r} has several for one {x} and seed")
    differences = (runs[first] - runs[second]).dropna()
    if not len(differences):
        known = list(table[by].unique())
        raise ValueError(f"first and second must have runs in common, of {known}; got {first!r} and {second!r}")
    rows = {at: (*mean_interval(values), len(values)) for at, values in differences.groupby(level=x)}
    columns = ["difference", "low", "high", "runs"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis(x).astype({"runs": int})
