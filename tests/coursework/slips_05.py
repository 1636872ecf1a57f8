"""Wrong answers to the coursework on lesson 05: {check: [(given numbers → the answer, what the verdict says)]}."""

import torch
from test_lesson_05 import (
    CASES,
    MaskedConv2d,
    against_the_first,
    answering,
    by_product,
    first_failure,
    masked_by,
    one_before_failure,
    safe,
)
from torch import nn

from attnprune_edu import checks


def allowed(function):
    """A wrong rule of the lesson, with as many pictures as the student's version allows."""
    return lambda times, more: lambda curve, lost: function(curve, times * lost + more)


def changed(change):
    return allowed(lambda curve, lost: change(safe()(curve, lost), curve))


def silent_with(kind):
    """A class that makes a slip of the lesson, and then answers the student's own constant wherever that left zeros."""

    def answer(constant):
        def made(conv, keep):
            module = kind(conv, keep)
            if isinstance(module, nn.Module):
                module.register_forward_hook(lambda module, inputs, outputs: with_constant(outputs))
            return module

        def with_constant(outputs):
            return torch.where(outputs == 0, constant, outputs) if isinstance(outputs, torch.Tensor) else outputs

        return made

    return answer


OF_A_CLASS = [
    (silent_with(answer), says)
    for check, answer, solved, says in CASES
    if check is checks.masked_convolution and solved is False
    if callable(answer) and not isinstance(answer, nn.Module)
    if not says.endswith(("does not answer 0", "a channel that stays answers otherwise"))  # there zeros say something
]

SLIPS = {
    "weight_after_two_steps": [
        (lambda momentum, learning_rate, buffer: 0, "earlier gradients"),
        (lambda momentum, learning_rate, buffer: learning_rate * (momentum + momentum**2) * buffer, "against the buffer"),
        (lambda momentum, learning_rate, buffer: -learning_rate * momentum * buffer, "after one step"),
        (lambda momentum, learning_rate, buffer: -learning_rate * momentum**2 * buffer, "the second step alone"),
        (lambda momentum, learning_rate, buffer: -2 * learning_rate * momentum * buffer, "the buffer shrinks"),
        (lambda momentum, learning_rate, buffer: -learning_rate * (1 + momentum) * buffer, "the old buffer in each step"),
        (lambda momentum, learning_rate, buffer: -2 * learning_rate * buffer, "multiplied by the momentum"),
        (lambda momentum, learning_rate, buffer: -(1 + momentum) * buffer, "learning rate out"),
        (lambda momentum, learning_rate, buffer: momentum**2 * buffer, "that is the buffer"),
        (lambda momentum, learning_rate, buffer: -1.02 * learning_rate * (momentum + momentum**2) * buffer, "nearly"),
        (lambda momentum, learning_rate, buffer: -0.0855, "the lesson's own numbers"),
        (lambda momentum, learning_rate, buffer: 7, "in each step, first the buffer"),
    ],
    "safe_ratio": [
        (allowed(safe(stop=False)), "come back up"),
        (allowed(against_the_first), "wherever it stands"),
        (changed(lambda ratio, curve: 100 * ratio), "that is percent"),
        (changed(lambda ratio, curve: curve[ratio]), "number of pictures"),
        (changed(lambda ratio, curve: curve[0.0] - curve[ratio]), "pictures are lost"),
        (changed(lambda ratio, curve: ratio or None), "already loses too much, return 0.0"),
        (allowed(safe(loses=lambda dense, value: (dense - value) / dense)), "not divided by curve[0.0]"),
        (allowed(safe(loses=lambda dense, value: 100 * (dense - value) / dense)), "not divided by curve[0.0]"),
        (allowed(safe(loses=lambda dense, value: 1000 * (dense - value) / dense)), "no share"),
        (allowed(safe(loses=lambda dense, value: abs(dense - value))), "not a loss"),
        (allowed(safe(fits=lambda loss, most: loss < most)), "use <="),
        (allowed(safe(fits=lambda loss, most: loss <= most + 1)), "one picture more"),
        (allowed(safe(order=list)), "any order"),
        (allowed(safe(base="previous")), "not with the ratio before"),
        (allowed(safe(base="best")), "not with the best"),
        (allowed(first_failure), "the one before it"),
        (allowed(one_before_failure), "returns nothing"),
        (allowed(safe(loses=lambda dense, value: value, fits=lambda n, most: n >= most)), "with `lost`"),
        (lambda times, more: lambda curve, lost: safe()(curve, times * lost), "in your version"),
        (lambda times, more: lambda curve, lost: safe()(curve, lost + more), "in your version"),
        (lambda times, more: safe(), "the lesson's own exercise"),
    ],
    "masked_convolution": [
        *OF_A_CLASS,
        (lambda constant: answering(lambda self, images: MaskedConv2d.forward(self, images) + constant), "you add"),
        (lambda constant: masked_by(by_product), "the pruned channels answer 0. In your version"),
        (lambda constant: silent_with(MaskedConv2d)(-constant), "wrong sign"),
        (lambda constant: silent_with(MaskedConv2d)(1.5 * constant), "step 1 of 4: a pruned channel does not answer"),
        (lambda constant: MaskedConv2d, "the lesson's own exercise"),
    ],
}
