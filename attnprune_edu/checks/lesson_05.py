"""Checks of lesson 05, prune the CNN."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import observers
from .observers import observe
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
    wrong_step,
)


@exercise
def weight_after_two_steps(answer, *, momentum: float = 0.9, learning_rate: float = 0.1, buffer: float = 0.5) -> Verdict:
    """A weight of 0 whose ``buffer`` is not 0, and whose gradient is: what is it after two steps of SGD?"""
    answer = number_of(answer)
    first, second = momentum * buffer, momentum**2 * buffer  # the buffer after each step
    weight = -learning_rate * (first + second)
    close = close_to(answer, 0.005 * abs(weight))
    if close(weight):
        return right("the zero is gone although the gradient is 0, and each step takes it further. A mask must hold it.")
    if close(0):
        return wrong("the gradient is 0, but the step is not: the buffer still remembers earlier gradients.")
    if close(-weight):
        return wrong("a step goes against the buffer: the weight minus learning rate times buffer.")
    if close(-learning_rate * first):
        return wrong("that is the weight after one step. The second one starts from there, with a smaller buffer.")
    if close(-learning_rate * second):
        return wrong("that is the second step alone. The weight is where the first step left it, and moves on.")
    if close(-learning_rate * 2 * first):
        return wrong(f"the buffer shrinks in the second step, too: it is multiplied by {momentum:g} each time.")
    if close(-learning_rate * (buffer + first)):
        return wrong(
            f"you take the old buffer in each step. First it is multiplied by the momentum: {momentum:g} · {buffer:g} + 0."
        )
    if close(-learning_rate * 2 * buffer):
        return wrong(f"the buffer is multiplied by the momentum, {momentum:g}, in each step, before the weight moves.")
    if close(weight / learning_rate) or close(-buffer - first):
        return wrong(
            f"you left the learning rate out. The buffer is multiplied by {learning_rate:g} before the weight moves."
        )
    if close(second) or close(first):
        return wrong("that is the buffer. The weight moves by learning rate times buffer, against it.")
    if abs(answer - weight) < 0.03 * abs(weight):
        return wrong("nearly: give the weight with all its decimals.")
    return wrong("in each step, first the buffer: momentum · buffer + gradient. Then the weight: − learning rate · buffer.")


@exercise
def safe_ratio(function, *, times: float = 1, more: int = 0) -> Verdict:
    """A function (curve {ratio: correct pictures}, lost) → the highest ratio up to which none loses too much.

    Too much is more than ``times`` · lost + ``more`` pictures. ``times``: a multiple of 0.25, for which that is exact.
    """
    lost = 4 * int(torch.randint(15, 19, ()))
    allowed = int(times * lost) + more
    rule = (f"{times:g} · `lost`" if times != 1 else "`lost`") + (f" + {more}" if more else "")
    dense = int(torch.randint(950, 1050, ()))  # of a thousand, roughly: a per mille, too, passes the first curve

    def curve(losses: dict[float, float]) -> dict[float, int]:
        """The curve with these losses, in shares of what is allowed; a whole one is allowed to the picture."""
        return {ratio: dense - int(share * allowed) for ratio, share in losses.items()}

    def stops_at(most: int) -> bool:
        """Whether the function allows a loss of ``most`` pictures, and no more."""
        curves = [{0.0: dense, 0.25: dense, 0.5: dense - loss} for loss in (most, most + 1)]
        return [_ratio_of(function, given, lost) for given in curves] == [0.5, 0.25]

    plain = curve({0.0: 0, 0.25: 0.3, 0.5: 0.7, 0.75: 2, 0.875: 2.4})
    first = _ratio_of(function, plain, lost)
    if first in plain.values():
        return wrong("that is a number of pictures. Return the ratio that it belongs to.")
    if first in (50, 25, 75):
        return wrong("that is percent; return the ratio itself.")
    if first in (dense - plain[0.25], dense - plain[0.5]):
        return wrong("that is how many pictures are lost. Return the ratio.")
    if first == 0.75:
        return wrong("that is the first ratio that loses too much. Return the one before it.")
    if first == 0.875 and _ratio_of(function, {0.0: allowed + 10, 0.5: allowed - 1}, lost) == 0.5:
        return wrong("`lost` is a number of pictures: compare curve[0.0] − curve[ratio] with it, not divided by curve[0.0].")
    if first == 0.875:
        return wrong("you compare the pictures with `lost`. Compare how many fewer they are: curve[0.0] − curve[ratio].")
    for forgotten in {lost, lost + more, int(times * lost)} - {allowed}:
        if stops_at(forgotten):
            return wrong(
                f"in your version {rule} pictures may be lost, {allowed} where lost = {lost}; you allow {forgotten}."
            )
    small = {0.0: 700, 0.25: 700 - int(0.4 * allowed), 0.5: 700 - int(0.8 * allowed), 0.75: 700 - int(1.6 * allowed)}
    cases = [
        (plain, 0.5, f"a ratio is safe if curve[0.0] − curve[ratio] is at most {rule}"),
        (
            curve({0.0: 0, 0.25: 0.6, 0.5: 1.2, 0.75: 2}),
            0.25,
            "compare with ratio 0, not with the ratio before: small losses add up",
        ),
        (small, 0.5, "`lost` counts pictures; it is no share of them"),
        (curve({0.0: 0, 0.25: 0.5, 0.5: 1, 0.75: 2}), 0.5, f"a loss of exactly {rule} is still allowed: use <="),
        (
            curve({0.0: 0, 0.25: 0.5}) | {0.5: dense - allowed - 1},
            0.25,
            f"a loss of one picture more than {rule} is too much",
        ),
        (curve({0.25: 0.4, 0.75: 2, 0.0: 0, 0.5: 0.8}), 0.5, "the ratios may come in any order: sort them first"),
        (curve({0.5: 0.8, 0.25: 0.4, 0.75: 2, 0.0: 0}), 0.5, "the ratios may come in any order: sort them first"),
        (curve({0.5: 0.95, 0.75: 1.8, 0.0: 0, 0.25: 0.4}), 0.5, "compare with curve[0.0], wherever it stands"),
        (
            curve({0.0: 0, 0.25: -0.6, 0.5: 0.6, 0.75: 1.6}),
            0.5,
            "compare with ratio 0, not with the best: a lucky ratio is no reason to ask for more",
        ),
        (
            curve({0.0: 0, 0.25: 0.4, 0.5: 2, 0.75: 0.8, 0.875: 2.4}),
            0.25,
            "a curve is noisy and may come back up by chance. Stop at the first ratio that loses too much",
        ),
        (curve({0.0: 0, 0.25: -2, 0.5: 0.4}), 0.5, "more pictures than before are not a loss: no absolute value here"),
        (curve({0.0: 0, 0.25: 2}), 0.0, "if no other ratio is safe, 0.0 is the answer"),
        (curve({0.0: 0, 0.25: 0.4, 0.5: 0.4}), 0.5, "if every ratio is safe, the highest is the answer"),
    ]
    for given, expected, message in cases:
        try:
            result = _ratio_of(function, given, lost)
        except Answered as end:
            if expected == 0.0 and "returns nothing" in end.verdict.message:
                return wrong("if the first ratio already loses too much, return 0.0; your function returns nothing then.")
            raise
        if result != expected:
            return wrong(f"{message}. With {given} and lost = {lost} it is {expected}; you return {result:g}.")
    return right("with it you can read a ratio for each layer out of the table of `sensitivity`.")


def _ratio_of(function, curve: dict[float, int], lost: int) -> float:
    given = dict(curve)
    result = returned_by(function, given, lost)
    if given != curve:
        raise Answered(wrong("your function changes the curve it is given. Make a new one instead."))
    if isinstance(result, str | bool):
        raise Answered(wrong(f"your function returns {a_kind(result)}; it should return one number, the ratio."))
    try:
        return float(result)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Answered(wrong(f"your function returns {a_kind(result)}; it should return one number, the ratio.")) from error


@exercise
def masked_convolution(kind, *, constant: float = 0.0) -> Verdict:
    """A class (conv, keep) → a module that computes as ``conv``, also after training, but for its pruned channels.

    Whatever their pictures are, pruned channels answer the ``constant``.
    """
    if isinstance(kind, nn.Module):
        return wrong("hand over the class itself, without brackets: the check makes its own modules from it.")
    if not callable(kind):
        return wrong(f"hand over the class itself, and this is {a_kind(kind)}.")
    for channels, options in ((5, {"kernel_size": 3, "stride": 2, "padding": 1}), (3, {"kernel_size": (1, 3)})):
        conv, images = nn.Conv2d(channels, channels, **options), torch.randn(4, channels, 8, 9)
        case = _Case(kind, conv, torch.arange(channels) % 2 == 0, images, constant)
        for number, step in enumerate((_computes, _holds_what_is_stored, _learns, _is_stored), start=1):
            try:
                problem = step(case)
            except _Stopped as stop:
                problem = str(stop)
            if problem:
                return wrong_step(number, 4, f": {problem}")
    return right("an optimiser can write what it likes behind your mask. The library's masks hold in the same way.")


class _Stopped(Exception):  # noqa: N818, a way out and not an error
    """The reader's class does not do what every module does; this says what."""


class _Case(NamedTuple):
    """What a reader's class is tried with."""

    kind: Callable
    conv: nn.Conv2d
    keep: Tensor  # bool (channels,)
    images: Tensor  # (N, channels, height, width)
    constant: float

    def seen(self, doing: str, observer: Callable, *more):
        """What the ``observer`` sees, or the end of the step if the reader's code raises something while ``doing`` that."""
        try:
            return observe(observer, self.kind, self.conv, self.keep, *more)
        except Exception as error:  # whatever the reader's code may raise
            problem = f"{doing} stops with {type(error).__name__}: {first_line(error)}"
            if "must match the size of tensor" in str(error):
                problem += ". Give keep the shape (channels, 1, 1, 1): `keep[:, None, None, None]`."
            raise _Stopped(problem) from error

    def with_silence(self, kept: Tensor, pruned: Tensor | float | None = None) -> Tensor:
        """Outputs (N, channels, height, width): ``kept`` where a channel stays; elsewhere ``pruned``, or the constant."""
        return torch.where(self.keep[:, None, None], kept, self.constant if pruned is None else pruned)

    def is_silent(self, outputs: Tensor) -> bool:
        """Whether all pruned channels answer the constant."""
        return _alike(outputs[:, ~self.keep], torch.tensor(self.constant))


def _alike(outputs: Tensor, value: Tensor, tolerance: float = 1e-5) -> bool:
    return torch.allclose(outputs, value.expand_as(outputs), atol=tolerance)


def _computes(case: _Case) -> str | None:
    """Step 1: is the module's output that of ``conv``, with the constant for the pruned channels?"""
    conv, keep, constant = case.conv, case.keep, case.constant
    made = case.seen("making MaskedConv2d(conv, keep)", observers.kind_of_module)
    if not made["module"]:
        return f"a torch.nn.Module is wanted, with `__init__` and `forward`; this makes {made['kind']}."
    found = case.seen("`forward`", observers.outputs_of_module, case.images)
    result = found["outputs"]
    if result is ...:
        raise Answered(NOT_TRIED)
    if not isinstance(result, Tensor):
        what = "nothing. Does it end with `return`?" if result is None else f"{a_kind(result)}; a tensor is wanted."
        return f"`forward` returns {what}"
    if not found["keep"].equal(keep):
        return "your class changes the `keep` that it is given."
    if not _same(found["conv"], conv):
        return "your class changes `conv` itself. Take copies: `conv.weight.detach().clone()`."
    dense = conv(case.images).detach()  # (N, channels, height, width)
    if result.shape == dense[:, keep].shape:
        return f"the pruned channels are cut out. Here they stay in their place, full of {_many(constant)}."
    if result.shape != dense.shape:
        return (
            f"the output has the shape {tuple(result.shape)}, and that of `conv` is {tuple(dense.shape)}. "
            "Do stride and padding come from `conv`?"
        )
    bias, weight = conv.bias.detach()[:, None, None], conv.weight.detach()
    speaks = "the bias of a pruned channel still speaks. Silence it, too."
    misconceptions = [
        (
            case.with_silence(torch.tensor(constant), dense),
            "kept and pruned are swapped. `keep` is True where a channel stays.",
        ),
        (case.with_silence(dense, bias), speaks),
        (case.with_silence(dense, bias + constant), speaks),
        (case.with_silence(dense - bias), "the bias is missing in the channels that stay."),
        (case.with_silence(dense / keep.float().mean()), "the channels that stay are scaled. Leave them as they are."),
        (dense, f"nothing is silent. `keep` is False for the channels that should answer {constant:g}."),
    ]
    if constant:
        misconceptions += [
            (case.with_silence(dense, 0.0), f"the pruned channels answer 0. In your version they answer {constant:g}."),
            (case.with_silence(dense, -constant), f"the pruned channels have the wrong sign: they answer {-constant:g}."),
            (
                case.with_silence(dense, 0.0) + constant,
                f"you add {constant:g} to all channels. Only the pruned ones answer it.",
            ),
        ]
    for value, message in misconceptions:
        if _alike(result, value):
            return message
    along_inputs = F.conv2d(case.images, weight * keep[:, None, None], conv.bias, conv.stride, conv.padding).detach()
    if any(
        _alike(result, case.with_silence(along_inputs, along_inputs - of)) for of in (0.0, -constant, bias, bias - constant)
    ):
        return "you silence inputs. The filters are the first dimension of the weight: `keep[:, None, None, None]`."
    if not _alike(result, case.with_silence(dense)):
        lost = (
            "a channel that stays answers otherwise"
            if case.is_silent(result)
            else f"a pruned channel does not answer {constant:g}"
        )
        return f"{lost}. Compare with `conv(images)` where `keep` is True, and with {constant:g} elsewhere."
    return None


def _holds_what_is_stored(case: _Case) -> str | None:
    """Step 2: do numbers that are stored for the pruned channels stay without effect?"""
    keep = case.keep
    parameters = case.seen("making MaskedConv2d(conv, keep)", observers.kind_of_module)["trained"]
    for name, parameter in parameters.items():
        if parameter.flatten().equal(keep.to(parameter)):
            return f"the mask, {name}, is a parameter, and an optimiser changes those. Use `register_buffer`."
    for number, what in ((7.0, "the number 7"), (float("inf"), "∞")):
        found = case.seen("`forward`", observers.outputs_with_numbers, case.images, number, ~keep)
        if found["after"].isnan().any():
            return "0 · ∞ is not 0 but NaN, so a product does not silence everything. Choose with `torch.where`."
        if not _alike(found["after"], found["before"]):
            return (
                f"the check wrote {what} into the stored weights of the pruned filters, as an optimiser may, and it came "
                "through. Apply the mask in `forward`, each time."
            )
    found = case.seen("`forward`", observers.outputs_with_numbers, case.images, float("nan"), keep)
    before, after = found["before"], found["after"]
    if found["written"] and not after[:, keep].isnan().all() and not after.equal(before):  # equal: none of them was read
        return "a NaN in a filter that stays became a number, which hides a mistake. No `nan_to_num`: use `torch.where`."
    return None


def _learns(case: _Case) -> str | None:
    """Step 3: do the channels that stay learn as in ``conv``, while it does not change and the others stay silent?"""
    made = case.seen("making MaskedConv2d(conv, keep)", observers.kind_of_module)
    if not made["parameters"]:
        return "the module has no parameters, so an optimiser finds nothing to train. Store them as `torch.nn.Parameter`."
    try:
        found = case.seen("training", observers.outputs_after_training, case.images)
    except _Stopped as stop:
        raise _Stopped(f"{stop}. Is the weight masked in `forward`, anew each time?") from stop
    if found is None:
        return "no gradient gets through `forward`. Does it read `.data`, or a detached copy?"
    for name in found["without gradient"]:
        return f"the parameter {name} gets no gradient: `forward` does not use it."
    if not _same(found["conv"], case.conv):
        return "training the module changes `conv`, too. Store copies: `conv.weight.detach().clone()`."
    if not case.is_silent(found["outputs"]):
        return f"after three steps of training a pruned channel no longer answers {case.constant:g}."
    dense = observers.outputs_after_training(lambda conv, keep: conv, case.conv, case.keep, case.images)["outputs"]
    if not _alike(found["outputs"], case.with_silence(dense), tolerance=1e-4):
        trained = " and ".join(f"{name} {tuple(value.shape)}" for name, value in made["trained"].items())
        return (
            "after three steps the channels that stay are not those of `conv` after three steps. "
            f"Trained were: {trained}. It should be one weight and one bias, and no mask."
        )
    return None


def _is_stored(case: _Case) -> str | None:
    """Step 4: does the mask go along with a deep copy and with the state_dict?"""
    found = case.seen("`copy.deepcopy`", observers.outputs_of_copy, case.images)
    if not found["copy"].equal(found["module"]):
        return "a deep copy gives other outputs than the module itself."
    found = case.seen("`load_state_dict`", observers.outputs_of_loaded, case.images)
    if not _alike(found["loaded"], found["module"]):
        return (
            "the `state_dict` was loaded into a module with another mask, and the outputs are not the same. "
            'Store the mask with `self.register_buffer("keep", keep)`.'
        )
    return None


def _same(found: list[Tensor], conv: nn.Conv2d) -> bool:
    return all(now.equal(then) for now, then in zip(found, conv.parameters(), strict=True))


def _many(constant: float) -> str:
    return f"{constant:g}" if constant else "zeros"
