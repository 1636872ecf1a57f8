"""Lesson 03: the answers to every student's own numbers, as code for the cell with the blank."""

import statistics


def _stay(channels: tuple[tuple[float, int], ...], k: int) -> str:
    scores = [score for score, count in channels for _ in range(count)]
    theta = statistics.fmean(scores[:k])
    return f"answer_1 = {sum(score >= theta for score in scores)}"


def _theta(part: float) -> str:
    return f"""
def theta_of_ratio(scores, ratio):
    ordered = scores.sort().values
    goes = round(ratio * len(scores))
    if goes == 0:
        return ordered[0]
    return ordered[goes - 1] + {part} * (ordered[goes] - ordered[goes - 1])
""".strip()


def _budget(least: int) -> str:
    return f"""
def my_budget(importance, budget, cost):
    order = torch.cat(list(importance.values())).sort(descending=True).values

    def keep_of(count):
        theta = order[count - 1] if count else torch.inf
        keep = {{}}
        for name, values in importance.items():
            best = values.topk(min({least}, len(values))).values
            keep[name] = (values >= theta) | (values >= best[-1])
        return keep

    fits, too_many = 0, len(order) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if cost(keep_of(middle)) <= budget:
            fits = middle
        else:
            too_many = middle
    return keep_of(fits)
""".strip()


SOLUTIONS = {"stay_above_the_mean": _stay, "theta_of_ratio": _theta, "budget_by_hand": _budget}
