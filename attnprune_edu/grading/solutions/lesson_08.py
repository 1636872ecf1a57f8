"""Lesson 08: the answers to every student's own numbers, as code for the cell with the blank."""

import math

from ...checks.lesson_08 import CLAIMS, SILENT


def _images(percent: int, points: float) -> str:
    p, reach = percent / 100, points / 100
    return f"answer_1 = {math.ceil(round(1.96**2 * p * (1 - p) / reach**2, 6)):_}"


def _reported(claims: tuple[str, ...]) -> str:
    given = {rule for claim in claims for rule, (has, _) in CLAIMS[claim].items() if has}
    return "answer_2 = {\n" + "".join(f'    "{rule}": {rule in given},\n' for rule in SILENT) + "}"


def _bootstrap(level: float, per: int) -> str:
    tail = (100 - level) / 200
    return f"""
def paired_bootstrap(first, second, draws, generator):
    difference = {per} * (first.double() - second.double())
    drawn = torch.randint(len(first), (draws, len(first)), generator=generator)
    redraws = difference[drawn].mean(dim=1)
    return redraws.quantile({tail:g}), redraws.quantile({1 - tail:g})
""".strip()


SOLUTIONS = {"images_for_half_a_point": _images, "what_the_article_reports": _reported, "paired_bootstrap": _bootstrap}
