"""Checks of lesson 07, smaller and faster."""

import torch
from torch import Tensor

from .verdict import Verdict, close_to, exercise, result_of, right, wrong


@exercise
def params_of_cut_conv(answer) -> Verdict:
    """conv1 keeps 8 of 32 channels, conv2 16 of 64, kernels 5×5: how many parameters has conv2 afterwards?"""
    answer = float(answer)
    if answer == 16 * 8 * 25 + 16:
        return right("a quarter of the filters with a quarter of the inputs: a sixteenth of the weights is left.")
    if answer == 16 * 8 * 25:
        return wrong("these are the weights. Each filter that stays also has a bias.")
    if answer == 16 * 32 * 25 + 16:
        return wrong(
            "the inputs are not cut. conv1 delivers 8 channels now, and a filter of conv2 reads no more than these."
        )
    if answer == 64 * 8 * 25 + 64:
        return wrong("the outputs are not cut. 16 of the 64 filters of conv2 stay.")
    if answer == 16 * 32 * 25:  # as many as 64 · 8 · 25
        return wrong("you cut one side only, and the biases are missing. conv2 loses filters and inputs.")
    if answer in (64 * 32 * 25 + 64, 64 * 32 * 25):
        return wrong("nothing is cut: that is conv2 before. It loses filters, and each filter loses inputs.")
    if answer == (64 * 32 * 25 + 64) / 16:
        return wrong("a sixteenth is right for the weights. A bias belongs to a filter, and a quarter of the filters stay.")
    if answer in (16 * 8 * 25 + biases for biases in (1, 8, 64, 16 * 8)):
        return wrong("the weights are right. Of the biases there is one for each filter of conv2 that stays.")
    if answer in (16 * 8 * 5 + 16, 16 * 8 * 5):
        return wrong("a kernel has two sides, so it holds 5 · 5 weights.")
    if answer in (16 * 8 + 16, 16 * 8):
        return wrong("the kernel is missing: a filter has 5 · 5 weights for each input channel.")
    if answer in (48 * 24 * 25 + 48, 48 * 24 * 25):
        return wrong("you count with the channels that go, 24 and 48. Take those that stay.")
    if answer in (64 * 32 * 25 + 64 - (16 * 8 * 25 + 16), 64 * 32 * 25 - 16 * 8 * 25):
        return wrong("that is what conv2 loses. How much is left?")
    if answer in (8 * 3 * 25 + 8, 8 * 3 * 25):
        return wrong("that is conv1 afterwards. The question asks for conv2.")
    if answer == 16 * 8 * 25 + 16 + 8 * 3 * 25 + 8:
        return wrong("that is conv1 and conv2 together. The question asks for conv2 alone.")
    if answer in (16 * 3 * 25 + 16, 16 * 3 * 25):
        return wrong("3 colours go into conv1. conv2 reads the channels that conv1 delivers.")
    if answer in (8 * 25 + 1, 8 * 25):
        return wrong("that is one filter of conv2. 16 of them stay.")
    if 0 < answer < 1:
        return wrong("that is a share. Count the parameters.")
    return wrong("filters that stay · inputs that stay · 5 · 5 weights, and a bias for each filter that stays.")


@exercise
def columns_behind_flatten(function) -> Verdict:
    """A function (keep (channels,), positions) → bool (channels · positions,), True for the columns that stay."""
    # The first sizes tell the slips apart; the others find a rule that fits only these.
    for stays, positions in (([1, 0, 1], 4), ([1, 0, 1, 1], 4), ([0, 1, 1, 0, 0], 1), ([0, 1, 1, 0, 1, 0], 25)):
        keep = torch.tensor(stays, dtype=torch.bool)
        if problem := _amiss(result_of(function, keep, positions), keep, positions):
            return wrong(problem)
    return right("only a flatten needs this. Between two convolutions, one channel out is one channel in.")


def _amiss(result: Tensor, keep: Tensor, positions: int) -> str | None:
    """The misconception behind the ``result``; None if it is right."""
    columns = keep.repeat_interleave(positions)
    if result.dtype == torch.bool and result.equal(columns):
        return None

    def equals(value):
        return result.shape == value.shape and result.equal(value.to(result.dtype))

    size = f"({len(columns)},)"
    if result.ndim == 0 and result == columns.sum():
        return "that is how many columns stay. Which ones?"
    if result.dtype != torch.bool:
        if result.flatten().equal(columns.nonzero().flatten().to(result.dtype)):
            return "these are the numbers of the columns that stay. Return True or False for each column."
        if result.flatten().equal(keep.nonzero().flatten().to(result.dtype)):
            return "these are the numbers of the channels that stay. Return True or False for each column."
        return f"the result is of type {result.dtype}; it should be torch.bool, True where a column stays."
    if equals(columns.view(len(keep), positions)):
        return f"a row for each channel is right, but the linear layer sees no rows. Flatten it to the shape {size}."
    if equals(keep.expand(positions, -1)):
        return "a row for each position? Make a row for each channel, and flatten it."
    if equals(keep):
        return f"this is `keep` unchanged. From each channel the linear layer reads {positions} numbers, not one."
    if equals(columns[columns]):
        return "these are only the columns that stay. Return True or False for all of them."
    if equals(keep.repeat_interleave(positions**2)):
        return "`positions` is already the number of pixels of a channel. Do not square it."
    if equals(keep.repeat_interleave(len(keep))):
        return "you repeat each entry as often as there are channels. Repeat it `positions` times."
    if result.shape != columns.shape:
        return f"the result has the shape {tuple(result.shape)}; for {len(keep)} · {positions} columns it should be {size}."
    misconceptions = [
        (keep.repeat(positions), "you repeat all of `keep`. After the flatten, all pixels of channel 0 come first."),
        (~columns, "these are the columns that go. True means that a column stays."),
        (
            ~keep.repeat(positions),
            "True means that a column stays. And after the flatten, all pixels of channel 0 come first.",
        ),
        (
            columns.sort(descending=True).values,
            "as many as should stay, but the first ones. `keep` says which channels stay.",
        ),
        (torch.ones_like(columns), "every column stays. Those of a channel that is gone should go."),
    ]
    for value, message in misconceptions:
        if equals(value):
            return message
    first = int((result != columns).nonzero()[0])
    channel, fate = first // positions, "stays" if columns[first] else "goes"
    return f"with positions = {positions}, column {first} belongs to channel {channel}, which {fate}."


@exercise
def overall_speedup(answer) -> Verdict:
    """A layer takes 80 % of the time and becomes 4 times as fast: how many times as fast is the network?"""
    answer = float(answer)
    close = close_to(answer, 0.005)
    if close(2.5):
        return right("even if the layer took no time at all, the network would be only 5 times as fast.")
    if close(4):
        return wrong("that is the layer alone. The rest of the network takes as long as before.")
    if close(3.2):
        return wrong("80 % of 4 is not a time. Add up what the layer and the rest take now.")
    if close(3.4):
        return wrong("that is the mean of 4 times and once as fast, by shares. Add up times, not speeds.")
    if close(5):
        return wrong(
            "you count only one of two parts. If the time before is 1, the layer takes 0.2 now, and so does the rest."
        )
    if close(0.4) or close(40):
        return wrong("that is the time that is left. How many times does it fit into the time before?")
    if close(0.6) or close(60):
        return wrong("that is the time saved. How long does the network take now?")
    if close(1 / 0.6):
        return wrong("you divide by the time saved. Divide the time before by the time that is left.")
    if close(2):
        return wrong("the layer took 0.8 before, but the network took 1. Divide that by what it takes now.")
    if close(1.5) or close(150):
        return wrong("that is what is gained over the old speed. How many times the old speed is the new one?")
    if close(250):
        return wrong("that is in percent. How many times as fast is it?")
    if close(1 / 0.85):
        return wrong("you make the rest 4 times as fast. It is the layer with 80 % of the time.")
    if close(1.25):
        return wrong("that would be so if the rest took no time and the layer as long as before.")
    return wrong("the time before is 1. Now the layer takes 0.8 / 4, and the rest takes 0.2 as before. Divide 1 by the sum.")
