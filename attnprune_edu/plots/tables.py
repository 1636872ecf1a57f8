"""Figures of tables of shares: which classes are taken for which, and how much each group of layers can lose."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .style import heat_map


def plot_confusion(matrix: pd.DataFrame) -> Figure:
    """Draw how many pictures of each class got which name: ``matrix``, rows the true class, columns the guessed one.

    ``matrix`` holds counts, with the same names in both directions. The brightness is the share of the row, and the class's
    recall, the share (0–1) that got the right name, stands beside its own name.
    """
    names = [str(name) for name in matrix.index]
    if not names or list(matrix.index) != list(matrix.columns):
        raise ValueError(f"matrix must have the same classes as rows and columns, got {names} and {list(matrix.columns)}")
    counts = matrix.to_numpy()
    if not np.issubdtype(counts.dtype, np.integer) or counts.min() < 0:
        raise ValueError(f"matrix must hold counts, integers of at least 0, got {counts.dtype} from {counts.min()}")
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    figure = Figure(figsize=(0.52 * len(names) + 1.7, 0.52 * len(names) + 1.2))
    axis = figure.subplots()
    heat_map(axis, shares, np.vectorize("{:,}".format)(counts), 0, 1, fontsize=9)
    recalls = [f"{share:.0%}" if total else "–" for share, total in zip(shares.diagonal(), totals.flat, strict=True)]
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), [f"{name}  {recall}" for name, recall in zip(names, recalls, strict=True)])
    axis.set_xlabel("the network says")
    axis.set_ylabel("true class")
    return figure


def plot_sensitivity(table: pd.DataFrame) -> Figure:
    """Draw the accuracy that is left when one group of layers alone is pruned.

    ``table``: a row for each group, 1 to 30, a column for each pruning ratio (0–1), values accuracy (0–1).
    """
    ratios, values = np.asarray(table.columns), table.to_numpy()
    if not 1 <= len(table) <= 30 or not len(ratios):
        raise ValueError(f"table must have 1 to 30 rows and at least one column, got the shape {table.shape}")
    for what, numbers in (("columns, pruning ratios,", ratios), ("values, accuracy,", values)):
        if not np.issubdtype(numbers.dtype, np.number) or not ((numbers >= 0) & (numbers <= 1)).all():
            raise ValueError(f"table's {what} must be numbers from 0 to 1, got {numbers.tolist()}")
    figure = Figure(figsize=(0.55 * len(ratios) + 1.7, 0.32 * len(table) + 0.9))
    axis = figure.subplots()
    heat_map(axis, values, np.vectorize("{:.0%}".format)(values), 0, max(values.max(), 1e-12), fontsize=9)
    axis.set_aspect("auto")
    axis.set_xticks(range(len(ratios)), [f"{100 * ratio:.3g}%" for ratio in ratios])
    axis.set_yticks(range(len(table)), [str(name) for name in table.index])
    axis.set_xlabel("pruning ratio of this group alone")
    return figure
