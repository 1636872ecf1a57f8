"""What the checks of lesson 07 answer."""

import copy
from functools import partial

import pytest
import torch
from answering import verdict_test
from torch import nn

from attnprune_edu import checks


def removed(
    network,
    keep1,
    keep2,
    *,
    filters=lambda values, keep: values[keep],
    filters2=lambda values, keep: values[keep],
    inputs=lambda values, keep: values[:, keep],
    columns=lambda keep, positions: keep.repeat_interleave(positions),
    say=True,
):
    """The solution that the lesson shows, with a place for each slip."""
    small = copy.deepcopy(network)
    first, second, linear = small[0], small[3], small[7]
    stays = columns(keep2, linear.in_features // len(keep2))
    first.weight = nn.Parameter(filters(first.weight, keep1))
    first.bias = nn.Parameter(filters(first.bias, keep1))
    second.weight = nn.Parameter(inputs(filters2(second.weight, keep2), keep1))
    second.bias = nn.Parameter(second.bias[keep2])
    linear.weight = nn.Parameter(stays(linear.weight) if callable(stays) else linear.weight[:, stays])
    if say:
        first.out_channels = second.in_channels = int(keep1.sum())
        second.out_channels, linear.in_features = int(keep2.sum()), linear.weight.shape[1]
    return small


def with_slip(**slip):
    return lambda network, keep1, keep2: removed(network, keep1, keep2, **slip)


def afterwards(change):
    """The solution, and something that is done to its result."""

    def function(network, keep1, keep2):
        small = removed(network, keep1, keep2)
        return change(small, network) or small

    return function


def silent(values, keep):
    values = values.detach().clone()
    values[~keep] = 0
    return values


def silent_columns(keep, positions):
    return lambda weight: silent(weight.T, keep.repeat_interleave(positions)).T


def position_by_position(keep, positions):
    return torch.arange(len(keep) * positions).view(-1, positions)[keep].T.flatten()


def first_columns(keep, positions):
    return torch.arange(len(keep) * positions) < keep.sum() * positions


def only_first(network, keep1, keep2):
    small = copy.deepcopy(network)
    small[0].weight, small[0].bias = nn.Parameter(small[0].weight[keep1]), nn.Parameter(small[0].bias[keep1])
    return small


def in_place(network, keep1, keep2):
    with torch.no_grad():
        network[0].weight[~keep1] = 0
    return copy.deepcopy(network)


def loaded_into_a_copy(network, keep1, keep2, *, prefix=""):
    small = copy.deepcopy(network)
    cut = removed(network, keep1, keep2).state_dict()
    small.load_state_dict({prefix + name: values for name, values in cut.items()})
    return small


def filters_and_inputs_at_once(network, keep1, keep2):
    return network[3].weight[keep2, keep1]


def masks_mixed_up(network, keep1, keep2):
    return network[3].weight[keep1]


def built_anew(network, keep1, keep2):
    """New layers, as one writes them for the first of the networks that the check tries."""
    cut = removed(network, keep1, keep2)
    small = nn.Sequential(
        nn.Conv2d(3, int(keep1.sum()), network[0].kernel_size), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(int(keep1.sum()), int(keep2.sum()), network[3].kernel_size), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(cut[7].in_features, 10),
    )  # fmt: skip
    small.load_state_dict(cut.state_dict())
    return small


def share_a_bias(small, network):
    small[7].bias = network[7].bias


def wider_pool(small, network):
    small[5] = nn.MaxPool2d(2, stride=1)


def no_bias(small, network):
    small[3].bias = None


def new_bias(small, network):
    small[7].bias = nn.Parameter(torch.zeros(10))


def shorter_bias(small, network):
    small[7].bias = nn.Parameter(small[7].bias[:3])


def view_of_linear(small, network):
    """Its own name, but the memory of the given network."""
    small[7].bias = nn.Parameter(network[7].bias[:])


def as_float64(small, network):
    small.double()


WRONG_CUTS = [
    (only_first, "step 2 of 4: the second convolution still has all its filters, and each reads all"),
    (with_slip(filters=lambda values, keep: values[~keep]), "has the filters that go"),
    (with_slip(filters=lambda values, keep: values[: int(keep.sum())]), "as many filters as should stay"),
    (with_slip(filters=silent), "step 1 of 4: the first convolution still has channels"),
    (with_slip(filters2=silent), "step 2 of 4: the second convolution still has channels"),
    (with_slip(columns=silent_columns), "step 3 of 4: the linear layer still has channels"),
    (with_slip(columns=position_by_position), "in another order. Take the columns of"),
    (with_slip(columns=lambda keep, positions: keep), "as many entries as the layer has"),
    (with_slip(filters=lambda values, keep: values[keep] if values.ndim > 1 else values), "all its biases"),
    (with_slip(filters=lambda values, keep: values[keep].flip(0)), "the right numbers in its weight, but in another order"),
    (
        with_slip(filters=lambda values, keep: torch.ones_like(values[keep])),
        "the right shape, but with other numbers. Take those of the channels that stay",
    ),
    (with_slip(inputs=lambda values, keep: values), "still read all channels"),
    (with_slip(inputs=lambda values, keep: values[:, ~keep]), "reads the channels of the first that go"),
    (with_slip(inputs=lambda values, keep: values[:, : int(keep.sum())]), "but the first ones"),
    (with_slip(columns=lambda keep, positions: torch.ones(len(keep) * positions) > 0), "still reads all its columns"),
    (with_slip(columns=lambda keep, positions: keep.repeat(positions)), "all of channel 0 first"),
    (with_slip(columns=lambda keep, positions: ~keep.repeat_interleave(positions)), "reads the columns that go"),
    (with_slip(columns=lambda keep, positions: keep.nonzero().flatten()), "writes 4 of each"),
    (with_slip(columns=first_columns), "as many columns as it should, but the first ones"),
]

CASES = [
    (checks.overall_speedup, True, False, "one number, and this is True"),
    (checks.params_of_cut_conv, 3216, True, "of the weights, 1/16 is left"),
    (checks.params_of_cut_conv, torch.tensor(3216), True, "of the weights, 1/16 is left"),
    (checks.params_of_cut_conv, 3200, False, "also has a bias"),
    (checks.params_of_cut_conv, 16 * 32 * 25 + 16, False, "one side only"),
    (checks.params_of_cut_conv, 64 * 8 * 25 + 64, False, "outputs are not cut"),
    (checks.params_of_cut_conv, 12_800, False, "one side only"),
    (checks.params_of_cut_conv, 64 * 32 * 25 + 64, False, "conv2 before"),
    (checks.params_of_cut_conv, 51_200, False, "conv2 before"),
    (checks.params_of_cut_conv, 51_264 / 16, False, "right for the weights"),
    (checks.params_of_cut_conv, 3200 + 8, False, "Of the biases"),
    (checks.params_of_cut_conv, 3200 + 16 + 8, False, "Of the biases"),
    (checks.params_of_cut_conv, 3200 + 32, False, "Of the biases"),
    (checks.params_of_cut_conv, 3200 + 64, False, "Of the biases"),
    (checks.params_of_cut_conv, 416, False, "inputs are missing"),
    (checks.params_of_cut_conv, 400, False, "inputs are missing"),
    (checks.params_of_cut_conv, 16 * 8 * 5 + 16, False, "two sides"),
    (checks.params_of_cut_conv, 16 * 8 + 16, False, "kernel is missing"),
    (checks.params_of_cut_conv, 48 * 24 * 25 + 48, False, "channels that go"),
    (checks.params_of_cut_conv, 51_264 - 3216, False, "what conv2 loses"),
    (checks.params_of_cut_conv, 8 * 3 * 25 + 8, False, "that is conv1 afterwards"),
    (checks.params_of_cut_conv, 3216 + 608, False, "conv1 and conv2 together"),
    (checks.params_of_cut_conv, 16 * 3 * 25 + 16, False, "3 colours"),
    (checks.params_of_cut_conv, 8 * 25 + 1, False, "one filter"),
    (checks.params_of_cut_conv, 3216 / 51_264, False, "that is a share"),
    (checks.params_of_cut_conv, 7, False, "a bias for each filter"),
    (checks.params_of_cut_conv, [16, 8, 5, 5], False, "one number, and this is a list"),
    (checks.params_of_cut_conv, None, False, "one number, and this is None"),
    (checks.params_of_cut_conv, torch.zeros(16, 8), False, "one number, and this is a Tensor"),
    (checks.params_of_cut_conv, "3216", False, "Remove the quotes"),
    (checks.overall_speedup, 2.5, True, "only 5 times"),
    (checks.overall_speedup, 1 / (0.2 + 0.8 / 4), True, "only 5 times"),
    (checks.overall_speedup, 4, False, "the layer alone"),
    (checks.overall_speedup, 3.2, False, "not a time"),
    (checks.overall_speedup, 3.4, False, "not speeds"),
    (checks.overall_speedup, 5, False, "only one of two parts"),
    (checks.overall_speedup, 0.2, False, "time of one part"),
    (checks.overall_speedup, 20, False, "time of one part"),
    (checks.overall_speedup, 0.4, False, "time that is left. How many"),
    (checks.overall_speedup, 40, False, "time that is left. How many"),
    (checks.overall_speedup, 0.6, False, "that is the time saved"),
    (checks.overall_speedup, 1.67, False, "divide by the time saved"),
    (checks.overall_speedup, 2, False, "the network took 1"),
    (checks.overall_speedup, 1.5, False, "over the old speed"),
    (checks.overall_speedup, 250, False, "in percent"),
    (checks.overall_speedup, 1.18, False, "you make the rest"),
    (checks.overall_speedup, 1.25, False, "means that 1/4 is left"),
    (checks.overall_speedup, 2.78, False, "not 1/5"),
    (checks.overall_speedup, 7, False, "Divide 1 by the sum"),
    (checks.overall_speedup, {"speed-up": 2.5}, False, "one number, and this is a dict"),
    (checks.removal_by_hand, removed, True, "what `ap.remove` does"),
    (checks.removal_by_hand, lambda network, keep1, keep2: network, False, "`network` itself"),
    (
        checks.removal_by_hand,
        lambda network, keep1, keep2: copy.deepcopy(network),
        False,
        "step 1 of 4: the first convolution still has all",
    ),
    (checks.removal_by_hand, in_place, False, "changes the network"),
    (checks.removal_by_hand, loaded_into_a_copy, False, "for Sequential. The numbers are cut, but the layers"),
    (checks.removal_by_hand, partial(loaded_into_a_copy, prefix="conv"), False, "all six are needed"),
    (checks.removal_by_hand, filters_and_inputs_at_once, False, "Cut one side after the other"),
    (checks.removal_by_hand, masks_mixed_up, False, "`keep1` fits the filters of the first"),
    (checks.removal_by_hand, afterwards(shorter_bias), False, "of the shape (3,); it should be (10,). It loses no outputs"),
    (checks.removal_by_hand, afterwards(as_float64), False, "of another type, torch.float64"),
    (
        checks.removal_by_hand,
        with_slip(columns=lambda keep, positions: keep.repeat_interleave(4)),
        False,
        "stops with IndexError",
    ),
    (checks.removal_by_hand, with_slip(say=False), False, "`small[0].out_channels` says 7, and the weight has 5"),
    (checks.removal_by_hand, built_anew, False, "had padding=(1, 1) and now has (0, 0)"),
    (checks.removal_by_hand, afterwards(share_a_bias), False, "shares its bias"),
    (checks.removal_by_hand, afterwards(view_of_linear), False, "shares its bias"),
    (checks.removal_by_hand, afterwards(wider_pool), False, "a MaxPool2d, had stride=2 and now has 1"),
    (checks.removal_by_hand, afterwards(no_bias), False, "the second convolution has lost its bias"),
    (
        checks.removal_by_hand,
        afterwards(new_bias),
        False,
        "the linear layer has a bias of the right shape, but with other numbers. It loses no outputs",
    ),
    (checks.removal_by_hand, afterwards(lambda small, network: small[:7]), False, "Conv2d, ReLU, MaxPool2d, Flatten."),
    (
        checks.removal_by_hand,
        afterwards(lambda small, network: small.state_dict()),
        False,
        "returns an OrderedDict; it should return a Sequential",
    ),
    (
        checks.removal_by_hand,
        afterwards(lambda small, network: 4282),
        False,
        "returns an int; it should return a Sequential",
    ),
    (
        checks.removal_by_hand,
        afterwards(lambda small, network: (small,)),
        False,
        "returns a tuple; it should return a Sequential",
    ),
    (checks.removal_by_hand, lambda network, keep1, keep2: None, False, "returns nothing"),
    (checks.removal_by_hand, lambda network, keep1, keep2: ..., None, "three dots"),
    (checks.removal_by_hand, lambda network: network, False, "stops with TypeError"),
    (checks.removal_by_hand, nn.Sequential(nn.ReLU()), False, "without brackets; this is a Sequential"),
    (checks.removal_by_hand, 3, False, "this is an int"),
    *((checks.removal_by_hand, cut, False, says) for cut, says in WRONG_CUTS),
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


@pytest.mark.parametrize(
    ("function", "share"),
    [
        (with_slip(filters=silent), 0),
        (only_first, 1 / 4),
        (with_slip(columns=first_columns), 2 / 4),
        (with_slip(say=False), 3 / 4),
        (removed, 1),
    ],
)
def test_steps_that_are_right_earn_their_share(function, share):
    assert checks.removal_by_hand(function).share == pytest.approx(share)
