"""Lesson 02: the answers to every student's own numbers, as code for the cell with the blank."""

import math


def _score(light: int, heavy: int) -> str:
    return f"answer_1 = {(light * math.log(light) + heavy * math.log(heavy)) / (light + heavy):.3f}"


def _letters(filters: tuple[tuple[float, ...], ...]) -> str:
    highest_mean, largest = (max(zip(map(of, filters), "ABCDEFGH", strict=False))[1] for of in (sum, max))
    return f'answer_2 = ("{highest_mean}", "{largest}")'


def _importance(power: float, multiple: float) -> str:
    return f"""
def my_importance(model, temperature):
    importance = {{}}
    for name in ["conv1", "conv2", "fc1"]:
        weight = model.get_submodule(name).weight.detach()
        sizes = weight.flatten(1).abs() ** {power}
        exponents = sizes / ({multiple} * temperature)
        exponents = exponents - exponents.amax(dim=1, keepdim=True)
        alpha = exponents.exp() / exponents.exp().sum(dim=1, keepdim=True)
        importance[name] = (alpha * sizes).sum(dim=1)
    return importance
""".strip()


SOLUTIONS = {"score_by_hand": _score, "two_temperatures": _letters, "attention_importance": _importance}
