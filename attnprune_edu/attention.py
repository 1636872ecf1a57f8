"""The article's formulas as pure functions on tensors.

The article (section 4.1) turns each row of a weight matrix into attention weights, α_ij = exp(w_ij) / Σ_k exp(w_ik), and
scores the row by its weighted mean, score_i = Σ_j α_ij w_ij. As printed, the sign of a weight decides: a filter of strong
negative weights comes out last, although it matters as much as its mirror image. Here the same formulas read the size |w|,
divided by a temperature, unless ``signed=True`` asks for the printed ones.
"""

import torch
from torch import Tensor


def attention_weights(weights: Tensor, temperature: float = 1.0, *, signed: bool = False, start_dim: int = 1) -> Tensor:
    """Softmax of each row of ``weights``: how much of the row's attention each entry gets.

    ``weights``: floating point, such as (rows, columns) or a convolution's (filters, channels, height, width). A row is all
    that lies behind the first ``start_dim`` dimensions, so ``start_dim=2`` reads (batch, rows, columns). The result has the
    same shape; each row sums to 1. ``temperature`` > 0: high makes the weights equal, low gives all to the largest entry.

    Article, section 4.1, first equation; with ``signed=False`` (our correction) w is replaced by |w|.
    Raises TypeError for whole numbers and ValueError for a temperature that is not above 0, or for NaN or infinite entries.
    """
    _check(weights, temperature, start_dim)
    values = (weights if signed else weights.abs()).flatten(start_dim)  # (rows, entries of a row)
    # Subtracting the largest entry before dividing keeps a small temperature from overflowing.
    alpha = ((values - values.amax(dim=-1, keepdim=True).detach()) / temperature).softmax(dim=-1)
    return alpha.view(weights.shape)


def attention_scores(weights: Tensor, temperature: float = 1.0, *, signed: bool = False, start_dim: int = 1) -> Tensor:
    """Weigh each row of ``weights`` by its own attention: one score a row, shape ``weights.shape[:start_dim]``.

    A score always lies between the smallest and the largest entry of its row. With ``signed=False`` it runs from the mean
    of |w| (temperature → ∞, the L1 criterion) to the maximum of |w| (temperature → 0).

    Article, section 4.1, second equation. Arguments and errors are those of ``attention_weights``.
    """
    alpha = attention_weights(weights, temperature, signed=signed, start_dim=start_dim)
    return (alpha * (weights if signed else weights.abs())).flatten(start_dim).sum(dim=-1)


def _check(weights: Tensor, temperature: float, start_dim: int) -> None:
    if not weights.is_floating_point():
        raise TypeError(f"weights must be floating point, got {weights.dtype}")
    if not 1 <= start_dim < weights.ndim:
        raise ValueError(
            f"weights must have more than start_dim={start_dim} dimensions, and start_dim be at least 1; "
            f"got the shape {tuple(weights.shape)}"
        )
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    if not torch.isfinite(weights).all():
        raise ValueError("weights must be finite, got NaN or infinite entries")
