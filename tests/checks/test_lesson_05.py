"""What the checks of lesson 05 answer."""

import pytest
import torch
from answering import verdict_test
from torch import nn
from torch.nn import functional as F

from attnprune_edu import checks


def safe(loses=lambda dense, value: dense - value, fits=lambda loss, lost: loss <= lost, order=sorted, stop=True, base=None):
    """The solution that the lesson shows, with a place for each slip."""

    def variant(curve, lost):
        best, before = 0.0, curve[0.0]
        for ratio in order(curve):
            dense = {"previous": before, "best": max(curve.values())}.get(base, curve[0.0])
            before = curve[ratio]
            if fits(loses(dense, curve[ratio]), lost):
                best = ratio
            elif stop:
                break
        return best

    return variant


def first_failure(curve, lost):
    return next((ratio for ratio in sorted(curve) if curve[0.0] - curve[ratio] > lost), max(curve))


def one_before_failure(curve, lost):
    best = None
    for ratio in sorted(curve):
        if curve[0.0] - curve[ratio] > lost:
            return best
        best = ratio


def against_the_first(curve, lost):
    dense, best = next(iter(curve.values())), 0.0
    for ratio in sorted(curve):
        if dense - curve[ratio] > lost:
            break
        best = ratio
    return best


def with_result(change):
    return lambda curve, lost: change(safe()(curve, lost))


class MaskedConv2d(nn.Module):
    """The solution that the lesson shows; the classes below it each make one slip."""

    def __init__(self, conv, keep):
        super().__init__()
        self.weight = nn.Parameter(conv.weight.detach().clone())
        self.bias = nn.Parameter(conv.bias.detach().clone())
        self.register_buffer("keep", keep.clone())
        self.stride, self.padding = conv.stride, conv.padding

    def masked(self):
        return torch.where(self.keep[:, None, None, None], self.weight, 0.0), torch.where(self.keep, self.bias, 0.0)

    def forward(self, images):
        return F.conv2d(images, *self.masked(), self.stride, self.padding)


def masked_by(masked):
    """The class with another ``masked``, a function of the module."""
    return type("Other", (MaskedConv2d,), {"masked": masked})


def answering(forward):
    """The class with another ``forward``, a function of the module and the images."""
    return type("Other", (MaskedConv2d,), {"forward": forward})


def made_by(init, forward=MaskedConv2d.forward):
    """The class with something done after ``__init__``, a function of the module, conv and keep."""

    def made(conv, keep):
        module = answering(forward)(conv, keep)
        init(module, conv, keep)
        return module

    return made


def by_product(self):
    return self.weight * self.keep[:, None, None, None], self.bias * self.keep


def by_cleaned_product(self):
    return [value.nan_to_num() for value in by_product(self)]


def without_axes(self):
    return torch.where(self.keep, self.weight, 0.0), torch.where(self.keep, self.bias, 0.0)


def weight_only(self):
    return torch.where(self.keep[:, None, None, None], self.weight, 0.0), self.bias


def along_inputs(self):
    return self.weight * self.keep[None, :, None, None], self.bias


def along_inputs_and_bias(self):
    return self.weight * self.keep[:, None, None], self.bias * self.keep


def without_stride(self, images):
    return F.conv2d(images, *self.masked())


def plain(self, images):
    return F.conv2d(images, self.weight, self.bias, self.stride, self.padding)


def zeroed_once(self, conv, keep):
    with torch.no_grad():
        self.weight[~keep], self.bias[~keep] = 0, 0


def zeroed_in_conv(self, conv, keep):
    with torch.no_grad():
        conv.weight[~keep] = 0


def gradients_held(self, conv, keep):
    zeroed_once(self, conv, keep)
    self.weight.register_hook(lambda gradient: gradient * keep[:, None, None, None])
    self.bias.register_hook(lambda gradient: gradient * keep)


def masked_once(self, conv, keep):
    self.made = torch.where(keep[:, None, None, None], self.weight, 0.0), torch.where(keep, self.bias, 0.0)


def share(self, conv, keep):
    self.weight, self.bias = conv.weight, conv.bias


def as_attribute(self, conv, keep):
    del self.keep
    self.keep = keep


def as_parameter(self, conv, keep):
    del self.keep
    self.mask = nn.Parameter(keep.float())
    self.keep = keep


def as_frozen_parameter(self, conv, keep):
    del self.keep
    self.keep = nn.Parameter(keep, requires_grad=False)


def weight_as_buffer(self, conv, keep):
    del self.weight
    self.register_buffer("weight", conv.weight.detach().clone())


def all_as_buffers(self, conv, keep):
    weight_as_buffer(self, conv, keep)
    del self.bias
    self.register_buffer("bias", conv.bias.detach().clone())


def of_outputs(self, images):
    return torch.where(self.keep[:, None, None], plain(self, images), 0.0)


def product_of_outputs(self, images):
    return plain(self, images) * self.keep[:, None, None]


class NoModule:
    def __init__(self, conv, keep):
        self.conv = conv


class WithoutSuper(nn.Module):
    def __init__(self, conv, keep):
        self.weight = nn.Parameter(conv.weight.detach().clone())


class Blank(nn.Module):
    def __init__(self, conv, keep):
        super().__init__()

    def forward(self, images):
        return ...


CASES = [
    (checks.weight_after_two_steps, -0.0855, True, "the zero is gone"),
    (checks.weight_after_two_steps, torch.tensor(-0.0855), True, "the zero is gone"),
    (checks.weight_after_two_steps, 0, False, "earlier gradients"),
    (checks.weight_after_two_steps, -0.045, False, "after one step"),
    (checks.weight_after_two_steps, -0.0405, False, "the second step alone"),
    (checks.weight_after_two_steps, -0.09, False, "the buffer shrinks"),
    (checks.weight_after_two_steps, -0.095, False, "the old buffer in each step"),
    (checks.weight_after_two_steps, -0.1, False, "multiplied by the momentum, 0.9"),
    (checks.weight_after_two_steps, 0.0855, False, "against the buffer"),
    (checks.weight_after_two_steps, -0.855, False, "learning rate out"),
    (checks.weight_after_two_steps, 0.405, False, "that is the buffer"),
    (checks.weight_after_two_steps, -0.086, False, "all its decimals"),
    (checks.weight_after_two_steps, 1, False, "in each step, first the buffer"),
    (checks.weight_after_two_steps, None, False, "one number, and this is None"),
    (checks.weight_after_two_steps, [-0.045, -0.0855], False, "one number, and this is a list"),
    (checks.weight_after_two_steps, "-0.0855", False, "Remove the quotes"),
    (checks.safe_ratio, safe(), True, "for each layer"),
    (checks.safe_ratio, with_result(torch.tensor), True, "for each layer"),
    (checks.safe_ratio, safe(stop=False), False, "come back up"),
    (checks.safe_ratio, against_the_first, False, "wherever it stands"),
    (checks.safe_ratio, with_result(lambda ratio: 100 * ratio), False, "that is percent"),
    (checks.safe_ratio, safe(loses=lambda dense, value: (dense - value) / dense), False, "not divided by curve[0.0]"),
    (checks.safe_ratio, with_result(lambda ratio: ratio or None), False, "already loses too much, return 0.0"),
    (checks.safe_ratio, safe(loses=lambda dense, value: 1000 * (dense - value) / dense), False, "no share"),
    (checks.safe_ratio, safe(loses=lambda dense, value: abs(dense - value)), False, "not a loss"),
    (checks.safe_ratio, safe(fits=lambda loss, lost: loss < lost), False, "use <="),
    (checks.safe_ratio, safe(fits=lambda loss, lost: loss <= lost + 1), False, "one picture more"),
    (checks.safe_ratio, safe(order=list), False, "any order"),
    (checks.safe_ratio, safe(order=list, stop=False), False, "any order"),
    (checks.safe_ratio, safe(base="previous"), False, "not with the ratio before"),
    (checks.safe_ratio, safe(base="best"), False, "not with the best"),
    (checks.safe_ratio, lambda curve, lost: curve[safe()(curve, lost)], False, "number of pictures"),
    (checks.safe_ratio, lambda curve, lost: curve[0.0] - curve[safe()(curve, lost)], False, "pictures are lost"),
    (checks.safe_ratio, first_failure, False, "the one before it"),
    (checks.safe_ratio, one_before_failure, False, "returns nothing"),
    (checks.safe_ratio, safe(loses=lambda dense, value: value, fits=lambda n, lost: n >= lost), False, "with `lost`"),
    (checks.safe_ratio, lambda curve, lost: curve.popitem()[0], False, "changes the curve"),
    (checks.safe_ratio, lambda curve, lost: 0.0, False, "you return 0"),
    (checks.safe_ratio, with_result(lambda ratio: (ratio, 660)), False, "returns a tuple; it should return one number"),
    (checks.safe_ratio, with_result(lambda ratio: [ratio]), False, "returns a list; it should return one number"),
    (checks.safe_ratio, with_result(str), False, "returns a str; it should return one number"),
    (checks.safe_ratio, with_result(lambda ratio: ratio > 0), False, "returns a bool; it should return one number"),
    (checks.safe_ratio, with_result(lambda ratio: torch.zeros(2)), False, "returns a Tensor; it should return one number"),
    (checks.safe_ratio, lambda curve: 0.0, False, "stops with TypeError"),
    (checks.safe_ratio, 0.5, False, "hand over the function"),
    (checks.masked_convolution, MaskedConv2d, True, "behind your mask"),
    (checks.masked_convolution, answering(of_outputs), True, "behind your mask"),
    (checks.masked_convolution, made_by(as_frozen_parameter), True, "behind your mask"),
    (checks.masked_convolution, masked_by(by_product), False, "step 2 of 4: 0 · ∞"),
    (checks.masked_convolution, answering(product_of_outputs), False, "step 2 of 4: 0 · ∞"),
    (checks.masked_convolution, masked_by(by_cleaned_product), False, "step 2 of 4: a NaN in a filter that stays"),
    (checks.masked_convolution, masked_by(without_axes), False, "Give keep the shape (channels, 1, 1, 1)"),
    (checks.masked_convolution, masked_by(weight_only), False, "step 1 of 4: the bias of a pruned channel"),
    (checks.masked_convolution, masked_by(along_inputs), False, "step 1 of 4: you silence inputs"),
    (checks.masked_convolution, masked_by(along_inputs_and_bias), False, "step 1 of 4: you silence inputs"),
    (
        checks.masked_convolution,
        masked_by(lambda self: (MaskedConv2d.masked(self)[0], self.bias * 0)),
        False,
        "step 1 of 4: the bias is missing",
    ),
    (
        checks.masked_convolution,
        masked_by(lambda self: [value / 0.6 for value in MaskedConv2d.masked(self)]),
        False,
        "step 1 of 4: the channels that stay are scaled",
    ),
    (
        checks.masked_convolution,
        made_by(lambda self, conv, keep: self.keep.logical_not_()),
        False,
        "step 1 of 4: kept and pruned are swapped",
    ),
    (checks.masked_convolution, answering(plain), False, "step 1 of 4: nothing is silent"),
    (checks.masked_convolution, answering(without_stride), False, "Do stride and padding come from `conv`?"),
    (
        checks.masked_convolution,
        answering(lambda self, images: MaskedConv2d.forward(self, images)[:, self.keep]),
        False,
        "step 1 of 4: the pruned channels are cut out",
    ),
    (
        checks.masked_convolution,
        answering(lambda self, images: MaskedConv2d.forward(self, images) + 1),
        False,
        "step 1 of 4: a pruned channel does not answer 0",
    ),
    (
        checks.masked_convolution,
        answering(lambda self, images: MaskedConv2d.forward(self, images).relu()),
        False,
        "step 1 of 4: a channel that stays answers otherwise",
    ),
    (checks.masked_convolution, made_by(lambda self, conv, keep: keep.fill_(True)), False, "changes the `keep`"),
    (checks.masked_convolution, made_by(zeroed_in_conv), False, "step 1 of 4: your class changes `conv` itself"),
    (checks.masked_convolution, made_by(zeroed_once, plain), False, "step 2 of 4: the check wrote the number 7"),
    (checks.masked_convolution, made_by(gradients_held, plain), False, "step 2 of 4: the check wrote the number 7"),
    (checks.masked_convolution, made_by(as_parameter), False, "step 2 of 4: the mask, mask, is a parameter"),
    (
        checks.masked_convolution,
        made_by(masked_once, lambda self, images: F.conv2d(images, *self.made, self.stride, self.padding)),
        False,
        "step 3 of 4: training stops",
    ),
    (checks.masked_convolution, made_by(share), False, "step 3 of 4: training the module changes `conv`"),
    (checks.masked_convolution, made_by(weight_as_buffer), False, "Trained were: bias (5,)"),
    (checks.masked_convolution, made_by(all_as_buffers), False, "step 3 of 4: the module has no parameters"),
    (
        checks.masked_convolution,
        masked_by(lambda self: [value.detach() for value in MaskedConv2d.masked(self)]),
        False,
        "step 3 of 4: no gradient gets through",
    ),
    (
        checks.masked_convolution,
        masked_by(lambda self: (MaskedConv2d.masked(self)[0], MaskedConv2d.masked(self)[1].detach())),
        False,
        "step 3 of 4: the parameter bias gets no gradient",
    ),
    (checks.masked_convolution, made_by(as_attribute), False, "step 4 of 4: the `state_dict` was loaded"),
    (checks.masked_convolution, answering(lambda self, images: None), False, "`forward` returns nothing"),
    (checks.masked_convolution, answering(lambda self, images: [images]), False, "returns a list; a tensor is wanted"),
    (checks.masked_convolution, answering(lambda self: self), False, "`forward` stops with TypeError"),
    (checks.masked_convolution, NoModule, False, "this makes a NoModule"),
    (checks.masked_convolution, WithoutSuper, False, "stops with AttributeError"),
    (checks.masked_convolution, Blank(None, None), False, "without brackets"),
    (checks.masked_convolution, torch.ones(3), False, "this is a Tensor"),
    (checks.masked_convolution, None, False, "this is None"),
    (checks.weight_after_two_steps, ..., None, "three dots"),
    (checks.safe_ratio, lambda curve, lost: ..., None, "three dots"),
    (checks.masked_convolution, Blank, None, "three dots"),
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


@pytest.mark.parametrize(
    ("kind", "share"),
    [
        (answering(plain), 0),
        (WithoutSuper, 0),
        (masked_by(by_product), 0.25),
        (made_by(weight_as_buffer), 0.5),
        (made_by(as_attribute), 0.75),
        (MaskedConv2d, 1),
    ],
)
def test_each_step_of_the_convolution_earns_its_share(kind, share):
    assert checks.masked_convolution(kind).share == share


def test_two_steps_of_torch_end_where_the_check_says():
    weight = nn.Parameter(torch.tensor([0.0]))
    weight.grad = torch.tensor([0.5])
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    optimizer.step()  # the buffer is now 0.5
    with torch.no_grad():
        weight.zero_()
    for _ in range(2):
        weight.grad.zero_()
        optimizer.step()
    assert checks.weight_after_two_steps(weight.item()).solved
