"""Wrong answers to the coursework on lesson 03: {check: [(given numbers → the answer, what the verdict says)]}."""

import math
import statistics

import test_lesson_03 as lesson
import torch


def one_for_each(channels):
    return [score for score, count in channels for _ in range(count)]


def staying(theta_of):
    """How many scores are at least θ; ``theta_of`` is a function of all scores, from high to low, and k."""

    def answer(channels, k):
        scores = one_for_each(channels)
        return sum(score >= theta_of(scores, k) for score in scores)

    return answer


def on_the_way(place, ordered_of=lambda scores: scores.sort().values, way=lambda part: part):
    """θ the student's way from the score before a ``place`` to the one at it; ``place``: (goes, all, ratio) → number."""

    def answer(part):
        def theta(scores, ratio):
            ordered, number = ordered_of(scores), place(round(ratio * len(scores)), len(scores), ratio)
            if number <= 0:
                return ordered[0]
            return ordered[number - 1] + way(part) * (ordered[number] - ordered[number - 1])

        return theta

    return answer


def whatever_the_part(theta):
    return lambda part: theta


def goes(n, all, ratio):
    return n


def after(change):
    """The solution, and what is done to the ``keep`` of each layer."""

    def answer(least):
        rule = lesson.halving(least)
        return lambda importance, budget, cost: change(rule(importance, budget, cost), importance)

    return answer


def by_number(keep, importance):
    """As many channels as may stay, those of the last layers first."""
    left, mine = int(sum(stays.sum() for stays in keep.values())), {}
    for name, values in reversed(importance.items()):
        mine[name] = torch.zeros(len(values), dtype=torch.bool)
        mine[name][values.argsort(descending=True)[: max(1, min(len(values), left))]] = True
        left -= int(mine[name].sum())
    return mine


def best_put_back(least):
    """Takes as many as fit by number, and lets the best of each layer come back whatever they cost."""

    def rule(importance, budget, cost):
        keep = lesson.empties(importance, budget, cost)
        best = {name: values >= values.topk(min(least, len(values))).values[-1] for name, values in importance.items()}
        return {name: stays | best[name] for name, stays in keep.items()}

    return rule


def one_after_the_other(least):
    def rule(importance, budget, cost):
        for count in range(sum(map(len, importance.values())), -1, -1):
            order = torch.cat(list(importance.values())).sort(descending=True).values
            theta = order[count - 1] if count else torch.inf
            keep = {
                name: (values >= theta) | (values >= values.topk(min(least, len(values))).values[-1])
                for name, values in importance.items()
            }
            if cost(keep) <= budget:
                return keep
        return keep

    return rule


def drops_one_more(least):
    rule = lesson.halving(least)
    return lambda importance, budget, cost: rule(importance, cost(rule(importance, budget, cost)) - 1, cost)


SLIPS = {
    "stay_above_the_mean": [
        (lambda channels, k: k, "that is k"),
        (staying(lambda scores, k: statistics.fmean(scores)), "above the mean of all"),
        (staying(lambda scores, k: sum(scores) / k), "the printed equation"),
        (staying(lambda scores, k: statistics.fmean(set(scores[:k]))), "once for every channel"),
        (lambda channels, k: statistics.fmean(one_for_each(channels)[:k]), "that is θ"),
        (lambda channels, k: statistics.fmean(one_for_each(channels)), "and not a number of channels"),
        (lambda channels, k: sum(one_for_each(channels)) / k, "the printed equation"),
        (lambda channels, k: sum(count for _, count in channels), "fewer than k"),
        (lambda channels, k: 2, "the lesson's own numbers"),
    ],
    "theta_of_ratio": [
        (on_the_way(goes, way=lambda part: 1 - part), "the lesson's own exercise"),
        (on_the_way(goes, way=lambda part: 0.5), "the lesson's own exercise"),
        (on_the_way(goes, way=lambda part: 0), "the highest score that goes"),
        (on_the_way(goes, way=lambda part: 1), "the lesson's own exercise"),
        (on_the_way(lambda n, all, ratio: n - 1), "one channel too few"),
        (on_the_way(lambda n, all, ratio: n + 1), "one channel too many"),
        (on_the_way(lambda n, all, ratio: round(ratio * (all - 1))), "not of one fewer"),
        (on_the_way(lambda n, all, ratio: int(ratio * all)), "round down"),
        (on_the_way(lambda n, all, ratio: math.ceil(ratio * all)), "round up"),
        (on_the_way(lambda n, all, ratio: min(all - n, all - 1)), "use it as the share that stays"),
        (on_the_way(goes, ordered_of=lambda scores: scores), "as they come"),
        (on_the_way(goes, ordered_of=lambda scores: scores.sort(descending=True).values), "from the high end"),
        (whatever_the_part(lambda s, r: s.topk(10).values[round(r * len(s)) - 1]), "from the highest"),
        (whatever_the_part(lambda s, r: s.kthvalue(round(r * len(s))).values), "With a ratio of 0"),
        (whatever_the_part(lambda s, r: r), "not the ratio"),
        (whatever_the_part(lambda s, r: round(r * len(s))), "how many go"),
        (whatever_the_part(lambda s, r: s.quantile(r)), "that is the quantile"),
        (whatever_the_part(lambda s, r: s.quantile(1 - r)), "use it as the share that stays"),
        (whatever_the_part(lambda s, r: s.min() + r * (s.max() - s.min())), "from the lowest to the highest"),
        (whatever_the_part(lambda s, r: r * s.max()), "share of the highest"),
        (whatever_the_part(lambda s, r: r * s.mean()), "share of the mean"),
        (whatever_the_part(lambda s, r: s.sort().values[round(r * len(s)) :].mean()), "mean of those that stay"),
        (whatever_the_part(lambda s, r: s.mean()), "mean of all"),
        (whatever_the_part(lambda s, r: s.median()), "median"),
        (whatever_the_part(lambda s, r: s.argsort()[round(r * len(s))]), "`argsort`"),
        (whatever_the_part(lambda s, r: s >= 0.5), "Return θ itself"),
        (whatever_the_part(lambda s, r: s), "single number"),
        (whatever_the_part(lambda s, r: s.max() + 1), "with your θ it is 10"),
    ],
    "budget_by_hand": [
        (lambda least: lesson.solution, "the lesson's own exercise"),
        (lambda least: lesson.halving(least + 1), "where one layer has all the lowest scores"),
        (lambda least: lesson.halving(least - 1), "always do"),
        (lambda least: lesson.library("local"), "you take the same share"),
        (lambda least: lesson.empties, "always do"),
        (after(lambda keep, _: {name: stays & (name != "b") for name, stays in keep.items()}), "a layer without channels"),
        (best_put_back, "too much stays"),
        (one_after_the_other, "you asked for the cost"),
        (drops_one_more, "one channel more would fit"),
        (lambda least: lesson.changes_importance, "changes the importance"),
        (after(lambda keep, _: {name: ~stays for name, stays in keep.items()}), "True and False are swapped"),
        (
            after(lambda keep, _: {name: torch.arange(len(stays)) < stays.sum() for name, stays in keep.items()}),
            "goes while one of",
        ),
        (after(by_number), "stays in another layer"),
        (after(lambda keep, _: (keep, 0.5)), "several things"),
        (after(lambda keep, _: {"a": keep.get("a")}), "should have the layers"),
        (after(lambda keep, _: {name: stays.float() for name, stays in keep.items()}), "torch.float32 of the shape"),
        (after(lambda keep, _: {name: stays.tolist() for name, stays in keep.items()}), "is a list"),
        (after(lambda keep, _: list(keep.values())), "you return a list"),
    ],
}
