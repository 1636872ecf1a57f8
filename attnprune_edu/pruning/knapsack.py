"""The knapsack: from several options for each thing, those with the smallest loss whose costs fit into a budget together.

In the textbook's knapsack each option has a cost of its own. Here costs are tied together: a convolution that reads w
channels and writes v of them costs w · v. So the things are decided one after the other, and what is not needed any more is
forgotten: of all ways to come to the same *open* decisions, those on which costs still to come depend, only the ones remain
that no other beats in both cost and loss. That is dynamic programming over a graph with few open ends at a time, known as
variable elimination (Bertelè and Brioschi, *Nonserial Dynamic Programming*, 1972). The answer is the best one of all
combinations, found without trying them.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

MOST_ROWS = 3_000_000  # of partial answers at a time: seconds for each decision, and hundreds of MB


class Term(NamedTuple):
    """One part of a cost: ``cost(*values)`` of the options that were chosen for ``names``, whole arrays of them at once."""

    names: tuple[str, ...]
    cost: Callable[..., np.ndarray]


def total_cost(terms: list[Term], chosen: dict[str, float]) -> float:
    """What the options ``chosen`` {name: value} cost, all ``terms`` together."""
    return float(sum(term.cost(*(chosen[name] for name in term.names)) for term in terms))


def in_figures(cost: float) -> str:
    """A cost as people read it: MACs and parameters in full, milliseconds with four figures."""
    return f"{cost:,.0f}" if cost >= 1000 or float(cost).is_integer() else f"{cost:.4g}"


def knapsack(
    losses: dict[str, dict[float, float]], terms: list[Term], budget: float, *, resolution: int | None = 1000
) -> dict[str, float]:
    """Return {name: the option chosen} with the smallest sum of losses whose cost is at most ``budget``.

    ``losses``: {name: {option: its loss}}, options being numbers such as widths; ``terms``: what choices cost, none of them
    negative, each ``Term`` a function of some of the names. Of equally good answers the cheaper one is returned.

    ``resolution``: partial answers whose costs differ by less than ``budget / resolution`` count as equally expensive, and
    the one with the smaller loss remains; its own cost is kept, so that the budget is never exceeded. Where more partial
    answers remain than memory is meant for, costs are compared half as finely, and again. None compares all: the answer is
    exact, and takes longer. Raises ValueError if no combination fits, or if too many decisions depend on each other at once.
    """
    names = _order(losses, terms)
    waiting = [(set(term.names), term) for term in terms if term.names]
    chosen = np.zeros((1, len(names)))  # (partial answers, names), 0 for what is not decided yet
    loss, cost = np.zeros(1), np.array([total_cost([term for term in terms if not term.names], {})])
    open_ones: list[int] = []
    step = budget / resolution if resolution else 0.0
    for place, name in enumerate(names):
        options = np.array(list(losses[name]), dtype=float)
        while len(loss) * len(options) > MOST_ROWS:
            if not 0 < step < budget:
                raise ValueError(
                    f"too many choices depend on each other at {name!r}: {len(loss):,} partial answers times {len(options)} "
                    f"options; give fewer options{'' if resolution else ', or a resolution'}"
                )
            step *= 2
            stays = _unbeaten(chosen[:, open_ones], cost, loss, step)
            chosen, loss, cost = chosen[stays], loss[stays], cost[stays]
        chosen, loss, cost = (np.repeat(part, len(options), axis=0) for part in (chosen, loss, cost))
        chosen[:, place] = np.tile(options, len(chosen) // len(options))
        loss += np.tile(np.array(list(losses[name].values()), dtype=float), len(loss) // len(options))
        decided = set(names[: place + 1])
        for needed, term in waiting:
            if needed <= decided:
                cost += term.cost(*(chosen[:, names.index(one)] for one in term.names))
        waiting = [(needed, term) for needed, term in waiting if not needed <= decided]
        fits = cost <= budget
        chosen, loss, cost = chosen[fits], loss[fits], cost[fits]
        open_ones = [names.index(one) for one in names[: place + 1] if any(one in needed for needed, _ in waiting)]
        stays = _unbeaten(chosen[:, open_ones], cost, loss, step)
        chosen, loss, cost = chosen[stays], loss[stays], cost[stays]
    if not (cost <= budget).any():
        cheapest = total_cost(terms, {name: min(options) for name, options in losses.items()})
        raise _too_small(budget, cheapest)
    best = np.lexsort((cost, loss))[0]
    answer = dict(zip(names, chosen[best].tolist(), strict=True))
    return {name: answer[name] for name in losses}


def greedy(losses: dict[str, dict[float, float]], terms: list[Term], budget: float) -> dict[str, float]:
    """Do what ``knapsack`` does step by step: the next smaller option that loses least for what it saves, until all fits.

    Arguments and errors as there. It is quick, and a step that was good when it was taken is never taken back.
    """
    ladders = {name: sorted(options) for name, options in losses.items()}
    chosen = {name: ladder[-1] for name, ladder in ladders.items()}
    while (cost := total_cost(terms, chosen)) > budget:
        steps = []
        for name, ladder in ladders.items():
            for option in ladder[: ladder.index(chosen[name])]:  # several rungs at once, where the next saves nothing
                saved = cost - total_cost(terms, chosen | {name: option})
                if saved > 0:
                    steps.append(((losses[name][option] - losses[name][chosen[name]]) / saved, name, option))
        if not steps:
            raise _too_small(budget, cost)
        _, name, option = min(steps)
        chosen[name] = option
    return chosen


def _too_small(budget: float, least: float) -> ValueError:
    return ValueError(
        f"budget must be at least {in_figures(least)}, the cost of the smallest options, got {in_figures(budget)}"
    )


def _order(losses: dict[str, dict[float, float]], terms: list[Term]) -> list[str]:
    """The names in an order that keeps few combinations of decisions open at a time: each time the best next one."""
    order: list[str] = []
    while len(order) < len(losses):

        def still_open(name):
            decided = {*order, name}
            waiting = [set(term.names) for term in terms if not set(term.names) <= decided]
            return math.prod(len(losses[one]) for one in decided if any(one in needed for needed in waiting))

        order.append(min((name for name in losses if name not in order), key=still_open))
    return order


def _unbeaten(open_choices: np.ndarray, cost: np.ndarray, loss: np.ndarray, step: float) -> np.ndarray:
    """Numbers of the partial answers that no other one with the same open choices beats in cost (in ``step``) and loss."""
    if not len(loss):
        return np.zeros(0, dtype=int)
    _, group = np.unique(open_choices, axis=0, return_inverse=True) if open_choices.shape[1] else (None, np.zeros(len(loss)))
    group = np.asarray(group).reshape(-1)
    rounded = np.ceil(cost / step) if step else cost
    order = np.lexsort((cost, loss, rounded, group))
    # Sorted by cost, an answer stays if its loss is below all before it. Each group starts below the end of the one before.
    span = loss.max() - loss.min() + 1
    falling = loss[order] - span * group[order]
    before = np.concatenate([[np.inf], np.minimum.accumulate(falling)[:-1]])
    return order[falling < before]
