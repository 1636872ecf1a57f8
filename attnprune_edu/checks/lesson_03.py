"""Checks of lesson 03, choosing the threshold."""

import torch

from ..evaluation import count_params
from ..models import ArticleNet
from .verdict import Verdict, exercise, result_of, right, wrong


@exercise
def stay_above_the_mean(answer) -> Verdict:
    """How many of 0.9, 0.8, 0.4, 0.3, 0.2 are at least the mean of the three highest?"""
    if answer == 2:
        return right("the mean is 0.7. Fewer than k = 3 stay, as always.")
    if answer == 3:
        return wrong("that is k. The mean of the three is 0.7: is 0.4 above it?")
    if answer == 1:
        return wrong(
            "is θ the sum of all five divided by 3? That is the printed equation; here only the three highest count."
        )
    if answer == 0:
        return wrong("a mean is never above its largest number, so at least one channel stays.")
    if isinstance(answer, float) and abs(answer - 0.7) < 0.01:
        return wrong("that is θ. How many scores are at least 0.7?")
    return wrong("θ = (0.9 + 0.8 + 0.4) / 3. Count the scores that are at least θ.")


@exercise
def theta_of_ratio(function) -> Verdict:
    """A function (scores, ratio) → the θ at which the share ``ratio`` of the scores, all different, goes."""
    scores = torch.tensor([0.31, 0.05, 0.92, 0.44, 0.18, 0.67, 0.71, 0.26, 0.83, 0.59])
    for ratio in (0.3, 0.0, 0.25, 0.84):
        theta = result_of(function, scores, ratio)
        if theta.numel() != 1:
            return wrong(f"θ is a single number; yours has the shape {tuple(theta.shape)}.")
        if abs(float(theta) - ratio) < 1e-6:
            return wrong("θ is a score, not the ratio. Find the score that parts the channels.")
        goes, expected = int((scores < theta).sum()), round(ratio * len(scores))
        if goes == expected:
            continue
        if goes == len(scores) - expected:
            return wrong("the share that goes and the share that stays are swapped: sort from low to high.")
        if goes == expected - 1:
            return wrong("that is the highest score that goes. θ is the lowest that stays, one place further.")
        if goes == expected + 1:
            return wrong("one channel too many goes. If n go, the lowest that stays is at place n, counted from 0.")
        return wrong(f"with ten scores and a ratio of {ratio}, {expected} should go; with your θ it is {goes}.")
    return right("`torch.quantile` does nearly the same, but puts θ between two scores.")


@exercise
def keep_for_budget(answer) -> Verdict:
    """A ``keep`` for the three hidden layers with which the article's CNN has nearly 400,000 parameters, and no more."""
    budget = 400_000
    if isinstance(answer, tuple):
        return wrong("a rule returns θ and `keep` together. Take the second one: `.keep`.")
    if not isinstance(answer, dict):
        return wrong(
            f"`keep` is a dictionary {{layer name: True where a channel stays}}; this is a {type(answer).__name__}."
        )
    widths = {"conv1": 32, "conv2": 64, "fc1": 1024}
    if missing := [name for name in widths if name not in answer]:
        return wrong(f"{' and '.join(missing)} is missing. Give the rule the importance of all three layers.")
    for name, stays in answer.items():
        if stays.dtype != torch.bool or stays.shape != (widths[name],):
            return wrong(f"the entry of {name} should be True or False for each of its {widths[name]} channels.")
        if not stays.any():
            return wrong(f"no channel of {name} stays.")
    first, second, hidden = (int(answer[name].sum()) for name in widths)
    params = count_params(ArticleNet(conv_channels=(first, second), hidden=hidden))
    result = f"{params:,} parameters are left"
    if params > budget:
        return wrong(f"{result}, more than {budget:,}.")
    if params < 0.95 * budget:
        return wrong(
            f"{result}, and {budget:,} were allowed. A share of the channels is not the same share of the parameters."
        )
    return right(f"{result}, with {first}, {second} and {hidden} channels.")
