"""What the checks of lesson 02 answer."""

import torch
from answering import verdict_test

from attnprune_edu import checks


def stable_softmax(scaled):
    exponentials = (scaled - scaled.amax(dim=1, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim=1, keepdim=True)


def score(sizes, temperature, signed, weight):
    """The solution that the lesson shows, for one layer."""
    return (stable_softmax(sizes / temperature) * sizes).sum(dim=1)


def importance(one_layer=score, layers=("conv1", "conv2", "fc1")):
    """The solution, with another formula for a layer or for other layers."""

    def function(network, temperature):
        weights = {name: network.get_submodule(name).weight.detach() for name in layers}
        rows = {name: weight.flatten(1) for name, weight in weights.items()}
        return {name: one_layer(row.abs(), temperature, row, weights[name]) for name, row in rows.items()}

    return function


def overflowing(sizes, temperature, signed, weight):
    exponentials = (sizes / temperature).exp()
    return (exponentials / exponentials.sum(1, keepdim=True) * sizes).sum(1)


def without_the_largest(of_the_sizes, above=False, below=False):
    """The solution, with ``of_the_sizes`` taken from the exponents in the numerator (``above``), in the denominator."""

    def one_layer(sizes, temperature, signed, weight):
        exponents, shift = sizes / temperature, of_the_sizes(sizes) / temperature
        numerator, denominator = ((exponents - used * shift).exp() for used in (above, below))
        return (numerator / denominator.sum(dim=1, keepdim=True) * sizes).sum(dim=1)

    return one_layer


def with_gradients(network, temperature):
    rows = {name: network.get_submodule(name).weight.flatten(1) for name in ("fc1", "conv1", "conv2")}
    return {name: score(row.abs(), temperature, row, row) for name, row in rows.items()}


def weights_made_positive(network, temperature):
    for weight in network.parameters():
        weight.data.abs_()
    return importance()(network, temperature)


def over(dim, sum_over=(1, 2, 3)):
    """What comes of a softmax over one dimension of the four that a convolution has."""

    def one_layer(sizes, temperature, signed, weight):
        if weight.ndim == 2:
            return score(sizes, temperature, signed, weight)
        return ((weight.abs() / temperature).softmax(dim) * weight.abs()).sum(sum_over)

    return importance(one_layer)


def by_kernel(sum_over):
    """A softmax over the numbers of one input channel, instead of the whole filter."""

    def one_layer(sizes, temperature, signed, weight):
        if weight.ndim == 2:
            return score(sizes, temperature, signed, weight)
        kernels = weight.abs().flatten(2)
        return ((kernels / temperature).softmax(2) * kernels).sum(sum_over)

    return importance(one_layer)


WRONG_FORMULAS = [
    (lambda s, t, w, x: ((w / t).softmax(1) * w).sum(1), "printed formula"),
    (lambda s, t, w, x: ((s / t).softmax(1) * w).sum(1), "multiply it with the signed weights"),
    (lambda s, t, w, x: ((w / t).softmax(1) * s).sum(1), "still sees the signs"),
    (lambda s, t, w, x: (s.softmax(1) * s).sum(1), "no effect"),
    (lambda s, t, w, x: ((s * t).softmax(1) * s).sum(1), "multiply by the temperature"),
    (lambda s, t, w, x: ((s / t).softmax(1) * s / t).sum(1), "into the softmax only"),
    (lambda s, t, w, x: ((w / t).softmax(1) * w).sum(1).abs(), "both places. A size taken at the end comes too late"),
    (lambda s, t, w, x: ((s / t).softmax(1) * w).sum(1).abs(), "signed weights. A size taken at the end comes too late"),
    (lambda s, t, w, x: (s.softmax(1) / t * s).sum(1), "divides the sizes, before e^"),
    (lambda s, t, w, x: ((s / t).softmax(1) * (s - s.amax(1, keepdim=True))).sum(1), "Subtract in the exponent only"),
    (lambda s, t, w, x: ((s / t).softmax(1) * (s - s.amax(1, keepdim=True)) / t).sum(1), "Subtract in the exponent only"),
    (without_the_largest(lambda s: s.amax(1, keepdim=True), above=True), "in the denominator too"),
    (without_the_largest(lambda s: s.amax(), above=True, below=True), "conv1: a row whose largest size is far below"),
    (lambda s, t, w, x: score(s, t, w, x) / score(s, t, w, x).sum(), "normalise the scores at the end"),
    (lambda s, t, w, x: ((s / t).softmax(0) * s).sum(1), "columns sum to 1"),
    (lambda s, t, w, x: ((s / t).flatten().softmax(0).view_as(s) * s).sum(1), "over the whole layer"),
    (lambda s, t, w, x: ((s / t).exp() * s).sum(1), "do not divide e^"),
    (lambda s, t, w, x: (s / s.sum(1, keepdim=True) * s).sum(1), "|w| divided by its sum"),
    (lambda s, t, w, x: s.sum(1), "L1 criterion"),
    (lambda s, t, w, x: s.mean(1), "plain mean"),
    (lambda s, t, w, x: s.amax(1), "largest size"),
    (lambda s, t, w, x: score(s, t, w, x) / s.shape[1], "take the mean"),
    (lambda s, t, w, x: ((s / t).softmax(1) * s).sum(0), "add up the columns"),
    (lambda s, t, w, x: ((s / t).softmax(1) * s).sum(), "add up the whole layer"),
    (lambda s, t, w, x: (s / t).softmax(1), "that is the attention"),
    (lambda s, t, w, x: (s / t).softmax(1).sum(1), "sum of the attention"),
    (lambda s, t, w, x: ((s / t).softmax(1) * s).view_as(x), "Now add up each row"),
    (lambda s, t, w, x: s[0], "should have the shape (4,)"),
    (lambda s, t, w, x: s.sum(1) * 0.9, "above the largest size"),
    (lambda s, t, w, x: score(s, t, w, x) * float("nan"), "not finite"),
    (lambda s, t, w, x: score(s, t, w, x) * 0.9, "the first score should be"),
    (lambda s, t, w, x: score(s, t, w, x).tolist(), "this is a list; it should be a tensor"),
    (lambda s, t, w, x: None, "this is None; it should be a tensor"),
    (lambda s, t, w, x: score(s, t, w, x) > 0, "these are torch.bool"),
    (overflowing, "at 0.001 e^(|w|/τ) is infinite"),
    (lambda s, t, w, x: score(s, max(t, 0.01), w, x), "has other scores than it should"),
    (lambda s, t, w, x: score((s / t).clamp(max=80) * t, t, w, x), "`clamp`, `nan_to_num`"),
    (lambda s, t, w, x: overflowing(s, t, w, x).nan_to_num(), "`clamp`, `nan_to_num`"),
    (lambda s, t, w, x: ((s / t).exp() / (s / t).exp().sum(1) * s).sum(1), "Did you forget `keepdim=True`"),
    (lambda s, t, w, x: score(s - s.max(1, keepdim=True), t, w, x), "use `amax`, or `.values`"),
]

CASES = [
    (checks.score_by_hand, (1, 109), False, "decimals with a point: 1.109"),
    (checks.score_by_hand, 1.109, True, "below"),
    (checks.score_by_hand, torch.tensor([1.1090]), True, "below"),
    (checks.score_by_hand, 0.693, False, "plain mean"),
    (checks.score_by_hand, 1.386, False, "largest weight"),
    (checks.score_by_hand, 5.545, False, "dividing by the sum"),
    (checks.score_by_hand, 2.773, False, "number of weights"),
    (checks.score_by_hand, 0.277, False, "wrong weights"),
    (checks.score_by_hand, 0.8, False, "share of attention"),
    (checks.score_by_hand, 1, False, "1 in every row"),
    (checks.score_by_hand, 3.4, False, "attention with e^w"),
    (checks.score_by_hand, 3.2, False, "e^w = 4 as the weight"),
    (checks.score_by_hand, 1.1, False, "three decimals"),
    (checks.score_by_hand, torch.tensor(1.1), False, "three decimals"),
    (checks.score_by_hand, 1.0986, False, "not by rounding"),
    (checks.score_by_hand, 3, False, "1/5 and 4/5"),
    (checks.score_by_hand, None, False, "one number, and this is None"),
    (checks.score_by_hand, (0.2, 0.8), False, "one number, and this is a tuple"),
    (checks.score_by_hand, torch.tensor([0.2, 0.8]), False, "one number, and this is a Tensor"),
    (checks.score_by_hand, "1.109", False, "Remove the quotes"),
    (checks.two_temperatures, ("A", "B"), True, "one large weight"),
    (checks.two_temperatures, ["a", "b"], True, "one large weight"),
    (checks.two_temperatures, ("B", "A"), False, "the other way round"),
    (checks.two_temperatures, ("B", "B"), False, "low, yes"),
    (checks.two_temperatures, ("A", "A"), False, "high, yes"),
    (checks.two_temperatures, ("C", "D"), False, "two letters"),
    (checks.two_temperatures, (0.5, 1.2), False, "two letters"),
    (checks.two_temperatures, ("A",), False, "a tuple of another form"),
    (checks.two_temperatures, {"A", "B"}, False, 'two letters in brackets, such as ("A", "A"), and this is a set.'),
    (checks.two_temperatures, None, False, "and this is None."),
    (checks.two_temperatures, "AB", False, "one text in quotes"),
    (checks.two_temperatures, (..., ...), None, "three dots"),
    (checks.two_temperatures, ("A", ...), None, "three dots"),
    (checks.attention_importance, importance(), True, "what `ap.importance` does"),
    (checks.attention_importance, with_gradients, True, "what `ap.importance` does"),
    *[(checks.attention_importance, importance(formula), False, says) for formula, says in WRONG_FORMULAS],
    (checks.attention_importance, importance(layers=["fc1"]), False, "right for fc1. Still missing: conv1 and conv2"),
    (checks.attention_importance, importance(layers=[]), False, "Still missing: conv1, conv2 and fc1"),
    (checks.attention_importance, importance(layers=["conv1", "fc2"]), False, "are the classes"),
    (checks.attention_importance, lambda n, t: {"conv1.weight": n.conv1.weight}, False, "'conv1.weight' is none of"),
    (checks.attention_importance, over(1), False, "over the input channels only"),
    (checks.attention_importance, over(2), False, "over the height of the kernel only"),
    (checks.attention_importance, over(-1), False, "over the width of the kernel only"),
    (checks.attention_importance, over(1, 1), False, "one score for each filter"),
    (checks.attention_importance, by_kernel((1, 2)), False, "over one input channel at a time only"),
    (checks.attention_importance, by_kernel(2), False, "one score for each filter"),
    (checks.attention_importance, weights_made_positive, False, "changes the weights"),
    (checks.attention_importance, lambda n, t: score(n.fc1.weight.abs(), t, 0, 0), False, "returns a Tensor"),
    (checks.attention_importance, lambda n, t: [1.0], False, "returns a list; it should return a dictionary"),
    (checks.attention_importance, lambda n, t: None, False, "returns nothing"),
    (checks.attention_importance, lambda n, t: ..., None, "three dots"),
    (checks.attention_importance, lambda n: n, False, "stops with TypeError"),
    (checks.attention_importance, lambda n, t: n.conv9, False, "stops with AttributeError"),
    (checks.attention_importance, {}, False, "this is a dict"),
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)
