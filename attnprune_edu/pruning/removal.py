"""Removal: cut the silent channels out of a masked network, so that it is really smaller and computes the same."""

import torch
from torch import Tensor, nn

from ..networks.models import ArticleNet, architecture_of, rebuild
from .cutting import TOLERANCE, cut, disagreement
from .groups import groups_of, inputs_that_fit
from .masks import mask_weights
from .silence import live_channels, unmask, weight_masks_of


@torch.no_grad()
def remove(masked: nn.Module, example_inputs=None, *, check: bool = True) -> nn.Module:
    """Return a new, smaller network with the outputs of ``masked``, whose silent channels are gone.

    A channel that is cut from one layer's outputs must be cut from the next layer's inputs as well, and from every layer
    that is tied to it by an addition or a depthwise convolution; it goes if it is silent in all of them (``couple`` makes
    sure of that) and stays otherwise. The channels of layers that ``unprunable`` names stay too. Masks on single weights go
    along. torch holds one number of units for all layers and directions of a recurrent module: where they keep different
    numbers, some silent units stay, up to the largest of these. And its attention cannot hold fewer heads than fill its
    embedding: where some go, ``ap.Attention`` takes its place, which is called alike.

    ``example_inputs``: a small batch of what ``masked`` takes, to follow its forward pass and to compare the two networks: a
    tensor, a tuple (handed over as several arguments) or a dictionary (as keyword arguments). None tries inputs that the
    first layer takes; an ``ArticleNet`` does without. ``check=False`` leaves the comparison out, which saves two passes.

    The new network is of the same class, has no masks on channels, and its modules are in the mode (training or not) that
    they had. It has new parameters: make the optimiser from them.

    Raises ValueError if an output is masked, if the masks leave a layer no weight at all, if the outputs of the smaller
    network differ by more than 1e-4 of the largest, and as ``unprunable`` does.
    """
    live, single = live_channels(masked), weight_masks_of(masked)
    if type(masked) is ArticleNet and live["fc2"].all():
        small, single = _cut_article_net(unmask(masked), live, single)
    else:
        groups, small = groups_of(masked, example_inputs), unmask(masked)
        if fixed := [name for name, stays in live.items() if name in groups.stays and not stays.all()]:
            raise ValueError(f"channels of {fixed[0]!r} are masked, but cannot be removed: {groups.stays[fixed[0]]}")
        single = cut(small, groups.flow, groups.gone(live), single)
        if check:
            example_inputs = inputs_that_fit(small) if example_inputs is None else example_inputs
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


def _check_the_same(masked: nn.Module, small: nn.Module, example_inputs) -> None:
    try:
        apart = disagreement(masked, small, example_inputs)
    except Exception as error:  # whatever a foreign forward pass raises
        raise ValueError(
            f"the forward pass of {type(masked).__name__}, or of what is left of it, fails for example_inputs: {error}"
        ) from error
    if not apart <= TOLERANCE:
        raise ValueError(
            f"masked cannot be cut: without its silent channels it would compute something else, by {apart:.2g} of the "
            "largest output. Name the layers whose channels go through something unusual in ignored_layers"
        )
