"""Instant answers to the lessons' exercises, a module a lesson.

A check takes the reader's answer and returns a ``Verdict``. An exercise that still holds ``...`` is "not tried yet"; a wrong
answer is met by the misconception that most likely led to it.
"""

from .lesson_00 import keep_for_one_layer, six_steps, weights_left
from .lesson_01 import magnitude_pruner, parameters_of_a_filter, removable_neurons
from .lesson_02 import attention_importance, score_by_hand, two_temperatures
from .lesson_03 import budget_by_hand, stay_above_the_mean, theta_of_ratio
from .lesson_04 import recall_of_each_class, training_loop, validation_split
from .lesson_05 import masked_convolution, safe_ratio, weight_after_two_steps
from .lesson_06 import cubic_schedule, repair_by_hand
from .lesson_07 import overall_speedup, params_of_cut_conv, removal_by_hand
from .lesson_08 import images_for_half_a_point, paired_bootstrap, what_the_article_reports
from .lesson_09 import activation_criterion, map_of_activations, score_of_a_channel
from .lesson_10 import held_ramp, running_gate, steps_until_overtaken
from .lesson_11 import bytes_of_single_weights, knapsack_by_hand
from .lesson_12 import head_by_hand, params_of_a_head, rows_of_units
from .lesson_13 import auc_by_comparison, true_accept_rate_by_hand, verification_threshold
from .lesson_14 import claim_checker, runs_until_decided, sum_of_fixed_part
from .lesson_15 import capstone, share_within_budgets
from .verdict import Verdict

__all__ = [
    "Verdict",
    "activation_criterion",
    "attention_importance",
    "auc_by_comparison",
    "budget_by_hand",
    "bytes_of_single_weights",
    "capstone",
    "claim_checker",
    "cubic_schedule",
    "head_by_hand",
    "held_ramp",
    "images_for_half_a_point",
    "keep_for_one_layer",
    "knapsack_by_hand",
    "magnitude_pruner",
    "map_of_activations",
    "masked_convolution",
    "overall_speedup",
    "paired_bootstrap",
    "parameters_of_a_filter",
    "params_of_a_head",
    "params_of_cut_conv",
    "recall_of_each_class",
    "removable_neurons",
    "removal_by_hand",
    "repair_by_hand",
    "rows_of_units",
    "running_gate",
    "runs_until_decided",
    "safe_ratio",
    "score_by_hand",
    "score_of_a_channel",
    "share_within_budgets",
    "six_steps",
    "stay_above_the_mean",
    "steps_until_overtaken",
    "sum_of_fixed_part",
    "theta_of_ratio",
    "training_loop",
    "true_accept_rate_by_hand",
    "two_temperatures",
    "validation_split",
    "verification_threshold",
    "weight_after_two_steps",
    "weights_left",
    "what_the_article_reports",
]
