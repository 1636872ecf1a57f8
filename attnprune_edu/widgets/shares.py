"""A widget that moves the share of channels that every layer keeps, against several budgets."""

from collections.abc import Mapping

from .. import plots
from .picture_widget import PictureWidget, as_percent, share_slider


def share_explorer(
    costs: Mapping[float, Mapping[str, float]], budgets: Mapping[str, float], accuracy: Mapping[float, float]
) -> PictureWidget:
    """Move the share of channels that stays in every layer and see which budgets it meets.

    ``costs``: {share (0–1): {cost: value}}; ``budgets``: {cost: what is allowed}; ``accuracy``: {share: validation accuracy
    of its network (0–1)}. The slider stops at these shares. Raises ValueError if shares or costs differ or there are none.
    """
    if not costs or costs.keys() != accuracy.keys():
        raise ValueError(f"costs and accuracy must hold the same shares, got {list(costs)} and {list(accuracy)}")
    return PictureWidget(lambda at: share_picture(costs, budgets, accuracy, at), at=share_slider(costs, "channels kept"))


def share_picture(
    costs: Mapping[float, Mapping[str, float]], budgets: Mapping[str, float], accuracy: Mapping[float, float], at: float
) -> tuple[bytes, str]:
    """The picture behind ``share_explorer`` for one share, and the sentence that describes it."""
    if at not in costs:
        raise ValueError(f"at must be one of {sorted(costs)}, got {at}")
    figure = plots.plot_budgets(costs[at], budgets)
    used = ", ".join(f"{costs[at][name] / budget:.0%} of the budget of {name}" for name, budget in budgets.items())
    alt = (
        f"With {as_percent(at)} of the channels of every layer the network takes {used}. Repaired, without training, the "
        f"validation accuracy is {accuracy[at]:.1%}."
    )
    return plots.png(figure), alt
