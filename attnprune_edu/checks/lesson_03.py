"""Checks of lesson 03, choosing the threshold."""

import torch

from ..networks.models import ArticleNet
from ..report.evaluation import count_params
from .verdict import Verdict, exercise, require_keep, result_of, right, wrong


@exercise
def stay_above_the_mean(answer) -> Verdict:
    """How many of 0.9, 0.8, 0.6, 0.1, 0.1 are at least the mean of the three highest?"""
    answer = float(answer)
    if answer == 2:
        return right("the mean is 0.77. Fewer than k = 3 stay, because the three are not all equal.")
    if answer == 3:
        return wrong(
            "that is k, or the number above the mean of all five. θ is the mean of the three highest: is 0.6 above it?"
        )
    if answer == 1:
        return wrong(
            "is θ the sum of all five divided by 3? That is the printed equation; here only the three highest count."
        )
    if answer == 0:
        return wrong("a mean is never above its largest number, so at least one channel stays.")
    if abs(answer - 0.767) < 0.01:
        return wrong("that is θ. How many scores are at least that high?")
    return wrong("θ = (0.9 + 0.8 + 0.6) / 3. Count the scores that are at least θ.")


@exercise
def theta_of_ratio(function) -> Verdict:
    """A function (scores, ratio) → the θ at which the share ``ratio`` of the scores, all different, goes."""
    scores = torch.tensor([0.31, 0.05, 0.92, 0.44, 0.18, 0.67, 0.71, 0.26, 0.83, 0.59])
    for ratio in (0.3, 0.0, 0.27, 0.12, 0.84):
        theta = result_of(function, scores, ratio)
        if theta.numel() != 1:
            return wrong(f"θ is a single number; yours has the shape {tuple(theta.shape)}.")
        goes, expected = int((scores < theta).sum()), round(ratio * len(scores))
        if goes == expected:
            continue
        if abs(float(theta) - ratio) < 1e-6:
            return wrong("θ is a score, not the ratio. Find the score that parts the channels.")
        if abs(float(theta) - scores.quantile(ratio).item()) < 1e-6:
            return wrong("that is the quantile. It lies between two scores, and not always the right ones; count instead.")
        if goes == int(ratio * len(scores)):
            return wrong(f"you cut {ratio * len(scores):.1f} off to {goes}; round it to the nearest whole number.")
        if goes in (len(scores) - expected, len(scores) - expected - 1):
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
    require_keep(answer)
    widths = {"conv1": 32, "conv2": 64, "fc1": 1024}
    if missing := [name for name in widths if name not in answer]:
        return wrong(f"missing: {' and '.join(missing)}. Give the rule the importance of all three layers.")
    if unknown := [str(name) for name in answer if name not in widths]:
        return wrong(f"{' and '.join(unknown)} should not be pruned; the hidden layers are {', '.join(widths)}.")
    keep = {name: torch.as_tensor(stays) for name, stays in answer.items()}
    for name, stays in keep.items():
        if stays.dtype != torch.bool or stays.shape != (widths[name],):
            return wrong(f"the entry of {name} should be True or False for each of its {widths[name]} channels.")
        if not stays.any():
            return wrong(f"no channel of {name} stays.")
    first, second, hidden = (int(keep[name].sum()) for name in widths)
    params = count_params(ArticleNet(conv_channels=(first, second), hidden=hidden))
    result = f"{params:,} parameters are left"
    if params > budget:
        return wrong(f"{result}, more than {budget:,}.")
    if params < 380_000:
        return wrong(
            f"{result}; at least 380,000 should be. A share of the channels is not the same share of the parameters."
        )
    return right(f"{result}, with {first}, {second} and {hidden} channels.")
