"""Checks of lesson 11, one budget for several levels."""

import itertools
import math
from collections.abc import Callable
from numbers import Real
from typing import NamedTuple

import torch
from torch import Tensor

from .observers import observe, seconds_taken
from .steps import first_problem, no_number, step_by_step
from .verdict import Answered, Verdict, a_kind, close_to, exercise, number_of, right, wrong

STEPS = ("best", "loss", "chosen")
SLOW = 0.03  # seconds for eight layers of four options: row by row takes a thousandth, trying all combinations a tenth


@exercise
def bytes_of_single_weights(answer, *, weights: int = 8000, nonzero: int = 800) -> Verdict:
    """The bytes of a layer with so many ``weights``, ``nonzero`` of them not 0, stored in 4 bytes each beside a bit map."""
    values, places = 4 * nonzero, weights / 8
    if isinstance(answer, tuple) and len(answer) == 2:
        if answer == divmod(int(values + places), 1000):
            return wrong(f"Python takes the comma for two numbers. Write it without: {values + places:.0f}")
        if sorted(answer) == sorted((values, places)):
            return wrong("both parts are right. Add them.")
    answer = number_of(answer)
    is_close = close_to(answer, 0.5)
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
        values + places - nonzero / 8: f"the bit map has a bit for every place, also for those of the {nonzero:,} numbers.",
        4 * weights + places: "the zeros are not stored, only where they are: a bit for each.",
        values + 4 * weights: "a place takes one bit, not four bytes.",
        8 * nonzero + places: "each number takes four bytes, not eight.",
    }
    for value, message in misconceptions.items():
        if is_close(value):
            return wrong(message)
    if any(math.isclose(answer * kilo, values + places, rel_tol=0.03) for kilo in (1000, 1024)):
        return wrong("those are kilobytes. Bytes are asked for.")
    return wrong(f"the numbers take {nonzero} · 4 bytes, and the bit map one bit for each of {weights:,} places.")


class _Case(NamedTuple):
    """For each layer the losses and the costs of its options, and what all together may cost.

    Losses are added up as their ``power``.
    """

    losses: list[list[float]]
    costs: list[list[int]]
    budget: int
    power: float

    def inputs(self) -> tuple[list[list[float]], list[list[int]], int]:
        """What a reader's function gets: copies, which it may change."""
        return [list(of) for of in self.losses], [list(of) for of in self.costs], self.budget

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
        parts = _parts(function, case)
        problems = {"best": _wrong_best, "loss": _wrong_loss, "chosen": _wrong_chosen}
        if verdict := first_problem(parts, problems, case):
            return verdict
    eight = _Case([[4.0, 3.0, 2.0, 1.0]] * 8, [[1, 2, 3, 4]] * 8, 20, power)
    if observe(seconds_taken, function, *eight.inputs()) > SLOW:
        how = "it seems that you try all combinations, which with twelve layers never ends"
        return wrong(f"all numbers are right, but {how}. Build each row from the row before.", 1 / len(STEPS))
    return right("no combination was tried twice, and none that matters was left out.")


def _parts(function, case: _Case) -> dict:
    try:
        return step_by_step(function, STEPS, *case.inputs())
    except Answered as end:
        if "min() " not in end.verdict.message:
            raise
        hint = "Where no option fits there is nothing to compare: `min(…, default=float('inf'))`."
        raise Answered(wrong(f"{end.verdict.message}. {hint}")) from end


def _drawn(layers: int, options: int, power: float) -> _Case:
    """A case in which what costs more loses less, greed misses the one best answer, and each slip shows in ``best``."""
    while True:
        costs = [sorted((torch.randperm(9)[:options] + 1).tolist()) for _ in range(layers)]
        tenths = [sorted((torch.randperm(100)[:options] + 1).tolist(), reverse=True) for _ in range(layers)]
        losses = [[loss / 10 for loss in of] for of in tenths]
        least, most = (sum(pick(of) for of in costs) for pick in (min, max))
        case = _Case(losses, costs, (least + most) // 2, power)
        fitting = sorted(loss for loss, cost, _ in case.answers() if cost <= case.budget)
        clear = case.budget >= 9 and len(fitting) > 2 and fitting[0] < min(fitting[1], _greedy(case)) - 1e-3
        best, rows = case.best(), (slip(case) for slip in SLIPS.values())
        if clear and all(row != best and any(map(math.isfinite, row)) for row in rows):
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


def _greedy_row(case: _Case) -> list[float]:
    least = sum(min(of) for of in case.costs)
    return [_greedy(case._replace(budget=c)) if c >= least else math.inf for c in range(case.budget + 1)]


def _sums(best: list[float], losses: list[float], costs: list[int], c: int) -> list[float]:
    """The losses for a cost of at most ``c``, one for each option of the next layer that fits."""
    return [best[c - cost] + loss for loss, cost in zip(losses, costs, strict=True) if cost <= c]


def _smallest(best: list[float], losses: list[float], costs: list[int], c: int) -> float:
    return min(_sums(best, losses, costs, c), default=math.inf)


def _row(case: _Case, entry: Callable = _smallest, first: list[float] | None = None) -> list[float]:
    """``best`` by the solution's loop: each row from the one before, by ``entry(best, losses, costs, c)``."""
    best = first or [0.0] * (case.budget + 1)
    for losses, costs in zip(case.counted, case.costs, strict=True):
        best = [entry(best, losses, costs, c) for c in range(case.budget + 1)]
    return best


def _by(entry: Callable) -> Callable[[_Case], list[float]]:
    return lambda case: _row(case, entry)


# What a slip makes of ``best``. A case is drawn anew until none of them is right by chance.
SLIPS: dict[str, Callable[[_Case], list[float]]] = {
    "all its entries are 0: no loss is added, or a layer may also choose nothing. Each must have one of its options.": _by(
        lambda best, losses, costs, c: min(best[c], _smallest(best, losses, costs, c))
    ),
    "a cost of exactly c fits into c. Compare with `<=`.": _by(
        lambda best, losses, costs, c: _smallest(best, losses, [cost + (cost == c) for cost in costs], c)
    ),
    "that is the largest sum of losses. Take `min`.": _by(
        lambda best, losses, costs, c: max(_sums(best, losses, costs, c), default=-math.inf)
    ),
    "you add up costs. `best` holds sums of losses.": _by(lambda best, losses, costs, c: _smallest(best, costs, costs, c)),
    "`best[c - cost]` with a negative index reads from the end of the list. Take an option only if `cost <= c`.": _by(
        lambda best, losses, costs, c: min(best[c - cost] + loss for loss, cost in zip(losses, costs, strict=True))
    ),
    "where no option of a layer fits, the entry becomes infinite. It does not stay what it was.": _by(
        lambda best, losses, costs, c: min(_sums(best, losses, costs, c), default=best[c])
    ),
    "what an option costs is not left for the layers before: add its loss to `best[c - cost]`, not to `best[c]`.": _by(
        lambda best, losses, costs, c: _smallest([best[c]] * (c + 1), losses, costs, c)
    ),
    "compare the sums `best[c - cost] + loss`; the smallest loss of one layer may leave too little for the others.": _by(
        lambda best, losses, costs, c: min(_sums(best, losses, costs, c)[-1:], default=math.inf)
    ),
    "that is what a greedy choice finds, and there is a better one.": _greedy_row,
}


def _equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-4)


def _is_number(value) -> bool:
    return isinstance(value, Real) or (isinstance(value, Tensor) and value.numel() == 1)


def _wrong_best(part, parts: dict, case: _Case) -> str | None:
    if not isinstance(part, list | tuple | Tensor):
        order = " Return best, loss and chosen in this order." if isinstance(parts["loss"], list | tuple) else ""
        return f"it should be a list, and this is {a_kind(part)}.{order}"
    if len(part) and all(isinstance(row, list | tuple) for row in part):
        return "it should be one row of numbers, and it holds several. Only the last row, that of all layers, is asked for."
    for c, value in enumerate(part):
        if not _is_number(value):
            return f"the entry for c = {c} is {a_kind(value)}. It should be a number; infinite is `float('inf')`."
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
    plain, power = _row(case._replace(power=1)), case.power
    versions = [  # what the lesson has no room for
        (plain, f"those are sums of the losses. In your version, add up each loss to the power {power:g}."),
        ([loss**power for loss in plain], "you take the power of the sum. Take it of each loss, and then add up."),
        ([power * loss for loss in plain], f"you multiply by {power:g}. Take the power."),
        ([loss ** (1 / power) for loss in wanted], "no root is taken at the end."),
    ]
    for values, message in versions:
        if equals(values):
            return message
    if equals(_row(case, first=[0.0] + [math.inf] * case.budget)):
        return "that is for costs of exactly c. At most c is asked for: begin with 0 for every c, not for c = 0 alone."
    if all(map(math.isinf, found)):
        return (
            "all its entries are infinite. Does it begin with 0 for every c? And do you begin a new list for each layer? In "
            "the old one you overwrite entries that you still want to read."
        )
    for message, slip in SLIPS.items():
        if equals(slip(case)):
            return message
    if found[-1] in (0, math.inf) and equals([*wanted[:-1], found[-1]]):
        return f"the last entry, for c = {case.budget}, was not filled as the others: `range(budget + 1)`."
    for layer in range(len(case.costs)):
        if equals(_row(case._replace(losses=[case.losses[layer]], costs=[case.costs[layer]]))):
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
    for value in part:
        if not _is_number(value):
            return (
                f"it should be one list of numbers, the options for the whole budget, and an entry of it is {a_kind(value)}."
            )
    chosen = [int(value) for value in part]
    if len(chosen) != len(case.costs):
        shared = " Does `append` change a list that other entries share? `[*way, option]` is a new one."
        much = shared if len(chosen) > len(case.costs) else ""
        return f"it should have one number for each of {len(case.costs)} layers; it has {len(chosen)}.{much}"
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
