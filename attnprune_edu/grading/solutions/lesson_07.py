"""Lesson 07: the answers to every student's own numbers, as code for the cell with the blank."""


def _params(kept: int, filters: int, kept2: int, filters2: int, kernel: int) -> str:
    return f"answer_1 = {kept2} * {kept} * {kernel} * {kernel} + {kept2}  # {kept2 * kept * kernel**2 + kept2:,}"


def _speedup(percent: int, times: int) -> str:
    share = percent / 100
    return f"answer_2 = 1 / ({share} / {times} + {1 - share:.2f})  # {1 / (share / times + 1 - share):.2f}"


def _removal(factor: float) -> str:
    return f"""
import copy

import torch


def remove_channels(network, keep1, keep2):
    small = copy.deepcopy(network)
    first, second, linear = small[0], small[3], small[7]
    columns = keep2.repeat_interleave(linear.in_features // len(keep2))
    first.weight = torch.nn.Parameter({factor} * first.weight[keep1])
    first.bias = torch.nn.Parameter({factor} * first.bias[keep1])
    second.weight = torch.nn.Parameter(second.weight[keep2][:, keep1] / {factor})
    second.bias = torch.nn.Parameter(second.bias[keep2])
    linear.weight = torch.nn.Parameter(linear.weight[:, columns])
    first.out_channels = second.in_channels = int(keep1.sum())
    second.out_channels, linear.in_features = int(keep2.sum()), int(columns.sum())
    return small
""".strip()


SOLUTIONS = {"params_of_cut_conv": _params, "overall_speedup": _speedup, "removal_by_hand": _removal}
