"""Let ``import torchvision`` succeed beside a CPU-only torch.

PyPI's torchvision wheels for Linux are built for CUDA. Beside a CPU-only torch their compiled operators cannot be
loaded, and ``import torchvision`` dies with ``operator torchvision::nms does not exist``: while it is imported,
torchvision attaches Python code to its operators ``nms`` and ``qnms``, and to these two alone, so both must be known.

Declaring them without an implementation is enough for everything this course uses: datasets, transforms, models,
``make_grid``. Box operators (``torchvision.ops.nms``) and ``torchvision.io``'s decoders stay unavailable, and say so when
they are called. A matching pair, such as conda-forge's, loads its own operators, and then nothing is declared.
"""

import importlib.util
from pathlib import Path

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def declare_missing_operators() -> bool:
    """Declare ``torchvision::nms`` and ``qnms`` if torchvision's compiled operators cannot be loaded.

    Returns True if they had to be declared, False if torchvision is absent or its own operators work. Call it before
    torchvision is imported for the first time; calling it again changes nothing.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None or _operator_exists("nms"):
        return False
    for library in sorted(Path(spec.origin).parent.glob("_C*")):  # _C.so, or _C.pyd on Windows
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return False
    for name in ("nms", "qnms"):
        if not _operator_exists(name):
            torch.library.define(f"torchvision::{name}", _SCHEMA)
    return True


def _operator_exists(name: str) -> bool:
    return hasattr(torch.ops.torchvision, name)
