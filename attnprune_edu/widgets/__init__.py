"""Widgets: controls above a picture. The picture comes from a plain function, which can be called and tested without one."""

from .attention import attention_explorer, attention_picture
from .budget import budget_explorer, budget_picture
from .claims import claim_explorer, claim_picture
from .cuts import (
    RULES,
    ratio_explorer,
    ratio_picture,
    threshold_explorer,
    threshold_picture,
    weight_explorer,
    weight_picture,
)
from .difference import difference_explorer, difference_picture
from .errors import error_explorer, error_picture
from .gates import gates_explorer, gates_picture
from .heads import head_explorer, head_picture
from .layers import layer_explorer, layer_picture
from .maps import map_explorer, map_picture
from .picture_widget import SLIDER, WIDE, PictureWidget
from .recovery import recovery_explorer, recovery_picture
from .shares import share_explorer, share_picture
from .speedup import speedup_explorer, speedup_picture
from .verification import verification_explorer, verification_picture

__all__ = [
    "RULES",
    "SLIDER",
    "WIDE",
    "PictureWidget",
    "attention_explorer",
    "attention_picture",
    "budget_explorer",
    "budget_picture",
    "claim_explorer",
    "claim_picture",
    "difference_explorer",
    "difference_picture",
    "error_explorer",
    "error_picture",
    "gates_explorer",
    "gates_picture",
    "head_explorer",
    "head_picture",
    "layer_explorer",
    "layer_picture",
    "map_explorer",
    "map_picture",
    "ratio_explorer",
    "ratio_picture",
    "recovery_explorer",
    "recovery_picture",
    "share_explorer",
    "share_picture",
    "speedup_explorer",
    "speedup_picture",
    "threshold_explorer",
    "threshold_picture",
    "verification_explorer",
    "verification_picture",
    "weight_explorer",
    "weight_picture",
]
