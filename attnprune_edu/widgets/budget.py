"""A widget that moves the budget of a network and draws the plan that spends it best."""

from .. import plots
from ..pruning.budget import Plan
from .picture_widget import PictureWidget, as_percent, share_slider

UNITS = {"macs": "MACs", "params": "parameters", "latency": "milliseconds"}


def budget_explorer(plans: dict[float, Plan], accuracy: dict[float, float]) -> PictureWidget:
    """Move the budget and see what the plan keeps of each group of channels.

    ``plans``: {budget (0–1): plan}; ``accuracy``: {budget: validation accuracy of its network (0–1)}, both computed before.
    The slider stops at these budgets. Raises ValueError if they differ or there are none.
    """
    if not plans or plans.keys() != accuracy.keys():
        raise ValueError(f"plans and accuracy must hold the same budgets, got {list(plans)} and {list(accuracy)}")
    return PictureWidget(lambda at: budget_picture(plans, accuracy, at), at=share_slider(plans, "budget"))


def budget_picture(plans: dict[float, Plan], accuracy: dict[float, float], at: float) -> tuple[bytes, str]:
    """The picture behind ``budget_explorer`` for one budget, and the sentence that describes it."""
    if at not in plans:
        raise ValueError(f"at must be one of {sorted(plans)}, got {at}")
    plan = plans[at]
    groups = plan.kept[plan.kept.level == "filters"]
    widths = ", ".join(f"{row.kept:,} of the {row.of:,} channels of {name}" for name, row in groups.iterrows())
    blocks = f"; gone as a whole: {', '.join(plan.removed_blocks)}" if plan.removed_blocks else ""
    alt = (
        f"With {as_percent(at)} of the {UNITS[plan.cost]} the plan keeps {widths}{blocks}. Repaired, without training, the "
        f"validation accuracy is {accuracy[at]:.1%}."
    )
    return plots.png(plots.plot_plan(plan.kept)), alt
