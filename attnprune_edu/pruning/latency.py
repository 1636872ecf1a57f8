"""Milliseconds: of a layer by itself at other widths, of each part of a network while it runs, of two networks in turns.

Widths are no smooth matter. A processor multiplies 8 or 16 numbers at a time, so the time of a layer rises in stairs: with
17 channels it may take as long as with 32. And normalisations, additions, poolings and the calls themselves take time that
is in no layer.
"""

import functools
import time
from collections import Counter
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn
from torch.utils.benchmark import Timer, timer

from ..data.images import ImageData
from ..networks.inference import evaluating, fast_layout, inputs_for
from ..networks.kinds import channel_dim, is_depthwise, output_dim, plain_layers
from ..networks.models import copy_of

STAIR = 8  # channels: the lowest stair that is common
SECONDS = 0.005  # in which a layer is called again and again; the shortest call counts, for a busy machine only ever adds
PASSES = 7  # of a network whose parts are timed; the shortest counts for each part
ROUNDS = 15  # in which two networks take turns


def stairs(full: int) -> list[int]:
    """Widths up to ``full`` before, on and behind the stairs: 1, 7, 8, 9, 15, 16 and so on; of the wide ones only some."""
    widths, at = {1, full}, STAIR
    while at <= full:
        widths |= {at - 1, at, at + 1}  # on a stair it is mostly faster than before: nothing is left over
        at += STAIR * max(1, at // (4 * STAIR))
    return sorted(width for width in widths if width <= full)


def batch_of(model: nn.Module, data: ImageData, batch_size: int) -> Tensor:
    """The first ``batch_size`` validation images as ``model`` takes them, in the layout that suits it."""
    return inputs_for(model, data.inputs(batch_size)).contiguous(memory_format=fast_layout(model, data))


@torch.no_grad()
def layer_ms(layer: nn.Module, like: Tensor, inputs: int, outputs: int) -> float:
    """Of ``layer`` with fewer ``inputs`` and ``outputs``, for a batch that is otherwise ``like`` its own."""
    narrow, shape = copy_of(layer), list(like.shape)
    shape[channel_dim(layer, like)] = inputs
    weight = layer.weight.movedim(output_dim(layer), 0)[:outputs]
    if is_depthwise(layer):
        narrow.groups = outputs
    elif getattr(layer, "groups", 1) == 1:
        weight = weight[:, :inputs]
    narrow.weight = nn.Parameter(weight.movedim(0, output_dim(layer)).contiguous())
    if layer.bias is not None:
        narrow.bias = nn.Parameter(layer.bias[:outputs].clone())
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(layer.weight)
    if like.ndim == 4 and like.is_contiguous(memory_format=torch.channels_last):
        x = x.contiguous(memory_format=torch.channels_last)
    return 1000 * min(_timer(narrow.eval(), x).blocked_autorange(min_run_time=SECONDS).times)


def parts_ms(model: nn.Module, pixels: Tensor) -> tuple[dict[str, float], dict[str, float]]:
    """({layer: inside of it}, {layer: from its end to the beginning of the next one}) in a forward pass of ``pixels``.

    What comes before the first layer is called "". A layer that is called several times has the sum of its calls.
    """
    now = clock(pixels.device)
    passes: list[Counter] = []
    part = since = None

    def begin(name: str, inside: bool, *_) -> None:
        nonlocal part, since
        passes[-1][part] += now() - since
        part, since = (name, inside), now()

    hooks = []
    for name, layer in plain_layers(model).items():
        hooks.append(layer.register_forward_pre_hook(functools.partial(begin, name, True)))
        hooks.append(layer.register_forward_hook(functools.partial(begin, name, False)))
    with torch.inference_mode(), evaluating(model):
        for _ in range(1 + PASSES):  # the first one warms up
            passes.append(Counter())
            part, since = ("", False), now()
            model(pixels)
            begin("", False)
    for hook in hooks:
        hook.remove()
    shortest = {part: 1000 * min(one[part] for one in passes[1:]) for part in passes[0]}
    inside, after = ({name: ms for (name, where), ms in shortest.items() if where == wanted} for wanted in (True, False))
    return inside, after


def share_of_time(small: nn.Module, dense: nn.Module, pixels: Tensor) -> float:
    """How long ``small`` takes for ``pixels``, as a share of what ``dense`` takes: the median of their turns."""
    with evaluating(small, dense):
        timers = [_timer(model, pixels) for model in (small, dense)]
        turns = [[one.timeit(2).mean for one in timers] for _ in range(ROUNDS)]
    return median(of_small / of_dense for of_small, of_dense in turns)


def clock(device: torch.device) -> Callable[[], float]:
    """What to time with, in seconds: on one thread the processor's time, which stands still while it serves others."""
    return time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else timer


def _timer(module: nn.Module, x: Tensor) -> Timer:
    code, threads = "with torch.inference_mode(): module(x)", torch.get_num_threads()
    return Timer(code, timer=clock(x.device), globals={"torch": torch, "module": module, "x": x}, num_threads=threads)
