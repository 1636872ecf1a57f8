"""Checks of lesson 13, faces."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .steps import first_problem, no_number, no_tensor, step_by_step
from .verdict import Answered, Verdict, close_to, exercise, number_of, result_of, right, wrong

ALIKE = 1e-5
# What torch says of a slip, and what helps.
HINTS = {
    "mean(): could not infer": "truth values have no mean in torch: `.double()` first.",
    "must match the size": "compare each with each: a new axis, `[:, None]`, for one of the two sides.",
    "is out of bounds": "there are not always as many pictures as in the lesson: `len(labels)`.",
}


def _with_hint(ask: Callable, *given):
    """What ``ask`` returns for what is ``given``. If the reader's function stops with a known error, a hint is added."""
    try:
        return ask(*given)
    except Answered as end:
        for error, hint in HINTS.items():
            if error in end.verdict.message:
                raise Answered(wrong(f"{end.verdict.message.rstrip('.')}. Here is what helps: {hint}")) from end
        raise


@exercise
def true_accept_rate_by_hand(
    answer,
    *,
    own: Sequence[float] = (0.95, 0.7, 0.65, 0.45, 0.3),
    strangers: Sequence[float] = (0.8, 0.5, 0.4, 0.2, 0.1),
    most: float = 0.2,
) -> Verdict:
    """The highest true accept rate at a false accept rate of at most ``most`` (0–1).

    ``own``: similarities of pairs of one person, and ``strangers``: of pairs of two people, all of them different.
    """
    answer = number_of(answer)
    ordered, allowed = sorted(strangers, reverse=True), int(most * len(strangers) + 1e-9)
    barrier = ordered[allowed]  # the first pair of two people that must not be accepted

    def share_above(value):
        return sum(similarity > value for similarity in own) / len(own)

    best = share_above(barrier)
    accepted = round(best * len(own))
    near = close_to(answer, 0.005)
    if near(best):
        return right(
            f"{allowed} of {len(strangers)} pairs of two people may be accepted, so any threshold just above {barrier:g} "
            "is the best."
        )
    slips = [
        (100 * best, "that is in percent. Give it as a share, from 0 to 1."),
        (accepted, f"that is how many are accepted. Divide by all {len(own)} pairs of one person."),
        (1 - best, "that is the false reject rate: the share of pairs of one person that are rejected."),
        (share_above(ordered[0]), f"then no pair of two people is accepted, and {allowed} may be."),
        (accepted / (accepted + allowed), "that is the share of one person among the accepted pairs (precision)."),
        (accepted / (len(own) + len(strangers)), f"divide by the {len(own)} pairs of one person only, not by all pairs."),
        ((accepted + allowed) / (len(own) + len(strangers)), "that is the share of all pairs that are accepted."),
        (most, "that is the false accept rate that is allowed. Asked for is the true accept rate."),
    ]
    if allowed + 1 < len(ordered):
        slips.append(
            (
                share_above(ordered[allowed + 1]),
                f"then {allowed + 1} pairs of two people are accepted, and only {allowed} may be.",
            )
        )
    for value, message in slips:
        if near(value):
            return wrong(message)
    if not 0 <= answer <= 1:
        return wrong(f"a share lies between 0 and 1, and this is {answer:g}.")
    if answer == barrier:
        return wrong(
            f"{barrier:g} looks like a threshold, and from {barrier:g} on {allowed + 1} pairs of two people are accepted. "
            "Go just above it, and give the share of the pairs of one person that are accepted."
        )
    lowest = min(similarity for similarity in own if similarity > barrier) if accepted else barrier
    if barrier < answer <= lowest:
        return wrong(f"{answer:g} is a good threshold. Which share of the pairs of one person does it accept?")
    return wrong(
        f"sort the pairs of two people: {allowed} of them may be accepted. Put the threshold just above the next one, "
        "and count the pairs of one person that lie above it."
    )


@exercise
def auc_by_comparison(function) -> Verdict:
    """A function (similarity (pairs,), same (pairs,)) → the area under the ROC curve, a number from 0 to 1."""
    for pairs in (41, 61):
        same = torch.rand(pairs) < 0.35
        same[:2] = torch.tensor([True, False])
        similarity = torch.rand(pairs) * 0.6 + 0.15 * same  # no two alike
        if problem := _amiss_with_area(_area_of(function, similarity, same), similarity, same):
            return wrong(problem)
    similarity = (4 * similarity).round() / 4  # many are alike
    found, wins, ties = _area_of(function, similarity, same), *_compared(similarity, same)
    if not close_to(found, ALIKE)((wins + ties / 2).item()):
        if close_to(found, ALIKE)(wins.item()):
            return wrong(
                "right, unless two pairs are equally alike: such a tie counts one half, and with you nothing.", 2 / 3
            )
        if close_to(found, ALIKE)((wins + ties).item()):
            return wrong(
                "right, unless two pairs are equally alike: such a tie counts one half, and with you a whole.", 2 / 3
            )
        wanted = (wins + ties / 2).item()
        return wrong(f"right, unless two pairs are equally alike (count one half): {wanted:.4f}, not {found:.4f}.", 2 / 3)
    return right("no threshold was needed: the area says how good the order of all pairs is.")


def _area_of(function, similarity: Tensor, same: Tensor) -> float:
    found = _with_hint(result_of, function, similarity, same)
    if found.numel() != 1:
        raise Answered(wrong(f"the area is one number, and your function returns the shape {tuple(found.shape)}."))
    return found.double().item()


def _compared(similarity: Tensor, same: Tensor) -> tuple[Tensor, Tensor]:
    """Shares of the comparisons of a pair of one person with one of two people that it wins, and of ties."""
    differences = similarity[same][:, None] - similarity[~same][None]
    return (differences > 0).double().mean(), (differences == 0).double().mean()


def _amiss_with_area(found: float, similarity: Tensor, same: Tensor) -> str | None:
    own, strangers = similarity[same], similarity[~same]
    area, near = _compared(similarity, same)[0].item(), close_to(found, ALIKE)
    if near(area):
        return None
    if math.isnan(found):
        return "it is NaN: not a number. Is one of the two sides empty? The pairs of two people are `similarity[~same]`."
    comparisons = len(own) * len(strangers)
    in_order = [(first > second).item() for first, second in zip(own, strangers, strict=False)]
    slips = [
        (
            sum(in_order) / len(in_order),
            "you compare the first with the first, and so on. Compare each with each: `[:, None]`.",
        ),
        (area / 2, "that is half of it. A comparison that is won counts one; only a tie counts one half."),
        (1 - area, "you count how often the pair of two people is more alike. It is the other way round."),
        (
            area * comparisons,
            f"that is how many comparisons are won. Divide by all {comparisons}: `.double().mean()`.",
        ),
        (area * len(strangers), "you sum over one dimension. Take the mean over both: all comparisons."),
        (area * len(own), "you sum over one dimension. Take the mean over both: all comparisons."),
        (
            area * comparisons / len(similarity) ** 2,
            "you divide by all pairs, squared. Divide by the number of comparisons.",
        ),
        ((own.mean() - strangers.mean()).item(), "that is how far the two means are apart. Count who wins each comparison."),
        ((own > strangers.mean()).double().mean().item(), "compare with each pair of two people, not with their mean."),
        ((own.mean() > strangers).double().mean().item(), "compare each pair of one person, not their mean."),
    ]
    for value, message in slips:
        if near(value):
            return message
    if not 0 <= found <= 1:
        return f"the area lies between 0 and 1, and yours is {found:.4g}. Is it the share of comparisons that are won?"
    return f"for {len(own)} pairs of one person and {len(strangers)} of two it should be {area:.4f}, not {found:.4f}."


class _Case(NamedTuple):
    """What the reader's function is given, and the right answers, with the pairs in the order 0–1, 0–2, … ."""

    embeddings: Tensor
    labels: Tensor
    most: float

    @property
    def pairs(self) -> tuple[Tensor, Tensor]:
        return tuple(torch.triu_indices(len(self.labels), len(self.labels), offset=1))

    @property
    def cosines(self) -> Tensor:
        directions = F.normalize(self.embeddings, dim=1)
        return directions @ directions.T

    @property
    def similarity(self) -> Tensor:
        return self.cosines[self.pairs]

    @property
    def same(self) -> Tensor:
        first, second = self.pairs
        return self.labels[first] == self.labels[second]


@exercise
def verification_threshold(function) -> Verdict:
    """A function (embeddings (N, numbers), labels (N,), most) → similarity (pairs,), same (pairs,), threshold.

    Each two pictures once, in any order of the pairs; a pair is accepted from the threshold on, and of the thresholds whose
    false accept rate is at most ``most`` it is one with the highest true accept rate.
    """
    for most, spread in ((0.15, 1.5), (0.05, 1.2)):
        case = _case(most, spread)
        parts = _with_hint(step_by_step, function, STEPS, *case)
        if verdict := first_problem(parts, STEPS, case):
            return verdict
    # Directions that come more than once make ties: at the barrier either all are accepted or none.
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
    directions = torch.tensor(
        [[5.0, 0.0], [5.0, 0.0], [4.0, 3.0], [4.0, 3.0], [4.0, 3.0], [3.0, 4.0], [0.0, 5.0], [0.0, 5.0], [3.0, 4.0]]
    )
    tied = _Case(directions, labels, 0.25)
    strict = tied._replace(most=0.0)
    for case, when in (
        (tied, "several pairs are equally alike"),
        (strict, "the most alike pair shows two people and none of these may pass (then `torch.inf` accepts nobody)"),
    ):
        try:
            parts = step_by_step(function, STEPS, *case)
        except Answered as end:
            return wrong(f"right, unless {when}: {end.verdict.message}", 5 / 6)
        if problem := _wrong_threshold(parts["threshold"], parts, case):
            return wrong(f"right, unless {when}: {problem}", 5 / 6)
    # 29 of 100 may be accepted, and 0.29 * 100 is a little less than 29 in a computer.
    whole = _whole_case()
    parts = step_by_step(function, STEPS, *whole)
    if problem := _wrong_threshold(parts["threshold"], parts, whole):
        return wrong(
            "right, unless `most` of the pairs is a whole number, as 29 % of 100, which may be accepted: "
            f"{problem} `int(0.29 * 100)` is 28 in a computer; add 1e-9.",
            5 / 6,
        )
    return right("choose it on some people and report it on others: on its own pairs it keeps its promise by construction.")


def _case(most: float, spread: float) -> _Case:
    """Five people with five pictures, where one place too few for strangers rejects a pair of one person as well.

    At least the share ``most`` may pass; ``spread`` is how far the pictures of a person differ.
    """
    labels = torch.arange(5).repeat_interleave(5)[torch.randperm(25)]
    case = _Case(torch.randn(5, 8)[labels] + spread * torch.randn(25, 8), labels, most)
    own, strangers = case.similarity[case.same], case.similarity[~case.same].sort(descending=True).values
    first = int(most * len(strangers))
    lost = [((own < last) & (own > barrier)).any() for last, barrier in pairwise(strangers[first - 1 :])]
    return case._replace(most=(first + lost.index(True) + 0.5) / len(strangers))  # half a place spares a rounding error


def _whole_case() -> _Case:
    """Two people with ten pictures: 29 of 100 pairs of two people may pass, and 28 reject a pair of one person as well."""
    labels = torch.arange(2).repeat_interleave(10)
    while True:
        case = _Case(torch.randn(2, 8)[labels] + 1.5 * torch.randn(20, 8), labels, 0.29)
        own, strangers = case.similarity[case.same], case.similarity[~case.same].sort(descending=True).values
        if ((own < strangers[28]) & (own > strangers[29])).any():
            return case


def _wrong_similarity(part, parts: dict, case: _Case) -> str | None:
    if problem := no_tensor(part):
        return problem
    if part.dtype == torch.bool:
        return "it holds truth values. Is it `same`? The order is similarity, same, threshold."
    part, n = part.detach(), len(case.labels)
    if part.shape == (n, n):
        return "each two pictures come twice, and each with itself. Take what lies above the diagonal, `torch.triu_indices`."
    count = n * (n - 1) // 2
    if part.shape == (n * n,):
        return (
            f"these are all {n * n} entries. Each two pictures once are {count}: leave out the diagonal and what lies below."
        )
    if part.shape == (count + n,):
        return "each picture is compared with itself, too: `offset=1` leaves out the diagonal."
    if part.shape == (2 * count,):
        return "each two pictures come twice, once in either order."
    if part.shape != (count,):
        return f"its shape is {tuple(part.shape)}; {n} pictures make {count} pairs, so it should be ({count},)."
    if _same_values(part, case.similarity):
        return None
    first, second = case.pairs
    gram = (case.embeddings @ case.embeddings.T)[case.pairs]
    apart = (case.embeddings[first] - case.embeddings[second]).norm(dim=1)
    columns = F.normalize(case.embeddings, dim=0)
    slips = [
        (gram, "that is the product of the embeddings. Divide each embedding by its length first, `F.normalize`."),
        (gram / gram.max(), "you divide by the largest product. Divide each embedding by its own length first."),
        (apart, "that is the distance, which is small where pictures are alike. Take the cosine."),
        (-apart, "that is the distance with a minus sign. Take the cosine."),
        (1 - case.similarity, "that is one minus the cosine, a distance. Take the cosine."),
        ((columns @ columns.T)[case.pairs], "you normalise each number over the pictures, dim=0. Each picture: dim=1."),
        (case.similarity.clamp(-1, 1).acos(), "that is the angle. Take its cosine."),
        (case.similarity.abs(), "you take sizes. A negative cosine means opposite directions."),
    ]
    for value, message in slips:
        if _same_values(part, value):
            return message
    low, high = part.min().item(), part.max().item()
    if low < -1.001 or high > 1.001:
        return f"a cosine lies between −1 and 1, and yours reach from {low:.3g} to {high:.3g}."
    return "the shape is right, the numbers are not: the product of two embeddings, each divided by its length."


def _wrong_same(part, parts: dict, case: _Case) -> str | None:
    if problem := no_tensor(part):
        return problem
    similarity = parts["similarity"].detach()
    if part.shape != similarity.shape:
        return f"its shape is {tuple(part.shape)}, and it should be that of `similarity`, {tuple(similarity.shape)}."
    if part.dtype != torch.bool:
        return f"it should hold truth values, and yours are {part.dtype}: compare two labels with `==`."
    wanted = case.same[case.similarity.argsort()]
    found = part[similarity.argsort()]  # the pairs may come in any order, and no two of them are equally alike
    if found.equal(wanted):
        return None
    if found.equal(~wanted):
        return "it is True where the two pictures show two people. It should be True where they show one."
    if int(found.sum()) == int(wanted.sum()):
        return "the number of pairs of one person is right, but they stand in another order than those of `similarity`."
    return f"{int(wanted.sum())} of these {len(wanted)} pairs show one person, and with you {int(found.sum())}."


def _wrong_threshold(part, parts: dict, case: _Case) -> str | None:
    """``part`` is held against the reader's own similarities, which may differ from others' by rounding errors."""
    if problem := no_number(part):
        return problem
    threshold, most = float(part), case.most
    if threshold != threshold:
        return "it is NaN: not a number."
    similarity, same = parts["similarity"].detach().double(), parts["same"]
    own, strangers = similarity[same], similarity[~same]

    def rates(value: float) -> tuple[float, float]:
        return (strangers >= value).double().mean().item(), (own >= value).double().mean().item()

    candidates = sorted({*similarity.tolist(), torch.inf})
    best = max(true for false, true in map(rates, candidates) if false <= most)
    (false, true), near = rates(threshold), close_to(threshold, ALIKE)
    if false <= most and true == best:
        return None
    # A similarity may be a quantile of few pairs by chance.
    quantiles = (
        []
        if threshold in candidates
        else [
            (
                torch.quantile(similarity, 1 - most).item(),
                "that is a quantile of all pairs. Only those of two people count.",
            ),
            (
                torch.quantile(own, most).item(),
                f"that rejects {most:.0%} of the pairs of one person. Look at those of two people.",
            ),
        ]
    )
    slips = [
        (best, "that is the true accept rate. Asked for is the threshold that leads to it."),
        (1 - most, "that is a share of the pairs. Asked for is a similarity."),
        *quantiles,
    ]
    for value, message in slips:
        if near(value):
            return message
    hint = next((f" {message}" for value, message in _other_shares(similarity, same, most) if near(value)), "")
    if false <= most:
        return (
            f"with {threshold:.4g}, {true:.1%} of the pairs of one person are accepted. A lower one accepts {best:.1%}, "
            f"and no more pairs of two people than may pass.{hint}"
        )
    passed = f"with {threshold:.4g}, {false:.1%} of the pairs of two people are accepted, and at most {most:.1%} may."
    if (strangers == threshold).any() and rates(min(value for value in candidates if value > threshold))[0] <= most:
        return (
            f"{passed} Round down, `int(…)`. "
            "A pair that is just as alike as the threshold is accepted, too: go to the next higher similarity."
        )
    if near(torch.quantile(strangers, 1 - most).item()):
        return f"{passed} A quantile lies between two of them, and may accept one too many: sort and count."
    if not hint and (strangers >= threshold).sum() == int(most * len(strangers) + 1e-9) + 1:
        return f"{passed} That is one pair too many: round down, `int(…)`."
    return passed + hint


def _other_shares(similarity: Tensor, same: Tensor, most: float) -> list[tuple[float, str]]:
    """Thresholds that keep the share ``most`` of something else than the most alike pairs of two people, and what to say.

    They are similarities, and two of them may be equal by chance: a hint beside what is wrong, and not instead of it.
    """
    own, strangers = similarity[same], similarity[~same].sort(descending=True).values
    count, candidates = f"of the {len(strangers)} pairs of two people", [*similarity.tolist(), torch.inf]

    def above(ordered: Tensor, pairs: int) -> float:
        barrier = ordered[min(int(most * pairs + 1e-9), len(ordered) - 1)]
        return min(value for value in candidates if value > barrier)

    def share_of_accepted(value: float) -> float:
        return ((strangers >= value).sum() / (similarity >= value).sum()).item()

    return [
        (
            above(strangers, len(similarity)),
            f"Take the share {most:.1%} {count} only, not of all {len(similarity)}.",
        ),
        (above(strangers, len(own)), f"Take the share {most:.1%} {count}, not of those of one person."),
        (above(strangers.flip(0), len(strangers)), "Sort the highest first: `descending=True`."),
        (
            min((value for value in candidates if share_of_accepted(value) <= most), default=torch.inf),
            f"Is your false accept rate the share {count}, and not of the accepted pairs?",
        ),
    ]


STEPS = {"similarity": _wrong_similarity, "same": _wrong_same, "threshold": _wrong_threshold}


def _same_values(found: Tensor, wanted: Tensor) -> bool:
    """Are these the same numbers, in whatever order?"""
    return torch.allclose(found.to(wanted).sort().values, wanted.sort().values, rtol=1e-4, atol=1e-5)
