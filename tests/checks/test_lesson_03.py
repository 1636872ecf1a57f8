"""What the checks of lesson 03 answer."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from answering import verdict_test

import attnprune_edu as ap
from attnprune_edu import checks


def low(place):
    """A function that takes the score at ``place(number that goes, all)`` in rising order; the solution takes the first."""
    return lambda scores, ratio: scores.sort().values[
        min(max(place(round(ratio * len(scores)), len(scores)), 0), len(scores) - 1)
    ]


def high(scores, ratio):
    return scores.sort(descending=True).values[round(ratio * len(scores))]


def part_of_the_way(part, below=0):
    """θ that ``part`` of the way from the highest score that goes; where none goes, so far ``below`` the lowest score."""

    def theta(scores, ratio):
        ordered, goes = scores.sort().values, round(ratio * len(scores))
        return ordered[goes - 1] + part * (ordered[goes] - ordered[goes - 1]) if goes else ordered[0] - below

    return theta


def halving(least=1):
    """The rule that the lesson shows, by halving how many may stay, where the ``least`` best of each layer always do."""

    def rule(importance, budget, cost):
        order = torch.cat(list(importance.values())).sort(descending=True).values

        def keep_of(count):
            theta = order[count - 1] if count else torch.inf
            return {
                name: (values >= theta) | (values >= values.topk(min(least, len(values))).values[-1])
                for name, values in importance.items()
            }

        fits, over = 0, len(order) + 1
        while over - fits > 1:
            middle = (fits + over) // 2
            fits, over = (middle, over) if cost(keep_of(middle)) <= budget else (fits, middle)
        return keep_of(fits)

    return rule


solution = halving()


def one_after_the_other(importance, budget, cost):
    keep = {name: torch.ones(len(values), dtype=torch.bool) for name, values in importance.items()}
    for value in torch.cat(list(importance.values())).sort().values:
        if cost(keep) <= budget:
            break
        for name, values in importance.items():
            keep[name] &= (values != value) | (value == values.max())
    return keep


def library(scope):
    return lambda importance, budget, cost: ap.threshold_by_budget(importance, budget, cost, scope).keep


def after(change, rule=solution):
    """The solution, and what is done to it."""
    return lambda importance, budget, cost: change(rule(importance, budget, cost))


def first_ones(importance, budget, cost):
    keep = solution(importance, budget, cost)
    return {name: torch.arange(len(stays)) < stays.sum() for name, stays in keep.items()}


def by_number(importance, budget, cost):
    """Keeps as many channels as it may, those of the last layers first."""
    left, keep = int(sum(stays.sum() for stays in solution(importance, budget, cost).values())), {}
    for name, values in reversed(importance.items()):
        stays = max(1, min(len(values), left))
        keep[name] = values >= values.sort(descending=True).values[stays - 1]
        left -= stays
    return keep


def empties(importance, budget, cost):
    order = torch.cat(list(importance.values())).sort(descending=True).values
    return {name: values >= order[min(budget, len(order)) - 1] for name, values in importance.items()}


def puts_back(importance, budget, cost):
    keep = empties(importance, budget, cost)
    return {name: stays | (importance[name] == importance[name].max()) for name, stays in keep.items()}


def drops_one_more(importance, budget, cost):
    return solution(importance, cost(solution(importance, budget, cost)) - 1, cost)


def changes_importance(importance, budget, cost):
    for values in importance.values():
        values.sort().values.copy_(values)
        values.mul_(2)
    return solution(importance, budget, cost)


CASES = [
    (checks.stay_above_the_mean, 2, True, "0.77"),
    (checks.stay_above_the_mean, torch.tensor(2), True, "0.77"),
    (checks.stay_above_the_mean, 3, False, "that is k"),
    (checks.stay_above_the_mean, 1, False, "printed equation"),
    (checks.stay_above_the_mean, 0, False, "at least one channel"),
    (checks.stay_above_the_mean, torch.tensor(0.767), False, "that is θ"),
    (checks.stay_above_the_mean, 0.5, False, "mean of all 5, and not a number of channels"),
    (checks.stay_above_the_mean, 2.5 / 3, False, "the sum of all 5 divided by 3"),
    (checks.stay_above_the_mean, 5, False, "fewer than k = 3"),
    (checks.stay_above_the_mean, 7, False, "Count the scores"),
    (checks.stay_above_the_mean, [0.9, 0.8], False, "one number, and this is a list"),
    (checks.stay_above_the_mean, None, False, "one number, and this is None"),
    (checks.theta_of_ratio, low(lambda goes, all: goes), True, "torch.quantile"),
    (checks.theta_of_ratio, lambda s, r: s.sort().values[round(r * len(s))].item(), True, "torch.quantile"),
    (checks.theta_of_ratio, lambda s, r: np.sort(s)[round(r * len(s))], True, "torch.quantile"),
    (checks.theta_of_ratio, lambda s, r: s.sort().values[round(r * len(s))] - 0.001, True, "torch.quantile"),
    (checks.theta_of_ratio, low(lambda goes, all: goes - 1), False, "lowest that stays"),
    (checks.theta_of_ratio, lambda s, r: s.sort().values[round(r * len(s)) - 1], False, "lowest that stays"),
    (checks.theta_of_ratio, low(lambda goes, all: goes + 1), False, "one channel too many"),
    (checks.theta_of_ratio, low(lambda goes, all: all - goes), False, "use it as the share that stays"),
    (
        checks.theta_of_ratio,
        lambda s, r: s.sort().values[round((1 - r) * len(s))],
        False,
        "use the ratio as the share that stays",
    ),
    (checks.theta_of_ratio, lambda s, r: s.quantile(1 - r), False, "use it as the share that stays"),
    (checks.theta_of_ratio, lambda s, r: s.sort().values[round(r * (len(s) - 1))], False, "not of one fewer"),
    (checks.theta_of_ratio, lambda s, r: s.kthvalue(round(r * len(s))).values, False, "With a ratio of 0 nothing goes"),
    (checks.theta_of_ratio, lambda s, r: s[10], False, "with ten scores and a ratio of 0.1: your function stops with Index"),
    (
        checks.theta_of_ratio,
        lambda s, r: s.sort().values[round(r * len(s)) // (r < 0.8)],
        False,
        "with ten scores and a ratio of 0.84: your function stops with ZeroDivisionError",
    ),
    (checks.theta_of_ratio, high, False, "Count from the low end"),
    (checks.theta_of_ratio, lambda s, r: s.sort().values[len(s) - round(r * len(s)) - 1], False, "Count from the low end"),
    (checks.theta_of_ratio, lambda s, r: s.topk(round(r * len(s)) + 1).values[-1], False, "Count from the low end"),
    (checks.theta_of_ratio, lambda s, r: s.topk(round(r * len(s))).values.min(), False, "from the highest"),
    (checks.theta_of_ratio, lambda s, r: s.topk(10).values[round(r * len(s)) - 1], False, "from the highest"),
    (checks.theta_of_ratio, lambda s, r: r, False, "not the ratio"),
    (checks.theta_of_ratio, lambda s, r: round(r * len(s)), False, "how many go"),
    (checks.theta_of_ratio, lambda s, r: s.sort().values[int(r * len(s))], False, "round down"),
    (checks.theta_of_ratio, lambda s, r: s.sort().values[math.ceil(r * len(s))], False, "round up"),
    (checks.theta_of_ratio, lambda s, r: s.quantile(r), False, "that is the quantile"),
    (checks.theta_of_ratio, lambda s, r: s[round(r * len(s))], False, "as they come"),
    (checks.theta_of_ratio, lambda s, r: s.min() + r * (s.max() - s.min()), False, "from the lowest to the highest"),
    (checks.theta_of_ratio, lambda s, r: r * s.max(), False, "share of the highest"),
    (checks.theta_of_ratio, lambda s, r: r * s.mean(), False, "share of the mean"),
    (checks.theta_of_ratio, lambda s, r: s.sort().values[round(r * len(s)) :].mean(), False, "mean of those that stay"),
    (checks.theta_of_ratio, lambda s, r: s.mean(), False, "mean of all"),
    (checks.theta_of_ratio, lambda s, r: s.median(), False, "median"),
    (checks.theta_of_ratio, lambda s, r: s.argsort()[round(r * len(s))], False, "`argsort`"),
    (checks.theta_of_ratio, lambda s, r: s.sort()[round(r * len(s))], False, "take `.values`"),
    (checks.theta_of_ratio, lambda s, r: s.max() + 1, False, "with your θ it is 10"),
    (checks.theta_of_ratio, lambda s, r: s, False, "single number"),
    (checks.theta_of_ratio, lambda s, r: s >= 0.5, False, "Return θ itself"),
    (checks.theta_of_ratio, lambda s, r: [0.5], False, "returns a list; it should return a tensor or a Python number"),
    (checks.theta_of_ratio, lambda s, r: r > 0.5, False, "returns a bool"),
    (checks.theta_of_ratio, lambda s, r: None, False, "returns nothing"),
    (checks.theta_of_ratio, lambda s, r: ..., None, "three dots"),
    (checks.theta_of_ratio, 0.5, False, "this is a float"),
    (partial(checks.theta_of_ratio, part=0.25), part_of_the_way(0.25), True, "depends on the ratio"),
    (partial(checks.theta_of_ratio, part=0.25), part_of_the_way(0.75), False, "from the wrong end"),
    (
        partial(checks.theta_of_ratio, part=0.25),
        part_of_the_way(0),
        False,
        "the highest score that goes. θ is 0.25 of the way",
    ),
    (partial(checks.theta_of_ratio, part=0.25), part_of_the_way(1), False, "as many go as should, but with"),
    (
        partial(checks.theta_of_ratio, part=0.25),
        part_of_the_way(0.25, below=0.1),
        False,
        "if none goes, θ is the lowest score",
    ),
    (checks.budget_by_hand, solution, True, "calls of `cost` were enough for 596 channels"),
    (checks.budget_by_hand, library("global"), True, "were enough"),
    (checks.budget_by_hand, library("local"), False, "where 4 of 7 channels fit: you take the same share"),
    (checks.budget_by_hand, one_after_the_other, False, "you asked for the cost"),
    (
        checks.budget_by_hand,
        after(lambda keep: {name: ~stays for name, stays in keep.items()}),
        False,
        "everything fits: True and False are swapped",
    ),
    (checks.budget_by_hand, first_ones, False, "in a, a channel of importance 0.88 goes while one of 0.12 stays"),
    (checks.budget_by_hand, by_number, False, "goes while one of 0.25 stays in another layer"),
    (checks.budget_by_hand, empties, False, "no channel of b stays"),
    (checks.budget_by_hand, puts_back, False, "a cost of 4, and the budget is 3"),
    (checks.budget_by_hand, drops_one_more, False, "one channel more would fit"),
    (checks.budget_by_hand, lambda i, b, c: {n: v > -1 for n, v in i.items()}, False, "where 4 of 7 channels fit: too much"),
    (checks.budget_by_hand, changes_importance, False, "changes the importance"),
    (checks.budget_by_hand, lambda i, b, c: ap.threshold_by_budget(i, b, c, "global"), False, "several things"),
    (checks.budget_by_hand, lambda i, b, c: torch.ones(7), False, "you return a Tensor"),
    (checks.budget_by_hand, after(lambda keep: {"a": keep["a"]}), False, "should have the layers a, b; yours has a"),
    (checks.budget_by_hand, after(lambda keep: {}), False, "yours has none"),
    (
        checks.budget_by_hand,
        after(lambda keep: {n: s.float() for n, s in keep.items()}),
        False,
        "torch.float32 of the shape",
    ),
    (
        checks.budget_by_hand,
        after(lambda keep: {n: s.nonzero() for n, s in keep.items()}),
        False,
        "torch.int64 of the shape",
    ),
    (checks.budget_by_hand, after(lambda keep: {n: s.tolist() for n, s in keep.items()}), False, "the entry of a is a list"),
    (checks.budget_by_hand, after(lambda keep: dict.fromkeys(keep)), False, "the entry of a is None"),
    (checks.budget_by_hand, lambda i, b, c: None, False, "returns nothing"),
    (checks.budget_by_hand, lambda i, b, c: ..., None, "three dots"),
    (checks.budget_by_hand, lambda i, b, c: c(3), False, "stops with AttributeError"),
    (checks.budget_by_hand, 400_000, False, "this is an int"),
]


pytestmark = pytest.mark.filterwarnings("ignore:budget=3 would empty layer")
test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)
