"""Checks of lesson 01, what pruning removes."""

import torch

from .verdict import Verdict, exercise, result_of, right, wrong


@exercise
def parameters_of_a_filter(answer) -> Verdict:
    """How many parameters does the article's CNN lose with one filter of conv2?"""
    own, bias, read = 32 * 25, 1, 1024 * 25
    answer = float(answer)
    if answer == own + bias + read:
        return right("only 801 of them are the filter's own; 25,600 stand in fc1, which reads it.")
    if answer in (own, own + bias):
        return wrong("that is the filter alone. Which weights of fc1 read what it delivers?")
    if answer == own + read:
        return wrong("this leaves one parameter out: the filter also has a bias.")
    if answer in (read, read + bias):
        return wrong("that counts what fc1 loses. The filter's own weights go as well.")
    if answer in (own + bias + 1024, own + 1024):
        return wrong("each neuron of fc1 reads 5 · 5 numbers from this filter, not one.")
    if answer in (25 + bias + read, 25 + read):
        return wrong("a filter of conv2 looks at all 32 channels of conv1, each with 5 · 5 weights.")
    return wrong(
        "add up: the filter's weights (shape 32 × 5 × 5), its bias, and 25 weights in each of the 1024 neurons of fc1."
    )


@exercise
def magnitude_rule(function) -> Verdict:
    """A function (weight, share) → bool tensor of the same shape that drops the smallest sizes."""
    weight = torch.tensor([[0.5, -0.9, 0.1], [-0.05, 0.7, -0.3]])
    right_answer = torch.tensor([[True, True, False], [False, True, True]])
    stays = result_of(function, weight, 0.3)
    if stays.shape != weight.shape:
        return wrong(f"the result has the shape {tuple(stays.shape)}; it should have the weight's, {tuple(weight.shape)}.")
    if stays.dtype != torch.bool:
        if stays.float().equal(weight * right_answer):
            return wrong("these are the pruned weights. Return True and False: which weights stay?")
        return wrong(f"the result is of type {stays.dtype}; it should be torch.bool, True where a weight stays.")
    if stays.equal(~right_answer):
        return wrong("the smallest weights stay and the others go. True means that a weight stays.")
    if stays.equal(torch.tensor([[True, False, True], [True, False, True]])):
        return wrong("the largest weights go. The smallest should.")
    if stays.equal(torch.tensor([[True, True, True], [False, True, True]])):
        return wrong("one too few went: 0.3 · 6 = 1.8, rounded to 2.")
    if stays.equal(torch.tensor([[True, False, True], [True, True, False]])):
        return wrong("you sort by the signed value, so that −0.9 goes first. It is a large weight: sort by its size.")
    if stays.equal(torch.tensor([[True, True, False], [False, True, False]])):
        return wrong("one too many went: round(share · number of weights) go.")
    if stays.sum() == 2:
        return wrong("only a third stays. The share is what goes.")
    if not stays.equal(right_answer):
        return wrong(
            f"of {weight.tolist()} at a share of 0.3, the weights 0.1 and −0.05 should go; you return {stays.tolist()}."
        )
    if not result_of(function, weight, 0.0).all() or result_of(function, weight, 1.0).any():
        return wrong("try the shares 0 and 1: nothing should go, and everything.")
    uneven = torch.tensor([[0.1, 0.2, 0.3], [1.0, 2.0, 3.0]])
    if not result_of(function, uneven, 0.5).equal(torch.tensor([[False] * 3, [True] * 3])):
        return wrong("you choose in each row by itself. Compare all weights of the tensor with each other.")
    if result_of(function, torch.ones(4), 0.5).sum() != 2:
        return wrong(
            "when weights are equal, your rule drops too many or too few. Count places instead of comparing with a limit."
        )
    return right("and since it counts places, it drops the right number even where weights are equal.")


@exercise
def removable_neurons(answer) -> Verdict:
    """Which rows of the lesson's matrix are zero from end to end?"""
    chosen = torch.as_tensor(answer).flatten()
    if chosen.dtype == torch.bool:  # a mask over the rows
        chosen = chosen.nonzero().flatten()
    if chosen.is_floating_point() and (chosen != chosen.round()).any():
        return wrong("a row number is a whole number.")
    rows = sorted(set(chosen.long().tolist()))
    if rows == [1]:
        return right(
            "15 of 20 weights are zero, and still only one neuron in four can go: scattered zeros do not help much."
        )
    if rows == [2]:
        return wrong("counted from 0, that row holds 0.7.")
    if rows == [0, 2]:
        return wrong(
            "these are columns full of zeros: inputs that nobody reads. The question asks for neurons, which are rows."
        )
    if 1 in rows:
        return wrong("row 1, yes. But each of the others still passes on at least one input.")
    return wrong("a neuron can go if its output is always zero. Look for a row without any other number than zero.")
