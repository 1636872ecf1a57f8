"""A widget that compares two criteria and says how sure the difference is."""

import pandas as pd
from matplotlib.figure import Figure

from .. import plots
from ..report.uncertainty import paired_difference
from .picture_widget import PictureWidget, as_percent, choice

STAGES = {"removed": "pruned_accuracy", "repaired": "repaired_accuracy", "fine-tuned": "accuracy"}


def difference_explorer(table: pd.DataFrame, first: str = "attention", second: str = "l1") -> PictureWidget:
    """Choose two criteria and when to look, and see both accuracies and the difference with its 95 % interval.

    ``table``: what ``sweep`` returns for one network, with several criteria, ratios and seeds; the stages are those of
    ``STAGES`` that it has a column for, the criteria those that were measured at all of them. ``first``, ``second``: the
    criteria to begin with. Raises ValueError if there is nothing to compare or one of these is not among them.
    """
    stages = _stages(table)
    everywhere = table.groupby("criterion", sort=False)[list(stages.values())].agg(lambda values: values.notna().any())
    criteria = list(everywhere.index[everywhere.all(axis=1)])
    for argument, name in (("first", first), ("second", second)):
        if name not in criteria:
            raise ValueError(f"{argument} must be one of {criteria}, got {name!r}")

    def draw(first, second, stage):
        return difference_picture(table, first, second, stage)

    return PictureWidget(
        draw,
        first=choice(criteria, "first", first),
        second=choice(criteria, "second", second),
        stage=choice(stages, "when"),
    )


def difference_picture(table: pd.DataFrame, first: str, second: str, stage: str) -> tuple[bytes, str]:
    """The picture behind ``difference_explorer`` for two criteria and a stage, and the sentence that describes it."""
    stages = _stages(table)
    if stage not in stages:
        raise ValueError(f"stage must be one of {list(stages)}, got {stage!r}")
    y = stages[stage]
    found = paired_difference(table, first, second, y)
    # Categorical, so that the first has always the first style; one line if both are the same.
    names = list(dict.fromkeys([first, second]))
    rows = table[table.criterion.isin(names)].dropna(subset=y)
    rows = rows.assign(criterion=pd.Categorical(rows.criterion, names))
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    labels = {"x_label": "pruning ratio", "y_label": f"test accuracy, {stage}"}
    plots.plot_spread(rows, "pruning_ratio", y, "criterion", **labels, percent="xy", axis=left)
    labels = {"x_label": "pruning ratio", "y_label": f"points by which\n{first} is ahead"}
    plots.plot_differences(found, **labels, percent="x", axis=right)
    said = "; ".join(
        f"{as_percent(ratio)}: {100 * row.difference:+.1f} ({100 * row.low:+.1f} to {100 * row.high:+.1f})"
        for ratio, row in found.iterrows()
    )
    runs = "–".join(map(str, sorted({found.runs.min(), found.runs.max()}))) + (" runs" if found.runs.max() > 1 else " run")
    alt = f"Points of accuracy by which {first} is ahead of {second}, {stage}, with the 95 % interval from {runs}: {said}."
    return plots.png(figure), alt


def _stages(table: pd.DataFrame) -> dict[str, str]:
    if missing := {"criterion", "pruning_ratio", "seed"} - set(table.columns):
        raise ValueError(f"table must have the columns 'criterion', 'pruning_ratio' and 'seed', it lacks {sorted(missing)}")
    found = {stage: column for stage, column in STAGES.items() if column in table and table[column].notna().any()}
    if not found:
        raise ValueError(f"table must have one of the columns {list(STAGES.values())}, got {list(table.columns)}")
    return found
