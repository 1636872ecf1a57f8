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
    _check(weights, temperature, start_dim)
    values = (weights if signed else weights.abs()).flatten(start_dim)  # (rows, entries of a row)
    # Rounded to half precision, the weights of a long row may sum to more or less than 1 by far.
    exact = values.to(torch.promote_types(values.dtype, torch.float32))
    scores = (attention_weights(exact, temperature, signed=True, start_dim=start_dim) * exact).sum(dim=-1)
    return scores.to(values.dtype).clamp(values.amin(dim=-1), values.amax(dim=-1))


def normalize(scores: Tensor, method: str = "minmax") -> Tensor:
    """Put scores on a common scale. ``scores``: floating point (…, channels); each run along the last dimension by itself.

    - ``"sum"``: s_i / Σ_j s_j, as the article says (section 3.2, step 1). Positive scores become
      shares that sum to 1. With mixed signs the sum may be 0, or negative, which would reverse the order: ValueError.
    - ``"minmax"`` (our correction): (s_i − min) / (max − min), from 0 to 1 whatever the signs. Equal scores become 1.

    Neither changes which score is larger. Raises ValueError for another ``method``, NaN or infinite scores, or none at all;
    TypeError for whole numbers.
    """
    if method not in ("sum", "minmax"):
        raise ValueError(f"method must be 'sum' or 'minmax', got {method!r}")
    if not isinstance(scores, Tensor) or not scores.is_floating_point():
        raise TypeError(f"scores must be floating point, got {getattr(scores, 'dtype', type(scores).__name__)}")
    if not scores.ndim or not scores.shape[-1]:
        raise ValueError(f"scores must have the shape (…, channels) with at least one channel, got {tuple(scores.shape)}")
    if not torch.isfinite(scores).all():
        raise ValueError("scores must be finite, got NaN or infinite entries")
    if method == "sum":
        total = scores.sum(dim=-1, keepdim=True, dtype=torch.float64)  # half precision would overflow
        if not (total > 0).all():
            raise ValueError(
                f"scores must have a sum above 0 to be divided by it, got {total.min().item():.3g}; use 'minmax'"
            )
        return (scores / total).to(scores.dtype)
    low, high = scores.amin(dim=-1, keepdim=True).double(), scores.amax(dim=-1, keepdim=True).double()
    spread = high - low
    equal = spread == 0
    return torch.where(equal, 1, (scores - low) / torch.where(equal, 1, spread)).to(scores.dtype)


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
