"""Wrong answers to the coursework on lesson 00: {check: [(given numbers → the answer, what the verdict says)]}."""

import math

import torch
from test_lesson_00 import WRONG_SCORES, WRONG_STEPS, WRONG_WAYS, answers, lowest_go, score, scored, six

import attnprune_edu as ap


def of_shares(formula):
    """An answer by a ``formula`` of the shares of conv1's channels, of conv2's channels and of conv2's weights that stay."""

    def answer(first, second):
        inputs, filters = 1 - first / 32, 1 - second / 64
        return formula(inputs, filters, inputs * filters)

    return answer


def one_layer(keep):
    """A function for one layer: ``keep`` of its importance and of how many of its channels should go, as a number."""

    def answer(factor):
        return lambda importance, layer, ratio: keep(importance, layer, factor * ratio, ratio)

    return answer


def one_of_them(importance, layer, share):
    return ap.keep_by_ratio({layer: importance[layer]}, share)


def rounded(to_whole):
    return one_layer(lambda i, layer, share, ratio: {layer: lowest_go(i[layer], to_whole(share * len(i[layer])))})


def first_step(formula):
    return lambda power, temperature: answers("importance", scored(formula, power, temperature))


def first_step_of_plain(formula):
    """A first step by a ``formula`` of the sizes without the power, the power and the temperature."""

    def answer(power, temperature):
        return answers("importance", lambda w: formula(w["network"][0].weight.detach().abs(), power, temperature))

    return answer


def later_step(name, value):
    return lambda power, temperature: answers(name, value, importance=scored(score, power, temperature))


def other_way(name, step):
    return lambda power, temperature: six(importance=scored(score, power, temperature), **{name: step})


SLIPS = {
    "weights_left": [
        (of_shares(lambda inputs, filters, share: filters), "conv2's own filters"),
        (of_shares(lambda inputs, filters, share: inputs), "what each filter reads"),
        (of_shares(lambda inputs, filters, share: 1 - share), "the share that goes"),
        (of_shares(lambda inputs, filters, share: 100 * share), "in percent"),
        (of_shares(lambda inputs, filters, share: (1 - inputs) * (1 - filters)), "multiplied the shares that go"),
        (of_shares(lambda inputs, filters, share: inputs + filters - 1), "neither added nor averaged"),
        (of_shares(lambda inputs, filters, share: (inputs + filters) / 2), "neither added nor averaged"),
        (of_shares(lambda inputs, filters, share: 51_200 * share), "how many weights are left"),
        (of_shares(lambda inputs, filters, share: 51_200 * (1 - share)), "a number of weights"),
        (of_shares(lambda inputs, filters, share: 1 / share), "1 divided by it"),
        (of_shares(lambda inputs, filters, share: round(share, 3)), "that is rounded"),
        (of_shares(lambda inputs, filters, share: (51_200 * share + 64 * filters) / 51_264), "counted the biases"),
        (of_shares(lambda inputs, filters, share: share * inputs * filters), "kernels stay 5 · 5"),
        (of_shares(lambda inputs, filters, share: share * filters**2), "kernels stay 5 · 5"),
        (of_shares(lambda inputs, filters, share: 429_290 / 1_703_370), "all parameters of the network"),
        (lambda first, second: 0.25, "the lesson's own numbers"),
    ],
    "keep_for_one_layer": [
        (one_layer(lambda i, layer, share, ratio: one_of_them(i, layer, ratio)), "the lesson's own exercise"),
        (one_layer(lambda i, layer, share, ratio: ap.keep_by_ratio(i, share)), "names a, b, c"),
        (one_layer(lambda i, layer, share, ratio: one_of_them(i, "b", share)), "asked for the layer 'c'"),
        (one_layer(lambda i, layer, share, ratio: one_of_them(i, layer, 1 - share)), "the share that goes"),
        (one_layer(lambda i, layer, share, ratio: one_of_them(i, layer, share)[layer]), "the tensor alone"),
        (one_layer(lambda i, layer, share, ratio: {layer: i[layer]}), "not True and False"),
        (one_layer(lambda i, layer, share, ratio: {layer: ~one_of_them(i, layer, share)[layer]}), "should go"),
        (one_layer(lambda i, layer, share, ratio: {layer: one_of_them(i, layer, share)[layer].tolist()}), "holds a list"),
        (one_layer(lambda i, layer, share, ratio: one_of_them({layer: -i[layer]}, layer, share)), "most important channels"),
        (one_layer(lambda i, layer, share, ratio: one_of_them(i, layer, share / 2)), "and it should be"),
        (
            one_layer(
                lambda i, layer, share, ratio: (
                    {name: torch.ones(len(v), dtype=torch.bool) for name, v in i.items()} | one_of_them(i, layer, share)
                )
            ),
            "the same effect",
        ),
        (rounded(int), "rounded, not cut off"),
        (rounded(math.ceil), "rounded, not cut off"),
        (lambda factor: one_of_them({"a": torch.rand(9)}, "a", 0.5), "hand over the function"),
    ],
    "six_steps": [
        (lambda power, temperature: six(), "the lesson's own exercise"),
        (first_step(lambda s, t, w: score(s, 1, w)), "your version divides the sizes"),
        (first_step_of_plain(lambda s, power, temperature: score(s, temperature, s)), "in the softmax and behind it"),
        (
            first_step_of_plain(lambda s, power, temperature: ((s / temperature).softmax(1) * s**power).sum(1)),
            "your softmax sees |w|. In your version",
        ),
        (
            first_step_of_plain(lambda s, power, temperature: ((s**power / temperature).softmax(1) * s).sum(1)),
            "the shares are right. In your version",
        ),
        (first_step(lambda s, t, w: score(s, t, w) / t), "belongs into the softmax only"),
        (first_step(lambda s, t, w: score(s, 1 / t, w)), "before the softmax. Divide them"),
        *[(first_step(formula), says) for formula, says in WRONG_SCORES],
        # The later steps are the same for all students: here is one slip of each, and those of the training.
        *[(later_step(name, value), says) for name, (value, says) in {name: slip for name, *slip in WRONG_STEPS}.items()],
        *[(other_way(name, step), says) for name, step, says in WRONG_WAYS if name == "tuned"],
    ],
}
