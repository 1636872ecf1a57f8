"""A guest in Torch-Pruning (Fang et al., CVPR 2023, arXiv:2301.12900): attention as the criterion of its pruners."""

import torch
from torch import Tensor

from ..networks.kinds import Layer, filters
from .attention import attention_scores
from .groups import couple


class AttentionImportance:
    """The criterion "attention" for the pruners of Torch-Pruning: ``MetaPruner(..., importance=AttentionImportance())``.

    Called with one of its groups, it returns Σ_j α_j |w_j|, α = softmax(|w| / ``temperature``), for each channel
    (channels,), averaged over the layers of the group as ``couple`` does; None, as Torch-Pruning's own criteria do, for a
    group in which no layer has a weight for each channel.
    """

    def __init__(self, temperature: float = 1.0):
        self.temperature = temperature

    @torch.no_grad()
    def __call__(self, group) -> Tensor | None:
        """Score the channels of a ``torch_pruning`` group; the result has an entry for each index of its root."""
        channels = len(group[0].idxs)
        place = {root: position for position, root in enumerate(group[0].root_idxs)}
        scores = {}
        for number, item in enumerate(group):
            layer = item.dep.target.module
            if isinstance(layer, Layer) and group._DG.is_out_channel_pruning_fn(item.dep.handler):
                values = attention_scores(filters(layer)[list(item.idxs)], self.temperature)
                at = torch.tensor([place[root] for root in item.root_idxs], device=values.device)
                scores[str(number)] = values.new_zeros(channels).index_add(0, at, values)
        return next(iter(couple(scores, [tuple(scores)]).values())) if scores else None
