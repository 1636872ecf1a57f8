"""Groups of coupled layers: what a residual addition or a depthwise convolution ties together can only be pruned together.

Which layers those are is found by the dependency graph of Torch-Pruning (Fang et al., CVPR 2023, arXiv:2301.12900).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ..networks.models import layers_with_channels
from .attention import attention_scores
from .masks import unmask


def coupled_layers(model: nn.Module, image_shape: tuple[int, int, int]) -> list[tuple[str, ...]]:
    """Return the names of the Conv2d and Linear layers of ``model`` whose channels go together, a tuple for each group.

    In a plain chain of layers each group has one layer; layers whose outputs are added up share a group. Groups stand in the
    network's order, and so do the layers of a group. The group of the output layer, whose neurons are the classes, is left
    out. ``image_shape``: (channels, height, width) of the images that ``model`` takes.
    """
    plain = unmask(model).eval()
    names = {layer: name for name, layer in layers_with_channels(plain).items()}
    graph = dependency_graph(plain, torch.zeros(1, *image_shape, device=next(plain.parameters()).device))
    found = []
    for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]):
        outputs = {layer for layer, _, _ in outputs_of(group, graph) if layer in names}
        found.append(tuple(name for layer, name in names.items() if layer in outputs))
    order = list(names.values())
    found.sort(key=lambda group: order.index(group[0]))
    return [group for group in found if order[-1] not in group]


def couple(importance: dict[str, Tensor], groups: Iterable[tuple[str, ...]]) -> dict[str, Tensor]:
    """Return ``importance`` with the same values for all layers of a group, so that they lose the same channels.

    ``importance``: {layer name: (channels,)}; ``groups``: as ``coupled_layers`` returns them. Each layer of a group has an
    equal say: the values are averaged in units of their layer's mean size, and the result gets back the mean of these sizes,
    so that it can be compared with other groups. A group of one layer stays as it is. Layers of a group that have no
    importance get that of the others; a layer in no group, such as what is tied to the output, is left out.

    Raises ValueError if the layers of a group have different numbers of channels.
    """
    coupled = {}
    for group in groups:
        scores = [importance[name] for name in group if name in importance]
        if len({len(values) for values in scores}) > 1:
            raise ValueError(f"importance must have one number of channels for the coupled layers {list(group)}")
        if len(scores) == 1:
            coupled |= dict.fromkeys(group, scores[0])
        elif scores:
            sizes = [values.abs().mean().clamp(min=1e-12) for values in scores]
            shared = torch.stack([values / size for values, size in zip(scores, sizes, strict=True)]).mean(dim=0)
            coupled |= dict.fromkeys(group, shared * torch.stack(sizes).mean())
    return coupled


class AttentionImportance:
    """The criterion "attention" for the pruners of Torch-Pruning: ``MetaPruner(..., importance=AttentionImportance())``.

    Called with one of its groups, it returns Σ_j α_j |w_j|, α = softmax(|w| / ``temperature``), for each channel
    (channels,), averaged over the layers of the group as ``couple`` does.
    """

    def __init__(self, temperature: float = 1.0):
        self.temperature = temperature

    @torch.no_grad()
    def __call__(self, group) -> Tensor:
        """Score the channels of a ``torch_pruning`` group; the result has an entry for each index of its root."""
        channels = len(group[0].idxs)
        scores = {}
        for number, (layer, indices, roots) in enumerate(outputs_of(group, group._DG)):
            if isinstance(layer, nn.Conv2d | nn.Linear):
                values = attention_scores(layer.weight[indices].flatten(1), self.temperature)
                place = {root: position for position, root in enumerate(group[0].root_idxs)}
                at = torch.tensor([place[root] for root in roots], device=values.device)
                scores[str(number)] = values.new_zeros(channels).index_add(0, at, values)
        return next(iter(couple(scores, [tuple(scores)]).values()))


def dependency_graph(plain: nn.Module, example_inputs: Tensor):
    """The ``torch_pruning.DependencyGraph`` of a network without masks, seen with ``example_inputs`` (N, C, H, W)."""
    import torch_pruning  # here, because the lessons before pruning do not need it

    frozen = [parameter for parameter in plain.parameters() if not parameter.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(True)  # the graph is read from the gradients' functions
    with torch.enable_grad():
        # In a list: a tensor of one image would first be handed over as that image, without the dimension of the batch.
        graph = torch_pruning.DependencyGraph().build_dependency(plain, [example_inputs])
    for parameter in frozen:
        parameter.requires_grad_(False)
    return graph


def outputs_of(group, graph) -> list[tuple[nn.Module, list[int], list[int]]]:
    """(layer, its output channels, the channels of the group's root that they belong to) for each layer of a ``group``."""
    return [
        (item.dep.target.module, list(item.idxs), list(item.root_idxs))
        for item in group
        if graph.is_out_channel_pruning_fn(item.dep.handler)
    ]
