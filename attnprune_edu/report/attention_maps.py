"""Where a network looks: attention maps of pictures, from what a layer gives."""

import torch
from torch import Tensor, nn

from ..data.images import ImageData
from ..networks.inference import evaluating, network_inputs
from ..networks.kinds import layers_with_channels
from ..pruning.groups import groups_of


def attention_maps(
    model: nn.Module, data: ImageData, images: Tensor, layer: str, power: float = 2.0, batch_size: int = 100
) -> Tensor:
    """Return how much ``model`` attends to each position of ``images``: float32 (N, height, width), 0–1, on the CPU.

    The map of a picture is Σ_c |A_c|^``power``, the sum over the channels c of what ``layer`` gives for it, divided by its
    largest value (Zagoruyko and Komodakis, ICLR 2017, arXiv:1612.03928, section 3.1). A picture for which all channels are
    silent has a map of zeros. Height and width are those of the layer's outputs, usually less than the picture's.

    ``images``: uint8 (N, channels, height, width), which ``data`` normalises. ``layer``: the name of any module of ``model``
    that gives (N, channels, height, width). What a convolution gives is taken behind its batch normalisation, if it has one,
    and through its ReLU, as ``importance`` scores it; what another module gives, such as a block, is taken as it is.
    ``power`` > 0: a high one lets the strongest channels decide.

    Raises ValueError for an unknown ``layer``, one that the network does not use or that gives no maps, another ``power``,
    or images of another kind.
    """
    modules = dict(model.named_modules())
    if layer not in modules or not layer:
        raise ValueError(f"layer must be the name of a module of the model, such as {_convolutions(model)}, got {layer!r}")
    if not power > 0:
        raise ValueError(f"power must be above 0, got {power}")
    if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
        raise ValueError(f"images must be uint8 (N, channels, height, width), got {images.dtype} {tuple(images.shape)}")
    seen, channels = _seen(model, data, layer)
    given: list[Tensor] = []
    hook = seen.register_forward_hook(lambda module, inputs, output: given.append(output))
    maps = []
    try:
        with torch.no_grad(), evaluating(model):
            for batch in images.split(batch_size):
                given.clear()
                model(network_inputs(model, data, batch))
                output = _checked(given, layer)
                sizes = output.abs() if channels is None else output[:, channels].relu()
                maps.append(_map_of(sizes.float(), power).cpu())
    finally:
        hook.remove()
    return torch.cat(maps)


def _seen(model: nn.Module, data: ImageData, layer: str) -> tuple[nn.Module, list[int] | slice | None]:
    """The module whose outputs are looked at for ``layer``, and which channels of them; None if ``layer`` has no weights."""
    if layer not in layers_with_channels(model):
        return model.get_submodule(layer), None
    norms = groups_of(model, data.example_inputs).flow.norms_of(layer)
    name, channels = list(norms.items())[-1] if norms else (layer, slice(None))
    return model.get_submodule(name), channels


def _checked(given: list[Tensor], layer: str) -> Tensor:
    """What the layer gave, at its first use in the forward pass."""
    if not given:
        raise ValueError(f"layer must be one that the model uses, but it never calls {layer!r}")
    output = given[0]
    if not isinstance(output, Tensor) or output.ndim != 4:
        what = f"the shape {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ValueError(f"layer must give (N, channels, height, width), but the outputs of {layer!r} have {what}")
    return output


def _map_of(sizes: Tensor, power: float) -> Tensor:
    """The maps (N, height, width) of ``sizes`` ≥ 0, (N, channels, height, width), each from 0 to 1."""
    # In units of the largest of each picture, so that no power leaves the range of float32.
    largest = sizes.amax(dim=(1, 2, 3), keepdim=True)
    maps = (sizes / torch.where(largest > 0, largest, 1)).pow(power).sum(dim=1)
    peaks = maps.amax(dim=(1, 2), keepdim=True)
    return maps / torch.where(peaks > 0, peaks, 1)


def _convolutions(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
