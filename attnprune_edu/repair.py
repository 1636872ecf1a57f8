"""Repair: recover accuracy without a gradient step, by solving the layers behind a pruned one again in closed form.

When channels fall silent, the next layer hears less. But its other inputs often carry nearly the same information, so new
weights for them can make up for much of the loss. Which weights? Those that bring its outputs nearest to what they were in
the dense network, on some training images: a least-squares problem, solved layer by layer from front to back. The idea is
that of He, Zhang and Sun (ICCV 2017, arXiv:1707.06168) and of ThiNet (Luo, Wu and Lin, ICCV 2017, arXiv:1707.06342).
"""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .data import ImageData, Images
from .dataflow import layers_before_relu
from .masks import before_masks, masks_of, weight_masks_of
from .models import layers_with_channels
from .training import evaluating, fast_layout, predict

BATCH = 100  # images at a time: bounds the memory for the windows of a convolution
ROWS = 2000  # at a time in double precision, for the same reason


def repair(
    masked: nn.Module,
    data: ImageData,
    *,
    dense: nn.Module | None = None,
    images: int = 5000,
    positions: int = 5,
    ridge: float = 0.1,
    rounds: int = 10,
    seed: int = 0,
) -> nn.Module:
    """Return a copy of ``masked`` with new weights, so that what its layers compute is near to the dense network again.

    For each Conv2d and Linear whose inputs pruning has changed, in the network's order: minimise over W and b

        Σ ‖W x + b − y‖² + λ ‖W − W₀‖²

    with x the layer's inputs in the network repaired so far, y its outputs in the ``dense`` network, W₀ the weights it has
    now, and λ = ``ridge`` times the mean square of its inputs, summed over the images. Pulling towards W₀ rather than 0
    leaves alone whatever the images do not decide: dead inputs, or more unknowns than equations.

    Behind a ReLU all negative outputs are the same. So where y is negative there, W x + b need only be negative too. Which
    rows that concerns depends on W, so the weights are solved ``rounds`` times, each time with the outputs of the round
    before; without a ReLU once is enough.

    ``masked``: with masks on channels; they stay. ``dense``: the network it came from; None takes the weights behind the
    masks, which is right as long as ``masked`` has not been trained, nor loaded from a file, where they are zeros. The
    calibration images, ``images`` of the training part (all if it has fewer), are drawn by ``seed``; a convolution looks at
    ``positions`` positions of each. If the accuracy on them should be worse than before, ``masked`` is returned as it came.
    Layers with groups are left alone.

    Raises ValueError if ``masked`` has no channel masks or masks on single weights, or a number is out of its range.
    """
    if not masks_of(masked):
        raise ValueError("masked must have masks on channels, which mask() puts there; it has none")
    if single := weight_masks_of(masked):
        raise ValueError(
            f"masked must not have masks on single weights, but {list(single)} have; repair knows whole channels"
        )
    if min(images, positions, rounds) < 1:
        raise ValueError(
            f"images, positions and rounds must be at least 1, got images={images}, positions={positions}, rounds={rounds}"
        )
    if not ridge > 0:
        raise ValueError(f"ridge must be above 0, got {ridge}")
    if dense is None:
        dense = before_masks(masked)
        behind = [dense.get_submodule(name).weight[~stays] for name, stays in masks_of(masked).items() if not stays.all()]
        if behind and not any(weight.any() for weight in behind):
            raise ValueError(
                "masked has nothing but zeros behind its masks, as after load_model; hand over the dense network"
            )
    dense, repaired = copy.deepcopy(dense).eval(), copy.deepcopy(masked)
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(data.train.labels), generator=generator)[:images]
    calibration = Images(data.train.images[chosen], data.train.labels[chosen])
    device = next(repaired.parameters()).device
    layout = fast_layout(dense, data)
    batches = [data.normalize(b.to(device)).contiguous(memory_format=layout) for b in calibration.images.split(BATCH)]
    before_relu = layers_before_relu(dense)
    with evaluating(repaired):
        for name, layer in layers_with_channels(repaired).items():
            if getattr(layer, "groups", 1) == 1:
                rows = list(_rows(repaired, dense, name, batches, positions, generator))
                if rows:
                    _solve(layer, *map(torch.cat, zip(*rows, strict=True)), ridge, rounds if name in before_relu else 1)
    before, after = (_hits(network, data, calibration) for network in (masked, repaired))
    return repaired if after >= before else copy.deepcopy(masked)


@torch.no_grad()
def _solve(layer: nn.Module, x: Tensor, y: Tensor, ridge: float, rounds: int) -> None:
    """Give ``layer`` the weights of the formula above, for inputs ``x`` (rows, inputs) and outputs ``y`` (rows, outputs)."""
    # Silent channels, of this layer and of those before it, need no equations; that makes them few enough to be fast.
    inputs, outputs = x.any(dim=0), _live(layer)
    weight = layer.weight.detach().flatten(1).clone()  # (outputs, inputs)
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().clone()
    start = torch.cat([weight[outputs][:, inputs], bias[outputs][:, None]], dim=1)  # the bias as the weight of a constant 1
    x, y = F.pad(x[:, inputs], (0, 1), value=1.0), y[:, outputs]

    squares = sum(part.T @ part for part in map(Tensor.double, x.split(ROWS)))  # in single precision a small ridge is lost
    penalty = torch.full_like(squares[0], ridge * max(squares.diagonal()[:-1].mean().item(), 1e-12))
    penalty[-1] = 1e-6 * squares[-1, -1]  # the bias moves freely: most of what silence takes away is a constant
    factor, failed = torch.linalg.cholesky_ex(squares + penalty.diag())
    if failed:
        raise ValueError(f"ridge is too small for what these images decide; got {ridge}")
    solution = start
    for _ in range(rounds):
        wanted = torch.where(y > 0, y, (x @ solution.T).clamp(max=0)) if rounds > 1 else y
        missing = (wanted - x @ start.T).T @ x
        solution = start + torch.cholesky_solve(missing.double().T, factor).T.to(start)
    weight[outputs.nonzero(), inputs.nonzero().T], bias[outputs] = solution[:, :-1], solution[:, -1]
    _write(layer, "weight", weight)
    if layer.bias is not None:
        _write(layer, "bias", bias)


@torch.no_grad()
def _rows(
    repaired: nn.Module, dense: nn.Module, name: str, batches: list[Tensor], positions: int, generator: torch.Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield for each batch what the layer ``name`` hears now (rows, inputs) and said in ``dense`` (rows, outputs).

    Yields nothing if it hears the same in both networks.
    """
    layer = dense.get_submodule(name)
    for number, pixels in enumerate(batches):
        (x, _), (before, y) = _seen_by(repaired, name, pixels), _seen_by(dense, name, pixels)
        if number == 0 and torch.equal(x, before):
            return
        if isinstance(layer, nn.Conv2d):
            window = {key: getattr(layer, key) for key in ("kernel_size", "dilation", "stride")}
            x = F.unfold(_padded(layer, x), **window)  # (images, inputs, positions)
            y = y.flatten(2)  # (images, outputs, positions)
            chosen = torch.randperm(x.shape[2], generator=generator)[:positions].to(x.device)
            x, y = (values[:, :, chosen].transpose(1, 2) for values in (x, y))
        yield x.flatten(0, -2), y.flatten(0, -2)


def _padded(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """``x`` (images, channels, height, width) with the margin that the convolution ``layer`` gives it."""
    if layer.padding == "valid":
        return x
    if layer.padding == "same":  # where the margin is odd, the larger half is on the right and below
        margins = [dilation * (size - 1) for dilation, size in zip(layer.dilation, layer.kernel_size, strict=True)]
        sides = [(margin // 2, margin - margin // 2) for margin in margins]
    else:
        sides = [(padding, padding) for padding in layer.padding]
    (top, bottom), (left, right) = sides
    return F.pad(x, (left, right, top, bottom), mode=layer.padding_mode.replace("zeros", "constant"))


class _Reached(Exception):  # noqa: N818, a way out and not an error
    """Ends a forward pass at the layer that was to be seen."""


def _seen_by(model: nn.Module, name: str, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """What goes into the layer ``name`` and what comes out of it when ``model`` sees ``pixels``."""
    seen = []

    def stop(layer, inputs, output):
        seen.append((inputs[0], output))
        raise _Reached

    hook = model.get_submodule(name).register_forward_hook(stop)
    try:
        model(pixels)
    except _Reached:
        return seen[0]
    finally:
        hook.remove()
    raise ValueError(f"masked never uses its layer {name!r} in the forward pass")


def _live(layer: nn.Module) -> Tensor:
    """True for the channels of ``layer`` (channels,) that no mask silences."""
    return masks_of(layer).get("", torch.ones(len(layer.weight), dtype=torch.bool, device=layer.weight.device))


def _write(layer: nn.Module, part: str, value: Tensor) -> None:
    """Set a weight or bias, behind its mask if it has one."""
    masks = getattr(layer, "parametrizations", {})
    parameter = masks[part].original if part in masks else getattr(layer, part)
    parameter.copy_(value.view_as(parameter))


def _hits(model: nn.Module, data: ImageData, calibration: Images) -> int:
    return int((predict(model, data, calibration.images).argmax(dim=1) == calibration.labels).sum())
