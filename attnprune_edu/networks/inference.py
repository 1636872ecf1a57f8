"""Inference: the forward pass on many images, and how many of them are classified correctly."""

import contextlib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from ..data.images import ImageData


@contextlib.contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Put ``models`` into evaluation mode for a while; afterwards each of their modules has the mode it had."""
    modes = modes_of(*models)
    set_modes(dict.fromkeys(modes, False))
    try:
        yield
    finally:
        set_modes(modes)


def modes_of(*models: nn.Module) -> dict[nn.Module, bool]:
    """{module: is it in training mode} for each module of ``models``, which ``set_modes`` takes."""
    return {module: module.training for model in models for module in model.modules()}


def set_modes(modes: dict[nn.Module, bool]) -> None:
    """Put each module into its mode again."""
    for module, mode in modes.items():
        if module.training != mode:  # to set an attribute of a module takes long
            module.training = mode


@contextlib.contextmanager
def without_fast_path() -> Iterator[None]:
    """Let attention and Transformer layers call their parts; the fast path reads the parts' weights instead."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def call(model: nn.Module, inputs: Any) -> Any:
    """What ``model`` returns for ``inputs``: a dictionary is handed over as keyword arguments, a tuple or a list as
    positional ones, and anything else, such as a tensor, as the only argument."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple | list) else model(inputs)


@torch.no_grad()
def batch_dims(model: nn.Module, modules: Iterable[nn.Module], inputs: Tensor) -> dict[nn.Module, int]:
    """{module: which dimension of its outputs counts the ``inputs`` (N, …) of ``model``}, found by giving two and three of
    them; 0 where none does. A network may put its steps first, as recurrent layers do by default."""
    shapes: dict[nn.Module, list[torch.Size]] = {module: [] for module in modules}
    hooks = [one.register_forward_hook(lambda module, _, output: shapes[module].append(output.shape)) for one in shapes]
    try:
        with evaluating(model):
            for count in (2, 3):
                model(inputs[[0] * count])
    finally:
        for hook in hooks:
            hook.remove()
    found = {}
    for module, seen in shapes.items():
        sides = zip(seen[0], seen[len(seen) // 2], strict=False) if seen else ()  # the first call of each pass
        found[module] = next((dim for dim, (two, three) in enumerate(sides) if two != three), 0)
    return found


def floating_type(model: nn.Module) -> torch.dtype:
    """The type of the first floating-point parameter of ``model``; float32 if it has none."""
    return next((parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()), torch.float32)


def device_of(model: nn.Module) -> torch.device:
    """Where the first parameter or buffer of ``model`` is; the CPU if it has none."""
    return next((tensor.device for tensor in itertools.chain(model.parameters(), model.buffers())), torch.device("cpu"))


def inputs_for(model: nn.Module, example_inputs):
    """``example_inputs`` where ``model`` is, numbers with a fraction in its floating-point type."""
    device, kind = device_of(model), floating_type(model)

    def fitting(leaf):
        if not isinstance(leaf, Tensor):
            return leaf
        return leaf.to(device, kind) if leaf.is_floating_point() else leaf.to(device)

    return tree_map(fitting, example_inputs)


def plain_outputs(outputs):
    """Outputs without classes of one's own, such as torchvision's named tuples and the outputs of Transformers."""
    if isinstance(outputs, dict) or hasattr(outputs, "items"):
        return [plain_outputs(part) for part in dict(outputs).values()]
    return [plain_outputs(part) for part in outputs] if isinstance(outputs, list | tuple) else outputs


@torch.no_grad()
def predict(model: nn.Module, data: ImageData, images: Tensor, batch_size: int = 100) -> Tensor:
    """Class scores float32 (N, classes), on the CPU, for ``images``, uint8 (N, channels, height, width), or tokens.

    The network computes on its own device, in its own floating-point type and in the layout that ``fast_layout`` chooses.
    """
    layout = fast_layout(model, data)
    with evaluating(model):
        batches = (network_inputs(model, data, batch).contiguous(memory_format=layout) for batch in images.split(batch_size))
        return torch.cat([model(inputs).float().cpu() for inputs in batches])


def predict_classes(model: nn.Module, data: ImageData, images: Tensor) -> Tensor:
    """The class with the highest score, int64 (N,), for uint8 ``images`` (N, channels, height, width).

    Raises ValueError if images get NaN scores, of which none is the highest.
    """
    scores = predict(model, data, images)
    if lost := int(scores.isnan().any(dim=1).sum()):
        raise ValueError(f"model must give every image scores, but {lost:,} of {len(images):,} images get NaN scores")
    return scores.argmax(dim=1)


def network_inputs(model: nn.Module, data: ImageData, images: Tensor) -> Tensor:
    """Normalised ``images`` (uint8) on the device of ``model`` and in its floating-point type; tokens stay whole numbers."""
    return inputs_for(model, data.normalize(images.to(device_of(model))))


@torch.no_grad()
def fast_layout(model: nn.Module, data: ImageData) -> torch.memory_format:
    """The memory layout for images that ``model`` gets: channels last where it can, which takes about half of the time.

    A network that reshapes by ``view``, as many older ones do, can only take the default layout, and so can sequences.
    """
    if len(data.image_shape) != 3:
        return torch.contiguous_format
    two = torch.zeros(2, *data.image_shape, device=device_of(model), dtype=floating_type(model))
    with evaluating(model):
        try:
            model(two.contiguous(memory_format=torch.channels_last))
        except RuntimeError:
            return torch.contiguous_format
    return torch.channels_last


def accuracy(model: nn.Module, data: ImageData, split: str = "test") -> float:
    """Share (0–1) of the images of ``split`` (``"train"``, ``"validation"`` or ``"test"``) that are classified correctly.

    Raises ValueError if ``split`` is unknown or images get NaN scores.
    """
    images, labels = data.part(split)
    return (predict_classes(model, data, images) == labels).double().mean().item()


def best_device() -> torch.device:
    """The GPU if torch can use one, else the CPU."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator or torch.device("cpu")
