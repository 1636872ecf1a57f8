"""How an answer is looked at that more must be known of than what it returns, such as what it does to a network.

An observer is a function (answer, *inputs) → plain values, which calls the reader's answer. When coursework is graded, it
runs beside the student's code in a sandbox, in which this module is there and the checks are not; the check runs outside.
So no observer knows what is right, and what it is given and returns can be sent: numbers, texts, tensors, lists, tuples
and dictionaries of them; networks of torch's layers.
"""

import contextlib
import copy
import functools
import itertools
import random
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from .verdict import a_kind


def observe(observer: Callable, answer, *inputs):
    """What the ``observer`` sees of an ``answer`` with these ``inputs``, wherever the answer lives."""
    elsewhere = getattr(answer, "observed_by", None)  # a grader's answer, which asks the sandbox
    return elsewhere(observer, *inputs) if elsewhere else observer(answer, *inputs)


def steps_of_training(answer, *inputs) -> tuple:
    """What ``answer`` returns, what every optimiser found before each of its steps, and what in the result is masked.

    What was found: the first weight that it trains, with its bias as one column more, (outputs, inputs + 1). What is masked:
    the places in the result of networks of which a weight is no parameter, because a mask stands before it.
    """
    found: list[Tensor] = []

    def note(optimizer, args, kwargs):
        trained = [parameter.detach() for group in optimizer.param_groups for parameter in group["params"]]
        weight, bias = (next((values for values in trained if values.ndim == ndim), None) for ndim in (2, 1))
        if weight is not None and bias is not None and len(weight) == len(bias):
            found.append(torch.cat([weight, bias[:, None]], dim=1))

    hook = register_optimizer_step_pre_hook(note)
    try:
        result = answer(*inputs)
    finally:
        hook.remove()
    parts = result if isinstance(result, tuple | list) else ()
    return result, found, [place for place, part in enumerate(parts) if isinstance(part, nn.Module) and _is_masked(part)]


def _is_masked(network: nn.Module) -> bool:
    weights = [layer.weight for layer in network.modules() if hasattr(layer, "weight")]
    return any(isinstance(weight, Tensor) and not isinstance(weight, nn.Parameter) for weight in weights)


def _module_of(kind, conv: nn.Conv2d, keep: Tensor):
    """What the reader's class makes of copies, so that whatever it does to them leaves the next trial alone."""
    return kind(copy.deepcopy(conv), keep.clone())


def kind_of_module(kind, conv: nn.Conv2d, keep: Tensor) -> dict:
    """What the class ``kind`` makes of ``conv`` and ``keep``: whether it is a module, its kind, its parameters."""
    made = _module_of(kind, conv, keep)
    parameters = dict(made.named_parameters()) if isinstance(made, nn.Module) else {}
    return {
        "module": isinstance(made, nn.Module),
        "kind": a_kind(made),
        "parameters": list(parameters),
        "trained": {name: value.detach() for name, value in parameters.items() if value.requires_grad},
    }


def outputs_of_module(kind, conv: nn.Conv2d, keep: Tensor, images: Tensor) -> dict:
    """What the module makes of ``images``, and what ``conv`` and ``keep`` are afterwards."""
    conv, keep = copy.deepcopy(conv), keep.clone()
    outputs = kind(conv, keep)(images)
    outputs = outputs.detach() if isinstance(outputs, Tensor) else outputs
    return {"outputs": outputs, "conv": [value.detach() for value in conv.parameters()], "keep": keep}


@torch.no_grad()
def outputs_with_numbers(kind, conv: nn.Conv2d, keep: Tensor, images: Tensor, number: float, where: Tensor) -> dict:
    """The outputs before and after the ``number`` is written into the filters and biases ``where`` (channels,) is True.

    Only what is trained and has a shape of ``conv``'s is written to; "written" says whether there was anything.
    """
    module, written = _module_of(kind, conv, keep), False
    before = module(images).clone()
    for parameter in module.parameters():
        if parameter.requires_grad and parameter.shape in (conv.weight.shape, conv.bias.shape):
            parameter[where], written = number, True
    return {"before": before, "after": module(images), "written": written}


def outputs_after_training(kind, conv: nn.Conv2d, keep: Tensor, images: Tensor) -> dict | None:
    """The outputs after three steps that pull the channels that stay towards 1; None where no gradient gets through."""
    own = copy.deepcopy(conv)
    module = kind(own, keep.clone())
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(3):
        outputs = module(images)
        if not outputs.requires_grad:
            return None
        optimizer.zero_grad()
        (torch.where(keep[:, None, None], outputs, 0.0) - 1).square().mean().backward()
        optimizer.step()
    return {
        "outputs": module(images).detach(),
        "conv": [value.detach() for value in own.parameters()],
        "without gradient": [
            name for name, value in module.named_parameters() if value.requires_grad and value.grad is None
        ],
    }


def outputs_of_copy(kind, conv: nn.Conv2d, keep: Tensor, images: Tensor) -> dict[str, Tensor]:
    """The outputs of the module and of its deep copy."""
    module = _module_of(kind, conv, keep)
    return {"module": module(images).detach(), "copy": copy.deepcopy(module)(images).detach()}


def outputs_of_loaded(kind, conv: nn.Conv2d, keep: Tensor, images: Tensor) -> dict[str, Tensor]:
    """The outputs of the module, and of one with other weights and the opposite mask that has loaded its ``state_dict``."""
    module = _module_of(kind, conv, keep)
    other = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride, conv.padding)
    loaded = kind(other, ~keep)
    loaded.load_state_dict(module.state_dict())
    return {"module": module(images).detach(), "loaded": loaded(images).detach()}


def result_beside_network(function: Callable, network: nn.Module, *inputs) -> tuple[object, bool, list[str]]:
    """What a ``function`` of a ``network`` returns, whether that is the network itself, and the names of those of its
    tensors that lie in the memory of the network's.
    """
    result = function(network, *inputs)
    theirs = {values.untyped_storage().data_ptr() for values in network.state_dict().values()}
    mine = result.state_dict() if isinstance(result, nn.Module) else {}
    shared = [name for name, values in mine.items() if values.untyped_storage().data_ptr() in theirs]
    return result, result is network, shared


def network_afterwards(function: Callable, network: nn.Module, *inputs) -> tuple[object, bool, bool]:
    """What a ``function`` of a ``network`` returns, and whether any part of the network then trains, and still has hooks."""
    result = function(network, *inputs)
    return result, any(part.training for part in network.modules()), _is_hooked(network)


def hooked_after_error(function: Callable, network: nn.Module, *inputs) -> bool:
    """Whether a ``function`` of a ``network`` leaves hooks in it, though it stops with an error at these ``inputs``."""
    with contextlib.suppress(Exception):
        function(network, *inputs)
    return _is_hooked(network)


def _is_hooked(network: nn.Module) -> bool:
    return any(part._forward_hooks or part._forward_pre_hooks for part in network.modules())


def gradient_of_last(function: Callable, values: Tensor, *inputs) -> tuple[object, Tensor | None]:
    """What a ``function`` of ``values`` returns, and the gradient by these of the sum of the last part; None if none comes.

    ``values`` must require gradients. What the function changes in them in place shows there.
    """
    given = values.clone()  # a leaf, which it is in a sandbox, must not be changed in place
    result = function(given, *inputs)
    values.data.copy_(given.detach())
    last = result[-1] if isinstance(result, tuple | list) and result else None
    if not (isinstance(last, Tensor) and last.requires_grad):
        return result, None
    return result, torch.autograd.grad(last.sum(), given, allow_unused=True)[0]


def _channels(keep: dict[str, Tensor]) -> int:
    return sum(int(stays.sum()) for stays in keep.values())


def _weights(keep: dict[str, Tensor]) -> int:
    """The weights of linear layers, one behind the other, for 10 inputs."""
    widths = [10, *(int(stays.sum()) for stays in keep.values())]
    return sum(before * after for before, after in itertools.pairwise(widths))


COSTS = {"channels": _channels, "weights": _weights}


def budget_spent(function, importance: dict[str, Tensor], budget: float, unit: str) -> tuple[object, int, bool]:
    """The ``keep`` of a function (importance, budget, cost), how often it asked for the cost, was importance changed?

    ``unit``: in which of ``COSTS`` the budget is.
    """
    questions = 0

    def cost(keep):
        nonlocal questions
        questions += 1
        return COSTS[unit](keep)

    given = {name: values.clone() for name, values in importance.items()}
    keep = function(given, budget, cost)
    changed = given.keys() != importance.keys() or any(not given[name].equal(importance[name]) for name in given)
    return keep, questions, changed


def generators_moved(function, *inputs) -> tuple[object, list[str]]:
    """What a function returns, and whose random numbers it moves on: of "torch", "numpy" and "python"."""
    before = _generators()
    result = function(*inputs)
    after = _generators()
    return result, [name for name, state in before.items() if state != after[name]]


def _generators() -> dict[str, object]:
    of_numpy = np.random.get_state()  # noqa: NPY002, the reader may draw from it
    return {
        "torch": torch.get_rng_state().tolist(),
        "numpy": (of_numpy[1].tolist(), of_numpy[2]),
        "python": random.getstate(),
    }


def seconds_taken(function, *inputs) -> float:
    """How long a function computes, in seconds of the processor: what else the machine does costs nothing."""
    start = time.thread_time()
    function(*inputs)
    return time.thread_time() - start


class Pass(NamedTuple):
    """One forward pass: which pictures, in which state of the network, and what came out."""

    images: Tensor
    training: bool
    with_gradients: bool
    weights: Tensor
    scores: Tensor  # (N, classes)
    gradient: Tensor | None  # of the loss by the scores; None if no loss went back
    left_over: bool  # were there gradients of an earlier batch when the loss went back?

    @property
    def pictures(self) -> Tensor:
        """The numbers of the pictures (N,), which are the first number in each of them."""
        return self.images.flatten(1)[:, 0].round().long()


class _WritesDown(nn.Module):
    """A small network that writes down what is done with it. The first number of a picture says which one it is."""

    def __init__(self, linear: nn.Linear):
        super().__init__()
        self.linear, self.passes = linear, []

    def forward(self, images: Tensor) -> Tensor:
        scores = self.linear(images.flatten(1)[:, 1:])
        number = len(self.passes)
        self.passes.append(
            Pass(
                images.detach().clone(),
                self.training,
                torch.is_grad_enabled(),
                self.linear.weight.detach().clone(),
                scores.detach().clone(),
                None,
                False,
            )
        )
        if scores.requires_grad:
            scores.register_hook(functools.partial(self._loss_goes_back, number))
        return scores

    def _loss_goes_back(self, number: int, gradient: Tensor) -> None:
        left_over = any(p.grad is not None and bool(p.grad.any()) for p in self.parameters())
        self.passes[number] = self.passes[number]._replace(gradient=gradient.detach().clone(), left_over=left_over)


def training_passes(function, linear: nn.Linear, *inputs) -> tuple[object, list[tuple]]:
    """What a function (network, *inputs) returns, and every ``Pass`` through its network, which is the layer ``linear``."""
    network = _WritesDown(linear)
    result = function(network, *inputs)
    return result, [tuple(one) for one in network.passes]
