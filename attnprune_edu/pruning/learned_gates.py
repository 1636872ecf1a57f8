"""Gates that are learned: two published neighbours of the running gates, each folded away at the end.

Both multiply what a channel lets through by a number that training finds. That number says how important the channel is, and
afterwards it goes into the channel's own weights, so that the plain network is left.
"""

import functools
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ..data.images import ImageData
from ..networks.inference import predict
from ..networks.kinds import along, output_dim
from ..networks.training import Loss, cross_entropy
from .gates import Place, places_of
from .silence import drop_parametrizations, masks_of


class Scale(nn.Module):
    """A parametrisation that multiplies each channel along ``dim`` of a weight, or each entry of a bias, by its ``gate``."""

    def __init__(self, channels: int, dim: int):
        super().__init__()
        self.gate, self.dim = nn.Parameter(torch.ones(channels)), dim

    def forward(self, tensor: Tensor) -> Tensor:
        """Scale ``tensor``, a weight or a bias."""
        return tensor * along(self.gate, self.dim, tensor)


class L1Gates:
    """A context and a loss in which each channel has a gate that the loss pulls to 0: network slimming (Liu et al., ICCV
    2017, arXiv:1708.06519, section 3; there the scale of a batch normalisation is the gate).

    ::

        with L1Gates(model, strength=0.002) as gates:
            fine_tune(model, data, epochs=2, loss_fn=gates)
        keep = keep_by_ratio(gates.importance, 0.5)

    The loss is ``loss_fn`` + ``strength`` · Σ |gate|. All gates start at 1. At the end each is multiplied into the weights
    of its channel, and ``importance`` is {layer: |gate| (channels,)}; ``model`` is then as plain as before and computes the
    same as with gates. Raises ValueError for a ``strength`` below 0, a network with masks or without prunable layers.
    """

    def __init__(self, model: nn.Module, strength: float = 0.002, *, loss_fn: Loss = cross_entropy, example_inputs=None):
        if not strength >= 0:
            raise ValueError(f"strength must be at least 0, got {strength}")
        _refuse_masks(model)
        self.strength, self.loss_fn = strength, loss_fn
        self.places = places_of(model, example_inputs)
        self.importance: dict[str, Tensor] = {}

    def __enter__(self) -> "L1Gates":
        self._scales: dict[nn.Module, Scale] = {}
        for module in {place.module for place in self.places.values()}:
            weight = module.weight
            dim = output_dim(module) if weight.ndim > 1 else 0
            scale = Scale(weight.shape[dim], dim).to(weight)
            for part in _parts(module):
                parametrize.register_parametrization(module, part, scale, unsafe=True)
            self._scales[module] = scale
        return self

    def __exit__(self, *_) -> None:
        for name, place in self.places.items():
            self.importance[name] = self._scales[place.module].gate.detach().abs().cpu()[place.entries]
        for module in self._scales:
            folded = {part: getattr(module, part).detach() for part in _parts(module)}
            originals = {part: module.parametrizations[part].original for part in folded}
            drop_parametrizations(module, type(module).__base__, originals)
            for part, original in originals.items():
                original.data = folded[part]

    def __call__(self, scores: Tensor, labels: Tensor, inputs: Tensor) -> Tensor:
        """The loss of class ``scores`` (N, classes), with the pull on the gates."""
        pull = sum(scale.gate.abs().sum() for scale in self._scales.values())
        return self.loss_fn(scores, labels, inputs) + self.strength * pull


class SqueezeExcite(nn.Module):
    """A gate for each channel that depends on the picture: mean over positions → linear → ReLU → linear → 2 · sigmoid.

    Hu, Shen, Sun (CVPR 2018, arXiv:1709.01507, section 3). Twice the sigmoid and a last layer of zeros let every gate begin
    at 1, so that a trained network computes what it did.
    """

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        narrow = max(1, channels // reduction)
        self.squeeze, self.excite = nn.Linear(channels, narrow), nn.Linear(narrow, channels)
        nn.init.zeros_(self.excite.weight)
        nn.init.zeros_(self.excite.bias)

    def forward(self, channels: Tensor) -> Tensor:
        """Map ``channels`` (images, channels, positions) to gates between 0 and 2, (images, channels)."""
        return 2 * self.excite(self.squeeze(channels.relu().mean(dim=2)).relu()).sigmoid()


class SqueezeExciteGates:
    """A context in which each layer has a squeeze-and-excitation module; the mean of its gates over ``num_images`` training
    images is the importance (PCAS: Yamamoto, Maeno, 2018, arXiv:1806.05382, section 3).

    ::

        with SqueezeExciteGates(model, data) as gates:
            fine_tune(model, data, epochs=2)
        keep = keep_by_ratio(gates.importance, 0.5)

    At the end the modules go, and each channel's weights are multiplied by its mean gate: ``model`` is as plain as before,
    but computes only about the same, for a mean does not depend on the picture. ``importance``: {layer: mean gate
    (channels,)}. ``reduction``: how many times fewer hidden neurons than channels a module has. ``seed``: of its weights and
    of the images. Raises ValueError as ``L1Gates``, and for a ``reduction`` or ``num_images`` below 1.
    """

    def __init__(self, model: nn.Module, data: ImageData, *, reduction: int = 4, num_images: int = 1000, seed: int = 0):
        if reduction < 1 or num_images < 1:
            raise ValueError(f"reduction and num_images must be at least 1, got {reduction} and {num_images}")
        _refuse_masks(model)
        self.model, self.data, self.reduction, self.num_images, self.seed = model, data, reduction, num_images, seed
        self.places = places_of(model, data.example_inputs)
        self.importance: dict[str, Tensor] = {}

    def __enter__(self) -> "SqueezeExciteGates":
        self._hooks = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            for name, place in self.places.items():
                # A part of the network, so that an optimiser that is made of its parameters trains it.
                module = SqueezeExcite(len(place.entries), self.reduction).to(next(place.module.parameters()))
                place.module.add_module(_child(name), module)
                self._hooks.append(place.module.register_forward_hook(functools.partial(_excited_by, place, module)))
        return self

    def __exit__(self, error, *_) -> None:
        try:
            if error is None:
                self._measure()
        finally:
            for hook in self._hooks:
                hook.remove()
            for name, place in self.places.items():
                delattr(place.module, _child(name))
        for name, gates in self.importance.items():
            _fold(self.places[name], gates)

    def _measure(self) -> None:
        seen: dict[str, list[Tensor]] = {name: [] for name in self.places}
        watching = [
            getattr(place.module, _child(name)).register_forward_hook(_keeping(seen[name]))
            for name, place in self.places.items()
        ]
        predict(self.model, self.data, self.data.sample(self.num_images, torch.Generator().manual_seed(self.seed)).images)
        for hook in watching:
            hook.remove()
        self.importance = {name: torch.cat(gates).mean(dim=0) for name, gates in seen.items()}


def _refuse_masks(model: nn.Module) -> None:
    if masked := list(masks_of(model)):
        raise ValueError(f"model must have no masks, but {masked} have; learn the gates of a dense or a removed network")


def _parts(module: nn.Module) -> list[str]:
    return [part for part in ("weight", "bias") if getattr(module, part, None) is not None]


def _child(layer: str) -> str:
    return f"excite_{layer.replace('.', '_')}"


def _excited_by(place: Place, excite: SqueezeExcite, module: nn.Module, inputs, output: Tensor) -> Tensor:
    return output * place.spread(excite(place.seen(output)), output)


def _keeping(found: list[Tensor]) -> Callable:
    return lambda module, inputs, gates: found.append(gates.cpu())


@torch.no_grad()
def _fold(place: Place, gates: Tensor) -> None:
    for part in _parts(place.module):
        tensor = getattr(place.module, part)
        dim = output_dim(place.module) if tensor.ndim > 1 else 0
        full = gates.new_ones(tensor.shape[dim])
        full[place.entries] = gates
        tensor.mul_(along(full, dim, tensor).to(tensor))
