"""Wrong answers to the coursework on lesson 15: {check: [(given numbers → the answer, what the verdict says)]}."""

import copy

import torch
from torch import nn

import attnprune_edu as ap


def best(params, macs, latency, fixed):
    return min(params**0.5, macs**0.5, (latency - fixed) / (1 - fixed))


def masked(number):
    network = copy.deepcopy(ap.load_capstone(number).model)
    return ap.mask(network, ap.keep_by_ratio(ap.importance(network, "attention"), 0.5))


def silent(number):
    """Half of the filters of the first layer are zeros, and still there."""
    network = copy.deepcopy(ap.load_capstone(number).model)
    with torch.no_grad():
        network[0].weight[0] = 0
    return network


SLIPS = {
    "share_within_budgets": [
        (lambda **given: 100 * best(**given), "in percent"),
        (lambda **given: 1 - best(**given), "channels that go"),
        (lambda **given: best(**given) - 0.05, "a larger share does, too"),
        (lambda **given: 1.5, "between 0 and 1"),
    ],
    "capstone": [
        (lambda number: ap.load_capstone(number).model, "parameters: "),
        (lambda number: ap.load_capstone(number + 1).planned("uniform"), "not even half"),
        (masked, "it has masks"),
        (silent, "(1 of them)"),
        (lambda number: nn.Sequential(nn.Flatten(), nn.Linear(256, 9)), "10 scores"),
        (lambda number: ap.load_capstone(number), "this is a Capstone"),
        (lambda number: len, "Hand over the network itself"),
    ],
}
