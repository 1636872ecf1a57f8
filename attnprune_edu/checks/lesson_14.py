"""Checks of lesson 14, reading the article."""

import math
from typing import NamedTuple

import torch
from scipy import special
from torch import Tensor

from ..report.claims import verdict_on
from ..report.uncertainty import TWO_SIDED
from .steps import first_problem, no_tensor, step_by_step
from .verdict import Verdict, a_kind, close_to, exercise, number_of, right, wrong, wrong_step

VERDICTS = ("holds", "refuted", "undecided")
ALIKE = 1e-4


@exercise
def sum_of_fixed_part(answer, *, column_sum: float = 0.4) -> Verdict:
    """W = W_f + W_v with W_v = softmax of each column of W_f: what does a column of W_f sum to if that of W has this sum?"""
    answer = number_of(answer)
    near = close_to(answer, 0.005)
    if near(column_sum - 1):
        return right("whatever was learned, each output is given 1 by W_v, and W_f must take it back.")
    for value, message in (
        (column_sum + 1, "you add the 1. W = W_f + W_v, so W_f = W − W_v: take it away."),
        (1 - column_sum, "the sign is reversed: W_f = W − W_v."),
        (column_sum, "that is the sum of W itself. The column of W_v is missing, and it does not sum to 0."),
        (1, "that is what a column of W_v sums to, a softmax. Asked for is W_f = W − W_v."),
        (0, "W_f is what is left when W_v is taken away from W. The column of W_v sums to 1."),
        (
            -1,
            f"the column of W_v is taken away, but from what? W_f = W − W_v, and W's column sums to {column_sum:g}.",
        ),
        (
            -column_sum,
            "that is the sum of W itself, with its sign reversed. W_f = W − W_v, and the column of W_v is missing.",
        ),
        (column_sum / 2, "nothing says that W_f and W_v are equally large. The column of W_v is a softmax."),
    ):
        if near(value):
            return wrong(message)
    return wrong("the column of W_v is a softmax: what does it sum to? Take that away from the sum of W's column.")


@exercise
def runs_until_decided(answer, *, mean: float = 0.3, deviation: float = 0.4) -> Verdict:
    """How many paired runs, with this ``mean`` and standard ``deviation``, until the 95 % interval lies above 0?"""
    answer = number_of(answer)

    def fewest(reach):
        return next(runs for runs in range(2, 10_000) if reach(runs) < mean)

    def by_t(runs, degrees=-1, quantile=TWO_SIDED, root=0.5):
        return special.stdtrit(runs + degrees, quantile) * deviation / runs**root

    wanted, ratio = fewest(by_t), deviation / mean
    z, of_three = special.ndtri(TWO_SIDED), special.stdtrit(2, TWO_SIDED)
    if answer == wanted:
        return right(f"if both numbers stay as they are. With {wanted - 1} runs the interval still contains 0.")
    slips = (
        (wanted - 1, f"nearly: with {wanted - 1} runs the interval still reaches 0."),
        (wanted + 1, f"nearly: {wanted} runs are enough. With n runs, t has n − 1 degrees of freedom."),
        (math.ceil((z * ratio) ** 2), "1.96 is t for very many runs. With few, t is larger."),
        (fewest(lambda runs: by_t(runs, quantile=0.95)), "that is one-sided: leave 2.5 % on either side."),
        (math.ceil((of_three * ratio) ** 2), "4.303 is t for three runs. With more runs t becomes smaller, too."),
        (fewest(lambda runs: by_t(runs, root=1)), "the root is missing: the interval reaches t · s / √n."),
        (math.ceil(ratio**2), "t is missing: the interval reaches t · s / √n."),
        (fewest(lambda runs: 2 * by_t(runs)), "you take the whole width. The interval reaches t · s / √n to *either* side."),
        (fewest(lambda runs: deviation * by_t(runs)), f"s is {deviation:g}, not its square."),
    )
    if said := [message for value, message in slips if answer == value]:  # two slips may lead to the same number
        return wrong(" Or: ".join(said))
    if answer < 2:
        return wrong("a single run has no spread, and so no interval. Begin with 2 runs.")
    if answer != round(answer):
        return wrong("there are only whole runs. Look for the first n for which t · s / √n is smaller than the mean.")
    if answer < wanted:
        return wrong(f"too few: with {answer:g} runs t · s / √n is {by_t(answer):.3g}, and the mean is {mean:g}.")
    return wrong(f"fewer are enough: which is the first n with t · s / √n below {mean:g}?")


class _Case(NamedTuple):
    first: Tensor
    second: Tensor
    claimed: float
    t: float

    @property
    def differences(self) -> Tensor:
        return self.first - self.second

    @property
    def mean(self) -> float:
        return self.differences.mean().item()

    @property
    def half(self) -> float:
        return self.t * self.differences.std().item() / len(self.first) ** 0.5

    @property
    def place(self) -> tuple[float, float, float]:
        """The lower and the upper end of the interval, and the claim."""
        return self.mean - self.half, self.mean + self.half, self.claimed

    @property
    def verdict(self) -> str:
        return verdict_on(*self.place)


@exercise
def claim_checker(function) -> Verdict:
    """A function (first (runs,), second (runs,), claimed, t) → differences, interval, verdict on first − second ≥ claimed.

    differences (runs,): paired; interval (2,): the ends of mean ± t · s / √n; verdict: "holds", "refuted" or "undecided".
    """
    cases, answers = _cases(), []
    for case in cases:
        parts = step_by_step(function, STEPS, case.first, case.second, case.claimed, case.t)
        answers.append(parts["verdict"])
        if amiss := first_problem(parts | {"verdict": case.verdict}, STEPS, case):
            return amiss
        if answers[-1] not in VERDICTS:
            return first_problem(parts, STEPS, case)
    for case, answer in zip(cases, answers, strict=True):
        if problem := _wrong_verdict(answer, {}, case):
            # One verdict says little about the rule behind it. All of them say which.
            rules = (said for rule, said in RULES if [rule(*each.place) for each in cases] == answers)
            return wrong_step(3, 3, f", `verdict`: {next(rules, problem)}")
    return right("holds, refuted, undecided: the third is the honest answer to most claims in few runs.")


def _cases() -> list[_Case]:
    """Claims below and above the interval, and inside of it on both sides of the mean, for three to eight runs."""
    cases = []
    for runs in (5, 8, 3):
        t = float(special.stdtrit(runs - 1, TWO_SIDED))
        shared = 70 + 3 * torch.randn(runs)  # what both owe to their dense network
        noise = torch.randn(runs)
        noise = 0.6 * (noise - noise.mean()) / noise.std()
        for sign in (1, -1):
            drawn = _Case(shared + sign * (1 + 0.5 * torch.rand(1)) + noise, shared, 0.0, t)
            # Far from the mean, in half-widths. What decides for a claim that is plain is tried before what is open.
            cases += [drawn._replace(claimed=drawn.mean + drawn.half * place) for place in (-1.2, 1.2, -0.6, 0.6)]
    equal = torch.tensor([71.0, 73.0, 70.0])
    return [*cases, _Case(equal, equal - 1, 1.0, 4.302653)]  # just what is claimed, in each run


def _wrong_differences(part, parts: dict, case: _Case) -> str | None:
    if problem := no_tensor(part):
        return f"{problem} It holds a difference for each run: first − second."
    first, second, wanted = case.first, case.second, case.differences
    if _alike(part, wanted):
        return None
    slips = (
        (wanted.abs(), "without `abs`: a run in which `second` is ahead counts against the claim."),
        (-wanted, "the sign is reversed: you take second − first. The claim is about first − second."),
        (wanted.mean().expand(len(wanted)), "that is their mean in each place. Keep one difference for each run."),
        (first, "`second` is missing: first − second."),
        (first + second, "you add. Subtract: first − second."),
        (100 * wanted, "leave the factor of 100 away: the runs are given in points."),
        (wanted.mean(), "that is their mean. Keep one difference for each run; the interval needs their spread."),
        (wanted - case.claimed, "leave the claim aside for now. It comes in the last step."),
        (wanted / second, "that is relative. Asked for is first − second."),
        (
            first.sort().values - second.sort().values,
            "you sort before you subtract. The runs belong together as they are.",
        ),
        (
            (first[:, None] - second).flatten(),
            "you compare every run with every run. Pair them: the first with the first.",
        ),
        (first[:, None] - second, "you compare every run with every run. Pair them: the first with the first."),
    )
    for value, message in slips:
        if _alike(part, value):
            return message
    return _where(part, wanted, "differences", "(runs,)")


def _wrong_interval(part, parts: dict, case: _Case) -> str | None:
    if isinstance(part, tuple | list):
        return f"it should be one tensor of two numbers, and this is {a_kind(part)}: `torch.stack([low, high])`."
    if problem := no_tensor(part):
        return f"{problem} Two numbers: its lower and its upper end."
    runs, mean, half = len(case.first), case.mean, case.half
    if _alike(part, _ends(mean, half)):
        return None
    s, root, at = case.differences.std().item(), runs**0.5, mean
    of_three = 4.303  # as the lesson's cells have it
    apart = case.t * ((case.first.var() + case.second.var()) / runs).sqrt().item()
    one_sided = float(special.stdtrit(runs - 1, 0.95)) * s / root
    by_n = case.t * case.differences.std(correction=0).item() / root
    slips = (
        (_ends(at, apart), "that is the interval of unpaired runs. Use the spread of the differences."),
        (_ends(at, case.t * s), "the √n is missing: t · s / √n."),
        (_ends(at, case.t * s / runs), "you divide by n. Divide by its root, √n."),
        (_ends(at, s / root), "t is missing: one standard deviation of the mean to either side is not 95 %."),
        (_ends(at, s), "t and √n are missing: that is how far the single runs spread."),
        (_ends(at, 1.96 * s / root), "1.96 is for very many runs. With few, s is not well known: use `t`."),
        (_ends(at, one_sided), "that interval leaves 5 % on either side (one-sided). Use `t` as it is given."),
        (_ends(at, of_three * s / root), "4.303 is t for three runs. Use the `t` that your function is given."),
        (_ends(at, case.t * s / 3**0.5), f"√3 is for three runs. Here are {runs}: √n, with n = len(differences)."),
        (_ends(at, of_three * s / 3**0.5), f"4.303 and √3 are for three runs. Here are {runs}: use `t` and √n."),
        (_ends(at, case.t * s / (runs - 1) ** 0.5), "`.std()` has divided by n − 1 already. Divide what it gives by √n."),
        (_ends(at, by_n), "the standard deviation divides by n with you. Of a sample it divides by n − 1: `.std()`."),
        (_ends(at, case.t * s**2 / root), "you take the variance. Take the standard deviation, its root: `.std()`."),
        (_ends(at, half / 2), "your interval is half as wide: t · s / √n goes to *either* side."),
        (_ends(0, half), "it lies around 0. It should lie around the mean of the differences."),
        (_ends(case.differences.median().item(), half), "it lies around the median. It should lie around the mean."),
        (_ends(case.claimed, half), "it lies around the claim. It should lie around the mean of the differences."),
        (_ends(at - case.claimed, half), "leave the claim aside for now. It comes in the last step."),
        (_ends(at, -half), "the upper end comes first. Give the lower one first."),
        (torch.tensor([mean - half] * 2), "both ends are the lower one. The upper one is mean + t · s / √n."),
        (torch.tensor([mean, half]), "that is the mean and the reach. Give both ends: mean − reach and mean + reach."),
        (
            torch.stack([case.differences.min(), case.differences.max()]),
            "that is the range of the runs. More runs would make it wider; an interval of the mean becomes narrower.",
        ),
    )
    for value, message in slips:
        if _alike(part, value):
            return message
    return _where(part, _ends(mean, half), "interval", "(2,)")


def _wrong_verdict(part, parts: dict, case: _Case) -> str | None:
    if not isinstance(part, str) or part not in VERDICTS:
        came = f'"{part}"' if isinstance(part, str) else a_kind(part)
        return f'it is one of "holds", "refuted" and "undecided", and this is {came}.'
    if part == case.verdict:
        return None
    low, high, claimed = case.place
    here = f"Claimed is at least {claimed:.2f}, the mean is {case.mean:.2f}, the interval {low:.2f} to {high:.2f}."
    if case.verdict == "undecided":
        if part == "holds":
            amiss = "the mean does what is claimed, but" if case.mean >= claimed else "not refuted is not shown:"
            return f"{amiss} part of the interval falls short of it. {here}"
        amiss = "not shown is not refuted:" if case.mean >= claimed else "the mean falls short of the claim, but"
        return f"{amiss} part of the interval does what is claimed. {here}"
    if low == high == claimed:
        return f"just what is claimed is enough: *at least* so large. {here}"
    if part == "undecided":
        return f"all of the interval lies on one side of the claim, so it is decided. {here}"
    return f"all of the interval {'does' if low >= claimed else 'falls short of'} what is claimed. {here}"


def _by_mean(low: float, high: float, claimed: float) -> str:
    return "holds" if low + high >= 2 * claimed else "refuted"


AROUND_ZERO = "whether 0 lies in the interval does not matter. Whether the claim does is what counts."
# Rules that a reader may judge by, each a function of the interval's ends and the claim.
RULES = (
    (lambda low, high, claimed: verdict_on(low, high, 0), "you compare with 0. Compare with what is claimed."),
    (
        lambda low, high, claimed: verdict_on(low, high, abs(claimed)),
        "take the claim with its sign: it may be below 0, as in “at most one point lost”.",
    ),
    (lambda low, high, claimed: verdict_on(low, high, -claimed), "you reverse the sign of the claim. Take it as it is."),
    (
        lambda low, high, claimed: verdict_on(-high, -low, -claimed),
        "it is the other way round: claimed is that the difference is *at least* so large.",
    ),
    (
        lambda low, high, claimed: "holds" if high >= claimed else "refuted",
        "you ask whether *some* of the interval does what is claimed. If only some does, it is undecided.",
    ),
    (lambda low, high, claimed: "undecided" if low < 0 < high else verdict_on(low, high, claimed), AROUND_ZERO),
    (lambda low, high, claimed: "undecided" if low < 0 < high else _by_mean(low, high, claimed), AROUND_ZERO),
)
STEPS = {"differences": _wrong_differences, "interval": _wrong_interval, "verdict": _wrong_verdict}


def _ends(middle: float, half: float) -> Tensor:
    return torch.tensor([middle - half, middle + half])


def _alike(found: Tensor, value: Tensor) -> bool:
    return found.shape == value.shape and torch.allclose(found.to(value), value, rtol=ALIKE, atol=ALIKE)


def _where(found: Tensor, wanted: Tensor, name: str, shape: str) -> str:
    """What is wrong with a tensor that no misconception explains."""
    if found.shape != wanted.shape:
        return f"its shape is {tuple(found.shape)}, and it should be {shape}, here {tuple(wanted.shape)}."
    place = int((found - wanted).abs().argmax())
    return f"the shape is right, but `{name}[{place}]` should be {wanted[place]:.4g}, not {found[place]:.4g}."
