"""Learn neural-network pruning with attention by doing it.

data → model → importance → keep → mask → fine-tune → remove → report: a function takes what the step before returned.
"""

from ._torchvision import declare_missing_operators

declare_missing_operators()  # before anything below imports torchvision

from . import checks, plots, widgets
from .data.images import ImageData, Images, load_data
from .experiments.guarantee import Guarantee, prune_with_guarantee
from .experiments.results import load_results
from .experiments.sensitivity import sensitivity
from .experiments.sweep import sweep
from .networks.inference import accuracy, predict
from .networks.models import VGG, ArticleNet, ResNet20
from .networks.training import Distillation, Rewind, fine_tune, train
from .plots import show
from .pruning.attention import attention_scores, attention_weights, normalize
from .pruning.groups import couple, coupled_layers, unprunable
from .pruning.guest import AttentionImportance
from .pruning.importance import importance
from .pruning.masks import mask, mask_, mask_weights, prune_network, sparsity
from .pruning.removal import remove
from .pruning.repair import repair
from .pruning.schedules import AttentionPruner, Pruned, prune_in_stages, ratio_schedule
from .pruning.thresholds import (
    Threshold,
    keep_by_ratio,
    threshold_as_printed,
    threshold_at,
    threshold_by_budget,
    threshold_by_quantile,
    threshold_by_ratio,
    threshold_top_k_mean,
)
from .quizzes import quiz
from .report.checkpoints import load_model, save_model
from .report.evaluation import Report, compare, confusion, count_macs, count_params, evaluate, latency_ms
from .report.onnx_export import OnnxNetwork, export_onnx
from .report.uncertainty import Interval, mean_interval, paired_difference, wilson

__version__ = "0.1.0"
__all__ = [
    "VGG",
    "ArticleNet",
    "AttentionImportance",
    "AttentionPruner",
    "Distillation",
    "Guarantee",
    "ImageData",
    "Images",
    "Interval",
    "OnnxNetwork",
    "Pruned",
    "Report",
    "ResNet20",
    "Rewind",
    "Threshold",
    "accuracy",
    "attention_scores",
    "attention_weights",
    "checks",
    "compare",
    "confusion",
    "count_macs",
    "count_params",
    "couple",
    "coupled_layers",
    "evaluate",
    "export_onnx",
    "fine_tune",
    "importance",
    "keep_by_ratio",
    "latency_ms",
    "load_data",
    "load_model",
    "load_results",
    "mask",
    "mask_",
    "mask_weights",
    "mean_interval",
    "normalize",
    "paired_difference",
    "plots",
    "predict",
    "prune_in_stages",
    "prune_network",
    "prune_with_guarantee",
    "quiz",
    "ratio_schedule",
    "remove",
    "repair",
    "save_model",
    "sensitivity",
    "show",
    "sparsity",
    "sweep",
    "threshold_as_printed",
    "threshold_at",
    "threshold_by_budget",
    "threshold_by_quantile",
    "threshold_by_ratio",
    "threshold_top_k_mean",
    "train",
    "unprunable",
    "widgets",
    "wilson",
]
