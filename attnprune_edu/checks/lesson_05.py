"""Checks of lesson 05, prune the CNN."""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .verdict import (
    NOT_TRIED,
    Answered,
    Verdict,
    a_kind,
    close_to,
    exercise,
    first_line,
    number_of,
    returned_by,
    right,
    wrong,
)


@exercise
def weight_after_two_steps(answer) -> Verdict:
    """A weight of 0, momentum 0.9, buffer 0.5, learning rate 0.1, no gradient: what is the weight after two steps of SGD?"""
    answer = number_of(answer)
    close = close_to(answer, 0.0004)
    if close(-0.0855):
        return right("the zero is gone although the gradient is 0, and each step takes it further. A mask must hold it.")
    if close(0):
        return wrong("the gradient is 0, but the step is not: the buffer still remembers earlier gradients.")
    if close(0.0855):
        return wrong("a step goes against the buffer: the weight minus learning rate times buffer.")
    if close(-0.045):
        return wrong("that is the weight after one step. The second one starts from there, with a smaller buffer.")
    if close(-0.0405):
        return wrong("that is the second step alone. The weight is where the first step left it, and moves on.")
    if close(-0.09):
        return wrong("the buffer shrinks in the second step, too: it is multiplied by 0.9 each time.")
    if close(-0.095):
        return wrong("you take the old buffer in each step. First it is multiplied by the momentum: 0.9 · 0.5 + 0.")
    if close(-0.1):
        return wrong("the buffer is multiplied by the momentum, 0.9, in each step, before the weight moves.")
    if close(-0.855) or close(-0.95):
        return wrong("you left the learning rate out. The buffer is multiplied by 0.1 before the weight moves.")
    if close(0.405) or close(0.45):
        return wrong("that is the buffer. The weight moves by learning rate times buffer, against it.")
    return wrong("in each step, first the buffer: momentum · buffer + gradient. Then the weight: − learning rate · buffer.")


@exercise
def safe_ratio(function) -> Verdict:
    """A function (curve {ratio: correct pictures}, lost) → the highest ratio up to which none loses more than ``lost``."""
    plain = {0.0: 750, 0.25: 710, 0.5: 660, 0.75: 500, 0.875: 200}
    first = _ratio_of(function, plain)
    if first in plain.values():
        return wrong("that is a number of pictures. Return the ratio that it belongs to.")
    if first in (50, 25, 75):
        return wrong("that is percent; return the ratio itself.")
    if first in (40, 90):
        return wrong("that is how many pictures are lost. Return the ratio.")
    if first == 0.75:
        return wrong("that is the first ratio that loses too much. Return the one before it.")
    if first == 0.875 and _ratio_of(function, {0.0: 750, 0.5: 100}) == 0.5:
        return wrong("`lost` is a number of pictures: compare curve[0.0] − curve[ratio] with it, not divided by curve[0.0].")
    if first == 0.875:
        return wrong("you compare the pictures with `lost`. Compare how many fewer they are: curve[0.0] − curve[ratio].")
    cases = [
        (plain, 0.5, "a ratio is safe if curve[0.0] − curve[ratio] is at most `lost`"),
        (
            {0.0: 750, 0.25: 680, 0.5: 600, 0.75: 500},
            0.25,
            "compare with ratio 0, not with the ratio before: small losses add up",
        ),
        ({0.0: 500, 0.25: 450, 0.5: 400, 0.75: 300}, 0.5, "`lost` counts pictures; it is no share of them"),
        ({0.0: 750, 0.25: 690, 0.5: 625, 0.75: 500}, 0.5, "a loss of exactly `lost` is still allowed: use <="),
        ({0.25: 700, 0.75: 500, 0.0: 750, 0.5: 650}, 0.5, "the ratios may come in any order: sort them first"),
        ({0.5: 650, 0.25: 700, 0.75: 500, 0.0: 750}, 0.5, "the ratios may come in any order: sort them first"),
        ({0.5: 630, 0.75: 520, 0.0: 750, 0.25: 700}, 0.5, "compare with curve[0.0], wherever it stands"),
        (
            {0.0: 700, 0.25: 780, 0.5: 620, 0.75: 500},
            0.5,
            "compare with ratio 0, not with the best: a lucky ratio is no reason to ask for more",
        ),
        (
            {0.0: 750, 0.25: 700, 0.5: 500, 0.75: 650, 0.875: 200},
            0.25,
            "a curve is noisy and may come back up by chance. Stop at the first ratio that loses too much",
        ),
        ({0.0: 500, 0.25: 750, 0.5: 450}, 0.5, "more pictures than before are not a loss: no absolute value here"),
        ({0.0: 750, 0.25: 500}, 0.0, "if no other ratio is safe, 0.0 is the answer"),
        ({0.0: 750, 0.25: 700, 0.5: 700}, 0.5, "if every ratio is safe, the highest is the answer"),
    ]
    for curve, expected, message in cases:
        try:
            result = _ratio_of(function, curve)
        except Answered as end:
            if expected == 0.0 and "returns nothing" in end.verdict.message:
                return wrong("if the first ratio already loses too much, return 0.0; your function returns nothing then.")
            raise
        if result != expected:
            return wrong(f"{message}. With {curve} and lost = 125 it is {expected}; you return {result:g}.")
    return right("with it you can read a ratio for each layer out of the table of `sensitivity`.")


def _ratio_of(function, curve: dict[float, int]) -> float:
    given = dict(curve)
    result = returned_by(function, given, 125)
    if given != curve:
        raise Answered(wrong("your function changes the curve it is given. Make a new one instead."))
    if isinstance(result, str | bool):
        raise Answered(wrong(f"your function returns {a_kind(result)}; it should return one number, the ratio."))
    try:
        return float(result)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Answered(wrong(f"your function returns {a_kind(result)}; it should return one number, the ratio.")) from error


@exercise
def masked_convolution(kind) -> Verdict:
    """A class (conv, keep) → a module that computes as ``conv`` with silent pruned channels, also after training."""
    if isinstance(kind, nn.Module):
        return wrong("hand over the class itself, without brackets: the check makes its own modules from it.")
    if not callable(kind):
        return wrong(f"hand over the class itself, and this is {a_kind(kind)}.")
    torch.manual_seed(0)
    for channels, options in ((5, {"kernel_size": 3, "stride": 2, "padding": 1}), (3, {"kernel_size": (1, 3)})):
        conv, images = nn.Conv2d(channels, channels, **options), torch.randn(4, channels, 8, 9)
        keep = torch.arange(channels) % 2 == 0
        for number, step in enumerate((_computes, _holds_what_is_stored, _learns, _is_stored), start=1):
            if problem := step(kind, conv, keep, images):
                return wrong(f"step {number} of 4: {problem}")
    return right("an optimiser can write what it likes behind your mask. The library's masks hold in the same way.")


def _made(kind, conv: nn.Conv2d, keep: Tensor) -> nn.Module:
    """A module of the reader's class, from copies, so that nothing that is done to it changes ``conv``."""
    try:
        module = kind(conv, keep)
    except Exception as error:  # whatever the reader's code may raise
        problem = f"making MaskedConv2d(conv, keep) stops with {type(error).__name__}: {first_line(error)}"
        raise Answered(wrong(problem)) from error
    if not isinstance(module, nn.Module):
        raise Answered(wrong(f"a torch.nn.Module is wanted, with `__init__` and `forward`; this makes {a_kind(module)}."))
    return module


def _outputs(module: nn.Module, images: Tensor) -> Tensor:
    """What the reader's module makes of ``images``; if that is no tensor, the check ends."""
    try:
        result = module(images)
    except Exception as error:  # whatever the reader's code may raise
        problem = f"`forward` stops with {type(error).__name__}: {first_line(error)}"
        if "must match the size of tensor" in problem:
            problem += ". Give keep the shape (channels, 1, 1, 1): `keep[:, None, None, None]`."
        raise Answered(wrong(problem)) from error
    if result is ...:
        raise Answered(NOT_TRIED)
    if not isinstance(result, Tensor):
        what = "nothing. Does it end with `return`?" if result is None else f"{a_kind(result)}; a tensor is wanted."
        raise Answered(wrong(f"`forward` returns {what}"))
    return result


def _computes(kind, conv: nn.Conv2d, keep: Tensor, images: Tensor) -> str | None:
    """Step 1: is the module's output that of ``conv``, with zeros for the pruned channels?"""
    before, given = copy.deepcopy(conv), keep.clone()
    result = _outputs(_made(kind, conv, given), images).detach()
    if not given.equal(keep):
        return "your class changes the `keep` that it is given."
    if any(not now.equal(then) for now, then in zip(conv.parameters(), before.parameters(), strict=True)):
        return "your class changes `conv` itself. Take copies: `conv.weight.detach().clone()`."
    dense = conv(images).detach()  # (N, channels, height, width)
    stays = keep[:, None, None]
    if result.shape == dense[:, keep].shape:
        return "the pruned channels are cut out. Here they stay in their place, full of zeros."
    if result.shape != dense.shape:
        return (
            f"the output has the shape {tuple(result.shape)}, and that of `conv` is {tuple(dense.shape)}. "
            "Do stride and padding come from `conv`?"
        )

    def same(value):
        return torch.allclose(result, value.expand_as(result), atol=1e-5)

    bias = conv.bias.detach()[:, None, None]
    weight = conv.weight.detach()
    misconceptions = [
        (dense * ~stays, "kept and pruned are swapped. `keep` is True where a channel stays."),
        (torch.where(stays, dense, bias), "the bias of a pruned channel still speaks. Silence it, too."),
        (torch.where(stays, dense - bias, 0.0), "the bias is missing in the channels that stay."),
        (torch.where(stays, dense, 0.0) / keep.float().mean(), "the channels that stay are scaled. Leave them as they are."),
        (dense, "nothing is silent. `keep` is False for the channels that should answer 0."),
    ]
    for value, message in misconceptions:
        if same(value):
            return message
    if len(keep) == weight.shape[1]:
        along_inputs = F.conv2d(images, weight * keep[:, None, None], conv.bias, conv.stride, conv.padding).detach()
        if same(along_inputs) or same(torch.where(stays, along_inputs, along_inputs - bias)):
            return "you silence inputs. The filters are the first dimension of the weight: `keep[:, None, None, None]`."
    if not same(torch.where(stays, dense, 0.0)):
        lost = "a pruned channel does not answer 0" if result[:, ~keep].any() else "a channel that stays answers otherwise"
        return f"{lost}. Compare with `conv(images)` where `keep` is True, and with 0 elsewhere."
    return None


def _holds_what_is_stored(kind, conv: nn.Conv2d, keep: Tensor, images: Tensor) -> str | None:
    """Step 2: do numbers that are stored for the pruned channels stay without effect?"""
    for number, what in ((7.0, "the number 7"), (float("inf"), "∞")):
        module = _made(kind, copy.deepcopy(conv), keep.clone())
        dense = _outputs(module, images).detach()
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                if not parameter.requires_grad:
                    continue
                if parameter.flatten().equal(keep.to(parameter)):
                    return f"the mask, {name}, is a parameter, and an optimiser changes those. Use `register_buffer`."
                if parameter.shape in (conv.weight.shape, conv.bias.shape):
                    parameter[~keep] = number
        result = _outputs(module, images).detach()
        if result.isnan().any():
            return "0 · ∞ is not 0 but NaN, so a product does not silence everything. Choose with `torch.where`."
        if not torch.allclose(result, dense, atol=1e-5):
            return (
                f"the check wrote {what} into the stored weights of the pruned filters, as an optimiser may, and it came "
                "through. Apply the mask in `forward`, each time."
            )
    module, written = _made(kind, copy.deepcopy(conv), keep.clone()), False
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad and parameter.shape in (conv.weight.shape, conv.bias.shape):
                parameter[keep], written = float("nan"), True
    result = _outputs(module, images).detach()
    if written and not result[:, keep].isnan().all() and not result.equal(dense):  # equal: `forward` reads no stored weight
        return "a NaN in a filter that stays became a number, which hides a mistake. No `nan_to_num`: use `torch.where`."
    return None


def _learns(kind, conv: nn.Conv2d, keep: Tensor, images: Tensor) -> str | None:
    """Step 3: do the channels that stay learn as in ``conv``, while it does not change and the others stay silent?"""
    own = copy.deepcopy(conv)
    module = _made(kind, own, keep.clone())
    parameters = dict(module.named_parameters())
    if not parameters:
        return "the module has no parameters, so an optimiser finds nothing to train. Store them as `torch.nn.Parameter`."
    dense, stays = copy.deepcopy(conv), keep[:, None, None]
    for network in (module, dense):
        optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
        for _ in range(3):
            output = _outputs(network, images)
            if not output.requires_grad:
                return "no gradient gets through `forward`. Does it read `.data`, or a detached copy?"
            optimizer.zero_grad()
            try:
                (torch.where(stays, output, 0.0) - 1).square().mean().backward()
            except RuntimeError as error:
                return f"training stops ({first_line(error)}). Is the weight masked in `forward`, anew each time?"
            optimizer.step()
    for name, parameter in parameters.items():
        if parameter.requires_grad and parameter.grad is None:
            return f"the parameter {name} gets no gradient: `forward` does not use it."
    result = _outputs(module, images).detach()
    if any(not now.equal(then) for now, then in zip(own.parameters(), conv.parameters(), strict=True)):
        return "training the module changes `conv`, too. Store copies: `conv.weight.detach().clone()`."
    if result[:, ~keep].any():
        return "after three steps of training a pruned channel no longer answers 0."
    wanted = torch.where(stays, dense(images).detach(), 0.0)
    if not torch.allclose(result, wanted, atol=1e-4):
        trained = " and ".join(f"{name} {tuple(value.shape)}" for name, value in parameters.items() if value.requires_grad)
        return (
            "after three steps the channels that stay are not those of `conv` after three steps. "
            f"Trained were: {trained}. It should be one weight and one bias, and no mask."
        )
    return None


def _is_stored(kind, conv: nn.Conv2d, keep: Tensor, images: Tensor) -> str | None:
    """Step 4: does the mask go along with a deep copy and with the state_dict?"""
    module = _made(kind, copy.deepcopy(conv), keep.clone())
    result = _outputs(module, images).detach()
    try:
        twin = copy.deepcopy(module)
    except RuntimeError as error:
        return f"`copy.deepcopy` stops: {first_line(error)}"
    if not _outputs(twin, images).equal(result):
        return "a deep copy gives other outputs than the module itself."
    other = _made(kind, nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding), ~keep)
    other.load_state_dict(module.state_dict())
    if not torch.allclose(_outputs(other, images), result, atol=1e-5):
        return (
            "the `state_dict` was loaded into a module with another mask, and the outputs are not the same. "
            'Store the mask with `self.register_buffer("keep", keep)`.'
        )
    return None
