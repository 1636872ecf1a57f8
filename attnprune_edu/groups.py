"""Groups of coupled layers: what a residual addition ties together can only be pruned together."""

import torch
from torch import nn

from .masks import unmask
from .models import layers_with_channels


def coupled_layers(model: nn.Module, image_shape: tuple[int, int, int]) -> list[tuple[str, ...]]:
    """Return the names of the Conv2d and Linear layers of ``model`` whose channels go together, a tuple for each group.

    In a plain chain of layers each group has one layer; layers whose outputs are added up share a group. Groups stand in the
    network's order, and so do the layers of a group. The group of the output layer, whose neurons are the classes, is left
    out. ``image_shape``: (channels, height, width) of the images that ``model`` takes. Found by the dependency graph of
    Torch-Pruning (Fang et al., CVPR 2023, arXiv:2301.12900).
    """
    import torch_pruning  # here, because the lessons before pruning do not need it

    plain = unmask(model).eval()
    for parameter in plain.parameters():
        parameter.requires_grad_(True)  # the graph is read from the gradients' functions
    names = {layer: name for name, layer in layers_with_channels(plain).items()}
    example = torch.zeros(1, *image_shape, device=next(plain.parameters()).device)
    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(plain, example)
    found = []
    for group in graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear]):
        outputs = {
            dependency.target.module
            for dependency, _ in group
            if dependency.target.module in names and graph.is_out_channel_pruning_fn(dependency.handler)
        }
        found.append(tuple(name for layer, name in names.items() if layer in outputs))
    order = list(names.values())
    found.sort(key=lambda group: order.index(group[0]))
    return [group for group in found if order[-1] not in group]
