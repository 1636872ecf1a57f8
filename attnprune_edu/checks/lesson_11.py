"""Checks of lesson 11, one budget for several levels."""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .steps import first_problem, no_number, step_by_step
from .verdict import Verdict, a_kind, close_to, exercise, number_of, right, wrong

STEPS = ("best", "loss", "chosen")


@exercise
def bytes_of_single_weights(answer, *, weights: int = 8000, nonzero: int = 800) -> Verdict:
    """The bytes of a layer with so many ``weights``, ``nonzero`` of them not 0, stored in 4 bytes each beside a bit map."""
    answer = number_of(answer)
    is_close = close_to(answer, 0.5)
    values, places = 4 * nonzero, weights / 8
    if is_close(values + places):
        return right(f"so {1 - (values + places) / (4 * weights):.0%} of the bytes are saved, and not a millisecond.")
    misconceptions = {
        values: "those are the numbers alone. Without the bit map nobody knows where they belong.",
        places: "that is the bit map alone.",
        4 * weights: "that is the layer with all its zeros.",
        values + weights: "a place takes one bit, and eight bits are a byte.",
        values + nonzero / 8: "the bit map has a bit for every place, also for the zeros: that is how it tells them apart.",
        8 * nonzero: "that is a position of four bytes beside each number. A bit map takes less here.",
        nonzero + places: "each number takes four bytes.",
        4 * weights - values - places: "that is what is saved. Asked for is what is stored.",
        8 * (values + places): "those are bits. Divide by 8.",
    }
    for value, message in misconceptions.items():
        if is_close(value):
            return wrong(message)
    return wrong(f"the numbers take {nonzero} · 4 bytes, and the bit map one bit for each of {weights:,} places.")


class _Case(NamedTuple):
    """For each layer the losses and the costs of its options, and what all together may cost.

    Losses are added up as their ``power``.
    """

    losses: list[list[float]]
    costs: list[list[int]]
    budget: int
    power: float

    @property
    def counted(self) -> list[list[float]]:
        return [[loss**self.power for loss in of] for of in self.losses]

    def answers(self) -> list[tuple[float, int, tuple[int, ...]]]:
        """(loss, cost, numbers of the options) of every combination."""
        found = []
        for chosen in itertools.product(*(range(len(options)) for options in self.costs)):
            picked = list(enumerate(chosen))
            loss, cost = (sum(of[layer][option] for layer, option in picked) for of in (self.counted, self.costs))
            found.append((loss, cost, chosen))
        return found

    def optimum(self) -> set[tuple[int, ...]]:
        """The numbers of the options of every combination that is best."""
        least = self.best()[-1]
        return {options for loss, cost, options in self.answers() if cost <= self.budget and loss <= least + 1e-6}

    def best(self) -> list[float]:
        answers = self.answers()
        return [min((loss for loss, cost, _ in answers if cost <= c), default=math.inf) for c in range(self.budget + 1)]


@exercise
def knapsack_by_hand(function, *, power: float = 1) -> Verdict:
    """A function (losses, costs, budget) → best, loss, chosen that shares a budget among layers.

    ``losses``, ``costs``: for each layer a list with a number for each of its options, costs whole and above 0. ``best``:
    for each c = 0 … budget the smallest sum of losses with one option of each layer and costs of at most c, infinite if
    there is none; ``loss``: the smallest sum within the budget; ``chosen``: for each layer the number of the option, from 0.
    What is added up is each loss to the ``power``.
    """
    for layers, options in ((3, 3), (2, 4), (4, 2)):
        case = _drawn(layers, options, power)
        parts = step_by_step(function, STEPS, [list(of) for of in case.losses], [list(of) for of in case.costs], case.budget)
        problems = {"best": _wrong_best, "loss": _wrong_loss, "chosen": _wrong_chosen}
        if verdict := first_problem(parts, problems, case):
            return verdict
    return right("no combination was tried twice, and none that matters was left out.")


def _drawn(layers: int, options: int, power: float) -> _Case:
    """A case in which what costs more loses less, greed misses the one best answer, and each slip shows in ``best``."""
    while True:
        costs = [sorted((torch.randperm(9)[:options] + 1).tolist()) for _ in range(layers)]
        tenths = [sorted((torch.randperm(100)[:options] + 1).tolist(), reverse=True) for _ in range(layers)]
        losses = [[loss / 10 for loss in of] for of in tenths]
        least, most = (sum(pick(of) for of in costs) for pick in (min, max))
        case = _Case(losses, costs, (least + most) // 2, power)
        fitting = sorted(loss for loss, cost, _ in case.answers() if cost <= case.budget)
        clear = len(fitting) > 2 and fitting[0] < min(fitting[1], _greedy(case)) - 1e-3
        if clear and all(slip(case) != case.best() for slip, _ in SLIPS):
            return case


def _greedy(case: _Case) -> float:
    """The loss of who takes the best step for its cost again and again, until none fits."""
    chosen, spent = [0] * len(case.costs), sum(of[0] for of in case.costs)
    while True:
        steps = [
            ((of[at] - of[at + 1]) / (cost[at + 1] - cost[at]), layer, cost[at + 1] - cost[at])
            for layer, (of, cost, at) in enumerate(zip(case.counted, case.costs, chosen, strict=True))
            if at + 1 < len(of) and spent + cost[at + 1] - cost[at] <= case.budget
        ]
        if not steps:
            return sum(of[at] for of, at in zip(case.counted, chosen, strict=True))
        _, layer, more = max(steps)
        chosen[layer], spent = chosen[layer] + 1, spent + more


def _table(
    case: _Case,
    *,
    start: Callable[[int], float] = lambda c: 0.0,
    pick: Callable = min,
    skip: bool = False,
    strict: bool = False,
    values: str = "counted",
) -> list[float]:
    """``best`` by the solution's loop, with a place for each slip."""
    best = [start(c) for c in range(case.budget + 1)]
    worst = math.inf if pick is min else -math.inf
    for losses, costs in zip(getattr(case, values), case.costs, strict=True):
        new = list(best)
        for c in range(case.budget + 1):
            found = [
                best[c - cost] + loss
                for loss, cost in zip(losses, costs, strict=True)
                if (cost < c if strict else cost <= c)
            ]
            new[c] = pick([*found, *([best[c]] if skip else [])], default=worst)
        best = new
    return best


SLIPS: list[tuple[Callable[[_Case], list[float]], str]] = [
    (
        lambda case: _table(case, skip=True),
        "here a layer may also choose nothing. Each layer must have exactly one of its options.",
    ),
    (lambda case: _table(case, strict=True), "a cost of exactly c fits into c. Compare with `<=`."),
    (lambda case: _table(case, pick=max), "that is the largest sum of losses. Take `min`."),
    (lambda case: _table(case, values="costs"), "you add up costs. `best` holds sums of losses."),
]


def _equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-4)


def _wrong_best(part, parts: dict, case: _Case) -> str | None:
    if not isinstance(part, list | tuple | Tensor):
        return f"it should be a list, and this is {a_kind(part)}."
    found = [float(value) for value in part]
    if len(found) == case.budget:
        return f"it has {len(found)} entries. For c = 0 … {case.budget} it takes one more: `range(budget + 1)`."
    if len(found) == len(case.costs):
        return "it has an entry for each layer. It should have one for each c from 0 to the budget."
    if len(found) != case.budget + 1:
        return f"it should have {case.budget + 1} entries, for c = 0 … {case.budget}; it has {len(found)}."
    wanted = case.best()

    def equals(values):
        return all(map(_equal, found, values))

    if equals(wanted):
        return None
    plain, power = _table(case, values="losses"), case.power
    versions = [  # what the lesson has no room for
        (plain, f"those are sums of the losses. In your version, add up each loss to the power {power:g}."),
        ([loss**power for loss in plain], "you take the power of the sum. Take it of each loss, and then add up."),
        ([power * loss for loss in plain], f"you multiply by {power:g}. Take the power."),
        ([loss ** (1 / power) for loss in wanted], "no root is taken at the end."),
    ]
    for values, message in versions:
        if equals(values):
            return message
    exactly = _table(case, start=lambda c: 0.0 if c == 0 else math.inf)
    if equals(exactly):
        return "that is for costs of exactly c. At most c is asked for: begin with 0 for every c, not for c = 0 alone."
    for slip, message in SLIPS:
        if equals(slip(case)):
            return message
    if all(map(math.isinf, found)):
        return (
            "all its entries are infinite. Does it begin with 0 for every c? And do you begin a new list for each layer? In "
            "the old one you overwrite entries that you still want to read."
        )
    for layer in range(len(case.costs)):
        if equals(_table(case._replace(losses=[case.losses[layer]], costs=[case.costs[layer]]))):
            return f"it knows of the layer with the number {layer} alone. Add its losses to the `best` of the layers before."
    if equals([value if math.isfinite(value) else 0.0 for value in wanted]):
        return "where no combination is cheap enough, the entry should be infinite, `float('inf')`, not 0."
    at = next(c for c, (one, other) in enumerate(zip(found, wanted, strict=True)) if not _equal(one, other))
    numbers = f"losses {case.losses}, costs {case.costs}"
    return f"the entry for c = {at} is {found[at]:.4g}, and it should be {wanted[at]:.4g} ({numbers})."


def _wrong_loss(part, parts: dict, case: _Case) -> str | None:
    if problem := no_number(part):
        return problem
    found, best = float(part), [float(value) for value in parts["best"]]
    if _equal(found, best[-1]):
        return None
    if _equal(found, min(min(of) for of in case.counted)):
        return "that is the smallest loss of a single option. All layers together are asked for."
    if _equal(found, sum(min(of) for of in case.counted)):
        return "that is each layer's smallest loss, whatever it costs. Together they cost more than the budget."
    if any(_equal(found, sum(of[at] for of, at in zip(case.losses, options, strict=True))) for options in case.optimum()):
        return f"that adds up the losses as they are. In your version, add up each loss to the power {case.power:g}."
    if found in {cost for loss, cost, _ in case.answers() if loss < best[-1] + 1e-6} | {case.budget}:
        return "that is a cost. The smallest sum of losses is asked for."
    return f"it is {found:.4g}; the smallest sum of losses for at most the budget is an entry of `best`. Which one?"


def _wrong_chosen(part, parts: dict, case: _Case) -> str | None:
    if not isinstance(part, list | tuple | Tensor):
        return f"it should be a list, and this is {a_kind(part)}."
    chosen = [int(value) for value in part]
    if len(chosen) != len(case.costs):
        return f"it should have one number for each of {len(case.costs)} layers; it has {len(chosen)}."
    optimum = case.optimum()
    if tuple(chosen) in optimum:
        return None
    if tuple(reversed(chosen)) in optimum:
        return "it is in reverse: you walked back from the last layer. Turn it round."
    if any(tuple(of[at] for of, at in zip(case.costs, options, strict=True)) == tuple(chosen) for options in optimum):
        return "those are costs. The numbers of the options are asked for, from 0."
    if tuple(option - 1 for option in chosen) in optimum:
        return "you count options from 1. Count from 0, as Python does."
    if not all(0 <= at < len(of) for of, at in zip(case.costs, chosen, strict=True)):
        return f"{chosen} names an option that there is not; each layer has the numbers 0 to {len(case.costs[0]) - 1}."
    cost = sum(of[at] for of, at in zip(case.costs, chosen, strict=True))
    loss = sum(of[at] for of, at in zip(case.counted, chosen, strict=True))
    if cost > case.budget:
        return f"{chosen} costs {cost}, and the budget is {case.budget}."
    return f"{chosen} fits, but its losses add up to {loss:.4g}, and your `loss` is {float(parts['loss']):.4g}."
