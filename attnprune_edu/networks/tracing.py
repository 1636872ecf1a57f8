"""The tracer of ``dataflow``: sees every operation of a forward pass, and carries the labels of the channels through it."""

import contextlib
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_leaves, tree_unflatten

from .inference import plain_outputs
from .kinds import Layer, Recurrent, Units, channel_dim, is_depthwise, layers_with_channels, modules_of, readers, rows
from .measuring import depends_on, distinct, settings, size_of_each, speaks

OUTPUTS = "its channels reach the outputs of the network"


@dataclass
class Flow:
    """Where the channels of a network go, as ``follow`` found it. A *producer* is one output channel of one layer.

    ``producers``: (layer name, channel) of each; ``first``: {layer: its first producer}, the others follow one by one.
    ``inputs``: {key of a ``Reader``, mostly a layer: for each of its input channels the producers that flow into it};
    ``norms``: the same for the modules that have parameters for each channel, such as a batch normalisation.
    ``needs_mask``: those of them whose shift makes a silent channel speak again. ``stays``: {producer: why it cannot go};
    ``uncalled``: {layer without producers: why}. ``together``: producers that meet in one element. ``one_width``: names of
    layers that always have equally many channels. ``before_relu``: layers whose outputs go straight into a ReLU and nowhere
    else.
    """

    producers: list[tuple[str, int]] = field(default_factory=list)
    first: dict[str, int] = field(default_factory=dict)
    inputs: dict[str, list[frozenset[int]]] = field(default_factory=dict)
    norms: dict[str, list[frozenset[int]]] = field(default_factory=dict)
    needs_mask: set[str] = field(default_factory=set)
    stays: dict[int, str] = field(default_factory=dict)
    uncalled: dict[str, str] = field(default_factory=dict)
    before_relu: set[str] = field(default_factory=set)
    together: list[frozenset[int]] = field(default_factory=list)
    one_width: list[list[str]] = field(default_factory=list)

    def classes(self) -> list[int]:
        """For each producer a number that those share which can only go together."""
        parent = list(range(len(self.producers)))

        def root(member):
            while parent[member] != member:
                parent[member] = member = parent[parent[member]]
            return member

        for members in self.together:
            one, *others = members
            for other in others:
                parent[root(other)] = root(one)
        return [root(member) for member in range(len(parent))]

    def norms_of(self, layer: str) -> dict[str, list[int]]:
        """{normalisation that takes the outputs of ``layer`` alone: its entries for channels 0, 1, …}, whole ones only."""
        channels = [number for number, (name, _) in enumerate(self.producers) if name == layer]
        found = {}
        for norm, labels in self.norms.items():
            place = {next(iter(label)): entry for entry, label in enumerate(labels) if len(label) == 1}
            if channels and all(channel in place for channel in channels):
                found[norm] = [place[channel] for channel in channels]
        return found


class _ByChannel(NamedTuple):
    """The usual case: all elements of a channel along ``dim`` have its label, and are 0 while it is silent."""

    dim: int
    labels: tuple[int, ...]  # one for each channel, none of them 0

    def elements(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        """A label for each element of ``tensor``, and its value while its channels are silent."""
        view = [1] * tensor.ndim
        view[self.dim] = len(self.labels)
        labels = torch.tensor(self.labels, dtype=torch.int32, device=tensor.device).view(view)
        return labels.expand(tensor.shape), torch.zeros_like(tensor)


class _Shadow:
    """What is known about the elements of one piece of memory: a label each, and its value while its channels are silent.

    As long as one tensor alone writes and reads the memory, one label for each of its channels may say it all.
    """

    def __init__(self, tensor: Tensor, known: _ByChannel | None = None):
        self.size = tensor.element_size()
        self.layout, self.known = _layout(tensor), known
        if known is None:
            self._make_room(tensor)

    def by_channel(self, tensor: Tensor) -> _ByChannel | None:
        return self.known if self.layout == _layout(tensor) else None

    def read(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        if known := self.by_channel(tensor):
            return known.elements(tensor)
        labels, silent = self._elements(tensor)
        return labels.clone(), torch.where(labels > 0, silent, tensor)

    def write(self, tensor: Tensor, labels: Tensor, silent: Tensor) -> None:
        for part, values in zip(self._elements(tensor), (labels, silent), strict=True):
            part.copy_(values)

    def write_by_channel(self, tensor: Tensor, known: _ByChannel) -> None:
        if self.by_channel(tensor):
            self.known = known
        else:
            self.write(tensor, *known.elements(tensor))

    def _elements(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        if self.known is not None:
            layout, known = self.layout, self.known
            self._make_room(tensor)
            one = tensor.as_strided(*layout)
            self.write(one, *known.elements(one))
        return self.labels.as_strided(*_layout(tensor)), self.silent.as_strided(*_layout(tensor))

    def _make_room(self, tensor: Tensor) -> None:
        count = tensor.untyped_storage().nbytes() // self.size
        self.layout, self.known = None, None
        self.labels = torch.zeros(count, dtype=torch.int32, device=tensor.device)
        self.silent = torch.zeros(count, dtype=tensor.dtype, device=tensor.device)


class Trace(TorchDispatchMode):
    """Sees every operation of a forward pass that happens outside the layers, and carries the labels through it."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.flow = Flow()
        self.generator = torch.Generator().manual_seed(0)
        self.labels: dict[frozenset[int], int] = {frozenset(): 0}
        self.meaning: list[frozenset[int]] = [frozenset()]
        self.shadows: dict[int, _Shadow] = {}
        self.verdicts: dict[tuple, tuple[bool, bool, bool]] = {}  # what normalisations of a kind do
        # What is harmless as long as nobody uses it, by the memory it lies in: {label: why its channels stay if it is used}.
        self.unfollowed: dict[int, dict[int, str]] = {}
        self.depth = 0  # > 0: inside a layer, which is not looked into
        self.straight: dict[int, str] = {}  # memory that holds the outputs of a layer, as they are
        self.read_otherwise: set[str] = set()
        self.used_directly: set[str] = set()  # layers whose parameters are read without calling them
        self.layers = layers_with_channels(model)
        self.names = {module: name for name, module in model.named_modules()}
        held = [(name, module) for name, layer in self.layers.items() for module in modules_of(layer)]
        self.owners: dict[int, set[str]] = {}
        for name, module in held:
            for parameter in module.parameters():
                self.owners.setdefault(id(parameter), set()).add(name)
        self.part_of = {module: name for name, module in held}

    # Hooks: a layer takes labels in and gives new ones out.

    @contextlib.contextmanager
    def hooks(self) -> Iterator[None]:
        """Watch the calls of every layer and of modules with parameters for each channel while the context lasts."""
        handles = []
        for module in self.names:
            if isinstance(module, Layer | Recurrent) or size_of_each(module):
                handles.append(module.register_forward_pre_hook(self._enter, prepend=True))
                handles.append(module.register_forward_hook(self._leave, with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module, inputs) -> None:
        self.depth += 1

    def _leave(self, module, inputs, named, output):
        if self.depth > 1:
            self.depth -= 1
            return output
        with _disable_current_modes():  # what follows is ours, not the network's
            values = [*inputs, *named.values()]
            name = self.names[module]
            for tensor in (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)):
                self._use(tensor, f"what {name!r} does depends on it")
            if isinstance(module, Recurrent):
                output = self._through_recurrent(name, module, output, *values)
            elif len(values) != 1 or not isinstance(output, Tensor) or not isinstance(values[0], Tensor):
                self._keep(self._labels_in(values), f"{name!r} is called with something other than one tensor")
            elif isinstance(module, Layer):
                output = self._unlike_any(output)
                self._through_layer(name, module, values[0], output)
            else:
                self._through_norm(name, module, values[0], output)
        self.depth -= 1
        return output

    def _unlike_any(self, output: Tensor) -> Tensor:
        """Random numbers in place of an ``output``: where channels flow must not hang on weights that are zero or NaN."""
        return torch.randn(output.shape, generator=self.generator).to(output)

    def _reads(self, key: str, name: str, x: Tensor, dim: int) -> tuple[tuple[int, ...], list[frozenset[int]]]:
        """Note under ``key`` what the layer ``name`` reads along ``dim`` of ``x``: the labels of each input channel, and the
        producers that they stand for."""
        self._note_reader(x, relu=False)
        columns = self._columns(x, dim, f"{name!r} reads it together with other channels")
        if not self._by_channel(x):
            labels, silent = self._read(x)
            loud = labels[(labels > 0) & (silent != 0)]
            self._keep(distinct(loud), f"on its way to {name!r} 0 becomes another number")
        read = [self.meaning[label] for label in columns]
        if self.flow.inputs.setdefault(key, read) != read:
            self._keep([*columns, *map(self._label, self.flow.inputs[key])], f"{name!r} is called more than once")
        return columns, read

    def _produced_by(self, name: str, channels: int) -> list[frozenset[int]]:
        """A producer for each of the ``channels`` of the layer ``name``."""
        if name not in self.flow.first:
            self.flow.first[name] = len(self.flow.producers)
            self.flow.producers += [(name, channel) for channel in range(channels)]
        return [frozenset({self.flow.first[name] + channel}) for channel in range(channels)]

    def _through_layer(self, name: str, layer: nn.Module, x: Tensor, output: Tensor) -> None:
        columns, read = self._reads(name, name, x, channel_dim(layer, x))
        owner = self.part_of[layer]  # the layer itself, or the attention whose heads it makes
        run = rows(self.layers[owner]).run
        dim = channel_dim(layer, output)
        own = [one for one in self._produced_by(owner, output.shape[dim] // run) for _ in range(run)]
        if is_depthwise(layer):
            own = [label | before for label, before in zip(own, read, strict=True)]
        elif getattr(layer, "groups", 1) > 1:
            reason = f"{name!r} is a convolution in groups of several channels"
            self._keep([*columns, *map(self._label, own)], reason)
        self._write_by_channel(output, _ByChannel(dim, tuple(map(self._label, own))))
        if owner == name:
            self.straight[_memory(output)] = name

    def _through_recurrent(self, name: str, module: nn.RNNBase, outputs, x, state=None):
        """The outputs and last states of a recurrent ``module`` for ``x``; in both, the last dimension counts units."""
        levels: dict[str, list[str]] = {}  # the layers that read the same, as one that runs forwards and one backwards
        for layer, units in self.layers.items():
            if isinstance(units, Units) and units.module is module:
                levels.setdefault(units.suffix.removesuffix("_reverse"), []).append(layer)
        last, final = outputs
        data, last = (one.data if isinstance(one, PackedSequence) else one for one in (x, last))
        read, rows_of_state = None, []
        mixed = [frozenset()] * module.proj_size  # of all units, which stay
        for names in levels.values():
            own = {layer: self._produced_by(layer, module.hidden_size) for layer in names}
            for layer, units in own.items():
                before, itself = (reader.key for reader in readers(self.layers[layer], layer))
                if read is None:
                    read = self._reads(before, name, data, data.ndim - 1)[1]
                self.flow.inputs.setdefault(before, read)
                self.flow.inputs[itself] = mixed or units
            read = [unit for units in own.values() for unit in (mixed or units)]
            rows_of_state += own.values()
        every = [layer for names in levels.values() for layer in names]
        if every not in self.flow.one_width:
            self.flow.one_width.append(every)
        everyone = [self._label(unit) for units in rows_of_state for unit in units]
        states = [leaf for leaf in tree_leaves(state) if isinstance(leaf, Tensor)]
        if any(one.any() for one in states):
            reason = f"{name!r} begins with a state that is not zero"
            self._keep([*everyone, *self._labels_in(states)], reason)
        if module.proj_size:
            self._keep(everyone, f"{name!r} makes other numbers of its units (proj_size)")
            return outputs
        fresh = self._unlike_any(last)
        self._write_by_channel(fresh, _ByChannel(fresh.ndim - 1, tuple(map(self._label, read))))
        of_state = torch.tensor([list(map(self._label, units)) for units in rows_of_state], dtype=torch.int32)
        states = []
        for one in final if isinstance(final, tuple) else (final,):
            one = self._unlike_any(one)
            labels = of_state.to(one.device) if one.ndim == 2 else of_state.to(one.device)[:, None].expand(one.shape)
            self._write(one, labels, torch.zeros_like(one))
            states.append(one)
        if isinstance(x, PackedSequence):
            fresh = PackedSequence(fresh, *outputs[0][1:])
        return fresh, tuple(states) if isinstance(final, tuple) else states[0]

    def _through_norm(self, name: str, norm: nn.Module, x: Tensor, output: Tensor) -> None:
        """A module with parameters for each channel, which are cut with the channel if it treats each by itself."""
        self._note_reader(x, relu=False)
        labelled = self._labels_in([x])
        if not labelled:
            return
        fits = x.ndim > 1 and x.shape[1] == size_of_each(norm)
        mixes, speaks_up, speaks_masked = self._measured(norm, x, output)
        if not fits or mixes:
            self._keep(labelled, f"{name!r} mixes channels, or has no parameters for each")
            self._write(output, torch.zeros_like(output, dtype=torch.int32), output)
            return
        columns = self._columns(x, 1, f"{name!r} treats it together with other channels")
        read = [self.meaning[label] for label in columns]
        if self.flow.norms.setdefault(name, read) != read:
            self._keep([*columns, *map(self._label, self.flow.norms[name])], f"{name!r} is called more than once")
        if speaks_up:
            self.flow.needs_mask.add(name)
        if speaks_masked:
            self._keep(columns, f"{name!r} makes silent channels speak, and has no scale and shift to mask")
        # A margin of zeros gets the channel's scale and shift as well, and so its label.
        followed = _ByChannel(1, columns)
        if all(columns):
            self._write_by_channel(output, followed)
        else:
            self._write(output, *followed.elements(output))

    def _measured(self, norm: nn.Module, x: Tensor, output: Tensor) -> tuple[bool, bool, bool]:
        """Does ``norm`` mix channels, does it make silent ones speak, and does it so if its parameters are zero?

        In evaluation mode the images of a batch are treated alike, and one will do; so will one normalisation of a kind.
        """
        kind = (type(norm), settings(norm), x.shape[1:]) if self._by_channel(x) else (norm,)
        if kind not in self.verdicts:
            labels, silent = (part[:1] for part in self._read(x))
            mixes = depends_on(lambda value: [norm(value)], x[:1], labels, [output[:1]])[1]
            quiet = torch.where(labels > 0, silent, x[:1])
            speaks_up = not mixes and speaks(norm, quiet, labels)
            self.verdicts[kind] = mixes, speaks_up, speaks_up and speaks(norm, quiet, labels, masked=True)
        return self.verdicts[kind]

    def _columns(self, x: Tensor, dim: int, reason: str) -> tuple[int, ...]:
        """One label for each channel along ``dim``; a channel whose elements have several keeps their owners where they are.

        A margin of zeros, as padding adds, is as good as any label.
        """
        known = self._by_channel(x)
        if known and known.dim == dim:
            return known.labels
        rows, values = (part.movedim(dim, 0).flatten(1) for part in (self._read(x)[0], x))
        most = rows.amax(dim=1)
        fits = ((rows == most[:, None]) | ((rows == 0) & (values == 0))).all(dim=1)
        self._keep(distinct(rows[~fits]), reason)
        return tuple(torch.where(fits, most, 0).tolist())

    # Operations between the layers.

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if self.depth:
            return func(*args, **kwargs)
        leaves, spec = tree_flatten((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        for tensor in tensors:
            self.used_directly |= self.owners.get(id(tensor), set())
            self._use(tensor, f"what {_name(func)} does depends on it")
        if not any(_memory(tensor) in self.shadows for tensor in tensors):
            return func(*args, **kwargs)
        for tensor in tensors:
            self._note_reader(tensor, relu=_name(func) in ("relu", "relu_"))
        if followed := self._one_by_one(func, leaves, spec, tensors):
            result = func(*args, **kwargs)
            self._write_by_channel(result, followed)
            return result
        written = func._schema.is_mutable
        before = [leaf.clone() if written and isinstance(leaf, Tensor) else leaf for leaf in leaves]
        known = [self._read(leaf) if isinstance(leaf, Tensor) else None for leaf in leaves]
        places = {_memory(tensor) for tensor in tensors}
        result = func(*args, **kwargs)
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if outputs and not written and all(_memory(output) in places for output in outputs):
            return result  # a view: it reads the same memory, and so the same labels
        self._through_operation(func, before, known, spec, outputs)
        return result

    def _one_by_one(self, func, leaves, spec, tensors) -> _ByChannel | None:
        """The labels of the result in the usual case: known by channel, 0 stays 0, and each element is treated by itself."""
        known = [self._by_channel(tensor) for tensor in tensors]
        alike = len({(one and one.dim, tensor.shape) for one, tensor in zip(known, tensors, strict=True)}) == 1
        if torch.Tag.pointwise not in func.tags or known[0] is None or not alike:
            return None
        involved = {producer for one in known for label in one.labels for producer in self.meaning[label]}
        if not self.flow.stays.keys().isdisjoint(involved):
            return None
        zeros = [leaf.new_zeros(1) if isinstance(leaf, Tensor) else leaf for leaf in leaves]
        positional, named = tree_unflatten(zeros, spec)
        silent = func(*positional, **named)
        if not isinstance(silent, Tensor) or silent.dtype != tensors[0].dtype or silent.any():
            return None
        labels = known[0].labels
        for other in known[1:]:
            pairs = list(zip(labels, other.labels, strict=True))
            joined = self._joined({pair for pair in pairs if pair[0] != pair[1]}, _name(func))
            labels = tuple(joined.get(pair, pair[0]) for pair in pairs)
        return _ByChannel(known[0].dim, labels)

    def _through_operation(self, func, leaves, known, spec, outputs) -> None:
        marked = [n for n, found in enumerate(known) if found is not None and found[0].any()]
        floating = [output for output in outputs if output.is_floating_point()]
        involved = sorted(set().union(*(distinct(known[number][0]) for number in marked)))
        for output in outputs:
            if not output.is_floating_point() and involved:
                self._remember_unfollowed(output, dict.fromkeys(involved, ""))
        if not outputs:
            self._keep(involved, f"the way through the network depends on it ({_name(func)})")
        if not floating:
            return

        def run(replaced: dict[int, Tensor]) -> list[Tensor]:
            fresh = [leaf.clone() if isinstance(leaf, Tensor) and func._schema.is_mutable else leaf for leaf in leaves]
            for number, tensor in replaced.items():
                fresh[number] = tensor
            positional, named = tree_unflatten(fresh, spec)
            results = [leaf for leaf in tree_leaves(func(*positional, **named)) if isinstance(leaf, Tensor)]
            return [result for result in results if result.is_floating_point()]

        found = [torch.zeros_like(output, dtype=torch.int32) for output in floating]
        all_mixed: dict[int, str] = {}
        for number in marked:
            labels = known[number][0]
            if torch.Tag.pointwise in func.tags and len(floating) == 1:
                depends = [labels.broadcast_to(floating[0].shape)]
            else:
                depends, mixed = depends_on(lambda x, at=number: run({at: x}), leaves[number], labels, floating)
                if mixed:
                    all_mixed |= dict.fromkeys(distinct(labels), f"{_name(func)} mixes it with other channels")
            found = [self._joined_by_element(one, other, _name(func)) for one, other in zip(found, depends, strict=True)]
        quiet = {}
        for number in marked:
            labels, silent = known[number]
            quiet[number] = torch.where(self._are_kept(labels, all_mixed) | (labels == 0), leaves[number], silent)
        for output, labels, silent in zip(floating, found, run(quiet) if quiet else floating, strict=True):
            if ((labels == 0) & (silent != output)).any():  # it changes with its inputs, but NaN does not come through
                unseen = set(involved) - set(distinct(labels))
                self._keep(unseen, f"{_name(func)} cannot be followed")
            self._write(output, labels, torch.where(labels > 0, silent, output))
            if all_mixed:
                self._remember_unfollowed(output, all_mixed)

    def _joined_by_element(self, one: Tensor, other: Tensor, operation: str) -> Tensor:
        """The labels of elements that depend on ``one`` and on ``other``, as ``_joined`` finds them."""
        both = (one > 0) & (other > 0) & (one != other)
        labels = torch.maximum(one, other)
        if both.any():
            keys, which = (one[both].long() * len(self.meaning) + other[both]).unique(return_inverse=True)
            pairs = [divmod(key, len(self.meaning)) for key in keys.tolist()]
            joined = self._joined(set(pairs), operation)
            labels[both] = torch.tensor([joined[pair] for pair in pairs], dtype=torch.int32, device=labels.device)[which]
        return labels

    def _joined(self, pairs: set[tuple[int, int]], operation: str) -> dict[tuple[int, int], int]:
        """The label of what depends on both labels of a pair: of both, where one channel meets just one."""
        several = []
        for side in (0, 1):
            partners: dict[int, list[frozenset[int]]] = {}
            for pair in pairs:
                partners.setdefault(pair[side], []).append(self.meaning[pair[1 - side]])
            # Labels that share a channel are one partner: here the channel is alone, there it has been added to another.
            several.append({label for label, others in partners.items() if not frozenset.intersection(*others)})
            self._keep(several[side], f"{operation} joins it with several other channels at once")
        joined = {}
        for pair in sorted(pairs):
            left = [self.meaning[label] for side, label in enumerate(pair) if label not in several[side]]
            joined[pair] = self._label(frozenset().union(*left))
        return joined

    # What is known, and where it is kept.

    def _label(self, producers: frozenset[int]) -> int:
        if producers not in self.labels:
            self.labels[producers] = len(self.meaning)
            self.meaning.append(producers)
        return self.labels[producers]

    def _are_kept(self, labels: Tensor, others: Iterable[int] = ()) -> Tensor:
        stays = self.flow.stays
        kept = [label for label in distinct(labels) if label in others or any(one in stays for one in self.meaning[label])]
        return torch.isin(labels, torch.tensor(kept, dtype=torch.int32, device=labels.device))

    def _keep(self, labels: Iterable[int], reason: str) -> None:
        for label in labels:
            for producer in self.meaning[label]:
                self.flow.stays.setdefault(producer, reason)

    def _labels_in(self, values) -> set[int]:
        found: set[int] = set()
        for tensor in (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)):
            known = self._by_channel(tensor)
            found.update(known.labels if known else distinct(self._read(tensor)[0]))
        return found

    def _by_channel(self, tensor: Tensor) -> _ByChannel | None:
        """What is known of ``tensor``, if a label for each of its channels says it all."""
        shadow = self.shadows.get(_memory(tensor))
        fits = shadow is not None and shadow.size == tensor.element_size() and tensor.is_floating_point()
        return shadow.by_channel(tensor) if fits else None

    def _read(self, tensor: Tensor) -> tuple[Tensor, Tensor]:
        """A label for each element of ``tensor``, and its value while its channels are silent."""
        shadow = self.shadows.get(_memory(tensor))
        unknown = torch.zeros((), dtype=torch.int32, device=tensor.device).expand(tensor.shape)
        if shadow is None or not tensor.is_floating_point():
            return unknown, tensor
        if shadow.size != tensor.element_size():
            known = shadow.known.labels if shadow.known else distinct(shadow.labels)
            self._keep(known, "its numbers are read as another type")
            return unknown, tensor
        return shadow.read(tensor)

    def _write(self, tensor: Tensor, labels: Tensor, silent: Tensor) -> None:
        place = _memory(tensor)
        self.straight.pop(place, None)
        if place and (place in self.shadows or labels.any()):
            if place not in self.shadows:
                self._add(place, tensor, _Shadow(tensor))
            self.shadows[place].write(tensor, labels, silent)

    def _write_by_channel(self, tensor: Tensor, known: _ByChannel) -> None:
        place = _memory(tensor)
        self.straight.pop(place, None)
        if place in self.shadows:
            self.shadows[place].write_by_channel(tensor, known)
        elif place:
            self._add(place, tensor, _Shadow(tensor, known))

    def _add(self, place: int, tensor: Tensor, shadow: _Shadow) -> None:
        self.shadows[place] = shadow
        weakref.finalize(tensor.untyped_storage(), self._forget, place)

    def _remember_unfollowed(self, tensor: Tensor, reasons: dict[int, str]) -> None:
        place = _memory(tensor)
        if place not in self.unfollowed:
            weakref.finalize(tensor.untyped_storage(), self.unfollowed.pop, place, None)
        self.unfollowed.setdefault(place, {}).update(reasons)

    def _use(self, tensor: Tensor, reason: str) -> None:
        """Keep the channels of a ``tensor`` that was harmless as long as nobody used it."""
        for label, known in self.unfollowed.pop(_memory(tensor), {}).items():
            self._keep([label], known or reason)

    def _forget(self, place: int) -> None:
        self.shadows.pop(place, None)
        self.straight.pop(place, None)

    def _note_reader(self, tensor: Tensor, relu: bool) -> None:
        name = self.straight.get(_memory(tensor))
        if name is not None and not relu:
            self.read_otherwise.add(name)
        elif name is not None:
            self.flow.before_relu.add(name)

    def uncalled(self) -> list[str]:
        """The layers of which nothing is known yet: neither called nor read directly."""
        return [name for name in self.layers if name not in self.flow.first and name not in self.used_directly]

    def finish(self, outputs) -> Flow:
        """Note what reaches the outputs, and that what belongs to something that stays stays with it."""
        flow = self.flow
        tensors = [leaf for leaf in tree_leaves(plain_outputs(outputs)) if isinstance(leaf, Tensor)]
        if not tensors:
            raise ValueError("model must return a tensor, or several in a tuple or dictionary; it returned none")
        if any(tensor.is_floating_point() and tensor.isnan().any() for tensor in tensors):
            raise ValueError("model gives NaN for example_inputs, so its channels cannot be followed")
        for tensor in tensors:
            self._note_reader(tensor, relu=False)
            self._use(tensor, OUTPUTS)
            self._keep(self._labels_in([tensor]), OUTPUTS)
        flow.together = [label for label in self.meaning if len(label) > 1]
        direct = "its parameters are used without calling it"
        for number, (layer, _) in enumerate(flow.producers):
            if layer in self.used_directly:
                flow.stays.setdefault(number, direct)
        for name in self.layers.keys() - flow.first.keys():
            flow.uncalled[name] = direct if name in self.used_directly else "the forward pass does not call it"
        flow.before_relu -= self.read_otherwise
        return flow


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _layout(tensor: Tensor) -> tuple:
    return tensor.size(), tensor.stride(), tensor.storage_offset()


def _name(func) -> str:
    return func.overloadpacket.__name__
