"""What happens to the output of a layer: read from the forward pass by ``torch.fx``, which runs no numbers."""

import torch
import torch.fx
from torch import nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from .models import layers_with_channels

NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)
# What treats each channel by itself, so that a normalisation behind it still belongs to the layer before it.
_BY_CHANNEL_MODULES = {f"torch.nn.modules.{kind}" for kind in ("activation", "dropout", "pooling", "flatten")}
_BY_CHANNEL_CALLS = {"relu", "gelu", "silu", "tanh", "sigmoid", "dropout", "max_pool2d", "avg_pool2d", "adaptive_avg_pool2d"}
_BY_CHANNEL_CALLS |= {"flatten", "contiguous"}


def norms_behind(model: nn.Module) -> dict[str, list[nn.Module]]:
    """Return {name of a Conv2d or Linear: the normalisations that take its output}, for the layers that have one.

    Activations, dropout, pooling and flattening may stand between the two. Raises ValueError if ``model`` has normalisation
    but ``torch.fx`` cannot follow its forward pass.
    """
    modules = dict(model.named_modules())
    if not any(isinstance(module, NORMS) for module in modules.values()):
        return {}
    try:
        nodes = _layer_nodes(model)
    except Exception as error:  # whatever a foreign forward raises when it is handed symbols
        raise ValueError(
            f"model has normalisation layers, but torch.fx cannot follow its forward pass to see what they follow: {error}"
        ) from error

    def reached_from(node):
        for user in node.users:
            if user.op == "call_module" and isinstance(modules[user.target], NORMS):
                yield modules[user.target]
            elif _is_by_channel(user, modules):
                yield from reached_from(user)

    found: dict[str, list[nn.Module]] = {}
    for node in nodes:  # a layer that is called twice has two
        known = found.setdefault(node.target, [])
        known += [norm for norm in reached_from(node) if norm not in known]
    return {name: norms for name, norms in found.items() if norms}


def layers_before_relu(model: nn.Module) -> set[str]:
    """Return the names of the Conv2d and Linear layers whose output goes straight into a ReLU, and nowhere else.

    Empty if ``torch.fx`` cannot follow the forward pass of ``model``.
    """
    modules = dict(model.named_modules())
    calls = {"call_method": {"relu", "relu_"}, "call_function": {torch.relu, torch.relu_, F.relu, F.relu_}}

    def is_relu(node):
        return node.target in calls.get(node.op, ()) or (
            node.op == "call_module" and isinstance(modules[node.target], nn.ReLU)
        )

    try:
        nodes = _layer_nodes(model)
    except Exception:  # whatever a foreign forward raises when it is handed symbols
        return set()
    before_other = {node.target for node in nodes if not all(map(is_relu, node.users))}
    return {node.target for node in nodes} - before_other


class _Tracer(torch.fx.Tracer):
    """Looks into no layer, not even into one of a class of its own, such as a masked layer is."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, (nn.Conv2d, nn.Linear, *NORMS)) or super().is_leaf_module(module, name)


def _layer_nodes(model: nn.Module) -> list[torch.fx.Node]:
    """The calls of Conv2d and Linear layers in the forward pass of ``model``."""
    layers = layers_with_channels(model)
    return [node for node in _Tracer().trace(model).nodes if node.op == "call_module" and node.target in layers]


def _is_by_channel(node: torch.fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        module = modules[node.target]
        return isinstance(module, nn.Identity) or type(module).__module__ in _BY_CHANNEL_MODULES
    name = node.target if node.op == "call_method" else getattr(node.target, "__name__", "")
    return node.op in ("call_method", "call_function") and name.rstrip("_") in _BY_CHANNEL_CALLS
