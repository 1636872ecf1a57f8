"""Checks of lesson 02, the attention formula."""

import functools
import math

import torch
from torch import Tensor

from ..networks.models import ArticleNet
from ..pruning.attention import attention_scores
from .verdict import NOT_TRIED, Answered, Verdict, a_kind, close_to, exercise, listed, number_of, returned_by, right, wrong

HIDDEN = ("conv1", "conv2", "fc1")


@exercise
def score_by_hand(answer, *, light: int = 1, heavy: int = 4) -> Verdict:
    """What is the printed score of a row with the weights ln ``light`` and ln ``heavy``?"""
    answer, low, high, total = number_of(answer), math.log(light), math.log(heavy), light + heavy
    score = (light * low + heavy * high) / total
    close = close_to(answer, 0.0015)
    if close(score):
        return right(
            f"{heavy} of {total} parts of the attention go to the larger weight, so the score is close to it, but below."
        )
    if close((low + high) / 2):
        return wrong("that is the plain mean. The larger weight gets more attention than the smaller one.")
    if close(high):
        return wrong("that is the largest weight. It does not get all of the attention.")
    if close(score * total):
        return wrong("you multiplied by e^w without dividing by the sum. No score can be above the largest weight.")
    if close(score * total / 2):
        return wrong(f"you divided e^w by the number of weights, 2. Divide by the sum of e^w, which is {total}.")
    if close((heavy * low + light * high) / total):
        return wrong(f"you gave the shares to the wrong weights: the larger weight gets {heavy} of {total}.")
    if close(heavy / total) or close(light / total):
        return wrong("that is a share of attention. The score is the sum of attention times weight.")
    if close(1):
        return wrong("that is the sum of the attention, which is 1 in every row. Multiply it with the weights first.")
    if close((light**2 + heavy**2) / total):
        return wrong(
            f"you multiplied the attention with e^w. The score multiplies it with w: with {low:.3g} and with {high:.3f}."
        )
    if close(heavy**2 / total):
        return wrong(f"you used e^w = {heavy} as the weight; the weight is {high:.3f}.")
    if abs(answer - round(score, 1)) < 1e-6:
        return wrong("nearly: give three decimals.")
    if abs(answer - score) < 0.02:
        return wrong(f"close, but not by rounding: recompute {light}/{total} · {low:.3g} + {heavy}/{total} · {high:.3f}.")
    return wrong(
        f"e^w is {light} and {heavy}, so the attention is {light}/{total} and {heavy}/{total}. Add up share times weight."
    )


@exercise
def two_temperatures(answer, *, filters: tuple[tuple[float, ...], ...] = ((0.5, 0.5, 0.5, 0.5), (0, 0, 0, 1.2))) -> Verdict:
    """Which of the ``filters``, A, B …, has the highest score at a very high, and which at a very low temperature?"""
    if not isinstance(answer, tuple | list) or len(answer) != 2:
        form = " of another form" if isinstance(answer, tuple | list) else ""
        return wrong(f'the answer is two letters in brackets, such as ("A", "A"), and this is {a_kind(answer)}{form}.')
    if any(letter is ... for letter in answer):
        return NOT_TRIED
    names = "ABCDEFGH"[: len(filters)]
    given = tuple(str(letter).strip().upper() for letter in answer)
    if not all(letter and letter in names for letter in given):
        letters = " or ".join(names) if len(names) == 2 else f"each from {names[0]} to {names[-1]}"
        return wrong(f'answer with two letters, {letters}, such as ("A", "A"): first the high temperature, then the low.')
    means = {name: sum(map(abs, values)) / len(values) for name, values in zip(names, filters, strict=True)}
    largest = {name: max(map(abs, values)) for name, values in zip(names, filters, strict=True)}
    high, low = (max(scores, key=scores.__getitem__) for scores in (means, largest))
    if given == (high, low):
        return right("the mean prefers many middling weights, the maximum one large weight.")
    if given == (low, high):
        return wrong("the other way round: a high temperature makes the attention equal, so that the mean counts.")
    if given[0] != high:
        start = "low, yes. At" if given[1] == low else "at"
        picked = given[0]
        return wrong(
            f"{start} a high temperature the score is the mean of the sizes: {means[picked]:.3g} for {picked}; higher?"
        )
    picked = given[1]
    return wrong(
        "high, yes. At a low temperature the score is the maximum of the sizes: "
        f"{largest[picked]:.3g} for {picked}. Is none higher?"
    )


@exercise
def attention_importance(function, *, power: float = 1, multiple: float = 1) -> Verdict:
    """A function (network, temperature) → {hidden layer of an ``ArticleNet``: Σ α·|w|ᵖ of each channel}.

    α = softmax(|w|ᵖ / (``multiple`` · temperature)), p is the ``power``. Layers may be missing at first: those that are
    there are looked at.
    """
    network = ArticleNet(conv_channels=(4, 6), hidden=5, image_size=16)
    weights = {name: network.get_submodule(name).weight.data for name in HIDDEN}
    for weight in weights.values():
        weight /= weight.abs().max()  # so that every power of them and every temperature below tells the formulas apart
        # The last row is weak, so that the largest size of the layer would be too much to take away from its exponents,
        # and negative, so that the sign of a printed score shows.
        weight[-1] = -0.1 * weight[-1].abs()
    signed = {name: (weight.sign() * weight.abs() ** power).double() for name, weight in weights.items()}
    warm, cold = 0.2, 0.001  # e^(1/0.001) is larger than any number
    scores = _importance_from(function, network, handed := warm / multiple)
    for name, values in scores.items():
        if not _equal(values, attention_scores(signed[name], warm)):
            return wrong(f"{name}: {_slip(signed[name], values, warm, handed)}")
    if missing := [name for name in HIDDEN if name not in scores]:
        done = f"right for {listed(list(scores))}. " if scores else ""
        return wrong(f"{done}Still missing: {listed(missing)}.", len(scores) / (len(HIDDEN) + 1))
    right_above = f"right at a temperature of {handed:.3g}, but at {cold / multiple:.3g}"
    nearly = functools.partial(wrong, share=len(HIDDEN) / (len(HIDDEN) + 1))
    for name, values in _importance_from(function, network, cold / multiple).items():
        strongest = signed[name].flatten(1).abs().amax(dim=1).argmax()
        if not torch.isfinite(values[strongest]):
            return nearly(
                f"{right_above} e^(|w|/τ) is infinite in {name}. Take the largest size of a row away from all of them "
                "before e^: it does not change the shares."
            )
        if not torch.isfinite(values).all():
            return nearly(
                f"{right_above} in {name}: a row whose largest size is far below that of the layer gets 0/0. Take away the "
                "largest of each *row* (`amax(dim=1, keepdim=True)`)."
            )
        if not _equal(values, attention_scores(signed[name], cold)):
            return nearly(
                f"{right_above} {name} has other scores than it should. Cutting off e^ or its infinity (`clamp`, "
                "`nan_to_num`) changes the shares; subtract the largest size of each row."
            )
    if (power, multiple) == (1, 1):
        return right("this is what `ap.importance` does. Compare the two on a real network.")
    return right("with |w| and τ themselves it would be what `ap.importance` does.")


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


def _slip(weight: Tensor, values: Tensor, temperature: float, handed: float) -> str:
    """What most likely led to the wrong ``values`` of a layer, by a ``temperature`` made of the one that was ``handed``."""
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
        (((sizes / handed).softmax(1) * sizes).sum(1), "your version divides by a multiple of the temperature."),
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
        (
            (alpha * sizes).sum(1) / (alpha * sizes).sum(),
            "did you normalise the scores at the end? Return them as they are.",
        ),
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
