"""What the checks of lesson 11 answer."""

import itertools
import math

import pytest
import torch
from answering import verdict_test

from attnprune_edu import checks
from attnprune_edu.pruning.knapsack import Term, knapsack


def by_hand(
    *,
    start=lambda c: 0.0,
    pick=min,
    skip=False,
    in_place=False,
    strict=False,
    add="losses",
    only=None,
    finish=lambda best, loss, chosen: (best, loss, chosen),
):
    """The solution that the lesson shows, with a place for each slip."""

    def function(losses, costs, budget):
        best = [start(c) for c in range(budget + 1)]
        choice = [[] for _ in range(budget + 1)]
        pairs = list(zip(losses if add == "losses" else costs, costs, strict=True))
        for values, prices in pairs if only is None else [pairs[only]]:
            new, new_choice = best if in_place else list(best), list(choice)
            for c in range(budget + 1):
                found = [
                    (best[c - price] + value, [*choice[c - price], option])
                    for option, (value, price) in enumerate(zip(values, prices, strict=True))
                    if (price < c if strict else price <= c)
                ]
                if skip:
                    found.append((best[c], [*choice[c], 0]))
                worst = math.inf if pick is min else -math.inf
                new[c], new_choice[c] = pick(found, default=(worst, []), key=lambda one: one[0])
            best, choice = new, new_choice
        return finish(best, best[-1], choice[-1])

    return function


def finished(change):
    return by_hand(finish=change)


def with_inputs(change):
    """The solution, and what ``change(losses, costs, budget, best, loss, chosen)`` makes of it."""
    return lambda *given: change(*given, *by_hand()(*given))


def costs_of(costs, chosen):
    return [of[at] for of, at in zip(costs, chosen, strict=True)]


def cheap_first(losses, costs, budget, best, loss, chosen):
    return best, loss, [0 for _ in costs]


def largest(losses, costs, budget, best, loss, chosen):
    return best, loss, [len(of) - 1 for of in costs]


def row_by_row(entry):
    """The solution's loop for ``best``, with ``entry``(the sums that fit, the row before, losses, costs, c) for each c."""

    def function(losses, costs, budget):
        best = [0.0] * (budget + 1)
        for values, prices in zip(losses, costs, strict=True):
            options = list(zip(values, prices, strict=True))
            fitting = [[best[c - price] + value for value, price in options if price <= c] for c in range(budget + 1)]
            best = [entry(fitting[c], best, values, prices, c) for c in range(budget + 1)]
        return best, ..., ...

    return function


def greedy(losses, costs, budget):
    """The best step for its cost, again and again, for each budget."""
    best = []
    for c in range(budget + 1):
        at = [0] * len(costs)
        left = c - sum(of[0] for of in costs)
        while left >= 0:
            steps = [(costs[n][at[n] + 1] - costs[n][at[n]], n) for n in range(len(at)) if at[n] + 1 < len(costs[n])]
            steps = [(step, n) for step, n in steps if step <= left]
            if not steps:
                break
            step, n = max(steps, key=lambda one: (losses[one[1]][at[one[1]]] - losses[one[1]][at[one[1]] + 1]) / one[0])
            at[n], left = at[n] + 1, left - step
        best.append(sum(of[option] for of, option in zip(losses, at, strict=True)) if left >= 0 else math.inf)
    return best, ..., ...


def all_combinations(losses, costs, budget):
    best, chosen = [math.inf] * (budget + 1), None
    for options in itertools.product(*(range(len(of)) for of in costs)):
        cost = sum(of[option] for of, option in zip(costs, options, strict=True))
        loss = sum(of[option] for of, option in zip(losses, options, strict=True))
        if cost <= budget and loss < best[-1]:
            chosen = options
        best[cost:] = [min(loss, known) for known in best[cost:]]
    return best, best[-1], chosen


CASES = [
    (checks.bytes_of_single_weights, 4200, True, "87% of the bytes"),
    (checks.bytes_of_single_weights, 3200, False, "where they belong"),
    (checks.bytes_of_single_weights, 1000, False, "bit map alone"),
    (checks.bytes_of_single_weights, 32000, False, "with all its zeros"),
    (checks.bytes_of_single_weights, 11200, False, "eight bits are a byte"),
    (checks.bytes_of_single_weights, 3300, False, "also for the zeros"),
    (checks.bytes_of_single_weights, 6400, False, "four bytes beside each number"),
    (checks.bytes_of_single_weights, 1800, False, "each number takes four bytes"),
    (checks.bytes_of_single_weights, 27800, False, "what is saved"),
    (checks.bytes_of_single_weights, 33600, False, "Divide by 8"),
    (checks.bytes_of_single_weights, 4100, False, "also for those of the 800 numbers"),
    (checks.bytes_of_single_weights, 33000, False, "the zeros are not stored"),
    (checks.bytes_of_single_weights, 35200, False, "one bit, not four bytes"),
    (checks.bytes_of_single_weights, 7400, False, "four bytes, not eight"),
    (checks.bytes_of_single_weights, 4.2, False, "kilobytes"),
    (checks.bytes_of_single_weights, (4, 200), False, "Write it without: 4200"),
    (checks.bytes_of_single_weights, (3200, 1000), False, "Add them"),
    (checks.bytes_of_single_weights, (1, 2), False, "with a comma"),
    (checks.bytes_of_single_weights, 5000, False, "one bit for each of 8,000 places"),
    (checks.bytes_of_single_weights, [1, 2], False, "this is a list"),
    (checks.bytes_of_single_weights, True, False, "this is True"),
    (checks.knapsack_by_hand, by_hand(), True, "none that matters"),
    (
        checks.knapsack_by_hand,
        finished(lambda best, loss, chosen: [torch.tensor(best), torch.tensor(loss), chosen]),
        True,
        "",
    ),
    (checks.knapsack_by_hand, by_hand(start=lambda c: 0.0 if c == 0 else math.inf), False, "not for c = 0 alone"),
    (checks.knapsack_by_hand, by_hand(start=lambda c: math.inf), False, "begin with 0 for every c"),
    (checks.knapsack_by_hand, by_hand(in_place=True), False, "begin a new list for each layer"),
    (checks.knapsack_by_hand, by_hand(skip=True), False, "may also choose nothing"),
    (checks.knapsack_by_hand, by_hand(strict=True), False, "Compare with `<=`"),
    (checks.knapsack_by_hand, by_hand(pick=max), False, "Take `min`"),
    (checks.knapsack_by_hand, by_hand(add="costs"), False, "you add up costs"),
    (
        checks.knapsack_by_hand,
        row_by_row(
            lambda fitting, best, values, prices, c: min(best[c - p] + v for v, p in zip(values, prices, strict=True))
        ),
        False,
        "only if `cost <= c`",
    ),
    (
        checks.knapsack_by_hand,
        row_by_row(lambda fitting, best, values, prices, c: min(fitting, default=best[c])),
        False,
        "It does not stay what it was",
    ),
    (
        checks.knapsack_by_hand,
        row_by_row(lambda fitting, best, values, prices, c: min(values[: len(fitting)], default=math.inf) + best[c]),
        False,
        "not to `best[c]`",
    ),
    (
        checks.knapsack_by_hand,
        row_by_row(lambda fitting, best, values, prices, c: fitting[-1] if fitting else math.inf),
        False,
        "compare the sums",
    ),
    (
        checks.knapsack_by_hand,
        row_by_row(
            lambda fitting, best, values, prices, c: min(fitting, default=math.inf) if c < len(best) - 1 else math.inf
        ),
        False,
        "was not filled",
    ),
    (checks.knapsack_by_hand, row_by_row(lambda fitting, *_: min(fitting)), False, "default=float('inf')"),
    (checks.knapsack_by_hand, row_by_row(lambda fitting, *_: 0.0), False, "no loss is added"),
    (checks.knapsack_by_hand, greedy, False, "a greedy choice finds"),
    (checks.knapsack_by_hand, all_combinations, False, "you try all combinations"),
    (checks.knapsack_by_hand, by_hand(only=-1), False, "knows of the layer with the number 2 alone"),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (best[:-1], loss, chosen)), False, "range(budget + 1)"),
    (
        checks.knapsack_by_hand,
        finished(lambda best, loss, chosen: (best[:3], loss, chosen)),
        False,
        "an entry for each layer",
    ),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: ([*best, 0.0], loss, chosen)), False, "it should have"),
    (
        checks.knapsack_by_hand,
        finished(lambda best, loss, chosen: ([0.0 if math.isinf(b) else b for b in best], loss, chosen)),
        False,
        "float('inf')",
    ),
    (
        checks.knapsack_by_hand,
        finished(lambda best, loss, chosen: ([b + 0.5 for b in best], loss, chosen)),
        False,
        "and it should be",
    ),
    (
        checks.knapsack_by_hand,
        finished(lambda best, loss, chosen: ([None if math.isinf(b) else b for b in best], loss, chosen)),
        False,
        "the entry for c = 0 is None",
    ),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: ([best, best], loss, chosen)), False, "Only the last row"),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (loss, best, chosen)), False, "in this order"),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (loss, loss, chosen)), False, "it should be a list"),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (best, [loss], chosen)), False, "it should be one number"),
    (
        checks.knapsack_by_hand,
        with_inputs(lambda losses, costs, budget, best, loss, chosen: (best, sum(map(min, losses)), chosen)),
        False,
        "whatever it costs",
    ),
    (
        checks.knapsack_by_hand,
        with_inputs(lambda losses, costs, budget, best, loss, chosen: (best, min(map(min, losses)), chosen)),
        False,
        "of a single option",
    ),
    (
        checks.knapsack_by_hand,
        with_inputs(lambda losses, costs, budget, best, loss, chosen: (best, budget, chosen)),
        False,
        "that is a cost",
    ),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (best, loss + 0.37, chosen)), False, "Which one?"),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (best, loss, chosen[::-1])), False, "reverse"),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (best, loss, [c + 1 for c in chosen])), False, "from 1"),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (best, loss, chosen[:-1])), False, "has 2."),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (best, loss, chosen * 9)), False, "Does `append` change"),
    (
        checks.knapsack_by_hand,
        finished(lambda best, loss, chosen: (best, loss, [chosen])),
        False,
        "an entry of it is a list",
    ),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (best, loss, chosen[0])), False, "it should be a list"),
    (checks.knapsack_by_hand, with_inputs(cheap_first), False, "its losses add up to"),
    (checks.knapsack_by_hand, with_inputs(largest), False, "and the budget is"),
    (
        checks.knapsack_by_hand,
        with_inputs(lambda losses, costs, budget, best, loss, chosen: (best, loss, costs_of(costs, chosen))),
        False,
        "those are costs",
    ),
    (
        checks.knapsack_by_hand,
        finished(lambda best, loss, chosen: (best, loss, [9, 9, 9])),
        False,
        "an option that there is not",
    ),
    (
        checks.knapsack_by_hand,
        finished(lambda best, loss, chosen: (best, loss, ...)),
        False,
        "step 3 of 3, `chosen`, is next",
    ),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (best, ..., ...)), False, "step 2 of 3, `loss`, is next"),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: best), False, "should return 3 things"),
    (checks.knapsack_by_hand, lambda *given: None, False, "returns nothing"),
    (checks.knapsack_by_hand, lambda *given: 1 / 0, False, "ZeroDivisionError"),
    (checks.knapsack_by_hand, 3, False, "hand over the function itself"),
    (checks.knapsack_by_hand, finished(lambda best, loss, chosen: (..., ..., ...)), None, "three dots"),
]

test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


@pytest.mark.parametrize(
    ("function", "share"),
    [
        (by_hand(skip=True), 0),
        (finished(lambda best, loss, chosen: (best, loss + 0.37, chosen)), 1 / 3),
        (all_combinations, 1 / 3),
        (finished(lambda best, loss, chosen: (best, loss, [9, 9, 9])), 2 / 3),
        (by_hand(), 1),
    ],
)
def test_each_part_of_the_knapsack_earns_its_share(function, share):
    assert checks.knapsack_by_hand(function).share == pytest.approx(share)


def test_the_library_finds_what_the_exercise_does():
    losses, costs = [[9.0, 4.0, 0.0], [7.0, 3.0, 0.0], [8.0, 5.0, 0.0]], [[1, 3, 6], [2, 4, 7], [1, 2, 8]]
    _, loss, chosen = by_hand()(losses, costs, 12)
    by_name = {str(layer): dict(zip(costs[layer], losses[layer], strict=True)) for layer in range(3)}
    terms = [Term((name,), lambda cost: cost) for name in by_name]
    found = knapsack(by_name, terms, 12)
    assert sum(by_name[name][cost] for name, cost in found.items()) == loss
    assert [costs[layer].index(int(cost)) for layer, cost in enumerate(found.values())] == chosen
