"""Wrong answers to the coursework on lesson 09: {check: [(given numbers → the answer, what the verdict says)]}."""

import torch
from answering import dots_after
from test_lesson_09 import NAMES, caught, changed, criterion, in_training, map_of, peaked
from torch.nn import functional


def score(of):
    """A slip of ``of(values)``, what the channel gives, (pictures, positions)."""
    return lambda activations: of(torch.tensor(activations, dtype=torch.float32)).item()


def through(of):
    """A slip of what passes the ReLU."""
    return score(lambda values: of(values.relu()))


def with_gamma(function):
    """A wrong map of the lesson, and the student's own power in the end."""
    return lambda gamma: lambda activations, power: function(activations, power) ** gamma


def own(**slip):
    """The student's criterion; or a ``slip`` in a step, a function (all that is there by then, threshold), and then dots."""

    def answer(threshold):
        steps = {"outputs": gives} | slip
        steps = {name: lambda here, step=step: step(here, threshold) for name, step in steps.items()}
        return criterion(**steps, **(dots_after(*slip, NAMES) if slip else {}))

    return answer


def gives(here, threshold=0, **how):
    """What the layer gives, less the threshold."""
    return caught(here["network"], here["name"], here["images"], **how) - threshold


def then(function):
    """The student's criterion inside of a wrong function of the lesson."""
    return lambda threshold: lambda *inputs: function(*inputs) and own()(threshold)(*inputs)


SLIPS = {
    "score_of_a_channel": [
        (score(lambda values: values.mean(0).square().mean()), "the ReLU is missing"),
        (score(lambda values: values.abs().mean(0).square().mean()), "a ReLU turns the −"),
        (through(lambda passed: passed.square().mean()), "you square before the mean over the pictures"),
        (through(lambda passed: passed.mean(0).square().sum()), "you sum over the positions"),
        (through(lambda passed: passed.sum(0).square().mean()), "you sum over the pictures. Take"),
        (through(lambda passed: passed.sum(0).square().sum()), "the mean of both"),
        (through(lambda passed: passed.mean().square()), "before you square"),
        (through(lambda passed: passed.mean(1).square().mean()), "mean over the positions first"),
        (through(lambda passed: passed.mean()), "the power is missing"),
        (through(lambda passed: passed.mean(0).square().mean().sqrt()), "no root"),
        (through(lambda passed: passed[0].square().mean()), "first picture alone"),
        (through(lambda passed: passed[1].square().mean()), "second picture alone"),
        (through(lambda passed: passed.mean(0).square().max()), "largest position"),
        (lambda activations: 14.5, "the lesson's own numbers"),
        (lambda activations: 999, "ReLU, then the mean"),
    ],
    "map_of_activations": [
        (lambda gamma: map_of, "the lesson's own exercise"),
        (lambda gamma: lambda a, p: peaked(a.pow(p).sum(1)), "Now take them to the power"),
        (with_gamma(lambda a, p: peaked(a.pow(p).sum(1))), "divide 0 by 0"),
        (with_gamma(lambda a, p: peaked(a.pow(p).sum(1)).nan_to_num(1)), "its map should hold zeros"),
        (lambda gamma: lambda a, p: map_of(a, p) ** (1 / gamma), "that is the power 1 /"),
        (lambda gamma: lambda a, p: gamma * map_of(a, p), "you multiply by"),
        (lambda gamma: lambda a, p: map_of(a, gamma * p), "not before the sum"),
        (lambda gamma: lambda a, p: a.pow(p).sum(1), "the sums are right"),
        (with_gamma(lambda a, p: a.pow(p).sum(1)), "the sums are right"),
        (with_gamma(lambda a, p: a.pow(p).mean(1)), "mean over the channels. Now divide"),
        (with_gamma(lambda a, p: map_of(a, p)[:, None]), "a dimension too many"),
        (with_gamma(lambda a, p: a.pow(p).sum((2, 3))), "sum over the positions"),
        (with_gamma(lambda a, p: a.pow(p).sum(0)), "sum over the pictures"),
        (with_gamma(lambda a, p: a.pow(p).sum(1) / a.pow(p).sum(1).max()), "Each has its own"),
        (with_gamma(lambda a, p: a.pow(p).sum(1) / a.pow(p).sum((1, 2, 3))[:, None, None]), "divide by the sum of each"),
        (with_gamma(lambda a, p: peaked(a.sum(1).pow(p))), "Power first."),
        (with_gamma(lambda a, p: map_of(a, 1)), "the power is missing"),
        (with_gamma(lambda a, p: map_of(a, 2)), "whatever `power` is"),
        (with_gamma(lambda a, p: peaked(a.amax(1).pow(p))), "strongest channel"),
        (with_gamma(lambda a, p: map_of(a, p) + 0.1), "the numbers are not"),
    ],
    "activation_criterion": [
        (lambda threshold: criterion(), "the lesson's own exercise"),
        (own(outputs=lambda here, threshold: gives(here)), "that is all that the layer gives"),
        (own(outputs=lambda here, threshold: gives(here) + threshold), "you add"),
        (own(outputs=lambda here, threshold: (gives(here) - threshold).relu()), "leave what is negative"),
        (own(outputs=lambda here, threshold: gives(here).relu()), "take the outputs as they are here"),
        (own(outputs=lambda here, threshold: functional.threshold(gives(here), threshold, 0)), "stays as it is with you"),
        (own(outputs=lambda here, threshold: gives(here, place="input")), "what the layer is given"),
        (own(outputs=lambda here, threshold: gives(here | {"name": "conv1"}, threshold)), "what conv1 gives"),
        (own(outputs=lambda here, threshold: here["network"](here["images"])), "whole network returns"),
        (own(outputs=lambda here, threshold: gives(here, threshold, remove=False)), "your hook is still in the network"),
        (own(outputs=lambda here, threshold: [1]), "this is a list. Put what the hook"),
        (then(changed), "changes the network"),
        (then(in_training), "changes the network"),
        (own(mean=lambda here, threshold: gives(here).relu().mean(0)), "step 2 of 3, `mean`: go on with `outputs`"),
        (own(mean=lambda here, threshold: gives(here).relu().mean(0) - threshold), "first subtract, then the ReLU"),
        (own(mean=lambda here, threshold: (here["outputs"] - threshold).relu().mean(0)), "a second time"),
        (own(mean=lambda here, threshold: here["outputs"].mean(0)), "step 2 of 3, `mean`: the ReLU is missing"),
        (own(mean=lambda here, threshold: here["outputs"].mean(0).relu()), "first the ReLU, then the mean"),
        (own(mean=lambda here, threshold: here["outputs"].relu().mean((0, 2, 3))), "mean over everything"),
        (own(mean=lambda here, threshold: here["outputs"].relu().pow(here["power"]).mean(0)), "comes in the next step"),
        (own(scores=lambda here, threshold: here["mean"].mean((1, 2))), "step 3 of 3, `scores`: the power is missing"),
        (own(scores=lambda here, threshold: here["mean"].pow(here["power"]).sum((1, 2))), "you sum over the positions"),
        (own(scores=lambda here, threshold: here["mean"].mean((1, 2)).pow(here["power"])), "power comes before the mean"),
        (own(scores=lambda here, threshold: here["mean"].pow(here["power"]).amax((1, 2))), "largest position"),
        (own(scores=lambda here, threshold: here["mean"].pow(2).mean((1, 2))), "right for conv2, power 2; for conv1"),
    ],
}
