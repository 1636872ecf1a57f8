"""Learn neural-network pruning with attention by doing it.

data → model → importance → keep → mask → fine-tune → remove → report: a function takes what the step before returned.
"""

from ._torchvision import declare_missing_operators

declare_missing_operators()  # before anything below imports torchvision

from . import checks, plots, widgets
from .attention import attention_scores, attention_weights
from .checkpoints import load_model, save_model
from .checks import quiz
from .data import ImageData, Images, load_data
from .evaluation import compare, evaluate
from .importance import importance
from .masks import mask
from .models import ArticleNet
from .plots import show
from .removal import remove
from .thresholds import keep_by_ratio
from .training import accuracy, fine_tune, train

__version__ = "0.1.0"
__all__ = [
    "ArticleNet",
    "ImageData",
    "Images",
    "accuracy",
    "attention_scores",
    "attention_weights",
    "checks",
    "compare",
    "evaluate",
    "fine_tune",
    "importance",
    "keep_by_ratio",
    "load_data",
    "load_model",
    "mask",
    "plots",
    "quiz",
    "remove",
    "save_model",
    "show",
    "train",
    "widgets",
]
