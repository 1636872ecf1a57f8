"""Wrong answers to the coursework on lesson 11: {check: [(given numbers → the answer, what the verdict says)]}."""

import math

from test_lesson_11 import by_hand, cheap_first, costs_of, largest


def powers(losses, power):
    return [[loss**power for loss in of] for of in losses]


def own(**slips):
    """The student's knapsack, with these slips."""
    return lambda power: lambda losses, costs, budget: by_hand(**slips)(powers(losses, power), costs, budget)


def finished(change):
    return own(finish=change)


def with_inputs(change):
    """The student's knapsack, and what ``change`` makes of (losses to the power, costs, budget, best, loss, chosen)."""
    return lambda power: (
        lambda losses, costs, budget: change(powers(losses, power), costs, budget, *own()(power)(losses, costs, budget))
    )


def of_the_lesson(change):
    """What ``change``(best, loss, chosen, power) makes of what the lesson's knapsack finds."""
    return lambda power: lambda *given: change(*by_hand()(*given), power)


def plain_loss(power):
    def knapsack(losses, costs, budget):
        best, _, chosen = own()(power)(losses, costs, budget)
        return best, sum(costs_of(losses, chosen)), chosen

    return knapsack


SLIPS = {
    "bytes_of_single_weights": [
        (lambda weights, nonzero: 4 * nonzero, "where they belong"),
        (lambda weights, nonzero: weights / 8, "bit map alone"),
        (lambda weights, nonzero: 4 * weights, "with all its zeros"),
        (lambda weights, nonzero: 4 * nonzero + weights, "eight bits are a byte"),
        (lambda weights, nonzero: 4 * nonzero + nonzero / 8, "also for the zeros"),
        (lambda weights, nonzero: 8 * nonzero, "four bytes beside each number"),
        (lambda weights, nonzero: nonzero + weights / 8, "each number takes four bytes"),
        (lambda weights, nonzero: 4 * weights - 4 * nonzero - weights / 8, "what is saved"),
        (lambda weights, nonzero: 32 * nonzero + weights, "Divide by 8"),
        (lambda weights, nonzero: 4200, "the lesson's own numbers"),
        (lambda weights, nonzero: 5, "one bit for each of"),
    ],
    "knapsack_by_hand": [
        (lambda power: by_hand(), "the lesson's own exercise"),
        (of_the_lesson(lambda best, loss, chosen, power: (best, loss, chosen[::-1])), "those are sums of the losses"),
        (
            of_the_lesson(lambda best, loss, chosen, power: ([one**power for one in best], loss**power, chosen)),
            "the power of the sum",
        ),
        (of_the_lesson(lambda best, loss, chosen, power: ([power * one for one in best], loss, chosen)), "you multiply by"),
        (
            lambda power: lambda *given: ([one ** (1 / power) for one in own()(power)(*given)[0]], 0, []),
            "no root is taken",
        ),
        (own(start=lambda c: 0.0 if c == 0 else math.inf), "not for c = 0 alone"),
        (own(in_place=True), "begin a new list for each layer"),
        (own(skip=True), "may also choose nothing"),
        (own(strict=True), "Compare with `<=`"),
        (own(pick=max), "Take `min`"),
        (own(add="costs"), "you add up costs"),
        (own(only=-1), "knows of the layer with the number 2 alone"),
        (finished(lambda best, loss, chosen: (best[:-1], loss, chosen)), "range(budget + 1)"),
        (finished(lambda best, loss, chosen: ([b + 0.5 for b in best], loss, chosen)), "and it should be"),
        (
            finished(lambda best, loss, chosen: ([0.0 if math.isinf(b) else b for b in best], loss, chosen)),
            "float('inf')",
        ),
        (plain_loss, "step 2 of 3, `loss`: that adds up the losses as they are"),
        (
            with_inputs(lambda losses, costs, budget, best, loss, chosen: (best, sum(map(min, losses)), chosen)),
            "whatever it costs",
        ),
        (with_inputs(lambda losses, costs, budget, best, loss, chosen: (best, budget, chosen)), "that is a cost"),
        (finished(lambda best, loss, chosen: (best, loss + 0.37, chosen)), "Which one?"),
        (finished(lambda best, loss, chosen: (best, loss, [option + 1 for option in chosen])), "from 1"),
        (with_inputs(cheap_first), "step 3 of 3, `chosen`: [0, 0, 0] fits, but its losses add up to"),
        (with_inputs(largest), "and the budget is"),
        (
            with_inputs(lambda losses, costs, budget, best, loss, chosen: (best, loss, costs_of(costs, chosen))),
            "those are costs",
        ),
    ],
}
