import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

from attnprune_edu.pruning.knapsack import Term, greedy, knapsack, total_cost


def puzzle(seed: int, things: int = 4, options: int = 4):
    """Losses and terms of things in a chain, each tied to its neighbour by a product, and the last to the first as well."""
    random = np.random.default_rng(seed)
    names = [f"t{number}" for number in range(things)]
    widths = {name: sorted(random.choice(np.arange(1, 12), options, replace=False).tolist()) for name in names}
    losses = {
        name: {width: float(loss) for width, loss in zip(of, random.random(options), strict=True)}
        for name, of in widths.items()
    }
    ties = [*itertools.pairwise(names), (names[-1], names[0])]
    weights = random.integers(1, 9, len(ties))
    terms = [Term(tie, lambda a, b, weight=weight: weight * a * b) for tie, weight in zip(ties, weights, strict=True)]
    return losses, [*terms, Term((names[0],), lambda a: 3 * a), Term((), lambda: 5)]


def every_answer(losses, terms):
    """(loss, cost) of every combination of options."""
    for values in itertools.product(*losses.values()):
        chosen = dict(zip(losses, values, strict=True))
        yield sum(losses[name][value] for name, value in chosen.items()), total_cost(terms, chosen)


def loss_of(losses, chosen):
    return sum(losses[name][value] for name, value in chosen.items())


@given(st.integers(0, 10_000), st.floats(0.05, 1))
def test_no_combination_that_fits_has_a_smaller_loss(seed, share):
    losses, terms = puzzle(seed)
    answers = list(every_answer(losses, terms))
    costs = [cost for _, cost in answers]
    budget = min(costs) + share * (max(costs) - min(costs))
    best = min(loss for loss, cost in answers if cost <= budget)
    exact = knapsack(losses, terms, budget, resolution=None)
    assert total_cost(terms, exact) <= budget and loss_of(losses, exact) == pytest.approx(best)
    for chosen in (knapsack(losses, terms, budget, resolution=20), greedy(losses, terms, budget)):
        assert total_cost(terms, chosen) <= budget and loss_of(losses, chosen) >= best - 1e-12


def test_greedy_takes_a_step_that_it_regrets():
    losses, terms = {"a": {0: 1.0, 6: 0.0}, "b": {0: 2.1, 10: 0.0}}, [Term(("a",), lambda a: a), Term(("b",), lambda b: b)]
    assert greedy(losses, terms, 6) == {"a": 0, "b": 0}
    assert knapsack(losses, terms, 6) == {"a": 6, "b": 0}


def test_of_equally_good_answers_the_cheaper_one_is_returned():
    assert knapsack({"a": {1: 0.0, 2: 0.0, 3: 0.0}}, [Term(("a",), lambda a: a)], 3) == {"a": 1}


@pytest.mark.parametrize("method", [knapsack, greedy])
def test_what_costs_just_as_much_as_the_budget_fits(method):
    losses, terms = puzzle(1)
    falling = {name: {width: 1 / width for width in options} for name, options in losses.items()}
    everything = {name: max(options) for name, options in losses.items()}
    assert method(falling, terms, total_cost(terms, everything)) == everything


@pytest.mark.parametrize("method", [knapsack, greedy])
def test_a_budget_below_the_smallest_options_is_refused(method):
    losses, terms = puzzle(0)
    least = min(cost for _, cost in every_answer(losses, terms))
    with pytest.raises(ValueError, match="budget must be at least"):
        method(losses, terms, 0.99 * least)
    with pytest.raises(ValueError, match="budget must be at least 5"):
        method({}, [Term((), lambda: 5)], 4)  # nothing to choose, and what is there costs too much


def test_choices_that_all_depend_on_each_other_are_refused_before_memory_runs_out(monkeypatch):
    monkeypatch.setattr("attnprune_edu.pruning.knapsack.MOST_ROWS", 5_000)
    names = [f"t{number}" for number in range(12)]
    losses = {name: dict.fromkeys(range(1, 40), 0.0) for name in names}
    everything = Term(tuple(names), lambda *values: sum(values))
    with pytest.raises(ValueError, match="too many choices depend on each other"):
        knapsack(losses, [everything], 1000)


def test_more_partial_answers_than_memory_is_meant_for_are_compared_more_coarsely(monkeypatch):
    losses, terms = puzzle(3, things=6, options=8)
    budget = 0.4 * total_cost(terms, {name: max(options) for name, options in losses.items()})
    best = loss_of(losses, knapsack(losses, terms, budget))
    monkeypatch.setattr("attnprune_edu.pruning.knapsack.MOST_ROWS", 3_000)
    with pytest.raises(ValueError, match="fewer options, or a resolution"):
        knapsack(losses, terms, budget, resolution=None)
    coarse = knapsack(losses, terms, budget)
    assert total_cost(terms, coarse) <= budget and loss_of(losses, coarse) <= best + 0.5
