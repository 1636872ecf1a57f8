"""What the checks of lesson 14 answer."""

import pytest
import torch
from answering import dots_after, step_after_step, verdict_test

import attnprune_edu as ap
from attnprune_edu import checks

NAMES = ["differences", "interval", "verdict"]


def ends(middle, half):
    return torch.stack([torch.as_tensor(middle, dtype=torch.float32) - half, torch.as_tensor(middle) + half])


def reach(here):
    return here["t"] * here["differences"].std() / len(here["first"]) ** 0.5


def judged(low, high, claimed):
    return "holds" if low >= claimed else "refuted" if high < claimed else "undecided"


def checker(**slips):
    """The solution that the lesson shows, with a place for each slip."""
    steps = {
        "differences": lambda here: here["first"] - here["second"],
        "interval": lambda here: ends(here["differences"].mean(), reach(here)),
        "verdict": lambda here: judged(*here["interval"].tolist(), here["claimed"]),
    }
    return step_after_step(["first", "second", "claimed", "t"], steps, slips)


def differences(change):
    return checker(differences=lambda here: change(here["first"], here["second"]), **dots_after("differences", NAMES))


def interval(half, middle=lambda here: here["differences"].mean()):
    return checker(interval=lambda here: ends(middle(here), half(here)), **dots_after("interval", NAMES))


def verdict(decide):
    return checker(verdict=lambda here: decide(*here["interval"].tolist(), here["claimed"]))


def root(here):
    return len(here["first"]) ** 0.5


def unpaired(here):
    return here["t"] * ((here["first"].var() + here["second"].var()) / len(here["first"])).sqrt()


CASES = [
    (checks.sum_of_fixed_part, -0.6, True, "whatever was learned"),
    (checks.sum_of_fixed_part, torch.tensor(-0.6), True, "whatever was learned"),
    (checks.sum_of_fixed_part, 1.4, False, "you add the 1"),
    (checks.sum_of_fixed_part, 0.6, False, "the sign is reversed"),
    (checks.sum_of_fixed_part, 0.4, False, "the sum of W itself"),
    (checks.sum_of_fixed_part, 1, False, "what a column of W_v sums to"),
    (checks.sum_of_fixed_part, 0, False, "what is left when"),
    (checks.sum_of_fixed_part, -1, False, "W's column sums to 0.4"),
    (checks.sum_of_fixed_part, -0.4, False, "with its sign reversed"),
    (checks.sum_of_fixed_part, 0.2, False, "nothing says that W_f and W_v are equally large"),
    (checks.sum_of_fixed_part, 7, False, "what does it sum to?"),
    (checks.sum_of_fixed_part, "-0.6", False, "Remove the quotes"),
    (checks.sum_of_fixed_part, ..., None, "three dots"),
    (checks.runs_until_decided, 10, True, "With 9 runs the interval still contains 0"),
    (checks.runs_until_decided, 9, False, "nearly: with 9 runs"),
    (checks.runs_until_decided, 11, False, "nearly: 10 runs are enough"),
    (checks.runs_until_decided, 7, False, "With few, t is larger. Or: that is one-sided"),
    (checks.runs_until_decided, 30, False, "you take the whole width"),
    (checks.runs_until_decided, 4, False, "s is 0.4, not its square"),
    (checks.runs_until_decided, 1, False, "Begin with 2"),
    (checks.runs_until_decided, 33, False, "4.303 is t for three runs"),
    (checks.runs_until_decided, 5, False, "the root is missing"),
    (checks.runs_until_decided, 2, False, "t is missing"),
    (checks.runs_until_decided, 8, False, "too few: with 8 runs t · s / √n is 0.334"),
    (checks.runs_until_decided, -3, False, "Begin with 2"),
    (checks.runs_until_decided, 100, False, "fewer are enough"),
    (checks.runs_until_decided, 9.7, False, "only whole runs"),
    (checks.runs_until_decided, [10], False, "one number, and this is a list"),
    (checks.runs_until_decided, ..., None, "three dots"),
    (checks.claim_checker, checker(), True, "the honest answer"),
    (checks.claim_checker, lambda *given: list(checker()(*given)), True, "the honest answer"),
    (checks.claim_checker, differences(lambda a, b: a - b), False, "step 2 of 3, `interval`, is next"),
    (checks.claim_checker, differences(lambda a, b: b - a), False, "step 1 of 3, `differences`: the sign is reversed"),
    (checks.claim_checker, checker(differences=lambda h: (h["first"] - h["second"]).abs()), False, "without `abs`"),
    (checks.claim_checker, differences(lambda a, b: (a - b).mean()), False, "that is their mean"),
    (checks.claim_checker, differences(lambda a, b: (a - b) / b), False, "that is relative"),
    (checks.claim_checker, differences(lambda a, b: a.sort().values - b.sort().values), False, "you sort before"),
    (checks.claim_checker, differences(lambda a, b: a[:, None] - b), False, "every run with every run"),
    (checks.claim_checker, differences(lambda a, b: (a[:, None] - b).flatten()), False, "every run with every run"),
    (checks.claim_checker, differences(lambda a, b: a[1:] - b[1:]), False, "its shape is (4,)"),
    (checks.claim_checker, differences(lambda a, b: a), False, "`second` is missing"),
    (checks.claim_checker, differences(lambda a, b: a + b), False, "you add"),
    (checks.claim_checker, differences(lambda a, b: 100 * (a - b)), False, "leave the factor of 100 away"),
    (checks.claim_checker, differences(lambda a, b: (a - b).mean().expand(len(a))), False, "their mean in each place"),
    (checks.claim_checker, differences(lambda a, b: 3 * a - b), False, "the shape is right, but `differences["),
    (checks.claim_checker, differences(lambda a, b: (a - b).tolist()), False, "It holds a difference for each run"),
    (
        checks.claim_checker,
        checker(differences=lambda here: here["first"] - here["second"] - here["claimed"]),
        False,
        "leave the claim aside",
    ),
    (checks.claim_checker, interval(reach), False, "step 3 of 3, `verdict`, is next"),
    (checks.claim_checker, interval(unpaired), False, "step 2 of 3, `interval`: that is the interval of unpaired runs"),
    (checks.claim_checker, interval(lambda h: reach(h) * root(h)), False, "the √n is missing"),
    (checks.claim_checker, interval(lambda h: reach(h) / root(h)), False, "Divide by its root"),
    (checks.claim_checker, interval(lambda h: h["differences"].std() / root(h)), False, "t is missing"),
    (checks.claim_checker, interval(lambda h: h["differences"].std()), False, "t and √n are missing"),
    (checks.claim_checker, interval(lambda h: 1.96 * h["differences"].std() / root(h)), False, "1.96 is for very many"),
    (checks.claim_checker, interval(lambda h: 4.303 * reach(h) / h["t"]), False, "4.303 is t for three runs"),
    (checks.claim_checker, interval(lambda h: reach(h) * root(h) / 3**0.5), False, "√3 is for three runs. Here are 5"),
    (checks.claim_checker, interval(lambda h: 4.303 * h["differences"].std() / 3**0.5), False, "4.303 and √3 are for"),
    (
        checks.claim_checker,
        interval(lambda h: reach(h) * root(h) / (len(h["first"]) - 1) ** 0.5),
        False,
        "has divided by n − 1 already",
    ),
    (checks.claim_checker, interval(reach, lambda h: h["differences"].median()), False, "it lies around the median"),
    (
        checks.claim_checker,
        checker(interval=lambda h: (h["differences"].mean() - reach(h)).expand(2)),
        False,
        "both ends are the lower one",
    ),
    (checks.claim_checker, interval(lambda h: 2.1318 * reach(h) / h["t"]), False, "one-sided"),
    (
        checks.claim_checker,
        interval(lambda h: h["t"] * h["differences"].std(correction=0) / root(h)),
        False,
        "divides by n − 1",
    ),
    (checks.claim_checker, interval(lambda h: h["t"] * h["differences"].var() / root(h)), False, "you take the variance"),
    (checks.claim_checker, interval(lambda h: reach(h) / 2), False, "half as wide"),
    (checks.claim_checker, interval(lambda h: -reach(h)), False, "the upper end comes first"),
    (checks.claim_checker, interval(reach, lambda h: torch.tensor(0.0)), False, "it lies around 0"),
    (checks.claim_checker, interval(reach, lambda h: torch.tensor(h["claimed"])), False, "it lies around the claim"),
    (checks.claim_checker, interval(reach, lambda h: h["differences"].mean() - h["claimed"]), False, "leave the claim"),
    (
        checks.claim_checker,
        checker(interval=lambda h: torch.stack([h["differences"].mean(), reach(h)])),
        False,
        "the mean and the reach",
    ),
    (
        checks.claim_checker,
        checker(interval=lambda h: torch.stack([h["differences"].min(), h["differences"].max()])),
        False,
        "the range of the runs",
    ),
    (checks.claim_checker, interval(lambda h: 3 * reach(h)), False, "the shape is right, but `interval["),
    (
        checks.claim_checker,
        checker(interval=lambda h: (0.0, 1.0), **dots_after("interval", NAMES)),
        False,
        "one tensor of two numbers, and this is a tuple",
    ),
    (
        checks.claim_checker,
        checker(interval=lambda h: h["differences"], **dots_after("interval", NAMES)),
        False,
        "its shape is (5,)",
    ),
    (
        checks.claim_checker,
        verdict(lambda low, high, claimed: "holds" if low + high >= 2 * claimed else "refuted"),
        False,
        "step 3 of 3, `verdict`: the mean does what is claimed, but part",
    ),
    (
        checks.claim_checker,
        verdict(lambda low, high, claimed: "holds" if low >= claimed else "refuted"),
        False,
        "not shown is not refuted",
    ),
    (
        checks.claim_checker,
        verdict(lambda low, high, claimed: "undecided" if low < claimed <= (low + high) / 2 else judged(low, low, claimed)),
        False,
        "the mean falls short of the claim, but part",
    ),
    (
        checks.claim_checker,
        verdict(
            lambda low, high, claimed: "undecided" if low < claimed <= (low + high) / 2 else judged(high, high, claimed)
        ),
        False,
        "not refuted is not shown",
    ),
    (checks.claim_checker, verdict(lambda *here: "undecided"), False, "lies on one side of the claim"),
    (
        checks.claim_checker,
        verdict(lambda low, high, claimed: "holds" if low > claimed else "refuted" if high < claimed else "undecided"),
        False,
        "just what is claimed is enough",
    ),
    (
        checks.claim_checker,
        verdict(lambda low, high, claimed: "refuted" if high <= claimed else judged(low, high, claimed)),
        False,
        "just what is claimed is enough",
    ),
    (checks.claim_checker, verdict(lambda *here: "refuted"), False, "all of the interval does what is claimed"),
    (checks.claim_checker, verdict(lambda *here: True), False, "and this is a bool"),
    (checks.claim_checker, verdict(lambda *here: "Holds"), False, 'and this is "Holds"'),
    (checks.claim_checker, lambda *given: checker()(*given)[2], False, "it returns a str"),
    (checks.claim_checker, lambda *given: (..., ..., ...), None, "three dots"),
    (checks.claim_checker, ..., None, "three dots"),
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


@pytest.mark.parametrize(
    ("function", "share"),
    [
        (differences(lambda a, b: b - a), 0),
        (interval(unpaired), 1 / 3),
        (verdict(lambda *here: "undecided"), 2 / 3),
        (checker(), 1),
    ],
)
def test_each_step_earns_its_share(function, share):
    assert checks.claim_checker(function).share == pytest.approx(share)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_drawn_a_slip_is_told_from_what_is_right(seed):
    assert checks.claim_checker(checker(), seed=seed).solved
    wrong = {
        "unpaired": interval(unpaired),
        "you compare with 0": verdict(lambda low, high, claimed: judged(low, high, 0)),
        "take the claim with its sign": verdict(lambda low, high, claimed: judged(low, high, abs(claimed))),
        "you reverse the sign of the claim": verdict(lambda low, high, claimed: judged(low, high, -claimed)),
        "it is the other way round": verdict(lambda low, high, claimed: judged(-high, -low, -claimed)),
        "*some* of the interval": verdict(lambda low, high, claimed: judged(high, high, claimed)),
        "not shown is not refuted": verdict(lambda low, high, claimed: judged(low, low, claimed)),
    }
    for said, function in wrong.items():
        assert said in checks.claim_checker(function, seed=seed).message


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize(
    "otherwise", [judged, lambda low, high, claimed: judged((low + high) / 2, (low + high) / 2, claimed)]
)
def test_whether_zero_lies_in_the_interval_decides_nothing(otherwise, seed):
    function = verdict(lambda low, high, claimed: "undecided" if low < 0 < high else otherwise(low, high, claimed))
    assert "whether 0 lies in the interval does not matter" in checks.claim_checker(function, seed=seed).message


def test_the_library_judges_as_the_exercise_does():
    first, second = torch.tensor([3.0, 5.0, 4.0]), torch.tensor([2.0, 3.0, 4.0])
    for claimed in (-3, 0, 1, 4):
        _, (low, high), verdict = checker()(first, second, claimed, 4.302653)
        found = ap.judge_claim((first - second).tolist(), claimed)
        assert found.verdict == verdict and (low.item(), high.item()) == pytest.approx(found[2:], abs=1e-5)
