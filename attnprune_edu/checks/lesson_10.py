"""Checks of lesson 10, adaptive attention."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .observers import gradient_of_last, observe
from .steps import first_problem, no_tensor, step_by_step
from .verdict import (
    NOT_TRIED,
    Answered,
    Verdict,
    a_kind,
    close_to,
    exercise,
    number_of,
    returned_by,
    right,
    wrong,
    wrong_step,
)


@exercise
def steps_until_overtaken(answer, *, decay: float = 0.95, behind: float = 0.5) -> Verdict:
    """The running mean of a channel is 1 and gets only 0 from now on; after how many steps is it below ``behind``?"""
    answer, exact = number_of(answer), math.log(behind) / math.log(decay)
    steps = math.floor(exact) + 1
    if answer == steps:
        return right(f"after {steps} steps {decay:g}^{steps} = {decay**steps:.3f} is left. A running mean forgets slowly.")
    if answer == steps - 1:
        return wrong(f"after {steps - 1} steps {decay ** (steps - 1):.3f} is left, which is not below {behind:g} yet.")
    if close_to(answer, 0.1)(exact):
        return wrong("that is where the two are equal. Steps are whole: give the first one after which it is behind.")
    linear = (1 - behind) / (1 - decay)
    if abs(answer - linear) < 1.01:
        return wrong(
            f"you take {1 - decay:.2g} away in each step. Each step multiplies what is left by {decay:g}, so that it falls "
            "ever more slowly."
        )
    if close_to(answer, 0.1)(1 / (1 - decay)):
        return wrong(
            f"1 / (1 − {decay:g}) is how many steps the mean looks back on. Ask when {decay:g}^n is below {behind:g}."
        )
    if answer in (0, 1):
        return wrong(
            "what is measured is 0 at once, but the running mean remembers: it falls by a small share in each step."
        )
    if 0 < answer < 1:
        return wrong("that is a mean. The number of steps is asked for.")
    if abs(answer + exact) < 1:
        return wrong(f"a number of steps is not negative. Both logarithms are, ln {behind:g} and ln {decay:g}: divide them.")
    if answer == steps + 1:
        return wrong(f"one step less is enough: after {steps} steps {decay**steps:.3f} is left.")
    return wrong(
        f"after n steps {decay:g}^n of the mean is left. Find the first whole n with which that is below {behind:g}."
    )


@exercise
def held_ramp(function, *, slow: float = 0) -> Verdict:
    """A function (ratio, epochs, accuracies, wanted) → the silent share after each epoch, by a cubic ramp that waits.

    In an epoch that follows an accuracy below ``wanted`` it goes on by ``slow`` epochs.
    """
    for epochs in (3, 5):
        ratio, wanted = 0.5 + int(torch.randint(1, 40, ())) / 100, 0.6 + int(torch.randint(0, 20, ())) / 100
        low = [wanted - 0.01 * int(torch.randint(1, 9, ())) for _ in range(3)]
        high = [wanted + 0.01 * int(torch.randint(1, 9, ())) for _ in range(epochs)]
        # Equal is good enough; the end comes after the ramp, and is low: `accuracies[-1]` is not the one before the first.
        accuracies = [high[0], low[0], low[1], wanted, low[2], *high[1:], low[0]]
        given = _Ramp(ratio, epochs, accuracies, wanted, slow)
        if problem := _amiss(_shares(function, given), given):
            return wrong(problem)
    return right("the ramp loses no ground and skips nothing: it goes on where it stopped.")


class _Ramp(NamedTuple):
    ratio: float
    epochs: int
    accuracies: list[float]
    wanted: float
    slow: float

    def share(self, done: float, power: int = 3) -> float:
        """The share after so many epochs of the ramp."""
        return self.ratio * (1 - (1 - done / self.epochs) ** power)

    def epochs_done(
        self,
        holds: Callable[[float, float], bool] = lambda accuracy, wanted: accuracy < wanted,
        *,
        same_epoch: bool = False,
        for_good: bool = False,
        held: bool = False,
        if_held: Callable[[float], float] | None = None,
        add: Callable[[float, float], float] | None = None,
    ) -> list[float]:
        """How many epochs of the ramp are done after each epoch; the arguments are slips."""
        add = add or (lambda done, step: min(done + step, self.epochs))
        all_done: list[float] = []
        done = 0.0
        for accuracy in self.accuracies:
            if same_epoch:
                held = holds(accuracy, self.wanted)
            done = if_held(done) if held and if_held else add(done, self.slow if held else 1)
            all_done.append(done)
            held = (for_good and held) or holds(accuracy, self.wanted)
        return all_done

    def shares(self, *slips, **more_slips) -> list[float]:
        """The share after each epoch."""
        return [self.share(done) for done in self.epochs_done(*slips, **more_slips)]


def _shares(function, given: _Ramp) -> list[float]:
    accuracies = list(given.accuracies)
    result = returned_by(function, given.ratio, given.epochs, accuracies, given.wanted)
    if accuracies != given.accuracies:
        raise Answered(wrong("your function changes the list `accuracies` that it is given. Leave it as it is."))
    if isinstance(result, Tensor | np.ndarray):
        result = result.tolist()
    if not isinstance(result, list | tuple):
        raise Answered(wrong(f"return a list, a share for each epoch; your function returns {a_kind(result)}."))
    if any(share is ... for share in result):
        raise Answered(NOT_TRIED)
    if len(result) != len(given.accuracies):
        count = len(given.accuracies)
        raise Answered(wrong(f"for {count} accuracies there are {count} shares; your function returns {len(result)}."))
    return [float(share) for share in result]


def _amiss(found: list[float], given: _Ramp) -> str | None:
    """The misconception behind the shares that were ``found``; None if they are right."""
    # By one epoch number a ramp that never waited would be further: who counts epochs jumps ahead after a wait.
    unheld, held, done = given.shares(lambda accuracy, wanted: False), given.shares(), given.epochs_done()
    waits = [False, *(accuracy < given.wanted for accuracy in given.accuracies[:-1])]
    jumps: list[float] = []
    for epoch, wait in enumerate(waits, start=1):
        jumps.append(min(jumps[-1] + given.slow if wait else epoch, given.epochs))
    over = "when the ramp is over the share stays at `ratio`"
    slow = f"{given.slow:g} epochs of the ramp"
    adds = slow if given.slow else "nothing"
    slips = [
        (held, None),
        (unheld, f"your ramp never waits. After an accuracy below `wanted` the next epoch adds {adds}."),
        (given.shares(if_held=lambda done: done), f"your ramp stands still. In your version such an epoch adds {slow}."),
        (
            given.shares(if_held=lambda done: min(done + 1 - given.slow, given.epochs)),
            f"you take {given.slow:g} away from an epoch. In your version it adds {slow}.",
        ),
        (
            given.shares(held=True),
            "your ramp waits in the first epoch, which follows no accuracy. (Beware: `accuracies[-1]` is the last one.)",
        ),
        (given.shares(same_epoch=True), "an accuracy is known after its epoch: it decides about the next one."),
        (
            [given.share(epochs) for epochs in jumps],
            "after the wait your ramp jumps to where it would have been. Count the epochs in which it went on.",
        ),
        (given.shares(lambda accuracy, wanted: accuracy <= wanted), "an accuracy of just `wanted` is good enough: use <."),
        (given.shares(lambda accuracy, wanted: accuracy > wanted), "it is the other way round: wait while it is too low."),
        (given.shares(for_good=True), "your ramp stops for good. When the accuracy is back, it goes on."),
        (
            given.shares(if_held=lambda done: max(done - 1, 0)),
            "your ramp goes back. What is silent may change, but the share never falls.",
        ),
        (given.shares(if_held=lambda done: 0), "your ramp begins anew after a wait. It goes on where it stopped."),
        (
            [0 if wait else share for wait, share in zip(waits, held, strict=True)],
            "while your ramp waits the share falls to 0. It stays as it is.",
        ),
        (
            [given.share(epochs, power=1) for epochs in done],
            "that waits as it should, but the ramp is linear. Use the cubic one of lesson 06.",
        ),
        ([given.share(epochs, power=2) for epochs in done], "the exponent of the ramp is 3."),
        (
            [given.ratio * (epochs / given.epochs) ** 3 for epochs in done],
            "your ramp takes little at first and ever more. The cubic one is ratio · (1 − (1 − done / epochs)³).",
        ),
        ([given.ratio - share for share in held], "that share is still to come. The silent share is asked for."),
        (
            given._replace(epochs=len(given.accuracies)).shares(),
            "your ramp takes as many epochs as there are accuracies. It takes `epochs` of them, if it never waits.",
        ),
        *[
            ([given.share(epochs) for epochs in ahead], "your ramp is an epoch ahead. After the first one it went on once.")
            for ahead in ([epochs + 1 for epochs in done], [min(epochs + 1, given.epochs) for epochs in done])
        ],
        (given.shares(add=lambda done, step: done + step), f"{over}; yours goes on."),
        (given.shares(add=lambda done, step: done + step * (done < given.epochs)), f"{over}, and does not pass it."),
        ([1 - share for share in held], "that share stays open. The silent share is asked for."),
        ([100 * share for share in held], "give shares between 0 and 1, not percent."),
        ([0.0, *held[:-1]], "that is the share before each epoch. The first epoch already takes some: give it after each."),
        ([share / given.ratio for share in held], "your ramp ends at 1, whatever `ratio` is."),
    ]
    for values, message in slips:
        if len(values) == len(found) and all(abs(a - b) < 1e-5 for a, b in zip(found, values, strict=True)):
            return message
    place = next(number for number, (a, b) in enumerate(zip(found, held, strict=True)) if abs(a - b) >= 1e-5)
    so_far = ", ".join(f"{accuracy:.2f}" for accuracy in given.accuracies[: place + 1])
    return (
        f"after epoch {place + 1} the share should be {held[place]:.4g}, and yours is {found[place]:.4g}; the accuracies "
        f"were {so_far}, wanted {given.wanted:.2f}."
    )


@exercise
def running_gate(function, *, power: float = 2) -> Verdict:
    """A function (output, mean, keep, share, decay) → now, mean, keep, gated: one training step of a layer's gate.

    ``power``: of the mean over the pictures, in the attention ``now``.
    """
    gradients = []

    def observed(*inputs):
        result, *gradients[:] = observe(gradient_of_last, function, *inputs)
        return result

    problems = []
    # `int` silences too few in the first case; rounding up, and a quantile as a threshold, too many in the second.
    for channels, share, first in ((10, 0.37, False), (9, 0.26, False), (9, 0.26, True)):
        case = _gate_case(channels, share, power, first)
        try:
            parts = step_by_step(observed if callable(function) else function, STEPS, *case.given)
        except Answered as end:
            problems.append(_explained(end.verdict, first))
        else:
            problems.append(_at_first(first_problem(parts, STEPS, case._replace(gradient=gradients[0])), first))
        if problems[-1] and not problems[-1].share:
            return problems[-1]
    # The earliest step that is wrong in any case: what lacks the first step of all is not told to go on.
    return min(filter(None, problems), key=lambda problem: problem.share, default=None) or right(
        "all four. What is silent is measured like the others, and that is why it can come back."
    )


def _at_first(problem: Verdict | None, first: bool) -> Verdict | None:
    """The ``problem``, with a word on when it is seen only in the ``first`` step of a training."""
    if problem is None or not first:
        return problem
    when = " (in the first step of all, where `mean` is None)"
    return wrong(problem.message.removesuffix(".") + f"{when}.", problem.share)


def _explained(verdict: Verdict, first: bool) -> Verdict:
    """The ``verdict`` on a function that stops, with a word on the cause."""
    stops = verdict.message
    if not stops.startswith("your function stops"):
        return verdict
    if first:  # it got through with a mean
        return wrong_step(
            2, len(STEPS), f", `mean`: in the first step of all it is None, and the new mean is `now`; {stops}"
        )
    if "Boolean value of Tensor" in stops:
        return wrong(f"{stops}. Ask `mean is None`.")
    often = (
        " Often `now` is not one number for each channel, or `keep` stands without `[:, None, None]`, which makes its shape "
        "(channels, 1, 1)."
        if "size" in stops or "index" in stops
        else ""
    )
    return wrong(f"{stops}.{often} Leave the later lines at `...` and run the check again: it looks at each step.")


class _GateCase(NamedTuple):
    output: Tensor  # (images, channels, height, width)
    mean: Tensor | None
    keep: Tensor
    share: float
    decay: float
    power: float
    gradient: Tensor | None = None  # of the sum of what the reader's gate lets through, by ``output``

    @property
    def given(self) -> tuple:
        return self[:5]

    @property
    def now(self) -> Tensor:
        return _attention(self.values, self.power)

    @property
    def values(self) -> Tensor:
        return self.output.detach()

    def blend(self, now: Tensor, old: float, new: float) -> Tensor:
        return now if self.mean is None else old * self.mean + new * now

    @property
    def silent(self) -> int:
        return round(self.share * len(self.keep))


def _attention(output: Tensor, power: float) -> Tensor:
    return (output.relu().mean(dim=0) ** power).mean(dim=(1, 2))


def _best(scores: Tensor, count: int) -> Tensor:
    keep = torch.zeros(len(scores), dtype=torch.bool)
    keep[scores.topk(count).indices] = True
    return keep


def _gate_case(channels: int, share: float, power: float, first: bool) -> _GateCase:
    """A step in which each slip makes a difference: drawn again until it does."""
    decay = 0.7
    while True:
        loudness = torch.linspace(0.5, 2, channels)[torch.randperm(channels)][:, None, None]
        output = torch.randn(7, channels, 4, 5) * loudness + 0.5 * torch.randn(channels, 1, 1)
        now = _attention(output, power)
        mean = None if first else now[torch.randperm(channels)]
        keep = torch.ones(channels, dtype=torch.bool)
        if not first:
            keep[torch.randperm(channels)[: channels - 7]] = False
        case = _GateCase(output.requires_grad_(), mean, keep, share, decay, power)
        mixed, count = case.blend(now, decay, 1 - decay), channels - case.silent
        best = _best(mixed, count)
        never_back = best & keep  # and then it should not look as if only the number were wrong
        others = [_best(now, count), _best(mean, count), _best(mixed, int(never_back.sum()))] if not first else []
        gaps = mixed.sort().values.diff() / mixed.mean()
        if gaps.min() > 1e-3 and not any(choice.equal(other) for choice in (best, never_back) for other in others):
            return case


def _alike(found: Tensor, wanted: Tensor) -> bool:
    # NaN is what a power that is not whole makes of negative numbers: of all slips, those without the ReLU.
    return found.shape == wanted.shape and torch.allclose(found.to(wanted), wanted, rtol=1e-4, atol=1e-6, equal_nan=True)


def _by_channel(value, name: str, case: _GateCase) -> str | None:
    """Why ``value`` is no tensor with a number for each channel."""
    if problem := no_tensor(value):
        return problem
    if value.shape != case.keep.shape:
        wanted = tuple(case.keep.shape)
        return f"its shape is {tuple(value.shape)}, and it should be {wanted}: one number for each channel."
    if name != "keep" and value.requires_grad:
        return (
            "it still holds the way back to the weights. Such a mean drags the passes of all earlier batches along: measure "
            "under `torch.no_grad()`, or use `.detach()`."
        )
    return None


def _first_match(found: Tensor, slips: list[tuple[Tensor, str]]) -> str | None:
    return next((message for value, message in slips if _alike(found, value)), None)


def _wrong_now(now, parts, case: _GateCase) -> str | None:
    if problem := _by_channel(now, "now", case):
        return problem
    output, power, dims = case.values, case.power, (1, 2)
    wanted, through = case.now, output.relu()
    if _alike(now, wanted):
        return None
    gated = torch.where(case.keep[:, None, None], output, 0.0)
    raised = "the square" if power == 2 else f"the power {power:g}"
    slips = [
        (
            _attention(gated, power),
            "you measure behind the gate: what is silent gets 0 and can never come back. Measure before it.",
        ),
        (_attention(output, 2), f"you square. Your version takes {raised}."),
        ((power * through.mean(0)).mean(dims), f"you multiply by {power:g}. Take {raised}."),
        (_attention(output, 1 / power), f"that is a root. Take {raised}."),
        ((output.mean(0) ** power).mean(dims), "the ReLU is missing: only what a channel lets through counts."),
        ((output.mean(0).relu() ** power).mean(dims), "first the ReLU, then the mean over the pictures."),
        (
            (output.abs().mean(0) ** power).mean(dims),
            "you take the size of each output. What is negative does not pass the ReLU.",
        ),
        (
            (through**power).mean(dim=(0, 2, 3)),
            f"you take {raised} of each picture. First comes the mean over the pictures.",
        ),
        (through.mean(dim=(0, 2, 3)), f"{raised} is missing."),
        (
            through.mean(dim=(0, 2, 3)) ** power,
            f"you take {raised} at the end. Take it at each position, and then the mean over them.",
        ),
        ((through.mean(0) ** power).sum(dims), "you add the positions up. Take their mean."),
        ((through.sum(0) ** power).mean(dims), "you add the pictures up. Take their mean."),
        (
            case.blend(wanted, case.decay, 1 - case.decay),
            "that is the new mean. Return now, mean, keep and gated, in this order.",
        ),
    ]
    return _first_match(now, slips) or (
        f"the shape is right, the numbers are not: the first is {now[0]:.4g}, and it should be {wanted[0]:.4g}."
    )


def _wrong_mean(mean, parts, case: _GateCase) -> str | None:
    if mean is None and case.mean is None:
        return "there is no mean yet, so that of this step is the first: return `now`."
    if problem := _by_channel(mean, "mean", case):
        return problem
    now = case.now
    wanted = case.blend(now, case.decay, 1 - case.decay)
    if _alike(mean, wanted):
        return None
    if case.mean is None:
        return "there is no mean yet, so that of this step is the first: return `now`, whole."
    slips = [
        (case.blend(now, 1 - case.decay, case.decay), "the two are swapped: `decay` is the share of the old mean."),
        (case.mean, "that is the old mean. Move it a little towards `now`."),
        (now, "that is `now`. The mean keeps `decay` of what it was."),
        (case.blend(now, 0.5, 0.5), "you take the middle of the two. Weigh them by `decay` and 1 − `decay`."),
        (case.blend(now, case.decay, 1), "`now` counts whole. Multiply it by 1 − `decay`, or the mean grows in each step."),
        (case.blend(now, 1, 1 - case.decay), "the old mean counts whole. Multiply it by `decay`."),
    ]
    return _first_match(mean, slips) or "it should be decay · mean + (1 − decay) · now."


def _wrong_keep(keep, parts, case: _GateCase) -> str | None:
    count = len(case.keep) - case.silent
    if isinstance(keep, Tensor) and keep.shape == (count,) and not keep.is_floating_point():
        return "these are the numbers of the channels. Return True or False for each channel."
    if problem := _by_channel(keep, "keep", case):
        return problem
    if keep.dtype != torch.bool:
        return f"it should hold True and False, and its type is {str(keep.dtype).removeprefix('torch.')}."
    now = case.now
    mean = case.blend(now, case.decay, 1 - case.decay)
    wanted = _best(mean, count)
    if keep.equal(wanted):
        return None
    slips = [
        (
            wanted & case.keep,
            "you also ask that a channel was open before. Then nothing comes back, and too many are silent.",
        ),
        (wanted | case.keep, "what was open stays open as well. Choose by the new mean alone."),
        (~wanted, "it is the other way round: True for the channels that stay open, those with the highest mean."),
        (_best(-mean, count), "you keep the channels with the lowest mean."),
        (_best(mean, case.silent), "you keep as many as should be silent: `share` is the silent share."),
        (
            _best(mean.where(case.keep, -1), count),
            "you choose only among the channels that were open. Then nothing comes back: choose among all.",
        ),
        (case.keep, "that is the old choice. Choose again, by the new mean."),
        (_best(now, count), "you choose by this step alone. Choose by the mean, which does not jump with each batch."),
        (_best(case.mean if case.mean is not None else now, count), "you choose by the old mean. Take the new one."),
    ]
    for value, message in slips:
        if keep.equal(value):
            return message
    if keep.sum() != count:
        exact = f"round({case.share * len(keep):g})"
        why = (
            " Take the nearest whole number, not all below a threshold." if keep.equal(_best(mean, int(keep.sum()))) else ""
        )
        return f"{int((~keep).sum())} are silent, and it should be round(share · channels) = {exact} = {case.silent}.{why}"
    return "the number is right, the choice is not. Open stay those with the highest mean."


def _wrong_gated(gated, parts, case: _GateCase) -> str | None:
    if problem := no_tensor(gated):
        return problem
    output, keep = case.values, parts["keep"]
    if gated.shape != output.shape:
        cut = gated.ndim == 4 and gated.shape[1] == int(keep.sum())
        why = "The silent channels are 0, not cut out: the next layer expects them" if cut else "It should be as it was"
        return f"its shape is {tuple(gated.shape)}, and that of `output` is {tuple(output.shape)}. {why}."
    wanted, found = torch.where(keep[:, None, None], output, 0.0), gated.detach()
    slips = [
        (output, "nothing is silent."),
        (torch.where(keep[:, None, None], 0.0, output), "open and silent are swapped."),
        (torch.where(case.keep[:, None, None], output, 0.0), "you use the old choice. Use the new one."),
        (wanted.relu(), "return the output as it is, without a ReLU: the network has its own."),
        (wanted / (1 - case.share), "the channels that stay are scaled, as dropout does. Leave them as they are."),
    ]
    if not _alike(found, wanted):
        return _first_match(found, slips) or "open channels should be as in `output`, silent ones 0."
    if found[:, ~keep].any():
        return "a silent channel should be 0, not next to nothing."
    if not gated.requires_grad:
        return "no gradient gets through, so that nothing would learn. Only what is measured is without gradients."
    gradient = case.gradient
    if gradient is None or not _alike(gradient[:, keep], torch.ones_like(gradient[:, keep])):
        return "through an open gate the gradient should pass as if there were none."
    if gradient[:, ~keep].any():
        return "a silent channel gets a gradient, as by the straight-through trick. Here the silent ones wait."
    return None


STEPS = {"now": _wrong_now, "mean": _wrong_mean, "keep": _wrong_keep, "gated": _wrong_gated}
