"""Checks of lesson 02, the attention formula."""

import math

import torch

from ..pruning.attention import attention_scores
from .verdict import NOT_TRIED, Verdict, close_to, exercise, result_of, right, wrong


@exercise
def score_by_hand(answer) -> Verdict:
    """What is the printed score of a row with the weights ln 1 and ln 4?"""
    answer = float(answer)
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
    if close(0.2 * heavy):
        return wrong("you gave the shares to the wrong weights: the larger weight gets 4 of 5.")
    if close(0.8) or close(0.2):
        return wrong("that is a share of attention. The score is the sum of attention times weight.")
    return wrong("e^w is 1 and 4, so the attention is 1/5 and 4/5. Then add up attention times weight.")


@exercise
def scores_on_sizes(function) -> Verdict:
    """A function (weights (rows, columns), temperature) → Σ α·|w| of each row, α = softmax(|w| / temperature)."""
    weights = torch.tensor([[0.5, -1.0, 0.25], [-2.0, 0.1, 0.3]], dtype=torch.float64)
    temperature = 0.5
    scores = result_of(function, weights, temperature)
    sizes = weights.abs()
    alpha = (sizes / temperature).softmax(dim=1)
    signed_alpha = (weights / temperature).softmax(dim=1)

    def equals(value):
        return scores.shape == value.shape and torch.allclose(scores.double(), value, atol=1e-5)

    if equals((alpha * sizes).sum(dim=1)):
        large = torch.full((2, 3), 1000.0)
        if not torch.isfinite(result_of(function, large, 0.1)).all():
            return wrong("right for small weights, but e^w overflows for large ones. `softmax` takes care of that.")
        return right("and it is the same for a filter and its mirror image.")
    misconceptions = [
        ((signed_alpha * weights).sum(1), "that is the printed formula. Use the sizes |w| in both places."),
        ((alpha * weights).sum(1), "the attention uses sizes, but you multiply it with the signed weights."),
        ((signed_alpha * sizes).sum(1), "you multiply with sizes, but the softmax still sees the signs."),
        (attention_scores(weights), "the temperature has no effect: divide the sizes by it before the softmax."),
        ((sizes * temperature).softmax(1).mul(sizes).sum(1), "you multiply by the temperature; the formula divides."),
        ((alpha * sizes / temperature).sum(1), "the temperature belongs into the softmax only, not into the last sum."),
        (((sizes / temperature).softmax(0) * sizes).sum(1), "your columns sum to 1, not your rows: use dim=1."),
        ((alpha * sizes).mean(1), "you take the mean of attention times size; the attention sums to 1 already, so add up."),
        ((alpha * sizes).sum(0), "you add up the columns. One score for each row: sum over dim=1."),
        (alpha, "that is the attention. Multiply it with the sizes and add up each row."),
        (alpha * sizes, "this is attention times size. Now add up each row."),
    ]
    for value, message in misconceptions:
        if equals(value):
            return wrong(message)
    if scores.shape != (2,):
        return wrong(f"for 2 rows the result should have the shape (2,); yours has {tuple(scores.shape)}.")
    if (scores > sizes.amax(dim=1) + 1e-6).any():
        return wrong("a score is above the largest size of its row. Does each row of your attention sum to 1?")
    return wrong(
        f"for {weights.tolist()} at temperature 0.5 you give {[round(s, 4) for s in scores.tolist()]}, not the score."
    )


@exercise
def two_temperatures(answer) -> Verdict:
    """Which of the filters A (four times 0.5) and B (0, 0, 0, 1.2) is ahead at a high, and at a low temperature?"""
    high, low = answer
    if high is ... or low is ...:
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
