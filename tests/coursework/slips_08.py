"""Wrong answers to the coursework on lesson 08: {check: [(given numbers → the answer, what the verdict says)]}."""

import math

import torch
from test_lesson_08 import RULES, all_redraws, bootstrap, one_redraw, quantiles

from attnprune_edu.checks.lesson_08 import CLAIMS


def pictures(percent, points, z=1.96):
    """How many pictures are needed."""
    return z**2 * percent * (100 - percent) / points**2


def report(change):
    """The right answer, {rule: whether a claim has it}, and what ``change`` makes of it."""

    def answer(claims):
        has = {rule: has for claim in claims for rule, (has, _) in CLAIMS[claim].items()}
        return {rule: change(rule, has[rule]) for rule in RULES}

    return answer


def turned(one):
    """The right answer but for one rule."""
    return report(lambda rule, has: has != (rule == one))


def version(ends, *, wrap=lambda function: function, **slip):
    """A bootstrap of the lesson that counts in as many pictures as the student should; ``ends``: of the share in a tail."""

    def answer(level, per):
        function = wrap(bootstrap(ends=ends((100 - level) / 200), **slip))
        return lambda *given: per * function(*given)

    return answer


def inside(tail):
    return quantiles(tail, 1 - tail)


def as_in_the_lesson(level, per):
    return bootstrap()


SLIPS = {
    "images_for_half_a_point": [
        (lambda percent, points: math.ceil(pictures(percent, points)) - 1, "a hair further"),
        (lambda percent, points: math.ceil(pictures(percent, points)) + 0.5, "only whole pictures"),
        (lambda percent, points: math.ceil(pictures(percent, points, 1)), "1.96 is missing"),
        (lambda percent, points: math.ceil(pictures(percent, points / 2)), "wide. It should reach so far"),
        (lambda percent, points: math.ceil(pictures(percent, 2 * points)), "Asked for is a reach of"),
        (lambda percent, points: math.ceil(pictures(50, points)), "the worst case"),
        (lambda percent, points: math.ceil(100 * pictures(percent, points) / (100 - percent)), "you take p for"),
        (lambda percent, points: math.ceil(100 * pictures(percent, points) / percent), "you take 1 − p"),
        (
            lambda percent, points: 100 * pictures(percent, points) / (percent * (100 - percent)) ** 0.5,
            "stands under the root. Once both sides are squared",
        ),
        (
            lambda percent, points: pictures(percent, points) * percent * (100 - percent) / 1e4,
            "stands under the root. Once both sides are squared",
        ),
        (lambda percent, points: pictures(percent, points) / 1.96, "the 1.96 and the"),
        (lambda percent, points: pictures(percent, points) * points / 100, "are squared, too"),
        (lambda percent, points: pictures(percent, points) * points / 100 / 1.96, "root is forgotten"),
        (lambda percent, points: round(pictures(percent, points) ** 0.5), "the root of n"),
        (lambda percent, points: round(pictures(percent, 10 * points)), "as a share. With"),
        (lambda percent, points: math.ceil(2 * pictures(percent, points)), "difference of two networks"),
        (lambda percent, points: 1e4 * pictures(percent, points), "are percent"),
        (lambda percent, points: math.ceil(pictures(percent, points) / 1e4), "as a share. You divide by"),
        (lambda percent, points: points, "the number of pictures"),
        (lambda percent, points: 24_587, "the lesson's own numbers"),
    ],
    "what_the_article_reports": [
        *((turned(rule), f'"{rule}": ') for rule in RULES),
        (lambda claims: RULES, "the lesson's own numbers"),
        (report(lambda rule, has: not has), '"several pruning ratios": '),
        (lambda claims: dict.fromkeys(RULES, True) | {"a random baseline": ...}, "left at 1 of 7"),
    ],
    "paired_bootstrap": [
        (as_in_the_lesson, "the lesson's own exercise"),
        (lambda level, per: one_redraw, "Your version counts in"),
        (version(lambda tail: all_redraws), "step 2 of 3 is done"),
        (version(inside, differences=lambda a, b: b.double() - a.double()), "sign is reversed"),
        (version(inside, wrap=lambda function: lambda *given: function(*given).flip(0)), "swapped"),
        (version(lambda tail: quantiles(2 * tail, 1 - 2 * tail)), "% away on either side"),
        (version(lambda tail: quantiles(0.025, 0.975)), "between your ends lie 95 % of the redraws"),
        (version(lambda tail: lambda r: torch.stack([r.min(), r.max()])), "lowest and the highest"),
    ],
}
