"""What the checks of lesson 13 answer."""

import pytest
import torch
from answering import dots_after, step_after_step, verdict_test
from torch.nn import functional as F

from attnprune_edu import checks

NAMES = ["similarity", "same", "threshold"]


def every_two(labels, offset=1):
    return tuple(torch.triu_indices(len(labels), len(labels), offset=offset))


def cosines(embeddings):
    directions = F.normalize(embeddings, dim=1)
    return directions @ directions.T


def lowest_allowed(here):
    strangers = here["similarity"][~here["same"]].sort(descending=True).values
    above = here["similarity"][here["similarity"] > strangers[int(here["most"] * len(strangers) + 1e-9)]]
    return above.min() if len(above) else torch.inf


def threshold_of(**slips):
    """The solution that the lesson shows, with a place for each slip."""
    steps = {
        "similarity": lambda here: cosines(here["embeddings"])[every_two(here["labels"])],
        "same": lambda here: torch.eq(*(here["labels"][which] for which in every_two(here["labels"]))),
        "threshold": lowest_allowed,
    }
    return step_after_step(["embeddings", "labels", "most"], steps, slips)


def similarity(change):
    return threshold_of(
        similarity=lambda here: change(here["embeddings"], here["labels"]), **dots_after("similarity", NAMES)
    )


def same(change):
    return threshold_of(same=lambda here: change(here["labels"], every_two(here["labels"])), **dots_after("same", NAMES))


def threshold(change):
    def changed(here):
        own, strangers = (here["similarity"][these] for these in (here["same"], ~here["same"]))
        return change(own, strangers, here["most"])

    return threshold_of(threshold=changed)


def in_another_order(embeddings, labels, most):
    order = torch.randperm(len(labels) * (len(labels) - 1) // 2)
    similarity, same, threshold = threshold_of()(embeddings, labels, most)
    return similarity[order], same[order], float(threshold)


def area(win=torch.gt, tie=0.5):
    def function(similarity, same):
        own, others = similarity[same][:, None], similarity[~same]
        return win(own, others).double().mean() + tie * (own == others).double().mean()

    return function


def of_means(compare):
    return lambda similarity, same: compare(similarity[same], similarity[~same])


def in_their_order(own, others):
    pairs = min(len(own), len(others))
    return (own[:pairs] > others[:pairs]).double().mean()


def next_above(place, descending=True):
    """A slip in the place of the first pair of two people that must not be accepted: ``place`` (own, others, most)."""

    def function(here):
        own, others = (here["similarity"][these] for these in (here["same"], ~here["same"]))
        barrier = others.sort(descending=descending).values[place(own, others, here["most"])]
        above = here["similarity"][here["similarity"] > barrier]
        return above.min() if len(above) else torch.inf

    return threshold_of(threshold=function)


def share_of_the_accepted(here):
    similarity, same = here["similarity"], here["same"]
    return min(value for value in similarity if (~same[similarity >= value]).double().mean() <= here["most"])


CASES = [
    (checks.true_accept_rate_by_hand, 0.6, True, "1 of 5 pairs of two people may be accepted"),
    (checks.true_accept_rate_by_hand, 3 / 5, True, "above 0.5"),
    (checks.true_accept_rate_by_hand, 60, False, "in percent"),
    (checks.true_accept_rate_by_hand, 3, False, "Divide by all 5"),
    (checks.true_accept_rate_by_hand, 0.4, False, "false reject rate"),
    (checks.true_accept_rate_by_hand, 0.2, False, "no pair of two people is accepted"),
    (checks.true_accept_rate_by_hand, 0.75, False, "precision"),
    (checks.true_accept_rate_by_hand, 0.3, False, "not by all pairs"),
    (checks.true_accept_rate_by_hand, 0.8, False, "2 pairs of two people are accepted, and only 1 may be"),
    (checks.true_accept_rate_by_hand, 0.51, False, "a good threshold"),
    (checks.true_accept_rate_by_hand, 0.65, False, "a good threshold"),
    (checks.true_accept_rate_by_hand, 1.0, False, "sort the pairs"),
    (checks.true_accept_rate_by_hand, 0.5, False, "from 0.5 on 2 pairs"),
    (checks.true_accept_rate_by_hand, -0.6, False, "between 0 and 1"),
    (checks.true_accept_rate_by_hand, float("nan"), False, "between 0 and 1"),
    (checks.true_accept_rate_by_hand, (0, 6), False, "0.6"),
    (checks.true_accept_rate_by_hand, [0.6], False, "a list"),
    (checks.true_accept_rate_by_hand, ..., None, "three dots"),
    (checks.auc_by_comparison, area(), True, "no threshold was needed"),
    (checks.auc_by_comparison, lambda *given: area()(*given).item(), True, "no threshold was needed"),
    (checks.auc_by_comparison, area(tie=0), False, "counts one half, and with you nothing"),
    (checks.auc_by_comparison, area(torch.ge, 0), False, "counts one half, and with you a whole"),
    (checks.auc_by_comparison, area(tie=0.25), False, "(count one half)"),
    (checks.auc_by_comparison, area(torch.lt), False, "the other way round"),
    (checks.auc_by_comparison, of_means(lambda own, others: (own[:, None] > others).sum()), False, "Divide by all"),
    (checks.auc_by_comparison, of_means(lambda own, others: (own[:, None] > others).double().sum(0).mean()), False, "both"),
    (checks.auc_by_comparison, of_means(lambda own, others: (own[:, None] > others).double().sum(1).mean()), False, "both"),
    (checks.auc_by_comparison, of_means(lambda own, others: (own[:, None] > others).double().mean(1)), False, "one number"),
    (checks.auc_by_comparison, of_means(lambda own, others: own.mean() - others.mean()), False, "two means are apart"),
    (checks.auc_by_comparison, of_means(lambda own, others: (own > others.mean()).double().mean()), False, "not with their"),
    (checks.auc_by_comparison, of_means(lambda own, others: (own.mean() > others).double().mean()), False, "not their mean"),
    (checks.auc_by_comparison, lambda similarity, same: 2.5, False, "between 0 and 1"),
    (checks.auc_by_comparison, lambda similarity, same: 0.5, False, "it should be"),
    (checks.auc_by_comparison, lambda *given: area()(*given) / 2, False, "only a tie counts one half"),
    (checks.auc_by_comparison, of_means(lambda own, others: own[:0].mean()), False, "one of the two sides empty"),
    (checks.auc_by_comparison, of_means(lambda own, others: (own[:, None] > others).mean()), False, "`.double()` first"),
    (checks.auc_by_comparison, of_means(lambda own, others: own > others), False, "a new axis"),
    (checks.auc_by_comparison, of_means(in_their_order), False, "the first with the first"),
    (checks.auc_by_comparison, lambda similarity, same: similarity.view(7, 7), False, "stops with"),
    (checks.auc_by_comparison, lambda similarity, same: None, False, "returns nothing"),
    (checks.auc_by_comparison, lambda similarity, same: ..., None, "three dots"),
    (checks.verification_threshold, threshold_of(), True, "report it on others"),
    (checks.verification_threshold, in_another_order, True, "report it on others"),
    (checks.verification_threshold, similarity(lambda e, y: cosines(e)), False, "above the diagonal"),
    (checks.verification_threshold, similarity(lambda e, y: cosines(e).flatten()), False, "leave out the diagonal"),
    (checks.verification_threshold, similarity(lambda e, y: cosines(e)[every_two(y, 0)]), False, "with itself, too"),
    (checks.verification_threshold, similarity(lambda e, y: cosines(e)[~torch.eye(len(y)).bool()]), False, "either order"),
    (checks.verification_threshold, similarity(lambda e, y: cosines(e)[0]), False, "make 300 pairs"),
    (checks.verification_threshold, similarity(lambda e, y: (e @ e.T)[every_two(y)]), False, "Divide each embedding by its"),
    (checks.verification_threshold, similarity(lambda e, y: F.pdist(e)), False, "Take the cosine"),
    (checks.verification_threshold, similarity(lambda e, y: -F.pdist(e)), False, "minus sign"),
    (checks.verification_threshold, similarity(lambda e, y: 1 - cosines(e)[every_two(y)]), False, "one minus the cosine"),
    (checks.verification_threshold, similarity(lambda e, y: cosines(e)[every_two(y)].acos()), False, "that is the angle"),
    (checks.verification_threshold, similarity(lambda e, y: cosines(e)[every_two(y)].abs()), False, "you take sizes"),
    (
        checks.verification_threshold,
        similarity(lambda e, y: cosines(e.T.contiguous().T)[every_two(y)] / 2),
        False,
        "numbers",
    ),
    (checks.verification_threshold, similarity(lambda e, y: 3 * cosines(e)[every_two(y)]), False, "between −1 and 1"),
    (
        checks.verification_threshold,
        similarity(lambda e, y: (F.normalize(e, dim=0) @ F.normalize(e, dim=0).T)[every_two(y)]),
        False,
        "Each picture: dim=1",
    ),
    (checks.verification_threshold, similarity(lambda e, y: 0.5), False, "it should be a tensor"),
    (
        checks.verification_threshold,
        similarity(lambda e, y: cosines(e)[every_two(y)]),
        False,
        "step 2 of 3, `same`, is next",
    ),
    (checks.verification_threshold, same(lambda y, at: y[:, None] == y), False, "that of `similarity`"),
    (checks.verification_threshold, same(lambda y, at: (y[at[0]] == y[at[1]]).int()), False, "truth values"),
    (checks.verification_threshold, same(lambda y, at: y[at[0]] != y[at[1]]), False, "two people. It should be True where"),
    (checks.verification_threshold, same(lambda y, at: (y[at[0]] == y[at[1]]).flip(0)), False, "in another order"),
    (checks.verification_threshold, same(lambda y, at: y[at[0]] <= y[at[1]]), False, "of these 300 pairs show one person"),
    (checks.verification_threshold, threshold(lambda own, others, most: others.max()), False, "A lower one accepts"),
    (checks.verification_threshold, threshold(lambda own, others, most: torch.inf), False, "A lower one accepts"),
    (
        checks.verification_threshold,
        threshold(lambda own, others, most: others.quantile(1 - most)),
        False,
        "A quantile lies",
    ),
    (checks.verification_threshold, threshold(lambda own, others, most: own.quantile(most)), False, "of two people."),
    (
        checks.verification_threshold,
        threshold(lambda own, others, most: torch.cat([own, others]).quantile(1 - most)),
        False,
        "a quantile of all pairs",
    ),
    (
        checks.verification_threshold,
        threshold(lambda own, others, most: others.sort(descending=True).values[int(most * len(others))]),
        False,
        "accepted, too: go to the next higher",
    ),
    (checks.verification_threshold, threshold(lambda own, others, most: own.min()), False, "are accepted, and at most "),
    (checks.verification_threshold, threshold(lambda own, others, most: own), False, "one number"),
    (checks.verification_threshold, threshold(lambda own, others, most: float("nan")), False, "NaN"),
    (
        checks.verification_threshold,
        threshold_of(threshold=lambda here: here["similarity"][here["similarity"] > 9].min()),
        False,
        "your function stops with",
    ),
    (
        checks.verification_threshold,
        threshold(lambda own, others, most: others.sort(descending=True).values[int(most * len(others)) - 1]),
        False,
        "A lower one accepts",
    ),
    (
        checks.verification_threshold,
        next_above(lambda own, others, most: round(most * len(others) + 0.5)),
        False,
        "ound down",
    ),
    (
        checks.verification_threshold,
        next_above(lambda own, others, most: int(most * (len(own) + len(others)))),
        False,
        "not of all 300",
    ),
    (checks.verification_threshold, next_above(lambda own, others, most: int(most * len(own))), False, "of one person."),
    (
        checks.verification_threshold,
        next_above(lambda own, others, most: int(most * len(others)), False),
        False,
        "highest first",
    ),
    (checks.verification_threshold, threshold_of(threshold=share_of_the_accepted), False, "not of the accepted pairs"),
    (checks.verification_threshold, threshold(lambda own, others, most: 1 - most), False, "that is a share"),
    (
        checks.verification_threshold,
        next_above(lambda own, others, most: int(most * len(others))),
        False,
        "0.29 * 100",
    ),
    (checks.verification_threshold, lambda *given: (*threshold_of()(*given)[1::-1], 0.5), False, "Is it `same`?"),
    (
        checks.verification_threshold,
        similarity(lambda e, y: cosines(e)[tuple(torch.triu_indices(100, 100, 1))]),
        False,
        "`len(labels)`",
    ),
    (checks.verification_threshold, lambda *given: threshold_of()(*given)[0], False, "should return 3 things"),
    (checks.verification_threshold, lambda *given: (..., ..., ...), None, "three dots"),
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


def without_infinity(here):
    found = lowest_allowed(here)
    return here["similarity"].max() if found == torch.inf else found


@pytest.mark.parametrize(
    ("function", "says", "share"),
    [
        (similarity(lambda e, y: cosines(e)), "above the diagonal", 0),
        (same(lambda y, at: y[at[0]] != y[at[1]]), "two people", 1 / 3),
        (threshold(lambda own, others, most: torch.inf), "A lower one accepts", 2 / 3),
        (threshold_of(threshold=without_infinity), "right, unless the most alike pair shows two people", 5 / 6),
        (threshold_of(), "report it on others", 1),
    ],
)
def test_each_step_earns_its_share(function, says, share):
    verdict = checks.verification_threshold(function)
    assert says in verdict.message, verdict.message
    assert verdict.share == pytest.approx(share)


def test_one_too_many_of_equally_alike_pairs_is_noticed():
    def by_rank(here):
        """The similarity that stands on the last place that may pass: right unless the next one is just as high."""
        found = lowest_allowed(here)
        strangers = here["similarity"][~here["same"]].sort(descending=True).values
        places = int(here["most"] * len(strangers))
        tied = places and strangers[places - 1] == strangers[places]
        return strangers[places - 1] if tied else found

    verdict = checks.verification_threshold(threshold_of(threshold=by_rank))
    assert not verdict.solved and "right, unless several pairs are equally alike" in verdict.message, verdict.message


@pytest.mark.parametrize(
    ("own", "strangers", "most", "rate"),
    [((0.9, 0.5), (0.8, 0.6, 0.4), 1 / 3, 0.5), ((0.9, 0.7, 0.5, 0.3), (0.8, 0.6, 0.4, 0.2), 0.5, 0.75)],
)
def test_coursework_gives_other_pairs(own, strangers, most, rate):
    given = {"own": own, "strangers": strangers, "most": most}
    assert checks.true_accept_rate_by_hand(rate, **given).solved
    assert not checks.true_accept_rate_by_hand(rate + 0.1, **given).solved
