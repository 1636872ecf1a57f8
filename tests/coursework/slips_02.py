"""Wrong answers to the coursework on lesson 02: {check: [(given numbers → the answer, what the verdict says)]}."""

import math

from test_lesson_02 import WRONG_FORMULAS


def score(light, heavy):
    return (light * math.log(light) + heavy * math.log(heavy)) / (light + heavy)


def picked(by_high, by_low):
    """The letters of the filters that are largest by two functions of their weights."""
    return lambda filters: tuple(max(zip(map(by, filters), "ABCDEFGH", strict=False))[1] for by in (by_high, by_low))


def version_of(one_layer):
    """A wrong formula of the lesson, with the student's own sizes and temperature."""

    def answer(power, multiple):
        def function(network, temperature):
            scores = {}
            for name in ("conv1", "conv2", "fc1"):
                weight = network.get_submodule(name).weight.detach()
                weight = weight.sign() * weight.abs() ** power
                scores[name] = one_layer(weight.flatten(1).abs(), multiple * temperature, weight.flatten(1), weight)
            return scores

        return function

    return answer


SLIPS = {
    "score_by_hand": [
        (lambda light, heavy: (math.log(light) + math.log(heavy)) / 2, "plain mean"),
        (lambda light, heavy: math.log(heavy), "largest weight"),
        (lambda light, heavy: score(light, heavy) * (light + heavy), "without dividing"),
        (lambda light, heavy: heavy / (light + heavy), "share of attention"),
        (lambda light, heavy: (light * math.log(heavy) + heavy * math.log(light)) / (light + heavy), "wrong weights"),
        (lambda light, heavy: heavy**2 / (light + heavy), "as the weight"),
        (lambda light, heavy: 0.8 * math.log(4), "the lesson's own numbers"),
    ],
    "two_temperatures": [
        (picked(max, sum), "the other way round"),
        (picked(sum, sum), "high, yes"),
        (picked(max, max), "low, yes"),
        (lambda filters: ("A", ...), "dots"),
        (lambda filters: ("Z", "A"), "two letters"),
    ],
    "attention_importance": [(version_of(formula), says) for formula, says in WRONG_FORMULAS if "at 0.001" not in says],
}
