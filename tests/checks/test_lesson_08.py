"""What the checks of lesson 08 answer."""

import numpy as np
import pytest
import torch
from answering import verdict_test

from attnprune_edu import checks

RULES = {
    "several pruning ratios": True,
    "several seeds, with their spread": False,
    "a random baseline": False,
    "the pruned shape from scratch": False,
    "accuracy before and after fine-tuning": False,
    "parameters or MACs in numbers": False,
    "time with batch size and threads": False,
}


def bootstrap(
    *,
    differences=lambda first, second: first.double() - second.double(),
    chosen=lambda n, draws, generator: torch.randint(n, (draws, n), generator=generator),
    per_redraw=lambda values: values.mean(dim=1),
    ends=lambda redraws: redraws.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)),
):
    """The solution that the lesson shows, with a place for each slip."""

    def function(first, second, draws, generator):
        values = differences(first, second)
        return ends(per_redraw(values[chosen(len(values), draws, generator)]))

    return function


def quantiles(low, high):
    return lambda redraws: torch.stack([redraws.quantile(low), redraws.quantile(high)])


def unpaired(ends):
    def function(first, second, draws, generator):
        n = len(first)
        one, other = (torch.randint(n, (draws, n), generator=generator) for _ in range(2))
        return ends(first[one].double().mean(dim=1) - second[other].double().mean(dim=1))

    return function


def in_a_loop(first, second, draws, generator):
    redraws = []
    for _ in range(draws):
        chosen = torch.randint(len(first), (len(first),), generator=generator)
        redraws.append((first[chosen].double().mean() - second[chosen].double().mean()).item())
    redraws.sort()
    return redraws[int(0.025 * draws)], redraws[int(0.975 * draws)]


def one_redraw(first, second, draws, generator):
    chosen = torch.randint(len(first), (len(first),), generator=generator)
    return first[chosen].double().mean() - second[chosen].double().mean()


def formula(first, second, draws, generator):
    difference = first.double() - second.double()
    reach = 1.96 * difference.std() / len(difference) ** 0.5
    return difference.mean() - reach, difference.mean() + reach


def without_replacement(n, draws, generator):
    return torch.randperm(n, generator=generator).expand(draws, n)


def drawn_once(n, draws, generator):
    return torch.randint(n, (n,), generator=generator).expand(draws, n)


def of_a_hundred(n, draws, generator):
    return torch.randint(n, (draws, 100), generator=generator)


def two_accuracies(first, second, draws, generator):
    chosen = torch.randint(len(first), (len(first),), generator=generator)
    return first[chosen].double().mean(), second[chosen].double().mean()


def divided_by_the_root_of(count):
    def ends(redraws):
        reach = 1.96 * redraws.std() / count(redraws) ** 0.5
        return torch.stack([redraws.mean() - reach, redraws.mean() + reach])

    return ends


def wider_where_equal(first, second, draws, generator):
    return bootstrap()(first, second, draws, generator) + torch.tensor([-1e-3, 1e-3])


def where_they_differ(first, second):
    return (first.double() - second.double())[first != second]


def all_redraws(redraws):
    return redraws


CASES = [
    (checks.images_for_half_a_point, 24_587, True, "four times"),
    (checks.images_for_half_a_point, 24_586, False, "24,586 reach a hair further"),
    (checks.images_for_half_a_point, torch.tensor(24_587), True, "four times"),
    (checks.images_for_half_a_point, 25_600, True, "four times"),
    (checks.images_for_half_a_point, 25_000, True, "four times"),
    (checks.images_for_half_a_point, 1.96**2 * 0.8 * 0.2 / 0.005**2, False, "only whole pictures"),
    (checks.images_for_half_a_point, 24_585.2, False, "only whole pictures"),
    (checks.images_for_half_a_point, 24_585, False, "a hair further"),
    (checks.images_for_half_a_point, 24_500, False, "a hair further"),
    (checks.images_for_half_a_point, 0.005, False, "the number of pictures"),
    (checks.images_for_half_a_point, 10_000, False, "CIFAR-10 has so many"),
    (checks.images_for_half_a_point, 6400, False, "1.96 is missing"),
    (checks.images_for_half_a_point, 98_345, False, "0.5 points wide"),
    (checks.images_for_half_a_point, 102_400, False, "0.5 points wide"),
    (checks.images_for_half_a_point, 6147, False, "it reaches 1 point to either side"),
    (checks.images_for_half_a_point, 38_416, False, "the worst case"),
    (checks.images_for_half_a_point, 40_000, False, "the worst case"),
    (checks.images_for_half_a_point, 122_931, False, "you take p for"),
    (checks.images_for_half_a_point, 30_733, False, "you take 1 − p"),
    (checks.images_for_half_a_point, 61_466, False, "0.16 and not 0.4"),
    (checks.images_for_half_a_point, 3934, False, "not 0.16²"),
    (checks.images_for_half_a_point, 12_544, False, "the 1.96 and the 0.005 are squared"),
    (checks.images_for_half_a_point, 12_800, False, "the 2 and the 0.005 are squared"),
    (checks.images_for_half_a_point, 123, False, "the 1.96 and the 0.005 are squared"),
    (checks.images_for_half_a_point, 63, False, "root is forgotten"),
    (checks.images_for_half_a_point, 64, False, "root is forgotten"),
    (checks.images_for_half_a_point, 31, False, "root is forgotten"),
    (checks.images_for_half_a_point, 157, False, "the root of n"),
    (checks.images_for_half_a_point, 246, False, "reaches 5 points"),
    (checks.images_for_half_a_point, 49_172, False, "difference of two networks"),
    (checks.images_for_half_a_point, 1.96**2 * 80 * 20 / 0.005**2, False, "are percent"),
    (checks.images_for_half_a_point, 2.46, False, "50 points"),
    (checks.images_for_half_a_point, 3, False, "50 points"),
    (checks.images_for_half_a_point, 1000, False, "reaches 0.0248"),
    (checks.images_for_half_a_point, 0, False, "solve for n"),
    (checks.images_for_half_a_point, float("nan"), False, "solve for n"),
    (checks.images_for_half_a_point, [24_586], False, "one number, and this is a list"),
    (checks.images_for_half_a_point, "24587", False, "Remove the quotes"),
    (checks.paired_bootstrap, bootstrap(), True, "no formula was needed"),
    (checks.paired_bootstrap, in_a_loop, True, "no formula was needed"),
    (checks.paired_bootstrap, lambda *given: bootstrap()(*given).tolist(), True, "no formula was needed"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: np.quantile(list(r), [0.025, 0.975])), True, "no formula was needed"),
    (checks.paired_bootstrap, lambda *given: tuple(map(np.array, in_a_loop(*given))), True, "no formula was needed"),
    (checks.paired_bootstrap, one_redraw, False, "step 1 of 3 is done"),
    (checks.paired_bootstrap, lambda first, second, *rest: one_redraw(second, first, *rest), False, "sign is reversed"),
    (checks.paired_bootstrap, bootstrap(ends=all_redraws), False, "step 2 of 3 is done"),
    (checks.paired_bootstrap, bootstrap(ends=torch.mean), False, "the mean of all redraws"),
    (checks.paired_bootstrap, unpaired(quantiles(0.025, 0.975)), False, "draw once, use them twice"),
    (checks.paired_bootstrap, unpaired(lambda redraws: redraws[0]), False, "draw once, use them twice"),
    (checks.paired_bootstrap, bootstrap(chosen=without_replacement), False, "Do all your redraws give the same?"),
    (checks.paired_bootstrap, bootstrap(chosen=without_replacement, ends=all_redraws), False, "may come twice"),
    (
        checks.paired_bootstrap,
        bootstrap(chosen=lambda n, draws, generator: torch.randint(n, (n, draws), generator=generator)),
        False,
        "each redraw has `draws` pictures",
    ),
    (
        checks.paired_bootstrap,
        bootstrap(chosen=lambda n, draws, generator: torch.randint(n, (draws, 1), generator=generator), ends=all_redraws),
        False,
        "a single picture",
    ),
    (
        checks.paired_bootstrap,
        bootstrap(chosen=lambda n, draws, generator: torch.randint(n, (draws, n))),
        False,
        "nothing is drawn with `generator`",
    ),
    (checks.paired_bootstrap, formula, False, "nothing is drawn with `generator`"),
    (checks.paired_bootstrap, bootstrap(per_redraw=lambda values: values), False, "of single pictures"),
    (
        checks.paired_bootstrap,
        bootstrap(per_redraw=lambda values: values, ends=all_redraws),
        False,
        "mean over the pictures",
    ),
    (
        checks.paired_bootstrap,
        bootstrap(per_redraw=lambda values: values.mean(dim=0), ends=all_redraws),
        False,
        "1000 numbers",
    ),
    (checks.paired_bootstrap, bootstrap(per_redraw=lambda values: values.sum(dim=1)), False, "counts of pictures"),
    (checks.paired_bootstrap, bootstrap(differences=lambda a, b: b.double() - a.double()), False, "sign is reversed"),
    (checks.paired_bootstrap, bootstrap(differences=lambda a, b: (a ^ b).double()), False, "where the two differ"),
    (checks.paired_bootstrap, bootstrap(differences=lambda a, b: a.double()), False, "accuracy of `first` alone"),
    (checks.paired_bootstrap, bootstrap(differences=lambda a, b: b.double()), False, "accuracy of `second` alone"),
    (checks.paired_bootstrap, bootstrap(differences=where_they_differ), False, "on which the two differ"),
    (checks.paired_bootstrap, bootstrap(differences=lambda a, b: a - b), False, "cannot be subtracted"),
    (checks.paired_bootstrap, lambda *given: 100 * bootstrap()(*given), False, "Give shares"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: quantiles(0.025, 0.975)(r - r.mean())), False, "around 0"),
    (checks.paired_bootstrap, lambda *given: bootstrap()(*given).flip(0), False, "swapped"),
    (checks.paired_bootstrap, bootstrap(ends=quantiles(0.05, 0.95)), False, "90 %"),
    (checks.paired_bootstrap, bootstrap(ends=quantiles(0.16, 0.84)), False, "68 %"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: torch.stack([r.min(), r.max()])), False, "lowest and the highest"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: torch.stack([r.mean(), r.std()])), False, "the difference itself"),
    (checks.paired_bootstrap, bootstrap(ends=quantiles(0.25, 0.75)), False, "50 % of the redraws"),
    (checks.paired_bootstrap, bootstrap(ends=quantiles(0.1, 0.9)), False, "80 % of the redraws"),
    (checks.paired_bootstrap, bootstrap(ends=quantiles(0.2, 0.8)), False, "the middle is right, but it reaches"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: quantiles(0.025, 0.975)(r.abs())), False, "without `abs`"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: r[[0, -1]]), False, "only two of the redraws"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: r[[1, 2]]), False, "only two of the redraws"),
    (checks.paired_bootstrap, bootstrap(ends=divided_by_the_root_of(len)), False, "Do not divide it by √draws"),
    (checks.paired_bootstrap, bootstrap(ends=divided_by_the_root_of(lambda r: 1000)), False, "Do not divide it by √n"),
    (checks.paired_bootstrap, bootstrap(chosen=drawn_once), False, "Draw inside the loop"),
    (checks.paired_bootstrap, bootstrap(chosen=drawn_once, ends=all_redraws), False, "Draw inside the loop"),
    (checks.paired_bootstrap, two_accuracies, False, "the accuracies of the two"),
    (checks.paired_bootstrap, bootstrap(chosen=of_a_hundred), False, "pictures; it should have 1000"),
    (
        checks.paired_bootstrap,
        bootstrap(chosen=of_a_hundred, ends=all_redraws),
        False,
        "pictures; it should have 1000",
    ),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: 1.96 * r.std()), False, "an interval has two"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: list(r).quantile(0.025)), False, "`torch.stack` on it first"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: torch.quantile(list(r), 0.025)), False, "`torch.stack` on it first"),
    (checks.paired_bootstrap, bootstrap(ends=quantiles(2.5, 97.5)), False, "2.5 % is 0.025"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: np.quantile(r, [2.5, 97.5])), False, "2.5 % is 0.025"),
    (checks.paired_bootstrap, bootstrap(differences=lambda a, b: a.int() - b.int()), False, "Use `.double()`"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: r[:3]), False, "shape (3,)"),
    (checks.paired_bootstrap, bootstrap(ends=lambda r: r.mean() * torch.nan), False, "not a number"),
    (checks.paired_bootstrap, wider_where_equal, False, "both ends should be 0"),
    (checks.paired_bootstrap, lambda *given: {"low": 0, "high": 1}, False, "returns a dict"),
    (checks.paired_bootstrap, lambda *given: None, False, "returns nothing"),
    (checks.paired_bootstrap, lambda *given: ..., None, "three dots"),
    (checks.paired_bootstrap, lambda *given: (..., ...), None, "three dots"),
    (checks.paired_bootstrap, lambda first, second: first, False, "stops with TypeError"),
    (checks.paired_bootstrap, torch.zeros(2), False, "this is a Tensor"),
    (checks.paired_bootstrap, np.zeros(2), False, "this is an ndarray"),
    (checks.what_the_article_reports, RULES, True, "1 of 7 rules"),
    (checks.what_the_article_reports, {rule: int(has) for rule, has in RULES.items()}, True, "1 of 7 rules"),
    (checks.what_the_article_reports, RULES | {"several pruning ratios": False}, False, "it names three"),
    (checks.what_the_article_reports, RULES | {"several seeds, with their spread": True}, False, "no seed"),
    (checks.what_the_article_reports, RULES | {"a random baseline": True}, False, "chosen at random"),
    (checks.what_the_article_reports, RULES | {"the pruned shape from scratch": True}, False, "from the start"),
    (checks.what_the_article_reports, RULES | {"accuracy before and after fine-tuning": True}, False, "gives no accuracy"),
    (checks.what_the_article_reports, RULES | {"parameters or MACs in numbers": True}, False, "no number"),
    (checks.what_the_article_reports, RULES | {"time with batch size and threads": True}, False, "30 % faster"),
    (checks.what_the_article_reports, dict.fromkeys(RULES, True), False, "no seed"),
    (checks.what_the_article_reports, RULES | {"a random baseline": ...}, False, "left at 1 of 7"),
    (checks.what_the_article_reports, dict.fromkeys(RULES, ...) | {"a random baseline": True}, False, "left at 6 of 7"),
    (checks.what_the_article_reports, dict.fromkeys(RULES, ...), None, "three dots"),
    (checks.what_the_article_reports, RULES | {"a random baseline": "no"}, False, "without quotes"),
    (checks.what_the_article_reports, RULES | {"a fast computer": True}, False, '"a fast computer" is none'),
    (checks.what_the_article_reports, {"several pruning ratios": True}, False, "missing"),
    (checks.what_the_article_reports, {}, False, "missing"),
    (checks.what_the_article_reports, list(RULES), False, "this is a list"),
    (checks.what_the_article_reports, None, False, "this is None"),
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


@pytest.mark.parametrize(
    ("function", "share"),
    [
        (unpaired(quantiles(0.025, 0.975)), 0),
        (one_redraw, 1 / 3),
        (bootstrap(ends=lambda r: r[[0, -1]]), 1 / 3),
        (bootstrap(ends=all_redraws), 2 / 3),
        (bootstrap(ends=quantiles(0.05, 0.95)), 2 / 3),
        (lambda *given: bootstrap()(*given).flip(0), 2 / 3),
        (in_a_loop, 1),
    ],
)
def test_steps_that_are_right_earn_their_share(function, share):
    assert checks.paired_bootstrap(function).share == pytest.approx(share)
