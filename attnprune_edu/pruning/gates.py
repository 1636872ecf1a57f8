"""Running gates: importance that changes while the network trains, so that a silenced channel may come back.

A mask is final. A gate is 0 or 1 as well, but it is chosen again every few steps, by a running mean of what each channel
does. When its ramp is over, masks take its place.
"""

import functools
import math
import warnings
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn

from ..data.images import ImageData
from ..networks.inference import batch_dims, inputs_for
from ..networks.kinds import Layer, channel_dim, layers_with_channels, width
from ..networks.models import copy_of
from ..networks.training import fine_tune
from .cutting import silent_entries
from .groups import couple, groups_of
from .masks import mask_
from .schedules import ratio_schedule
from .thresholds import SCOPES, keep_by_ratio

WHISPER = 1e-8  # of a silent channel's output stays while the gates may still open again; see `straight_through`


def straight_through(output: Tensor, is_open: Tensor) -> Tensor:
    """``output`` where ``is_open`` (bool, of a shape that fits) is True and next to nothing elsewhere; gradients pass
    everywhere, as if no gate were there (Bengio, Léonard, Courville, 2013, arXiv:1308.3432, section 4).

    Silent channels keep 1e-8 of their size instead of 0, because a ReLU mostly comes next: at 0 it lets no gradient
    through, and they would learn nothing. So the effect is that of a gate behind the ReLU and its pooling.
    """
    return torch.where(is_open, output, WHISPER * output).detach() + (output - output.detach())


class Place(NamedTuple):
    """Where the channels of a layer pass on their way into the ReLU: its normalisation if there is one, else the layer."""

    module: nn.Module
    entries: list[int]  # of its outputs
    batch_dim: int = 0  # the dimension of its outputs that counts images

    def dim(self, output: Tensor) -> int:
        """The dimension of the module's ``output`` that counts channels."""
        return channel_dim(self.module, output) if isinstance(self.module, Layer) else 1

    def seen(self, output: Tensor) -> Tensor:
        """The layer's channels in ``output``: (images, channels, positions)."""
        channels = output.movedim((self.batch_dim, self.dim(output)), (0, 1))[:, self.entries]
        return channels.reshape(*channels.shape[:2], -1)

    def spread(self, values: Tensor, output: Tensor) -> Tensor:
        """``values`` ([images,] channels) in a shape that can be multiplied with ``output``; other channels get 1."""
        dim, shape = self.dim(output), [1] * output.ndim
        full = values.new_ones(*values.shape[:-1], output.shape[dim])
        full[..., self.entries] = values
        shape[self.batch_dim], shape[dim] = (1, *full.shape)[-2:]
        return full.reshape(shape)


def places_of(model: nn.Module, example_inputs=None) -> dict[str, Place]:
    """{layer: where its channels pass} for every convolution and Linear of ``model`` that can be pruned, in the order of its
    groups. Units of recurrent layers and heads of attention meet no ReLU; they have no gates. Without ``example_inputs``, a
    tensor, images are taken to be the first dimension of all outputs."""
    groups, layers = groups_of(model, example_inputs), layers_with_channels(model)
    places = {}
    for name in (name for group in groups.names for name in group if isinstance(layers[name], Layer)):
        norms = groups.flow.norms_of(name)
        module, entries = list(norms.items())[-1] if norms else (name, list(range(width(model.get_submodule(name)))))
        places[name] = Place(model.get_submodule(module), entries)
    if not places:
        raise ValueError(f"model has no convolution or Linear whose channels can be pruned: {groups.stays}")
    if not isinstance(example_inputs, Tensor):
        return places
    batch = batch_dims(model, {place.module for place in places.values()}, inputs_for(model, example_inputs))
    return {name: place._replace(batch_dim=batch[place.module]) for name, place in places.items()}


class Choice(NamedTuple):
    """What the gates chose after training step ``step``: the share ``pruning_ratio`` is silent. ``importance`` and ``keep``:
    {layer: (channels,)}, on the CPU."""

    step: int
    pruning_ratio: float
    importance: dict[str, Tensor]
    keep: dict[str, Tensor]


class RunningGates:
    """A context around training in which channels are silenced one after the other, and may come back.

    ::

        with RunningGates(model, 0.7, steps=200) as gates:
            fine_tune(model, data, epochs=4, callbacks=[gates])

    In each training step the attention of every channel is measured (the mean over positions of A^``power``, with A the
    mean over the batch of what passes the ReLU) and goes into an exponential mean: ``decay`` · mean + (1 − ``decay``) · now.
    Every ``every`` steps the gates are chosen anew: so many channels with the lowest mean are silent as a cubic ramp asks
    for, which ends at ``pruning_ratio`` after ``steps`` steps; then the choice stays. At the end of the context the hooks
    are gone, and ``model``, whose code was never touched, has ordinary masks (``mask_``). Coupled layers lose the same
    channels.

    What is measured is what comes before the gate, so a silent channel is still heard, and returns when others fall behind.
    It does not learn meanwhile. ``silent_learn=True`` lets it, by gradients that pass closed gates (``straight_through``)
    until the ramp ends. Nothing in the loss holds it back then, for what it does is not heard: it may return far too loud.

    ``min_accuracy``: a validation accuracy (0–1). While it is lower after an epoch, the ramp stands still (the choice goes
    on); when it is reached again, the ramp goes on. For that the gates must be among the ``callbacks`` of the training. A
    ramp that was held may end below ``pruning_ratio``. As a callback the gates add ``pruning_ratio``, ``left``,
    ``returned`` (channels of this epoch) and ``held`` to the row.

    Where sums of layers are normalised, as in pre-activation networks, the shift would let a silent channel speak again. So
    such a normalisation has gates as well, and its running statistics of silent channels rest. ``silent_learn`` is refused
    there: zeros are divided by nearly nothing, and the gradients of silent channels multiplied with hundreds.

    ``record``: every ``Choice``. Raises ValueError for a number out of its range, a network without prunable layers, or
    ``silent_learn`` where sums are normalised. A UserWarning says so if the training ends before the ramp does. Use new
    gates for each training.
    """

    def __init__(
        self,
        model: nn.Module,
        pruning_ratio: float,
        steps: int,
        *,
        every: int = 10,
        decay: float = 0.95,
        power: float = 2.0,
        scope: str = "local",
        silent_learn: bool = False,
        min_accuracy: float | None = None,
        example_inputs=None,
    ):
        for name, share in {"pruning_ratio": pruning_ratio, "min_accuracy": min_accuracy or 0}.items():
            if not 0 <= share <= 1:
                raise ValueError(f"{name} must lie between 0 and 1, got {share}")
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, got {decay}")
        if steps < 1 or every < 1:
            raise ValueError(f"steps and every must be at least 1, got steps={steps}, every={every}")
        if scope not in SCOPES:
            raise ValueError(f"scope must be 'local' or 'global', got {scope!r}")
        self.model, self.pruning_ratio, self.steps, self.every = model, pruning_ratio, steps, every
        self.decay, self.power, self.scope = decay, power, scope
        self.silent_learn, self.min_accuracy = silent_learn, min_accuracy
        self.places, groups = places_of(model, example_inputs), groups_of(model, example_inputs)
        flow, own = groups.flow, {place.module for place in self.places.values()}
        self._silenced: dict[str, Place] = {}  # normalisations of several layers' channels, which get gates as well
        if mixing := [name for name in flow.norms if name in flow.needs_mask and model.get_submodule(name) not in own]:
            if silent_learn:
                raise ValueError(f"silent_learn must be False for a model that mixes layers before {mixing}, got True")
            heard = {flow.producers[number][0] for name in mixing for entry in flow.norms[name] for number in entry}
            for name in heard & self.places.keys():  # silent at the source, for there are several ways to be heard
                layer = model.get_submodule(name)
                self.places[name] = Place(layer, list(range(width(layer))))
            for name in flow.needs_mask:
                entries = flow.norms[name]
                if any(flow.producers[number][0] in heard for entry in entries for number in entry):
                    self._silenced[name] = Place(model.get_submodule(name), list(range(len(entries))))
        self.groups = groups.names
        self._flow = flow
        self.keep = {name: torch.ones(len(place.entries), dtype=torch.bool) for name, place in self.places.items()}
        self._closed = self._closed_entries()
        self.importance: dict[str, Tensor] = {}
        self.record: list[Choice] = []
        self.step = self.progress = 0  # training steps, and those of them in which the ramp went on
        self._ramp = [0.0, *ratio_schedule(pruning_ratio, steps, "cubic")]
        self.held, self._epochs, self._reported = False, 0, 0

    def __enter__(self) -> "RunningGates":
        self._hooks = [
            place.module.register_forward_hook(functools.partial(self._gate, name)) for name, place in self.places.items()
        ]
        for name, place in self._silenced.items():
            self._hooks.append(place.module.register_forward_pre_hook(functools.partial(self._remember, name)))
            self._hooks.append(place.module.register_forward_hook(functools.partial(self._silence, name)))
        self._hooks.append(self.model.register_forward_hook(self._end_of_pass))
        return self

    def __exit__(self, error, *_) -> None:
        for hook in self._hooks:
            hook.remove()
        if error is not None:
            return
        if self.min_accuracy is not None and not self._epochs:
            raise ValueError("min_accuracy needs the gates among the callbacks of train, or they never learn the accuracy")
        if self.progress < self.steps and self.min_accuracy is None:
            warnings.warn(
                f"the training ended after {self.step} steps, and the ramp takes {self.steps}: "
                f"{self.share:.1%} of the channels are pruned, not {self.pruning_ratio:.1%}",
                stacklevel=2,
            )
        mask_(self.model, self.keep)

    def __call__(self, model: nn.Module, row: dict) -> None:
        """Report what happened in the epoch, and hold the ramp while the accuracy of the ``row`` is too low."""
        self._epochs += 1
        news = self.changes.iloc[self._reported :]
        self._reported = len(self.changes)
        self.held = self.min_accuracy is not None and row["validation_accuracy"] < self.min_accuracy
        row |= {
            "pruning_ratio": self.record[-1].pruning_ratio if self.record else 0.0,
            "left": int(news.left.sum()),
            "returned": int(news.returned.sum()),
            "held": self.held,
        }

    @property
    def share(self) -> float:
        """The share (0–1) of the channels that the ramp asks for by now."""
        return self._ramp[self.progress]

    @property
    def changes(self) -> pd.DataFrame:
        """Every choice, a row for each of its layers: ``step``, ``layer``, ``pruning_ratio`` (the share that the ramp asks
        for), ``kept`` channels, and how many ``left`` and how many ``returned`` since the choice before."""
        rows = []
        before = {name: torch.ones_like(keep) for name, keep in self.keep.items()}
        for choice in self.record:
            for name, keep in choice.keep.items():
                left, returned = (before[name] & ~keep).sum(), (keep & ~before[name]).sum()
                rows.append((choice.step, name, choice.pruning_ratio, int(keep.sum()), int(left), int(returned)))
            before = choice.keep
        return pd.DataFrame(rows, columns=["step", "layer", "pruning_ratio", "kept", "left", "returned"])

    def _in_training(self) -> bool:
        return self.model.training and torch.is_grad_enabled()

    def _gate(self, name: str, module: nn.Module, inputs, output: Tensor) -> Tensor:
        place, may_change = self.places[name], self._in_training() and self.progress < self.steps
        if may_change:
            with torch.no_grad():
                through = place.seen(output).relu().float().mean(dim=0)  # (channels, positions)
                now = (through**self.power).mean(dim=1)
                before = self.importance.get(name, now)
                self.importance[name] = self.decay * before + (1 - self.decay) * now
        is_open = place.spread(self.keep[name].to(output.device), output)
        passes = may_change and self.silent_learn
        return straight_through(output, is_open) if passes else torch.where(is_open, output, 0.0)

    def _closed_entries(self) -> dict[str, Tensor]:
        """{normalisation of several layers' channels: bool, the entries into which only silent channels flow}."""
        gone = {self._flow.first[name] + int(number) for name, keep in self.keep.items() for number in (~keep).nonzero()}
        return {name: silent_entries(self._flow.norms[name], gone) for name in self._silenced}

    def _remember(self, name: str, module: nn.Module, *_) -> None:
        self._statistics = {part: buffer.clone() for part, buffer in module.named_buffers() if buffer.ndim}

    def _silence(self, name: str, module: nn.Module, inputs, output: Tensor) -> Tensor:
        closed = self._closed[name].to(output.device)
        for part, before in self._statistics.items():
            # Statistics of zeros are none that a channel should return with. The gradients of this pass need none of them.
            module.get_buffer(part).data[closed] = before[closed]
        return torch.where(self._silenced[name].spread(~closed, output), output, 0.0)

    def _end_of_pass(self, *_) -> None:
        """One more training step; at times the gates are chosen anew, for the steps to come."""
        if not self._in_training() or self.progress == self.steps:
            return
        self.step += 1
        self.progress += not self.held
        if self.step % self.every and self.progress < self.steps:
            return
        importance = couple({name: values.cpu() for name, values in self.importance.items()}, self.groups)
        # From all channels, the silent ones too: what is chosen only among the live ones could never come back.
        self.keep = keep_by_ratio(importance, self.share, self.scope)
        self._closed = self._closed_entries()
        self.record.append(Choice(self.step, self.share, importance, self.keep))


class Adaptive(NamedTuple):
    """``model``: the pruned network. ``history``: what ``train`` returned. ``gates``: with each of their choices."""

    model: nn.Module
    history: pd.DataFrame
    gates: RunningGates


def prune_adaptively(
    model: nn.Module,
    data: ImageData,
    pruning_ratio: float,
    epochs: int = 4,
    *,
    ramp_epochs: int | None = None,
    every: int = 10,
    decay: float = 0.95,
    scope: str = "local",
    silent_learn: bool = False,
    min_accuracy: float | None = None,
    batch_size: int = 100,
    callbacks: Iterable = (),
    **training,
) -> Adaptive:
    """Train a copy of ``model`` for ``epochs`` epochs while ``RunningGates`` prune it, and return it with masks.

    ``ramp_epochs``: after how many of them ``pruning_ratio`` is reached and the choice is final; None takes half, at least
    one. ``every``, ``decay``, ``scope``, ``silent_learn`` and ``min_accuracy``: of the gates. ``callbacks`` come after the
    gates and find what they add to the row. ``training``: other options of ``fine_tune``. Raises ValueError unless
    ``ramp_epochs`` lies between 1 and ``epochs``, and as ``RunningGates`` and ``train`` do.
    """
    if ramp_epochs is None:
        ramp_epochs = max(1, epochs // 2)
    if not 1 <= ramp_epochs <= epochs:
        raise ValueError(f"ramp_epochs must lie between 1 and epochs={epochs}, got {ramp_epochs}")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    gated = copy_of(model)
    steps = ramp_epochs * math.ceil(len(data.train.labels) / batch_size)
    how = {"every": every, "decay": decay, "scope": scope, "silent_learn": silent_learn, "min_accuracy": min_accuracy}
    with RunningGates(gated, pruning_ratio, steps, example_inputs=data.example_inputs, **how) as gates:
        history = fine_tune(gated, data, epochs, batch_size=batch_size, callbacks=[gates, *callbacks], **training)
    return Adaptive(gated, history, gates)
