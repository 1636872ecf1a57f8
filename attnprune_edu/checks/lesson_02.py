"""Checks of lesson 02, the attention formula."""

import math

import torch
from torch import Tensor

from ..networks.models import ArticleNet
from ..pruning.attention import attention_scores
from .verdict import NOT_TRIED, Answered, Verdict, a_kind, close_to, exercise, listed, number_of, returned_by, right, wrong

HIDDEN = ("conv1", "conv2", "fc1")


@exercise
def score_by_hand(answer) -> Verdict:
    """What is the printed score of a row with the weights ln 1 and ln 4?"""
    answer = number_of(answer)
    heavy = math.log(4)
    close = close_to(answer, 0.0015)
    if close(0.8 * heavy):
        return right("four fifths of the attention go to the larger weight, so the score is close to it, but below.")
    if close(heavy / 2):
        return wrong("that is the plain mean. The larger weight gets more attention than the smaller one.")
    if close(heavy):
        return wrong("that is the largest weight. It does not get all of the attention.")
    if close(4 * heavy):
        return wrong("you multiplied by e^w without dividing by the sum. No score can be above the largest weight.")
    if close(2 * heavy):
        return wrong("you divided e^w by the number of weights, 2. Divide by the sum of e^w, which is 5.")
    if close(0.2 * heavy):
        return wrong("you gave the shares to the wrong weights: the larger weight gets 4 of 5.")
    if close(0.8) or close(0.2):
        return wrong("that is a share of attention. The score is the sum of attention times weight.")
    if close(0.2 + 0.8):
        return wrong("that is the sum of the attention, which is 1 in every row. Multiply it with the weights first.")
    if close(0.2 * 1 + 0.8 * 4):
        return wrong("you multiplied the attention with e^w. The score multiplies it with w: with 0 and with 1.386.")
    if close(0.8 * 4):
        return wrong("you used e^w = 4 as the weight; the weight is 1.386.")
    if abs(answer - round(0.8 * heavy, 1)) < 1e-6:
        return wrong("nearly: give three decimals.")
    if abs(answer - 0.8 * heavy) < 0.02:
        return wrong("close, but not by rounding: recompute 4/5 · 1.386.")
    return wrong("e^w is 1 and 4, so the attention is 1/5 and 4/5. Then add up attention times weight.")


@exercise
def two_temperatures(answer) -> Verdict:
    """Which of the filters A (four times 0.5) and B (0, 0, 0, 1.2) is ahead at a high, and at a low temperature?"""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        form = " of another form" if isinstance(answer, tuple | list) else ""
        return wrong(f'the answer is two letters in brackets, such as ("A", "A"), and this is {a_kind(answer)}{form}.')
    if any(letter is ... for letter in answer):
        return NOT_TRIED
    letters = tuple(str(letter).strip().upper() for letter in answer)
    if letters == ("A", "B"):
        return right("the mean prefers many middling weights, the maximum one large weight.")
    if letters == ("B", "A"):
        return wrong("the other way round: a high temperature makes the attention equal, so that the mean counts.")
    if letters == ("B", "B"):
        return wrong("low, yes. At a high temperature the score is the mean of the sizes: 0.5 for A, and for B?")
    if letters == ("A", "A"):
        return wrong("high, yes. At a low temperature the score is the maximum of the sizes: 0.5 for A, and for B?")
    return wrong('answer with two letters, such as ("A", "A"): first for the high temperature, then for the low one.')


@exercise
def attention_importance(function) -> Verdict:
    """A function (network, temperature) → {hidden layer of an ``ArticleNet``: Σ α·|w| of each channel}.

    α = softmax(|w| / temperature). Layers may be missing at first: those that are there are looked at.
    """
    torch.manual_seed(0)
    network = ArticleNet(conv_channels=(4, 6), hidden=5, image_size=16)
    for name in HIDDEN:
        # The last row is weak, so that the largest size of the layer would be too much to take away from its exponents,
        # and negative, so that the sign of a printed score shows.
        last = network.get_submodule(name).weight.data[-1]
        last.copy_(-0.1 * last.abs())
    scores = _importance_from(function, network, temperature := 0.05)
    for name, values in scores.items():
        weight = network.get_submodule(name).weight.detach().double()
        if not _equal(values, attention_scores(weight, temperature)):
            return wrong(f"{name}: {_slip(weight, values, temperature)}")
    if missing := [name for name in HIDDEN if name not in scores]:
        done = f"right for {listed(list(scores))}. " if scores else ""
        return wrong(f"{done}Still missing: {listed(missing)}.")
    for name, values in _importance_from(function, network, temperature := 0.0005).items():
        weight = network.get_submodule(name).weight.detach().double()
        strongest = weight.flatten(1).abs().amax(dim=1).argmax()
        if not torch.isfinite(values[strongest]):
            return wrong(
                f"right at a temperature of 0.05, but at {temperature} e^(|w|/τ) is infinite in {name}. Take the largest "
                "size of a row away from all of them before e^: it does not change the shares."
            )
        if not torch.isfinite(values).all():
            return wrong(
                f"right at a temperature of 0.05, but at {temperature} in {name}: a row whose largest size is far below "
                "that of the layer gets 0/0. Take away the largest of each *row* (`amax(dim=1, keepdim=True)`)."
            )
        if not _equal(values, attention_scores(weight, temperature)):
            return wrong(
                f"right at a temperature of 0.05, but at {temperature} {name} has other scores than it should. Cutting off "
                "e^ or its infinity (`clamp`, `nan_to_num`) changes the shares; subtract the largest size of each row."
            )
    return right("this is what `ap.importance` does. The next cell compares the two on the real network.")


def _importance_from(function, network: ArticleNet, temperature: float) -> dict[str, Tensor]:
    """What the reader's ``function`` returns, if it is {hidden layer: a floating point tensor}. Else the check ends."""
    before = {name: values.clone() for name, values in network.state_dict().items()}
    try:
        scores = returned_by(function, network, temperature)
    except Answered as end:
        raise Answered(_with_advice(end.verdict)) from end
    if any(not values.equal(before[name]) for name, values in network.state_dict().items()):
        raise Answered(wrong("your function changes the weights of the network. Make new tensors instead."))
    if not isinstance(scores, dict):
        wanted = "a dictionary {layer name: one score for each channel}"
        raise Answered(wrong(f"your function returns {a_kind(scores)}; it should return {wanted}."))
    for name, values in scores.items():
        if name == "fc2":
            raise Answered(wrong("the channels of fc2 are the classes, so none of them may go. Leave fc2 out."))
        if name not in HIDDEN:
            raise Answered(wrong(f"{name!r} is none of the layers {', '.join(HIDDEN)}, whose names are the keys."))
        if not isinstance(values, Tensor):
            raise Answered(wrong(f"{name}: this is {a_kind(values)}; it should be a tensor of one score for each channel."))
        if not values.is_floating_point():
            raise Answered(wrong(f"{name}: scores are numbers with decimals, and these are {values.dtype}."))
    return {name: values.detach().double() for name, values in scores.items()}


def _with_advice(verdict: Verdict) -> Verdict:
    """The ``verdict`` on a function that stopped, and a word on the two errors of PyTorch that say least."""
    if "must match the size" in verdict.message:
        return wrong(f"{verdict.message}. Did you forget `keepdim=True` in `sum` or `amax`?")
    if "torch.return_types.max" in verdict.message:
        return wrong(f"{verdict.message}. `max` returns the values and their places: use `amax`, or `.values`.")
    return verdict


def _equal(values: Tensor, expected: Tensor) -> bool:
    return values.shape == expected.shape and torch.allclose(values, expected, atol=1e-5)


def _slip(weight: Tensor, values: Tensor, temperature: float) -> str:
    """What most likely led to the wrong ``values`` of a layer."""
    signed = weight.flatten(1)  # (channels, weights of a channel)
    sizes = signed.abs()
    scaled = sizes / temperature
    largest = sizes.amax(1, keepdim=True)
    alpha, signed_alpha = scaled.softmax(1), (signed / temperature).softmax(1)
    twice = (
        "you also multiply by the sizes after the subtraction. Subtract in the exponent only; the last product needs the "
        "sizes themselves."
    )
    late = "A size taken at the end comes too late."
    slips = [
        ((signed_alpha * signed).sum(1), "that is the printed formula. Use the sizes |w| in both places."),
        ((signed_alpha * signed).sum(1).abs(), f"that is the printed formula. Use the sizes |w| in both places. {late}"),
        ((alpha * signed).sum(1), "the attention uses sizes, but you multiply it with the signed weights."),
        ((alpha * signed).sum(1).abs(), f"the attention uses sizes, but you multiply it with the signed weights. {late}"),
        ((signed_alpha * sizes).sum(1), "you multiply with sizes, but the softmax still sees the signs."),
        ((sizes.softmax(1) * sizes).sum(1), "the temperature has no effect: divide the sizes by it before the softmax."),
        (
            ((sizes * temperature).softmax(1) * sizes).sum(1),
            "you multiply by the temperature; the formula divides by it.",
        ),
        ((sizes.softmax(1) / temperature * sizes).sum(1), "the temperature divides the sizes, before e^."),
        ((alpha * (sizes - largest)).sum(1), twice),
        ((alpha * (scaled - largest / temperature)).sum(1), twice),
        (
            (alpha * (-largest / temperature).exp() * sizes).sum(1),
            "you take the largest away in the numerator only: subtract the same number in the denominator too.",
        ),
        ((alpha * scaled).sum(1), "the temperature belongs into the softmax only, not into the last sum."),
        ((scaled.softmax(0) * sizes).sum(1), "your columns sum to 1, not your rows: the sum of e^ runs over dim=1."),
        (
            (scaled.flatten().softmax(0).view_as(sizes) * sizes).sum(1),
            "your attention sums to 1 over the whole layer; it should do so in each row, with a sum over dim=1.",
        ),
        ((scaled.exp() * sizes).sum(1), "you do not divide e^ by its sum, so your attention does not sum to 1."),
        (
            (sizes / sizes.sum(1, keepdim=True) * sizes).sum(1),
            "your shares are |w| divided by its sum; the attention is e^(|w|/τ) divided by its sum.",
        ),
        (sizes.sum(1), "that is the sum of the sizes, the L1 criterion. Weigh each size by its attention."),
        (sizes.mean(1), "that is the plain mean of the sizes. Weigh each size by its attention."),
        (sizes.amax(1), "that is the largest size of each row. The other weights count as well."),
        ((alpha * sizes).mean(1), "you take the mean of attention times size; the attention sums to 1 already, so add up."),
        ((alpha * sizes).sum(0), "you add up the columns. One score for each row: sum over dim=1."),
        ((alpha * sizes).sum(), "you add up the whole layer. One score for each row: sum over dim=1."),
        (alpha, "that is the attention. Multiply it with the sizes and add up each row."),
        (alpha.sum(1), "that is the sum of the attention, which is 1 in every row. Multiply it with the sizes first."),
        (alpha * sizes, "this is attention times size. Now add up each row."),
    ]
    if weight.ndim == 4:
        row = "A filter is one row: `flatten(1)` it before everything else."
        kernel = weight.abs()  # (filters, channels, height, width)
        parts = {
            "the input channels": (kernel / temperature).softmax(1),
            "the height of the kernel": (kernel / temperature).softmax(2),
            "the width of the kernel": (kernel / temperature).softmax(3),
            "one input channel at a time": (kernel / temperature).flatten(2).softmax(2).view_as(kernel),
        }
        for part, attention in parts.items():
            slips.append(((attention * kernel).flatten(1).sum(1), f"your softmax runs over {part} only. {row}"))
        slips.append(((parts["one input channel at a time"] * kernel).sum((2, 3)), f"one score for each filter. {row}"))
        slips.append(((parts["the input channels"] * kernel).sum(1), f"one score for each filter. {row}"))
    for slip, message in slips:
        if _equal(values, slip) or _equal(values, slip.view(weight.shape) if slip.numel() == weight.numel() else slip):
            return message
    if values.shape != weight.shape[:1]:
        return f"for {len(weight)} channels the scores should have the shape ({len(weight)},); yours {tuple(values.shape)}."
    if not torch.isfinite(values).all():
        return "some of your scores are not finite. Is a sum zero, or e^ of a large number in it?"
    if (values > sizes.amax(dim=1) + 1e-6).any():
        return (
            "a score is above the largest size of its row. Does each row of your attention sum to 1, or did you normalise "
            "the scores at the end? Return them as they are."
        )
    return f"the first score should be {attention_scores(weight, temperature)[0]:.4f}; yours is {values[0]:.4f}."
