"""Repair: recover accuracy without a gradient step, by solving the layers behind a pruned one again in closed form.

When channels fall silent, the next layer loses some of its inputs. But the others often carry nearly the same information,
so new weights for them can make up for much of the loss. Which weights? Those that bring its outputs nearest to what they
were in the dense network, on some training images: a least-squares problem, solved layer by layer from front to back. The
idea is that of He, Zhang and Sun (ICCV 2017, arXiv:1707.06168) and of ThiNet (Luo, Wu and Lin, ICCV 2017, arXiv:1707.06342).
"""

import contextlib
import functools
import warnings

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence, unpack_sequence

from ..data.images import ImageData
from ..networks.inference import evaluating, fast_layout, predict_classes
from ..networks.kinds import Recurrent, entries, filters, layers_with_channels, one_by_one, padded
from ..networks.models import copy_of
from .groups import groups_of, hand_on, take_over_attention
from .masks import mask_layer
from .silence import ChannelMask, before_masks, live_channels, mask_on, masks_of, weight_masks_of

BATCH = 100  # images at a time: bounds the memory for the windows of a convolution
FEW = 10  # images are enough to see whether the inputs reaching a layer have changed
ROWS = 2000  # at a time in double precision, for the same reason
TOLERANCE = 1e-3  # of the largest score: what rounding may change, and far below what a shift of one deviation does


def repair(
    masked: nn.Module,
    data: ImageData,
    *,
    dense: nn.Module | None = None,
    num_images: int = 5000,
    positions: int = 5,
    ridge: float = 0.1,
    rounds: int = 10,
    seed: int = 0,
) -> nn.Module:
    """Return a copy of ``masked`` with new weights, so that what its layers compute is near to the dense network again.

    For each Conv2d and Linear whose inputs pruning has changed, in the network's order: minimise over W and b

        Σ ‖W x + b − y‖² + λ ‖W − W₀‖²

    with x the inputs reaching the layer in the network repaired so far, y its outputs in the ``dense`` network, W₀ the
    weights it has now, and λ = ``ridge`` times the mean square of its inputs, summed over the images. Pulling towards W₀
    rather than 0 leaves alone whatever the images do not decide: dead inputs, or more unknowns than equations. A layer
    without a bias gives b to the batch normalisation behind it, which subtracts that much less; where there is none, b is 0.

    Behind a ReLU all negative outputs are the same. So where y is negative there, W x + b need only be negative too. Which
    rows that concerns depends on W, so the weights are solved ``rounds`` times, each time with the outputs of the round
    before; without a ReLU once is enough.

    ``masked``: with masks on channels; they stay. ``dense``: the network it came from; None takes the weights behind the
    masks, which is right as long as ``masked`` has not been trained, nor loaded from a file, where they are zeros. The
    calibration images, ``num_images`` of the training part (all if it has fewer), are drawn by ``seed``; a convolution looks
    at ``positions`` positions of each. A recurrent layer is solved for how all gates of its units read its inputs and each
    other's states. Convolutions in groups, of one or three dimensions, and transposed ones are left alone. If fewer of the
    calibration images should be classified correctly than before, ``masked`` is returned as it came,
    with a UserWarning.

    Raises ValueError if ``masked`` has no channel masks or masks on single weights, or a number is out of its range.
    """
    if not masks_of(masked):
        raise ValueError("masked must have masks on channels, which mask() puts there; it has none")
    if single := weight_masks_of(masked):
        raise ValueError(f"masked must have masks on whole channels only, not on single weights, but {list(single)} have")
    if min(positions, rounds) < 1:
        raise ValueError(f"positions and rounds must be at least 1, got positions={positions}, rounds={rounds}")
    if not ridge > 0:
        raise ValueError(f"ridge must be above 0, got {ridge}")
    if dense is None:
        dense = before_masks(masked)
        layers = layers_with_channels(dense)
        behind = [filters(layers[name])[~stays] for name, stays in masks_of(masked).items() if not stays.all()]
        if behind and not any(weight.any() for weight in behind):
            raise ValueError(
                "masked has nothing but zeros behind its masks, as after load_model; hand over the dense network"
            )
    dense, repaired = copy_of(dense).eval(), copy_of(masked)
    hand_on(masked, dense)  # the same structure, so that its channels need not be followed again
    hand_on(masked, repaired)
    generator = torch.Generator().manual_seed(seed)
    calibration = data.sample(num_images, generator)
    device = next(repaired.parameters()).device
    layout = fast_layout(dense, data)
    batches = [data.normalize(b.to(device)).contiguous(memory_format=layout) for b in calibration.images.split(BATCH)]
    few = batches[0][:FEW]
    before_relu = groups_of(dense, few).flow.before_relu
    # Torch's own attention does not call its layers, but reads their weights.
    taken_over = take_over_attention(dense)[0]
    take_over_attention(repaired)
    masks = masks_of(masked)
    for name in masks.keys() & set(taken_over):
        mask_layer(repaired.get_submodule(name), masks[name])
    with evaluating(repaired):
        chosen = {  # positions in each batch: all there are, for what is no picture
            name: [torch.randperm(available, generator=generator)[:positions].to(device) for _ in batches]
            for name, available in _changed_layers(repaired, dense, few).items()
        }
        recurrent = [name for name in chosen if isinstance(dense.get_submodule(name), Recurrent)]
        targets = _outputs(dense, {name: at for name, at in chosen.items() if name not in recurrent}, batches)
        means = _means_behind(repaired, list(targets), few)
        for name in chosen:
            layer = repaired.get_submodule(name)
            if name in recurrent:
                before, now = (_sequences(network, name, batches) for network in (dense, repaired))
                _solve_units(layer, dense.get_submodule(name), before, now, ridge)
            else:
                inputs = _inputs(repaired, name, chosen[name], batches)
                _solve(layer, means.get(name), inputs, targets[name], ridge, rounds if name in before_relu else 1)
    mended = copy_of(masked)
    mended.load_state_dict(repaired.state_dict(), strict=False)
    for name in taken_over:
        for part, value in repaired.get_submodule(name).as_in_torch(mended.get_submodule(name)).items():
            _write(mended.get_submodule(name), part, value)
    before, after = (
        int((predict_classes(network, data, calibration.images) == calibration.labels).sum()) for network in (masked, mended)
    )
    if after >= before:
        return mended
    warnings.warn(
        f"after the repair {after} of {len(calibration.labels)} calibration images are classified correctly, before it "
        f"{before}; masked is returned as it came",
        stacklevel=2,
    )
    return copy_of(masked)


@torch.no_grad()
def _solve(
    layer: nn.Module,
    mean: Tensor | None,
    x: Tensor,
    y: Tensor,
    ridge: float,
    rounds: int,
    parts: tuple[str, str] = ("weight", "bias"),
) -> None:
    """Give ``layer`` the weights of the formula above, for inputs ``x`` (rows, inputs) and outputs ``y`` (rows, outputs).

    ``mean`` (outputs,) is what is subtracted behind a layer without bias, if anything is. ``parts``: names of W and b.
    """
    # Silent channels, of this layer and of those before it, need no equations; that makes them few enough to be fast.
    weight, old_bias = getattr(layer, parts[0]).detach().flatten(1).clone(), getattr(layer, parts[1], None)
    mask = mask_on(layer, ChannelMask, part=parts[0])
    inputs = x.any(dim=0)
    outputs = torch.ones_like(y[0], dtype=torch.bool) if mask is None else entries(mask.keep, len(weight), mask.run)
    bias = weight.new_zeros(len(weight)) if old_bias is None else old_bias.detach().clone()
    start = torch.cat([weight[outputs][:, inputs], bias[outputs][:, None]], dim=1)  # the bias as the weight of a constant
    constant = 0.0 if old_bias is None and mean is None else 1.0
    x, y = F.pad(x[:, inputs], (0, 1), value=constant), y[:, outputs]

    squares = sum(part.T @ part for part in map(Tensor.double, x.split(ROWS)))  # in single precision a small ridge is lost
    penalty = torch.full_like(squares[0], ridge * max(squares.diagonal()[:-1].mean().item(), 1e-12))
    penalty[-1] = 1e-6 * len(x)  # the bias moves freely: most of what silence takes away is a constant
    factor, failed = torch.linalg.cholesky_ex(squares + penalty.diag())
    if failed:
        raise ValueError(f"ridge is too small for what these images decide; got {ridge}")
    solution = start
    for _ in range(rounds):
        target = torch.where(y > 0, y, (x @ solution.T).clamp(max=0)) if rounds > 1 else y
        missing = (target - x @ start.T).T @ x
        solution = start + torch.cholesky_solve(missing.double().T, factor).T.to(start)

    def error(solution):  # (outputs,)
        found = x @ solution.T
        return (found.relu() - y.relu() if rounds > 1 else found - y).square().sum(dim=0)

    # Below 0, where ReLU is flat, the rounds do not see that an output which should be positive cannot become any worse.
    solution = torch.where((error(solution) <= error(start))[:, None], solution, start)
    weight[outputs.nonzero(), inputs.nonzero().T], bias[outputs] = solution[:, :-1], solution[:, -1]
    _write(layer, parts[0], weight)
    if old_bias is not None:
        _write(layer, parts[1], bias)
    elif mean is not None:
        mean -= bias


@torch.no_grad()
def _solve_units(
    module: nn.RNNBase, dense: nn.RNNBase, before: Tensor | PackedSequence, now: Tensor | PackedSequence, ridge: float
) -> None:
    """Solve the weights with which the units of a recurrent ``module`` read its inputs and each other's states.

    ``before`` and ``now``: its inputs in the dense network and in the one repaired so far. The states that come back to it
    are taken from the dense network, for those of the repaired one change with the weights.
    """
    real = _real_steps(dense, before)
    for level, layer in enumerate(one_by_one(dense)):
        states = layer(before)[0]
        read = [_by_sequence(dense, x)[real] for x in (before, now)]
        for number, each in enumerate(_by_sequence(dense, states).split(dense.proj_size or dense.hidden_size, dim=-1)):
            suffix = f"_l{level}" + "_reverse" * number
            came_back = F.pad(each[:, 1:], (0, 0, 0, 1)) if number else F.pad(each[:, :-1], (0, 0, 1, 0))
            live = True if dense.proj_size else live_channels(module)[suffix[1:]]  # with projections all units stay
            for kind, there, here in (("ih", *read), ("hh", came_back[real], (came_back * live)[real])):
                parts = f"weight_{kind}{suffix}", f"bias_{kind}{suffix}"
                if not torch.equal(there, here):
                    target = F.linear(there, getattr(dense, parts[0]), getattr(dense, parts[1], None))
                    _solve(module, None, here, target, ridge, 1, parts)
        before, now = states, one_by_one(module)[level](now)[0]


def _by_sequence(module: nn.RNNBase, x: Tensor | PackedSequence) -> Tensor:
    """What a recurrent ``module`` reads or writes: (sequences, steps, features), 0 behind the end of a packed one."""
    return padded(module, x) if module.batch_first else padded(module, x).transpose(0, 1)


def _real_steps(module: nn.RNNBase, x: Tensor | PackedSequence) -> Tensor:
    """Bool (sequences, steps), False behind the end of a packed sequence."""
    real = torch.ones_like(_by_sequence(module, x)[..., 0], dtype=torch.bool)
    if isinstance(x, PackedSequence):
        lengths = pad_packed_sequence(x)[1].to(real.device)
        real &= torch.arange(real.shape[1], device=real.device) < lengths[:, None]
    return real


@torch.no_grad()
def _means_behind(model: nn.Module, names: list[str], pixels: Tensor) -> dict[str, Tensor]:
    """{layer without bias: the running mean (channels,) of the batch normalisation that takes its outputs, if one does}.

    Only where that mean can stand for a bias: when the outputs and the mean are shifted alike, the scores must stay as they
    are. They do not where something else sees the outputs too.
    """
    names = [name for name in names if model.get_submodule(name).bias is None]
    norms = {name: norm for name, norm in model.named_modules() if getattr(norm, "running_mean", None) is not None}
    inputs, outputs = _pass(model, [*names, *norms], pixels)
    before, means = model(pixels), {}
    for name in names:
        for norm in [norm for place, norm in norms.items() if inputs.get(place) is outputs[name]]:
            mean, shift = norm.running_mean.clone(), norm.running_var.sqrt()
            hook = model.get_submodule(name).register_forward_hook(
                lambda layer, _, output, shift=shift: output + shift.view(-1, *[1] * (layer.weight.ndim - 2))
            )
            norm.running_mean += shift
            after = model(pixels)
            hook.remove()
            norm.running_mean.copy_(mean)
            if (after - before).abs().max() <= TOLERANCE * before.abs().max():
                means[name] = norm.running_mean
    return means


@torch.no_grad()
def _changed_layers(masked: nn.Module, dense: nn.Module, pixels: Tensor) -> dict[str, int]:
    """{name: in how many positions it answers} of each layer to repair: where the inputs are not the same in both networks,
    or a recurrent layer has lost units."""
    kinds = {name: layer for name, layer in dense.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d | Recurrent)}
    layers = [name for name, layer in kinds.items() if getattr(layer, "groups", 1) == 1]
    before, outputs = _pass(dense, layers, pixels)
    layers = [name for name in layers if name in before]
    now, _ = _pass(masked, layers, pixels)
    if missing := [name for name in layers if name not in now]:
        raise ValueError(f"masked never uses its layer {missing[0]!r} in the forward pass")
    recurrent = [name for name in layers if isinstance(kinds[name], Recurrent) and masks_of(masked.get_submodule(name))]

    def equal(name):
        return torch.equal(*(padded(kinds[name], inputs[name]) for inputs in (before, now)))

    changed = [name for name in layers if name in recurrent or not equal(name)]
    return {name: outputs[name][0, 0].numel() if isinstance(kinds[name], nn.Conv2d) else 1 for name in changed}


class _AllSeen(Exception):  # noqa: N818, a way out and not an error
    """Ends a forward pass of which nothing more is to be seen."""


def _pass(model: nn.Module, names: list[str], pixels: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """What goes into the modules called ``names`` and what comes out, at their first use, when ``model`` sees ``pixels``.

    Nothing behind the last of them is computed; of unused ones there is nothing.
    """
    inputs, outputs = {}, {}

    def note(name, layer, arguments, output):
        inputs.setdefault(name, arguments[0])
        outputs.setdefault(name, output)
        if len(inputs) == len(names):
            raise _AllSeen

    hooks = [model.get_submodule(name).register_forward_hook(functools.partial(note, name)) for name in names]
    try:
        with contextlib.suppress(_AllSeen):
            model(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    return inputs, outputs


@torch.no_grad()
def _outputs(dense: nn.Module, chosen: dict[str, list[Tensor]], batches: list[Tensor]) -> dict[str, Tensor]:
    """The outputs of the layers in ``dense`` at their ``chosen`` positions: {name: (rows, outputs)}."""
    rows = {name: [] for name in chosen}
    for number, pixels in enumerate(batches):
        for name, output in _pass(dense, list(chosen), pixels)[1].items():
            if isinstance(dense.get_submodule(name), nn.Conv2d):
                output = output.flatten(2)[:, :, chosen[name][number]].transpose(1, 2)
            rows[name].append(output.flatten(0, -2))
    return {name: torch.cat(parts) for name, parts in rows.items()}


@torch.no_grad()
def _sequences(model: nn.Module, name: str, batches: list[Tensor]) -> Tensor | PackedSequence:
    """What goes into the recurrent module ``name`` of ``model``, all sequences at once, packed if they come so."""
    read = [_pass(model, [name], batch)[0][name] for batch in batches]
    if isinstance(read[0], PackedSequence):
        return pack_sequence([sequence for batch in read for sequence in unpack_sequence(batch)], enforce_sorted=False)
    return torch.cat(read, dim=0 if model.get_submodule(name).batch_first else 1)


@torch.no_grad()
def _inputs(repaired: nn.Module, name: str, chosen: list[Tensor], batches: list[Tensor]) -> Tensor:
    """The inputs reaching the layer ``name`` at its ``chosen`` positions in the network repaired so far: (rows, inputs)."""
    layer, rows = repaired.get_submodule(name), []
    for pixels, positions in zip(batches, chosen, strict=True):
        x = _pass(repaired, [name], pixels)[0][name]
        rows.append((_windows(layer, x, positions) if isinstance(layer, nn.Conv2d) else x).flatten(0, -2))
    return torch.cat(rows)


def _windows(layer: nn.Conv2d, x: Tensor, positions: Tensor) -> Tensor:
    """What the filters of ``layer`` see in ``x`` (images, channels, height, width) for their outputs at ``positions``.

    Returns (images, positions, channels · window).
    """
    shape = list(zip(layer.kernel_size, layer.dilation, layer.stride, strict=True))
    if isinstance(layer.padding, str):  # where the margin is odd, the larger half is on the right and below
        margins = [dilation * (size - 1) if layer.padding == "same" else 0 for size, dilation, _ in shape]
        (top, bottom), (left, right) = [(margin // 2, margin - margin // 2) for margin in margins]
    else:
        top, left = bottom, right = layer.padding
    x = F.pad(x, (left, right, top, bottom), mode=layer.padding_mode.replace("zeros", "constant"))
    for side, (size, dilation, stride) in enumerate(shape):
        x = x.unfold(2 + side, dilation * (size - 1) + 1, stride)[..., ::dilation]  # a view: few of the windows are needed
    row, column = positions // x.shape[3], positions % x.shape[3]
    return x[:, :, row, column].transpose(1, 2).flatten(2)


@torch.no_grad()
def _write(layer: nn.Module, part: str, value: Tensor) -> None:
    """Set a weight or bias, behind its mask if it has one."""
    masks = getattr(layer, "parametrizations", {})
    parameter = masks[part].original if part in masks else getattr(layer, part)
    parameter.copy_(value.view_as(parameter))
