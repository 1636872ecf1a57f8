"""Checks of lesson 05, prune the CNN."""

import torch

from .verdict import Answered, Verdict, close_to, exercise, result_of, right, wrong


@exercise
def weight_after_a_step(answer) -> Verdict:
    """A weight of 0, gradient 0, momentum 0.9, buffer 0.5, learning rate 0.1: what is the weight after one step of SGD?"""
    answer = float(answer)
    close = close_to(answer, 0.0005)
    if close(-0.045):
        return right("the zero is gone after one step, although the gradient is 0. A mask must hold it.")
    if close(0):
        return wrong("the gradient is 0, but the step is not: the buffer still remembers earlier gradients.")
    if close(-0.05):
        return wrong("you take the old buffer. First it is multiplied by the momentum: 0.9 · 0.5 + 0.")
    if close(0.045) or close(0.05):
        return wrong("a step goes against the buffer: the weight minus learning rate times buffer.")
    if close(-0.45) or close(-0.5):
        return wrong("you left the learning rate out. The buffer is multiplied by 0.1 before the step.")
    if close(0.45):
        return wrong("that is the buffer now. The weight moves by learning rate times buffer, against it.")
    return wrong("first the buffer: momentum · buffer + gradient. Then the weight: 0 − learning rate · buffer.")


@exercise
def mask_by_hand(function) -> Verdict:
    """A function (weight (channels, inputs, height, width), keep (channels,)) → the same with the pruned filters at zero."""
    # With as many inputs, rows and columns as channels, a mask along the wrong dimension runs as well.
    weight, keep = torch.linspace(-2, 2, 80).repeat(2)[:81].view(3, 3, 3, 3), torch.tensor([True, False, True])
    result = result_of(function, weight, keep)
    if result.shape == weight[keep].shape:
        return wrong("you took the pruned filters out. Here they stay in their place, full of zeros.")
    if result.shape != weight.shape:
        return wrong(f"the result has the shape {tuple(result.shape)}; it should have the weight's, {tuple(weight.shape)}.")
    if result.dtype != weight.dtype:
        return wrong(f"the result is of type {result.dtype}; it should be the weight's, {weight.dtype}.")
    misconceptions = [
        ((~keep).view(3, 1, 1, 1), "kept and pruned are swapped. `keep` is True where a filter stays."),
        (keep.view(1, 3, 1, 1), "you silence an input of every filter. The filters are the first dimension of the weight."),
        (keep.view(1, 1, 3, 1), "you silence a row in every filter. Turn `keep` into the shape (channels, 1, 1, 1)."),
        (keep, "you silence a column in every filter. Turn `keep` into the shape (channels, 1, 1, 1)."),
    ]
    for stays, message in misconceptions:
        if result.equal(weight * stays):
            return wrong(message)
    if result[~keep].any():
        return wrong("filter 1 is pruned, but not all of its weights are zero.")
    if not result[keep].equal(weight[keep]):
        return wrong("the filters that stay are changed too. Leave their weights as they are: nothing is scaled.")
    weight, keep = torch.ones(3, 2, 3, 3), torch.tensor([False, True, False])
    if not result_of(function, weight, keep).equal(weight * keep.view(3, 1, 1, 1)):
        return wrong("right for 3 inputs, but not for a weight with 3 channels and 2 inputs.")
    weight[2, 0, 0, 0] = float("inf")
    if not result_of(function, weight, keep).isfinite().all():
        return wrong("0 · ∞ is not 0 but NaN, so a product does not silence everything. Choose with `torch.where`.")
    return right("the library's masks do the same, to the weights and to the bias.")


@exercise
def safe_ratio(function) -> Verdict:
    """A function (curve {ratio: accuracy}, drop) → the highest ratio up to which no ratio loses more than ``drop``."""

    def alone(curve, drop):
        result = function(curve, drop)
        return torch.tensor(result) if isinstance(result, tuple | list) and result else result

    def found(curve):
        given = dict(curve)
        result = result_of(alone if callable(function) else function, given, 0.125)
        if given != curve:
            raise Answered(wrong("your function changes the curve it is given. Make a new one instead."))
        if result.numel() != 1:
            raise Answered(wrong("return a single number: the ratio."))
        return result.item()

    plain = {0.0: 0.75, 0.25: 0.7, 0.5: 0.66, 0.75: 0.55, 0.875: 0.2}
    first = found(plain)
    if any(abs(first - accuracy) < 1e-6 for accuracy in (0.7, 0.66, 0.55, 0.2)):
        return wrong("that is an accuracy. Return the ratio that it belongs to.")
    if first == 0.75:
        return wrong("that is the first ratio that loses too much. Return the one before it.")
    if first == 0.875:
        return wrong("you compare the accuracy with `drop`. Compare what is lost: curve[0.0] − accuracy.")
    cases = [
        (plain, 0.5, "count a ratio as safe if curve[0.0] − accuracy is at most `drop`"),
        (
            {0.0: 0.5, 0.25: 0.45, 0.5: 0.4, 0.75: 0.3},
            0.5,
            "`drop` is meant in points of accuracy, not as a share of the dense network's",
        ),
        ({0.0: 0.75, 0.25: 0.6875, 0.5: 0.625, 0.75: 0.5}, 0.5, "a loss of exactly `drop` is still allowed: use <="),
        ({0.25: 0.7, 0.75: 0.5, 0.0: 0.75, 0.5: 0.65}, 0.5, "the ratios may come in any order: sort them first"),
        ({0.5: 0.65, 0.25: 0.7, 0.75: 0.5, 0.0: 0.75}, 0.5, "the ratios may come in any order: sort them first"),
        (
            {0.0: 0.75, 0.25: 0.7, 0.5: 0.5, 0.75: 0.65, 0.875: 0.2},
            0.25,
            "a curve is noisy and may come back up by chance. Stop at the first ratio that loses too much",
        ),
        ({0.0: 0.5, 0.25: 0.75, 0.5: 0.45}, 0.5, "more accuracy than before is not a loss: no absolute value here"),
        ({0.0: 0.75, 0.25: 0.5}, 0.0, "if no ratio is safe, 0.0 is the answer"),
        ({0.0: 0.75, 0.25: 0.7, 0.5: 0.7}, 0.5, "if every ratio is safe, the highest is the answer"),
    ]
    for curve, expected, message in cases:
        if (result := found(curve)) != expected:
            return wrong(f"{message}. With {curve} and a drop of 0.125 it is {expected}; you return {result:g}.")
    return right("with it you can read a ratio for each layer out of the table of `sensitivity`.")
