"""Checks of lesson 10, adaptive attention."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .observers import gradient_of_last, observe
from .steps import first_problem, no_tensor, step_by_step
from .verdict import NOT_TRIED, Answered, Verdict, a_kind, close_to, exercise, number_of, returned_by, right, wrong


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
    if close_to(answer, 0.01)(decay**steps) or close_to(answer, 0.01)(decay ** (steps - 1)):
        return wrong("that is a mean. The number of steps is asked for.")
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
        accuracies = [
            high[0],
            low[0],
            low[1],
            wanted,
            low[2],
            *high[1:],
            high[0],
        ]  # equal is good enough; ends after the ramp
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

    def shares(
        self,
        holds: Callable[[float, float], bool] = lambda accuracy, wanted: accuracy < wanted,
        *,
        power: int = 3,
        same_epoch: bool = False,
        for_good: bool = False,
        if_held: Callable[[float], float] | None = None,
        add: Callable[[float, float], float] | None = None,
    ) -> list[float]:
        """The share after each epoch; the arguments are slips."""
        add = add or (lambda done, step: min(done + step, self.epochs))
        shares: list[float] = []
        done, held = 0.0, False
        for accuracy in self.accuracies:
            if same_epoch:
                held = holds(accuracy, self.wanted)
            done = if_held(done) if held and if_held else add(done, self.slow if held else 1)
            shares.append(self.share(done, power))
            held = (for_good and held) or holds(accuracy, self.wanted)
        return shares


def _shares(function, given: _Ramp) -> list[float]:
    result = returned_by(function, given.ratio, given.epochs, list(given.accuracies), given.wanted)
    if isinstance(result, Tensor):
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
    unheld, held = given.shares(lambda accuracy, wanted: False), given.shares()
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
        (given.shares(same_epoch=True), "an accuracy is known after its epoch: it decides about the next one."),
        (
            [given.share(done) for done in jumps],
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
        (given.shares(power=1), "that waits as it should, but the ramp is linear. Use the cubic one of lesson 06."),
        (given.shares(power=2), "the exponent of the ramp is 3."),
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

    for first in (False, True):
        case = _gate_case(first, power)
        parts = step_by_step(observed if callable(function) else function, STEPS, *case.given)
        case = case._replace(gradient=gradients[0])
        if problem := first_problem(parts, STEPS, case):
            when = " (in the first step of all, where `mean` is None)" if first else ""
            return wrong(problem.message.removesuffix(".") + f"{when}.", problem.share)
    return right("all four. What is silent is measured like the others, and that is why it can come back.")


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


def _gate_case(first: bool, power: float) -> _GateCase:
    """A step in which each slip makes a difference: drawn again until it does."""
    channels, share, decay = (9, 1 / 3, 0.6) if first else (10, 0.4, 0.7)
    while True:
        loudness = torch.linspace(0.5, 2, channels)[torch.randperm(channels)][:, None, None]
        output = torch.randn(7, channels, 4, 5) * loudness + 0.5 * torch.randn(channels, 1, 1)
        now = _attention(output, power)
        mean = None if first else now[torch.randperm(channels)]
        keep = torch.ones(channels, dtype=torch.bool)
        if not first:
            keep[torch.randperm(channels)[:4]] = False
        case = _GateCase(output.requires_grad_(), mean, keep, share, decay, power)
        mixed, count = case.blend(now, decay, 1 - decay), channels - case.silent
        best = _best(mixed, count)
        others = [best & keep, _best(now, count), _best(mean, count), keep] if not first else [keep]
        gaps = mixed.sort().values.diff() / mixed.mean()
        if gaps.min() > 1e-3 and not any(best.equal(other) for other in others):
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
        (~wanted, "it is the other way round: True for the channels that stay open, those with the highest mean."),
        (_best(-mean, count), "you keep the channels with the lowest mean."),
        (_best(mean, case.silent), "you keep as many as should be silent: `share` is the silent share."),
        (case.keep, "that is the old choice. Choose again, by the new mean."),
        (_best(now, count), "you choose by this step alone. Choose by the mean, which does not jump with each batch."),
        (_best(case.mean if case.mean is not None else now, count), "you choose by the old mean. Take the new one."),
        (mean > mean.mean(), "you compare with the average. So many are silent as `share` says: round(share · channels)."),
    ]
    for value, message in slips:
        if keep.equal(value):
            return message
    if keep.sum() != count:
        return f"{int((~keep).sum())} are silent, and it should be round(share · channels) = {case.silent}."
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
    if not gated.requires_grad:
        return "no gradient gets through, so that nothing would learn. Only what is measured is without gradients."
    gradient = case.gradient
    if gradient is None or not _alike(gradient[:, keep], torch.ones_like(gradient[:, keep])):
        return "through an open gate the gradient should pass as if there were none."
    return None


STEPS = {"now": _wrong_now, "mean": _wrong_mean, "keep": _wrong_keep, "gated": _wrong_gated}
