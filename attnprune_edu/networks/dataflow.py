"""How channels flow through a network: followed through one forward pass, not looked up in a list of known operations.

Every output channel of a layer gets a label. While the network computes, each element of each intermediate result carries
the labels of the channels that it comes from. What an operation does to labels is measured: where NaN is put in for one half
of the channels, NaN comes out, and log₂(channels) such halves say for each element which channel it depends on. An element
that depends on one channel of an input carries its label on; elements that are added up or multiplied carry both, which
couples these channels; where an operation mixes the channels of one input, as a layer normalisation does, none of them can
be taken out without changing the others, and they stay.
"""

import warnings

import torch
from torch import nn

from .inference import call, evaluating, inputs_for, without_fast_path
from .tracing import Flow, Trace


@torch.no_grad()
def follow(model: nn.Module, example_inputs) -> Flow:
    """Follow the channels of ``model`` through one forward pass of ``example_inputs``, a tensor, tuple or dictionary.

    The network is in evaluation mode meanwhile, and is left as it was. Raises ValueError if the pass fails, gives NaN, or
    has no tensor among its outputs.
    """
    trace = Trace(model)
    with evaluating(model), without_fast_path(), torch.random.fork_rng(devices=[]), trace.hooks():
        with trace:
            outputs = [call(model, inputs_for(model, example_inputs))]
        if trace.uncalled():
            outputs += _as_in_training(trace, model, example_inputs)
        return trace.finish(outputs)


def _as_in_training(trace: "Trace", model: nn.Module, example_inputs) -> list:
    """The outputs that only a network in training has, such as an auxiliary classifier's, whose layers read channels too.

    Normalisation and dropout go on as in evaluation. Where the pass fails, because it wants targets or larger images, a
    UserWarning names the layers that nothing is known of.
    """
    for module in model.modules():
        module.training = next(module.children(), None) is not None and not hasattr(module, "parametrizations")
    try:
        with trace:
            return [call(model, inputs_for(model, example_inputs))]
    except Exception as error:  # whatever a foreign forward pass raises
        trace.depth = 0
        warnings.warn(
            f"{trace.uncalled()} are not called in evaluation mode, and in training mode the forward pass fails for "
            f"example_inputs ({error}). If they read channels that are cut, they will not fit any more",
            stacklevel=2,
        )
        return []
