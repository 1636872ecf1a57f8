"""What the checks of lesson 10 answer."""

import math

import numpy as np
import pytest
import torch
from answering import dots_after, step_after_step, verdict_test

from attnprune_edu import checks
from attnprune_edu.checks.lesson_10 import _gate_case
from attnprune_edu.pruning.gates import RunningGates


def ramp(
    wait=lambda accuracy, wanted: accuracy < wanted,
    held=lambda done: done,
    power=3,
    most=lambda epochs: epochs,
    finish=lambda shares, ratio: shares,
):
    """The solution that the lesson shows, with a place for each slip."""

    def function(ratio, epochs, accuracies, wanted):
        shares, done, waits = [], 0, False
        for accuracy in accuracies:
            done = held(done) if waits else min(done + 1, most(epochs))
            shares.append(ratio * (1 - (1 - done / epochs) ** power))
            waits = wait(accuracy, wanted)
        return finish(shares, ratio)

    return function


def finished(change):
    return ramp(finish=change)


def in_the_same_epoch(ratio, epochs, accuracies, wanted):
    shares, done = [], 0
    for accuracy in accuracies:
        done = min(done + (accuracy >= wanted), epochs)
        shares.append(ratio * (1 - (1 - done / epochs) ** 3))
    return shares


def by_epoch_number(ratio, epochs, accuracies, wanted):
    shares = []
    for epoch in range(1, len(accuracies) + 1):
        if epoch > 1 and accuracies[epoch - 2] < wanted:
            shares.append(shares[-1])
        else:
            shares.append(ratio * (1 - (1 - min(epoch, epochs) / epochs) ** 3))
    return shares


def stops_for_good(ratio, epochs, accuracies, wanted):
    ever = []
    return ramp(wait=lambda accuracy, wanted: ever.append(accuracy < wanted) or any(ever))(ratio, epochs, accuracies, wanted)


def waits_with_the_last(ratio, epochs, accuracies, wanted):
    shares, done = [], 0
    for place in range(len(accuracies)):
        if accuracies[place - 1] >= wanted and done < epochs:
            done += 1
        shares.append(ratio * (1 - (1 - done / epochs) ** 3))
    return shares


def empties(ratio, epochs, accuracies, wanted):
    shares = ramp()(ratio, epochs, accuracies, wanted)
    accuracies.clear()
    return shares


def waiting_at_zero(ratio, epochs, accuracies, wanted):
    shares = ramp()(ratio, epochs, accuracies, wanted)
    return [0 if before < wanted else share for before, share in zip([wanted, *accuracies[:-1]], shares, strict=True)]


def of_done(share):
    """The ramp that waits, with another share after ``done`` of ``epochs`` epochs."""

    def function(ratio, epochs, *others):
        # A linear ramp up to `epochs` counts the epochs in which it went on.
        return [share(ratio, done, epochs) for done in ramp(power=1)(epochs, epochs, *others)]

    return function


INPUTS = ["output", "mean", "keep", "share", "decay"]


@torch.no_grad()
def attention(here):
    return (here["output"].relu().mean(dim=0) ** 2).mean(dim=(1, 2))


def moved(here):
    if here["mean"] is None:
        return here["now"]
    return here["decay"] * here["mean"] + (1 - here["decay"]) * here["now"]


def chosen(here, scores="mean"):
    keep = torch.zeros(len(here[scores]), dtype=torch.bool)
    keep[here[scores].topk(len(keep) - round(here["share"] * len(keep))).indices] = True
    return keep


def gate(keep_of="keep"):
    return lambda here: torch.where(here[keep_of][:, None, None], here["output"], 0.0)


STEPS = {"now": attention, "mean": moved, "keep": chosen, "gated": gate()}


def running(**slips):
    return step_after_step(INPUTS, STEPS, slips)


def up_to(name, change):
    """The solution with one step changed, and three dots behind it."""
    return running(**{name: change} | dots_after(name, list(STEPS)))


def measured(change):
    """The attention as ``change`` makes it of the output, without gradients."""
    return running(now=lambda here: torch.no_grad()(change)(here["output"]))


def with_old(change):
    """The solution, and what ``change(here)`` makes of the new ``keep`` while the old one is still there."""
    return up_to("keep", lambda here: change(here["keep"], chosen(here)))


def gated_by_old(output, mean, keep, share, decay):
    now, mean, new, _ = running()(output, mean, keep, share, decay)
    return now, mean, new, torch.where(keep[:, None, None], output, 0.0)


def behind_the_gate(here):
    with torch.no_grad():
        return attention({"output": torch.where(here["keep"][:, None, None], here["output"], 0.0)})


def in_place(output, mean, keep, share, decay):
    keep.fill_(True)
    return running()(output, mean, keep, share, decay)


def closed(result):
    return lambda here: result(here["output"], here["keep"][:, None, None])


def no_first_mean(output, mean, *rest):
    return (attention({"output": output}), None, ..., ...) if mean is None else running()(output, mean, *rest)


def sure_of_a_mean(here):
    return here["decay"] * here["mean"] + (1 - here["decay"]) * here["now"]


def from_zero(here):
    return moved(here | {"mean": torch.zeros_like(here["now"]) if here["mean"] is None else here["mean"]})


def by_picture(output, mean, keep, share, decay):
    with torch.no_grad():
        now = output.relu().mean(dim=1)
        mean = now if mean is None else decay * mean + (1 - decay) * now


def swapped(now, mean, keep, gated):
    return mean, now, keep, gated


def among_the_open(here):
    return chosen(here | {"mean": here["mean"].where(here["keep"], -1)})


def silencing(rounding):
    """The solution, with another way to make a whole number of the silent channels."""

    def keep(here):
        keep = torch.zeros(len(here["mean"]), dtype=torch.bool)
        keep[here["mean"].topk(len(keep) - rounding(here["share"] * len(keep))).indices] = True
        return keep

    return running(keep=keep)


CASES = [
    (checks.steps_until_overtaken, 14, True, "0.488 is left"),
    (checks.steps_until_overtaken, torch.tensor(14), True, "forgets slowly"),
    (checks.steps_until_overtaken, 13, False, "0.513 is left"),
    (checks.steps_until_overtaken, 13.51, False, "Steps are whole"),
    (checks.steps_until_overtaken, 15, False, "one step less"),
    (checks.steps_until_overtaken, 10, False, "you take 0.05 away"),
    (checks.steps_until_overtaken, 11, False, "you take 0.05 away"),
    (checks.steps_until_overtaken, 20, False, "looks back on"),
    (checks.steps_until_overtaken, 1, False, "remembers"),
    (checks.steps_until_overtaken, 0, False, "remembers"),
    (checks.steps_until_overtaken, 0.488, False, "The number of steps"),
    (checks.steps_until_overtaken, 0.5, False, "The number of steps"),
    (checks.steps_until_overtaken, -14, False, "not negative"),
    (checks.steps_until_overtaken, -13.51, False, "not negative"),
    (checks.steps_until_overtaken, 59, False, "0.95^n"),
    (checks.steps_until_overtaken, [14, 15], False, "one number"),
    (checks.steps_until_overtaken, "14", False, "quotes"),
    (checks.steps_until_overtaken, True, False, "this is True"),
    (checks.held_ramp, ramp(), True, "goes on where it stopped"),
    (checks.held_ramp, finished(lambda shares, ratio: tuple(shares)), True, "goes on"),
    (checks.held_ramp, finished(lambda shares, ratio: np.array(shares)), True, "goes on"),
    (checks.held_ramp, waits_with_the_last, False, "waits in the first epoch"),
    (checks.held_ramp, empties, False, "changes the list"),
    (checks.held_ramp, waiting_at_zero, False, "falls to 0"),
    (checks.held_ramp, of_done(lambda ratio, done, epochs: ratio * (done / epochs) ** 3), False, "ever more"),
    (checks.held_ramp, of_done(lambda ratio, done, epochs: ratio * (1 - done / epochs) ** 3), False, "still to come"),
    (
        checks.held_ramp,
        of_done(lambda ratio, done, epochs: ratio * (1 - (1 - (done + 1) / epochs) ** 3)),
        False,
        "an epoch ahead",
    ),
    (
        checks.held_ramp,
        of_done(lambda ratio, done, epochs: ratio * (1 - (1 - min((done + 1) / epochs, 1)) ** 3)),
        False,
        "an epoch ahead",
    ),
    (
        checks.held_ramp,
        lambda ratio, epochs, accuracies, wanted: ramp()(ratio, len(accuracies), accuracies, wanted),
        False,
        "as many epochs as there are accuracies",
    ),
    (checks.held_ramp, finished(lambda shares, ratio: torch.tensor(shares)), True, "goes on"),
    (checks.held_ramp, ramp(wait=lambda accuracy, wanted: False), False, "never waits"),
    (checks.held_ramp, ramp(wait=lambda accuracy, wanted: accuracy <= wanted), False, "use <"),
    (checks.held_ramp, ramp(wait=lambda accuracy, wanted: accuracy > wanted), False, "other way round"),
    (checks.held_ramp, in_the_same_epoch, False, "decides about the next one"),
    (checks.held_ramp, by_epoch_number, False, "jumps to where it would have been"),
    (checks.held_ramp, stops_for_good, False, "stops for good"),
    (checks.held_ramp, ramp(held=lambda done: max(0, done - 1)), False, "goes back"),
    (checks.held_ramp, ramp(held=lambda done: 0), False, "begins anew"),
    (checks.held_ramp, ramp(power=1), False, "linear"),
    (checks.held_ramp, ramp(power=2), False, "exponent"),
    (checks.held_ramp, ramp(most=lambda epochs: 99), False, "stays at `ratio`"),
    (checks.held_ramp, finished(lambda shares, ratio: [1 - share for share in shares]), False, "stays open"),
    (checks.held_ramp, finished(lambda shares, ratio: [100 * share for share in shares]), False, "not percent"),
    (checks.held_ramp, finished(lambda shares, ratio: [0.0, *shares[:-1]]), False, "before each epoch"),
    (checks.held_ramp, finished(lambda shares, ratio: [share / ratio for share in shares]), False, "whatever `ratio` is"),
    (checks.held_ramp, finished(lambda shares, ratio: [share / 2 for share in shares]), False, "after epoch 1 the share"),
    (checks.held_ramp, finished(lambda shares, ratio: shares[-1]), False, "returns a float"),
    (checks.held_ramp, finished(lambda shares, ratio: shares[1:]), False, "there are 8 shares"),
    (checks.held_ramp, lambda *given: None, False, "returns nothing"),
    (checks.held_ramp, lambda ratio: [ratio], False, "stops with TypeError"),
    (checks.held_ramp, [0.5], False, "without brackets"),
    (checks.running_gate, running(), True, "why it can come back"),
    (checks.running_gate, lambda *given: list(running()(*given)), True, "all four"),
    (checks.running_gate, running(now=lambda here: attention(here | {"output": here["output"].detach()})), True, "all four"),
    (checks.running_gate, running(gated=closed(lambda output, keep: output * keep)), True, "all four"),
    (checks.running_gate, running(**dots_after("now", list(STEPS))), False, "step 2 of 4, `mean`, is next"),
    (checks.running_gate, running(**dots_after("keep", list(STEPS))), False, "step 4 of 4, `gated`, is next"),
    (checks.running_gate, running(now=behind_the_gate), False, "step 1 of 4, `now`: you measure behind the gate"),
    (checks.running_gate, measured(lambda output: (output.mean(0) ** 2).mean((1, 2))), False, "the ReLU is missing"),
    (checks.running_gate, measured(lambda output: (output.mean(0).relu() ** 2).mean((1, 2))), False, "first the ReLU"),
    (checks.running_gate, measured(lambda output: (output.abs().mean(0) ** 2).mean((1, 2))), False, "the size of each"),
    (
        checks.running_gate,
        measured(lambda output: (output.relu() ** 2).mean((0, 2, 3))),
        False,
        "the square of each picture",
    ),
    (checks.running_gate, measured(lambda output: output.relu().mean((0, 2, 3))), False, "the square is missing"),
    (checks.running_gate, measured(lambda output: output.relu().mean((0, 2, 3)) ** 2), False, "the square at the end"),
    (checks.running_gate, measured(lambda output: (output.relu().mean(0) ** 2).sum((1, 2))), False, "the positions up"),
    (checks.running_gate, measured(lambda output: (output.relu().sum(0) ** 2).mean((1, 2))), False, "the pictures up"),
    (
        checks.running_gate,
        up_to("now", lambda here: attention(here)[:7, None] * torch.ones(10)),
        False,
        "`now`: its shape is (7, 10)",
    ),
    (checks.running_gate, measured(lambda output: output.mean((0, 2, 3)) + 1), False, "the numbers are not"),
    (checks.running_gate, running(now=attention.__wrapped__), False, "it still holds the way back to the weights"),
    (checks.running_gate, up_to("now", lambda here: attention(here).tolist()), False, "this is a list"),
    (
        checks.running_gate,
        running(mean=lambda here: moved(here | {"decay": 1 - here["decay"]})),
        False,
        "step 2 of 4, `mean`: the two are swapped",
    ),
    (checks.running_gate, running(mean=lambda here: here["mean"]), False, "that is the old mean"),
    (checks.running_gate, running(mean=lambda here: here["now"]), False, "that is `now`"),
    (checks.running_gate, running(mean=lambda here: moved(here | {"decay": 0.5})), False, "the middle of the two"),
    (checks.running_gate, running(mean=lambda here: moved(here) + here["decay"] * here["now"]), False, "`now` counts whole"),
    (
        checks.running_gate,
        running(mean=lambda here: here["mean"] + (1 - here["decay"]) * here["now"]),
        False,
        "the old mean counts whole",
    ),
    (checks.running_gate, running(mean=lambda here: moved(here) + 1), False, "it should be decay · mean"),
    (checks.running_gate, running(mean=sure_of_a_mean), False, "step 2 of 4, `mean`: in the first step of all it is None"),
    (checks.running_gate, up_to("mean", sure_of_a_mean), False, "stops with TypeError"),
    (checks.running_gate, up_to("mean", from_zero), False, "step 2 of 4, `mean`: there is no mean yet"),
    (checks.running_gate, running(mean=lambda here: moved(here) if here["mean"] else here["now"]), False, "Ask `mean is"),
    (checks.running_gate, by_picture, False, "`now` is not one number for each channel"),
    (
        checks.running_gate,
        running(gated=lambda here: here["output"] * here["keep"]),
        False,
        "without `[:, None, None]`",
    ),
    (checks.running_gate, lambda *given: [1 / 0], False, "division by zero. Leave the later lines"),
    (checks.running_gate, lambda *given: swapped(*running()(*given)), False, "that is the new mean. Return now, mean"),
    (
        checks.running_gate,
        running(mean=lambda here: (1 - here["decay"]) * here["now"] if here["mean"] is None else moved(here)),
        False,
        "return `now`, whole (in the first step of all",
    ),
    (
        checks.running_gate,
        no_first_mean,
        False,
        "that of this step is the first",
    ),
    (checks.running_gate, with_old(lambda old, new: new & old), False, "step 3 of 4, `keep`: you also ask"),
    (checks.running_gate, running(keep=lambda here: among_the_open(here)), False, "only among the channels that were open"),
    (checks.running_gate, silencing(int), False, "3 are silent, and it should be round(share · channels) = round(3.7) = 4"),
    (
        checks.running_gate,
        silencing(math.ceil),
        False,
        "= round(2.34) = 2. Take the nearest whole number, not all below a threshold.",
    ),
    (
        checks.running_gate,
        running(keep=lambda here: here["mean"] > here["mean"].quantile(here["share"])),
        False,
        "not all below a threshold.",
    ),
    (checks.running_gate, with_old(lambda old, new: new | old), False, "what was open stays open as well"),
    (checks.running_gate, with_old(lambda old, new: ~new), False, "other way round"),
    (checks.running_gate, with_old(lambda old, new: old), False, "the old choice"),
    (checks.running_gate, with_old(lambda old, new: new.float()), False, "its type is float32"),
    (checks.running_gate, with_old(lambda old, new: new.nonzero()[:, 0]), False, "the numbers of the channels"),
    (checks.running_gate, with_old(lambda old, new: new.roll(1)), False, "the number is right"),
    (checks.running_gate, running(keep=lambda here: chosen(here, "now")), False, "by this step alone"),
    (checks.running_gate, running(keep=lambda here: chosen(here | {"mean": -here["mean"]})), False, "with the lowest mean"),
    (
        checks.running_gate,
        running(keep=lambda here: chosen(here | {"share": 1 - here["share"]})),
        False,
        "`share` is the silent share",
    ),
    (
        checks.running_gate,
        running(keep=lambda here: here["mean"] > here["mean"].median()),
        False,
        "are silent, and it should",
    ),
    (
        checks.running_gate,
        running(gated=closed(lambda output, keep: output * keep + ~keep * (output - output.detach()))),
        False,
        "step 4 of 4, `gated`: a silent channel gets a gradient",
    ),
    (
        checks.running_gate,
        running(gated=closed(lambda output, keep: torch.where(keep, output, 1e-8 * output))),
        False,
        "not next to nothing",
    ),
    (checks.running_gate, gated_by_old, False, "step 4 of 4, `gated`: you use the old choice"),
    (checks.running_gate, running(gated=lambda here: here["output"]), False, "nothing is silent"),
    (checks.running_gate, running(gated=closed(lambda output, keep: output * ~keep)), False, "swapped"),
    (checks.running_gate, running(gated=lambda here: here["output"][:, here["keep"]]), False, "not cut out"),
    (checks.running_gate, running(gated=closed(lambda output, keep: (output * keep).relu())), False, "without a ReLU"),
    (checks.running_gate, running(gated=lambda here: gate()(here) / (1 - here["share"])), False, "as dropout does"),
    (checks.running_gate, running(gated=closed(lambda output, keep: output * keep + 1)), False, "silent ones 0"),
    (checks.running_gate, running(gated=closed(lambda output, keep: (output * keep).detach())), False, "no gradient"),
    (
        checks.running_gate,
        running(gated=closed(lambda output, keep: (output * keep).detach() + 0 * output)),
        False,
        "through an open gate",
    ),
    (checks.running_gate, in_place, False, "changes the tensor"),
    (checks.running_gate, lambda *given: running()(*given)[:3], False, "a tuple of 3"),
    (checks.running_gate, lambda *given: running()(*given)[0], False, "it returns a Tensor"),
    (checks.running_gate, 0.7, False, "without brackets"),
    (checks.steps_until_overtaken, ..., None, "three dots"),
    (checks.held_ramp, lambda *given: ..., None, "three dots"),
    (checks.held_ramp, lambda *given: [...], None, "three dots"),
    (checks.running_gate, lambda *given: (..., ..., ..., ...), None, "three dots"),
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


@pytest.mark.parametrize(
    ("function", "share"),
    [
        (running(now=behind_the_gate), 0),
        (running(mean=lambda here: here["now"]), 0.25),
        (with_old(lambda old, new: new & old), 0.5),
        (gated_by_old, 0.75),
        (running(), 1),
    ],
)
def test_each_step_of_the_gate_earns_its_share(function, share):
    assert checks.running_gate(function).share == share


@pytest.mark.parametrize("decay", [0.8, 0.9, 0.99])
def test_a_running_mean_falls_behind_when_the_check_says(decay):
    mean, steps = 1.0, 0
    while mean >= 0.5:
        mean, steps = decay * mean, steps + 1
    assert checks.steps_until_overtaken(steps, decay=decay).solved
    assert checks.steps_until_overtaken(steps - 1, decay=decay).solved is False


@pytest.mark.parametrize("seed", range(5))
def test_every_draw_of_the_gate_tells_its_slips_apart(seed):
    torch.manual_seed(seed)
    case = _gate_case(10, 0.37, power=2, first=False)
    new = running()(*case.given)[2]
    assert (new & ~case.keep).any(), "something comes back"
    assert checks.running_gate(running(), seed=seed).solved
    assert "you also ask" in checks.running_gate(with_old(lambda old, new: new & old), seed=seed).message


def test_the_exercise_is_the_gate_of_the_library(tiny_model, tiny_data):
    images, state = tiny_data.normalize(tiny_data.train.images), {"mean": None, "keep": torch.ones(4, dtype=torch.bool)}
    with RunningGates(tiny_model.train(), 0.5, 4, every=1, decay=0.9) as gates:
        watch = tiny_model.conv1.register_forward_hook(lambda *given: outputs.append(given[2].detach()), prepend=True)
        outputs = []
        for batch in images.split(15):
            tiny_model(batch)
        watch.remove()
    for choice, output in zip(gates.record, outputs, strict=True):
        _, state["mean"], state["keep"], _ = running()(output, state["mean"], state["keep"], choice.pruning_ratio, 0.9)
        torch.testing.assert_close(choice.importance["conv1"], state["mean"])
        assert choice.keep["conv1"].equal(state["keep"])
