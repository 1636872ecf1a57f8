"""Wrong answers to the coursework on lesson 07: {check: [(given numbers → the answer, what the verdict says)]}."""

import copy

import torch
from test_lesson_07 import WRONG_CUTS, only_first, removed
from torch import nn


def parameters(written, inputs, kernel):
    """Weights and biases of a convolution that writes and reads so many channels."""
    return written * inputs * kernel**2 + written


def left(percent, times):
    """The share of the time that a network still takes."""
    return percent / 100 / times + 1 - percent / 100


def scaled(network, first=1, first_bias=1, second=1, second_bias=1, linear=1):
    """A copy of the network whose weights and biases are multiplied."""
    network = copy.deepcopy(network)
    for values, times in (
        (network[0].weight, first),
        (network[0].bias, first_bias),
        (network[3].weight, second),
        (network[3].bias, second_bias),
        (network[7].weight, linear),
    ):
        values.data *= times
    return network


def version(*powers):
    """The solution, in which weights and biases are multiplied by these ``powers`` of the student's factor."""
    return lambda factor: lambda network, *keep: removed(scaled(network, *(factor**power for power in powers)), *keep)


def version_of(function):
    """A wrong cut of the lesson, of a network that is multiplied and divided as it should be."""

    def answer(factor):
        def cut(network, keep1, keep2):
            return function(scaled(network, factor, factor, 1 / factor), keep1, keep2)

        return cut

    return answer


def on_the_network_itself(factor):
    """A cut that works on the given network, or returns parts of it."""

    def cut(network, keep1, keep2):
        small = removed(scaled(network, factor, factor, 1 / factor), keep1, keep2)
        small[7].bias = nn.Parameter(network[7].bias[:])
        return small

    return cut


SLIPS = {
    "params_of_cut_conv": [
        (lambda kept, filters, kept2, filters2, kernel: kept2 * kept * kernel**2, "also has a bias"),
        (lambda kept, filters, kept2, filters2, kernel: parameters(kept2, filters, kernel), "one side only. conv2"),
        (lambda kept, filters, kept2, filters2, kernel: parameters(filters2, kept, kernel), "outputs are not cut"),
        (lambda kept, filters, kept2, filters2, kernel: kept2 * filters * kernel**2, "the biases are missing"),
        (lambda kept, filters, kept2, filters2, kernel: filters2 * kept * kernel**2, "the biases are missing"),
        (lambda kept, filters, kept2, filters2, kernel: parameters(filters2, filters, kernel), "conv2 before"),
        (
            lambda kept, filters, kept2, filters2, kernel: round(
                parameters(filters2, filters, kernel) * kept / filters * kept2 / filters2
            ),
            "right for the weights",
        ),
        (lambda kept, filters, kept2, filters2, kernel: parameters(kept2, kept, kernel) + kept, "Of the biases"),
        (lambda kept, filters, kept2, filters2, kernel: parameters(kept2, 1, kernel), "inputs are missing"),
        (lambda kept, filters, kept2, filters2, kernel: kept2 * kept * kernel + kept2, "two sides"),
        (lambda kept, filters, kept2, filters2, kernel: parameters(kept2, kept, 1), "kernel is missing"),
        (
            lambda kept, filters, kept2, filters2, kernel: parameters(filters2 - kept2, filters - kept, kernel),
            "channels that go",
        ),
        (
            lambda kept, filters, kept2, filters2, kernel: (
                parameters(filters2, filters, kernel) - parameters(kept2, kept, kernel)
            ),
            "what conv2 loses",
        ),
        (lambda kept, filters, kept2, filters2, kernel: parameters(kept, 3, kernel), "that is conv1 afterwards"),
        (
            lambda kept, filters, kept2, filters2, kernel: parameters(kept2, kept, kernel) + parameters(kept, 3, kernel),
            "conv1 and conv2 together",
        ),
        (lambda kept, filters, kept2, filters2, kernel: parameters(kept2, 3, kernel), "3 colours"),
        (lambda kept, filters, kept2, filters2, kernel: kept * kernel**2 + 1, "one filter"),
        (lambda kept, filters, kept2, filters2, kernel: kept / filters * kept2 / filters2, "that is a share"),
        (lambda **given: 3216, "the lesson's own numbers"),
    ],
    "overall_speedup": [
        (lambda percent, times: times, "the layer alone"),
        (lambda percent, times: percent / 100 * times, "not a time"),
        (lambda percent, times: percent / 100 * times + 1 - percent / 100, "not speeds"),
        (lambda percent, times: 100 / (100 - percent), "only one of two parts"),
        (lambda percent, times: 100 / percent * times, "only one of two parts"),
        (lambda percent, times: percent / 100 / times, "time of one part"),
        (lambda percent, times: 100 - percent, "time of one part"),
        (lambda percent, times: round(left(percent, times), 2), "time that is left. How many"),
        (lambda percent, times: round(100 * left(percent, times)), "time that is left. How many"),
        (lambda percent, times: 1 - left(percent, times), "that is the time saved"),
        (lambda percent, times: 1 / (1 - left(percent, times)), "divide by the time saved"),
        (lambda percent, times: percent / 100 / left(percent, times), "the network took 1"),
        (lambda percent, times: 1 / left(percent, times) - 1, "over the old speed"),
        (lambda percent, times: round(100 / left(percent, times)), "in percent"),
        (lambda percent, times: 1 / left(100 - percent, times), "you make the rest"),
        (lambda percent, times: 100 / percent, "of its time"),
        (lambda percent, times: 1 / (1 - percent / 100 / times), "of its time"),
        (lambda percent, times: 1 / left(percent, times + 1), "of the time, not"),
        (lambda percent, times: 2.5, "the lesson's own numbers"),
    ],
    "removal_by_hand": [
        (lambda factor: removed, "the lesson's own exercise"),
        (lambda factor: only_first, "has the right weight, but your version multiplies it by"),
        (version(1), "step 1 of 4: the first convolution has the right bias, but your version multiplies it"),
        (version(-1, -1, 1), "has the right weight, but your version multiplies it by"),
        (version(1, 1), "step 2 of 4: the second convolution has the right weight, but your version divides it"),
        (version(1, 1, 1), "step 2 of 4: the second convolution has the right weight, but your version divides it"),
        (version(1, 1, -1, -1), "the right bias, but here your version neither multiplies nor divides"),
        (version(1, 1, -1, 0, -1), "step 3 of 4: the linear layer has the right weight, but here your version"),
        (on_the_network_itself, "step 3 of 4: the linear layer shares its bias"),
        (lambda factor: lambda network, *keep: network, "`network` itself"),
        (lambda factor: lambda network, *keep: torch.zeros(1), "returns a Tensor"),
        *((version_of(cut), says) for cut, says in WRONG_CUTS),
    ],
}
