"""Wrong answers to the coursework on lesson 10: {check: [(given numbers → the answer, what the verdict says)]}."""

import math

import torch
from test_lesson_10 import chosen, closed, moved, ramp, running


def steps(decay, behind):
    """After how many steps the mean is as low as the other: no whole number."""
    return math.log(behind) / math.log(decay)


def held(add=lambda done, step, epochs: min(done + step, epochs), power=3, wait=lambda accuracy, wanted: accuracy < wanted):
    """The student's ramp, with a place for each slip."""

    def answer(slow):
        def function(ratio, epochs, accuracies, wanted):
            shares, done, waits = [], 0, False
            for accuracy in accuracies:
                done = add(done, slow if waits else 1, epochs)
                shares.append(ratio * (1 - (1 - done / epochs) ** power))
                waits = wait(accuracy, wanted)
            return shares

        return function

    return answer


def after(change):
    """The student's ramp, and what ``change`` makes of its shares."""
    return lambda slow: lambda ratio, *others: change(held()(slow)(ratio, *others), ratio)


def slower(of):
    """A ramp that goes on by ``of`` the student's number after a low accuracy."""
    return lambda slow: held()(of(slow))


def by_epoch_number(slow):
    def function(ratio, epochs, accuracies, wanted):
        shares, done = [], 0
        for epoch, before in enumerate([wanted, *accuracies[:-1]], start=1):
            done = min(done + slow if before < wanted else epoch, epochs)
            shares.append(ratio * (1 - (1 - done / epochs) ** 3))
        return shares

    return function


def in_the_same_epoch(slow):
    def function(ratio, epochs, accuracies, wanted):
        shares, done = [], 0
        for accuracy in accuracies:
            done = min(done + (slow if accuracy < wanted else 1), epochs)
            shares.append(ratio * (1 - (1 - done / epochs) ** 3))
        return shares

    return function


def measured(change):
    """The attention as ``change`` makes it of the output and the student's power."""
    return lambda power: running(now=lambda here: torch.no_grad()(change)(here["output"], power))


def raised(output, power):
    return (output.relu().mean(dim=0) ** power).mean(dim=(1, 2))


def own(**slips):
    """The student's gate, with these slips in later steps."""
    return lambda power: running(now=lambda here: torch.no_grad()(raised)(here["output"], power), **slips)


SLIPS = {
    "steps_until_overtaken": [
        (lambda **given: math.floor(steps(**given)), "is left, which is not below"),
        (steps, "Steps are whole"),
        (lambda **given: math.floor(steps(**given)) + 2, "one step less is enough"),
        (lambda decay, behind: (1 - behind) / (1 - decay), "away in each step"),
        (lambda decay, behind: 1 / (1 - decay), "looks back on"),
        (lambda **given: 1, "remembers"),
        (lambda decay, behind: decay ** math.floor(steps(decay, behind)), "The number of steps"),
        (lambda decay, behind: decay ** math.ceil(steps(decay, behind)), "The number of steps"),
        (lambda **given: 14, "the lesson's own numbers"),
        (lambda **given: 500, "Find the first whole n"),
    ],
    "held_ramp": [
        (lambda slow: ramp(), "the lesson's own exercise"),
        (slower(lambda slow: 1), "your ramp never waits"),
        (slower(lambda slow: 1 - slow), "away from an epoch"),
        (slower(lambda slow: 0), "your ramp stands still"),
        (slower(lambda slow: slow / 2), "the share should be"),
        (in_the_same_epoch, "decides about the next one"),
        (by_epoch_number, "jumps to where it would have been"),
        (held(wait=lambda accuracy, wanted: accuracy <= wanted), "use <"),
        (held(wait=lambda accuracy, wanted: accuracy > wanted), "other way round"),
        (held(add=lambda done, step, epochs: min(done + step, epochs) if step == 1 else max(done - 1, 0)), "goes back"),
        (held(add=lambda done, step, epochs: min(done + step, epochs) if step == 1 else 0), "begins anew"),
        (held(add=lambda done, step, epochs: done + step), "yours goes on"),
        (held(add=lambda done, step, epochs: done + step if done < epochs else done), "does not pass it"),
        (held(power=1), "linear"),
        (held(power=2), "the exponent of the ramp"),
        (after(lambda shares, ratio: [1 - share for share in shares]), "stays open"),
        (after(lambda shares, ratio: [100 * share for share in shares]), "not percent"),
        (after(lambda shares, ratio: [0.0, *shares[:-1]]), "before each epoch"),
        (after(lambda shares, ratio: [share / ratio for share in shares]), "whatever `ratio` is"),
        (after(lambda shares, ratio: shares[-1]), "returns a float"),
        (after(lambda shares, ratio: shares[1:]), "there are"),
    ],
    "running_gate": [
        (lambda power: running(), "the lesson's own exercise"),
        (measured(lambda output, power: power * output.relu().mean((0, 2, 3))), "you multiply by"),
        (measured(lambda output, power: raised(output, 1 / power)), "that is a root"),
        (measured(lambda output, power: (output.mean(0) ** power).mean((1, 2))), "the ReLU is missing"),
        (measured(lambda output, power: (output.mean(0).relu() ** power).mean((1, 2))), "first the ReLU"),
        (measured(lambda output, power: (output.abs().mean(0) ** power).mean((1, 2))), "the size of each"),
        (measured(lambda output, power: (output.relu() ** power).mean((0, 2, 3))), "of each picture. First comes"),
        (measured(lambda output, power: output.relu().mean((0, 2, 3))), "is missing"),
        (measured(lambda output, power: output.relu().mean((0, 2, 3)) ** power), "at the end. Take it at each position"),
        (measured(lambda output, power: (output.relu().mean(0) ** power).sum((1, 2))), "the positions up"),
        (measured(lambda output, power: (output.relu().sum(0) ** power).mean((1, 2))), "the pictures up"),
        (lambda power: running(now=lambda here: raised(here["output"], power)), "the way back to the weights"),
        (
            lambda power: running(
                now=lambda here: raised(torch.where(here["keep"][:, None, None], here["output"], 0).detach(), power)
            ),
            "you measure behind the gate",
        ),
        (own(mean=lambda here: moved(here | {"decay": 1 - here["decay"]})), "step 2 of 4, `mean`: the two are swapped"),
        (own(mean=lambda here: here["mean"]), "that is the old mean"),
        (own(mean=lambda here: here["now"]), "that is `now`"),
        (own(keep=lambda here: chosen(here) & here["keep"]), "step 3 of 4, `keep`: you also ask"),
        (own(keep=lambda here: ~chosen(here)), "the other way round"),
        (own(keep=lambda here: chosen(here, "now")), "by this step alone"),
        (own(gated=lambda here: here["output"]), "step 4 of 4, `gated`: nothing is silent"),
        (own(gated=lambda here: here["output"][:, here["keep"]]), "not cut out"),
        (own(gated=closed(lambda output, keep: (output * keep).relu())), "without a ReLU"),
        (own(gated=closed(lambda output, keep: (output * keep).detach())), "no gradient gets through"),
        (own(gated=closed(lambda output, keep: (output * keep).detach() + 0 * output)), "through an open gate"),
        (own(gated=lambda here: here["output"].mul_(here["keep"][:, None, None])), "changes the tensor"),
    ],
}
