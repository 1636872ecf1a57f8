"""How much memory a forward pass takes: counted, not guessed from the process, which holds much else."""

import weakref
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

from ..networks.inference import call, evaluating, floating_type


@torch.no_grad()
def peak_memory(model: nn.Module, inputs: Any) -> int:
    """Bytes that tensors take at the peak of one forward pass.

    ``inputs``: what the network is called with, such as images (N, channels, height, width): a tensor, a tuple (positional
    arguments) or a dictionary (keyword arguments). A single tensor of floating-point numbers is first converted to the
    network's type. Counted are the network's parameters and buffers, the inputs, and every result in memory at that moment,
    but not what a library keeps to itself inside an operation.
    """
    if isinstance(inputs, Tensor) and inputs.is_floating_point():
        inputs = inputs.to(floating_type(model))
    given = [leaf for leaf in _pytree.tree_leaves(inputs) if isinstance(leaf, Tensor)]
    with evaluating(model), _Counter([*model.parameters(), *model.buffers(), *given]) as counter:
        call(model, inputs)
    return counter.peak


class _Counter(TorchDispatchMode):
    """Counts the bytes of all storages while they exist, and remembers the peak."""

    def __init__(self, there_already: list[Tensor]):
        super().__init__()
        self.seen: set[int] = set()
        self.now = self.peak = 0
        for tensor in there_already:  # not kept: what waits for their end would keep them alive
            self._add(tensor)

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        results = operation(*args, **(kwargs or {}))
        for result in _pytree.tree_leaves(results):
            if isinstance(result, Tensor):
                self._add(result)
        return results

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place and place not in self.seen:
            self.seen.add(place)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, place, storage.nbytes())

    def _forget(self, place: int, count: int) -> None:
        self.seen.discard(place)
        self.now -= count
