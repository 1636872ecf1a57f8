"""A figure of what a network costs against what it may cost, one bar for each budget."""

from collections.abc import Mapping

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from .style import KEPT, ORANGE, READABLE, clean

OVER = {"color": ORANGE, "edgecolor": "black", "hatch": "//"}
LONGEST = 2.0  # of the budget; a bar that would be longer ends at the edge of the picture


def plot_budgets(costs: Mapping[str, float], budgets: Mapping[str, float]) -> Figure:
    """Draw each of the ``costs`` {name: value} as a share of its budget in ``budgets``; more than 100 % is hatched.

    Raises ValueError unless both have the same names, one or more, and each budget is above 0.
    """
    if not budgets or costs.keys() != budgets.keys():
        raise ValueError(f"costs and budgets must have the same names, got {list(costs)} and {list(budgets)}")
    if low := [name for name in budgets if not budgets[name] > 0]:
        raise ValueError(f"budgets must be above 0, got {low[0]}={budgets[low[0]]}")
    used = {name: costs[name] / budget for name, budget in budgets.items()}
    figure = Figure(figsize=(7.5, 0.5 * len(used) + 0.9), layout="constrained")
    axis = figure.subplots()
    for place, share in enumerate(used.values()):
        axis.barh(place, share, height=0.6, **(KEPT if share <= 1 else OVER))
        axis.annotate(
            f"{share:.0%}",
            (min(share, LONGEST), place),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            bbox=READABLE,
        )
    axis.axvline(1, color="black", linestyle="--", linewidth=1)
    axis.set_yticks(range(len(used)), used)
    axis.invert_yaxis()
    axis.set_xlim(0, LONGEST)
    axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    axis.set_xlabel("used of the budget (dashed: all of it)")
    clean(axis)
    return figure
