"""Removal: cut the silent channels out of a masked network, so that it is really smaller and computes the same."""

import torch
from torch import Tensor, nn

from ..networks.inference import evaluating
from ..networks.models import ArticleNet, architecture_of, layers_with_channels, rebuild
from .groups import dependency_graph, outputs_of
from .masks import live_channels, mask_weights, masks_of, unmask, weight_masks_of

TOLERANCE = 1e-3  # of the largest output: what rounding may change, and far below what a wrong cut does


@torch.no_grad()
def remove(masked: nn.Module, example_inputs: Tensor | None = None) -> nn.Module:
    """Return a new, smaller network with the outputs of ``masked``, whose silent channels are gone.

    A channel that is cut from one layer's outputs must be cut from the next layer's inputs as well, and from every layer
    that is tied to it by an addition or a depthwise convolution; it goes if it is silent in all of them (``couple`` makes
    sure of that) and stays otherwise. Channels of and before a grouped convolution stay, and so do the neurons of the output
    layer. Masks on single weights go along.

    ``example_inputs``: normalised images (N, channels, height, width), with which the forward pass is followed; an
    ``ArticleNet`` does without. The new network is of the same class, has no masks on channels, and its modules are in the
    mode (training or not) that they had. It has new parameters: make the optimiser from them.

    Raises ValueError if the output layer is masked, if the masks leave a layer no weight at all, if ``example_inputs`` are
    needed and missing, or if the smaller network would not compute the same: where a channel goes through something that
    makes 0 another number, such as a sigmoid, it is not silent.
    """
    live, single = live_channels(masked), weight_masks_of(masked)
    output = list(live)[-1]
    if output in masks_of(masked):
        raise ValueError(f"the output layer {output!r} is masked; its neurons are the classes and cannot be removed")
    if type(masked) is ArticleNet:
        small, single = _cut_article_net(unmask(masked), live, single)
    elif example_inputs is None:
        raise ValueError(f"example_inputs are needed to follow the forward pass of {type(masked).__name__}")
    else:
        small = _cut_by_graph(unmask(masked), live, example_inputs)
        if single:
            small_masks = _cut_by_graph(_masks_as_weights(masked, single), live, example_inputs)
            single = {name: small_masks.get_submodule(name).weight.bool() for name in single}
        _check_the_same(masked, small, example_inputs)
    if empty := [name for name, keep in single.items() if not keep.any()]:
        raise ValueError(f"the masks on channels and those on single weights together leave {empty} no weight")
    return mask_weights(small, single) if single else small


def _cut_article_net(
    plain: ArticleNet, live: dict[str, Tensor], single: dict[str, Tensor]
) -> tuple[ArticleNet, dict[str, Tensor]]:
    """The smaller network and what is left of the masks on single weights, cut by hand as lesson 07 shows."""
    conv1, conv2, hidden = live["conv1"], live["conv2"], live["fc1"]
    widths = {"conv_channels": (int(conv1.sum()), int(conv2.sum())), "hidden": int(hidden.sum())}
    small = rebuild(architecture_of(plain) | widths).to(plain.conv1.weight)  # its device and type

    # The flatten lays each channel of conv2 out as a run of positions, 25 for 32×32 images: they go or stay together.
    positions = plain.fc1.in_features // plain.conv2.out_channels
    flat = conv2.repeat_interleave(positions)  # (channels · positions,)

    everything = slice(None)
    cuts = {"conv1": (conv1, everything), "conv2": (conv2, conv1), "fc1": (hidden, flat), "fc2": (everything, hidden)}
    for name, (outputs, inputs) in cuts.items():
        old, new = plain.get_submodule(name), small.get_submodule(name)
        new.weight.copy_(old.weight[outputs][:, inputs])
        new.bias.copy_(old.bias[outputs])
        new.weight.requires_grad_(old.weight.requires_grad)
        new.bias.requires_grad_(old.bias.requires_grad)
    return small.train(plain.training), {name: keep[cuts[name][0]][:, cuts[name][1]] for name, keep in single.items()}


def _cut_by_graph(plain: nn.Module, live: dict[str, Tensor], example_inputs: Tensor) -> nn.Module:
    """Cut from ``plain`` what is silent in all layers of its group, by the dependency graph of Torch-Pruning."""
    trained = {name: parameter.requires_grad for name, parameter in plain.named_parameters()}
    names = {layer: name for name, layer in layers_with_channels(plain).items()}
    with evaluating(plain):
        graph = dependency_graph(plain, example_inputs)
        for group in list(graph.get_all_groups(root_module_types=[nn.Conv2d, nn.Linear])):
            if any(map(_is_grouped, (item.dep.target.module for item in group))):
                continue
            root, channels = group[0].dep.target.module, len(group[0].idxs)
            gone = torch.ones(channels, dtype=torch.bool)
            for layer, indices, roots in outputs_of(group, graph):
                if layer in names:
                    gone[roots] &= ~live[names[layer]].cpu()[indices]
            if gone.any():
                graph.get_pruning_group(root, group[0].dep.handler, gone.nonzero().flatten().tolist()).prune()
    for name, parameter in plain.named_parameters():
        parameter.requires_grad_(trained[name])
    return plain


def _is_grouped(layer: nn.Module) -> bool:
    """A convolution in groups of several channels, which would no longer be equally large; not a depthwise one."""
    groups = getattr(layer, "groups", 1)
    return groups > 1 and not groups == layer.in_channels == layer.out_channels


def _masks_as_weights(masked: nn.Module, single: dict[str, Tensor]) -> nn.Module:
    """A network whose weights say what the masks on single weights keep, 1 or 0; cut like the other, it gives its masks."""
    marked = unmask(masked)
    for name, keep in single.items():
        marked.get_submodule(name).weight.copy_(keep)
    return marked


def _check_the_same(masked: nn.Module, small: nn.Module, example_inputs: Tensor) -> None:
    with evaluating(masked, small):
        before, after = masked(example_inputs), small(example_inputs)
    if (before - after).abs().max() > TOLERANCE * before.abs().max().clamp(min=1.0):
        raise ValueError(
            "masked cannot be cut: without its silent channels it would compute something else, by up to "
            f"{(before - after).abs().max():.2g}. Do they pass through something that makes 0 another number?"
        )
