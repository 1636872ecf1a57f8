"""What goes between a sandbox and the grader: inputs go in as pickles, and only plain values come out.

The grader never unpickles what a student's process sends. It rebuilds numbers, texts, tensors, arrays, lists, tuples,
dictionaries, and networks of torch's own layers from JSON; of anything else it learns no more than the name of its kind.
"""

import base64
import builtins
import decimal
import numbers
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

MOST_ENTRIES = 4_000_000  # of all tensors and arrays
MOST_PARTS = 500_000  # of all lists, tuples, sets and dictionaries: each costs a hundred bytes on its way
MOST_LAYERS = 1000  # of a network, each counted as often as it is passed through
DEEPEST = 20
LONGEST_TEXT = 10_000
LARGEST_SETTING = 32  # of a kernel, a stride, a padding: more would let a small network cost the grader much
LAYERS = {
    layer.__name__: layer
    for layer in (
        *(
            nn.AdaptiveAvgPool2d,
            nn.AvgPool2d,
            nn.BatchNorm1d,
            nn.BatchNorm2d,
            nn.Conv1d,
            nn.Conv2d,
            nn.Dropout,
            nn.Dropout2d,
        ),
        *(nn.ELU, nn.Flatten, nn.GELU, nn.GroupNorm, nn.Hardtanh, nn.Identity, nn.LayerNorm, nn.LeakyReLU, nn.Linear),
        *(nn.LogSoftmax, nn.MaxPool2d, nn.ReLU, nn.ReLU6, nn.Sequential, nn.SiLU, nn.Sigmoid, nn.Softmax, nn.Tanh),
    )
}
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}


class UnsendableError(ValueError):
    """A value that is too large or too deep to be handed in."""


class Opaque:
    """In the place of a value of which only the kind is known, which is the name of its class."""


class OpaqueNetwork(nn.Module):
    """In the place of a network with a ``forward`` of its own."""


def encode(value, inputs: tuple = ()) -> Any:
    """``value`` as JSON takes it. What is one of ``inputs`` itself is said to be that. Raises UnsendableError."""
    return _Encoder(inputs).encode(value, 0)


class _Encoder:
    def __init__(self, inputs: tuple):
        self.inputs = {id(value): place for place, value in enumerate(inputs) if isinstance(value, Tensor | nn.Module)}
        self.seen: dict[int, int] = {}
        self.kept: list = []  # what was made for sending alone must live on, or something else gets its id
        self.entries = self.parts = 0

    def encode(self, value, depth: int) -> Any:
        if depth > DEEPEST:
            raise UnsendableError(f"it is nested more than {DEEPEST} deep")
        if value is None or isinstance(value, bool) or (type(value) is float):
            return value
        if value is ...:
            return {"is": "dots"}
        if isinstance(value, str):
            return str(value)[:LONGEST_TEXT]
        if type(value) is int:
            return value if abs(value) < 2**53 else {"is": "int", "digits": str(value)[:400]}
        if isinstance(value, Tensor | nn.Module):
            if id(value) in self.inputs:
                return {"is": "input", "place": self.inputs[id(value)]}
            if id(value) in self.seen:
                return {"is": "same", "as": self.seen[id(value)]}
            self.seen[id(value)] = number = len(self.seen)
            self.kept.append(value)
            made = self._tensor(value) if isinstance(value, Tensor) else self._network(value, depth)
            return made | {"number": number}
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
            array = np.ascontiguousarray(value)
            self._count(array.size)
            return {"is": "array", "dtype": str(array.dtype), "shape": list(np.shape(value)), "data": _text(array.tobytes())}
        if isinstance(value, list | tuple):
            kind = "list" if isinstance(value, list) else "tuple"
            self._count(parts=len(value))
            return {"is": kind, "of": [self.encode(part, depth + 1) for part in value]}
        if isinstance(value, set | frozenset | dict):
            self._count(parts=len(value))
            pairs = value.items() if isinstance(value, dict) else ((part, None) for part in value)
            kind = "dict" if isinstance(value, dict) else "set"
            return {"is": kind, "of": [[self.encode(part, depth + 1) for part in pair] for pair in pairs]}
        if isinstance(value, numbers.Real | decimal.Decimal):  # a fraction, say
            return float(value)
        return {"is": "opaque", "kind": type(value).__name__}

    def _count(self, entries: int = 0, parts: int = 0) -> None:
        self.entries, self.parts = self.entries + entries, self.parts + parts
        if self.entries > MOST_ENTRIES or self.parts > MOST_PARTS:
            raise UnsendableError(f"it has more than {MOST_PARTS if self.parts > MOST_PARTS else MOST_ENTRIES:,} entries")

    def _tensor(self, value: Tensor) -> dict:
        self._count(value.numel())
        kind = str(value.dtype).removeprefix("torch.")
        if value.layout is not torch.strided or value.is_quantized or value.dtype.is_complex:
            return {"is": "opaque", "kind": type(value).__name__}
        data = value.detach().cpu().contiguous().flatten()
        data = data.view(torch.uint8) if data.numel() else torch.empty(0, dtype=torch.uint8)
        return {
            "is": "tensor",
            "dtype": kind,
            "shape": list(value.shape),
            "data": _text(data.numpy().tobytes()),
            "learns": value.requires_grad,
            "parameter": isinstance(value, nn.Parameter),
        }

    def _network(self, network: nn.Module, depth: int) -> dict:
        kind = parametrize.type_before_parametrizations(network)
        masks = getattr(network, "parametrizations", {})  # a mask of `ap.mask`, or of torch: its result counts
        parameters = {name: network.get_parameter(name) for name, _ in network.named_parameters(recurse=False)}
        parameters |= {name: getattr(network, name) for name in masks}
        made = {name: value for name, value in vars(network).items() if isinstance(value, Tensor)}  # so torch's older masks
        parameters = {name: value for name, value in parameters.items() if name.removesuffix("_orig") not in made} | made
        plain = {name: value for name, value in vars(network).items() if _is_setting(name, value)}
        return {
            "is": "network",
            "kind": kind.__name__,
            "of_torch": kind.__module__.startswith("torch.nn.modules.") and LAYERS.get(kind.__name__) is kind,
            "settings": {name: self.encode(value, depth + 1) for name, value in plain.items()},
            "parameters": {name: self.encode(value, depth + 1) for name, value in parameters.items()},
            "buffers": {name: self.encode(value, depth + 1) for name, value in network.named_buffers(recurse=False)},
            "layers": {
                name: self.encode(layer, depth + 1)
                for name, layer in network._modules.items()  # `named_children` passes over one that is used again
                if name != "parametrizations" or not masks
            },
        }


def _is_setting(name: str, value) -> bool:
    """Whether this attribute of a layer is one of its settings, such as its stride."""
    simple = value is None or isinstance(value, bool | int | float | str)
    several = isinstance(value, tuple | list) and all(isinstance(part, int) for part in value)
    return (not name.startswith("_") or name == "_reversed_padding_repeated_twice") and (simple or several)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decode(sent, inputs: tuple = ()):
    """The value that ``encode`` was given, or one of class ``Opaque``. Raises ValueError for what ``encode`` never sends."""
    try:
        return _Decoder(inputs).decode(sent, 0)
    except (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError("a value was sent that is no value") from error


class _Decoder:
    def __init__(self, inputs: tuple):
        self.inputs, self.seen = inputs, {}
        self.passes: dict[int, int] = {}  # {id of a network: layers that its inputs pass through}

    def decode(self, sent, depth: int):
        if depth > DEEPEST:
            raise ValueError("too deep")
        if sent is None or isinstance(sent, bool | int | float | str):
            return sent
        kind = sent["is"]
        if kind in ("tensor", "network"):
            made = self._tensor(sent) if kind == "tensor" else self._network(sent, depth)
            self.seen[sent["number"]] = made
            return made
        return {
            "dots": lambda: ...,
            "int": lambda: int(sent["digits"]),
            "input": lambda: self.inputs[sent["place"]],
            "same": lambda: self.seen[sent["as"]],
            "array": lambda: self._array(sent),
            "list": lambda: [self.decode(part, depth + 1) for part in sent["of"]],
            "tuple": lambda: tuple(self.decode(part, depth + 1) for part in sent["of"]),
            "set": lambda: {self.decode(key, depth + 1) for key, _ in sent["of"]},
            "dict": lambda: {self.decode(key, depth + 1): self.decode(value, depth + 1) for key, value in sent["of"]},
            "opaque": lambda: _of_kind(sent["kind"], Opaque)(),
        }[kind]()

    def _tensor(self, sent: dict) -> Tensor:
        data = bytearray(base64.b64decode(sent["data"]))
        data = torch.frombuffer(data, dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
        value = data.view(DTYPES[sent["dtype"]]).reshape(sent["shape"])
        if sent["parameter"]:
            return nn.Parameter(value.clone(), requires_grad=bool(sent["learns"]))
        return value.clone().requires_grad_(bool(sent["learns"]))

    def _array(self, sent: dict):
        dtype = np.dtype(sent["dtype"])
        if dtype.kind not in "biuf":
            raise ValueError("no array of numbers")
        array = np.frombuffer(base64.b64decode(sent["data"]), dtype).reshape(sent["shape"])
        return array.copy() if sent["shape"] else array[()]

    def _network(self, sent: dict, depth: int) -> nn.Module:
        kind = LAYERS[sent["kind"]] if sent["of_torch"] else _of_kind(sent["kind"], OpaqueNetwork)
        network = kind.__new__(kind)
        nn.Module.__init__(network)
        for name, value in sent["settings"].items():
            value = self.decode(value, depth + 1)
            sizes = value if isinstance(value, tuple | list) else [value]
            counts = name.endswith(("_features", "_channels", "num_groups", "num_batches_tracked", "_shape"))
            if not counts and any(isinstance(size, int) and abs(size) > LARGEST_SETTING for size in sizes):
                raise ValueError(f"{name} is too large")
            if not hasattr(nn.Module, name) and not callable(getattr(kind, name, None)) and _is_setting(name, value):
                setattr(network, name, value)
        network.training = self.decode(sent["settings"].get("training", True), depth + 1)
        for name, value in sent["parameters"].items():
            value = self.decode(value, depth + 1)
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                value = nn.Parameter(value.detach(), requires_grad=value.is_floating_point())
            network.register_parameter(name, value)
        if network.__class__ in (nn.Linear, nn.Conv1d, nn.Conv2d) and "bias" not in network._parameters:
            network.register_parameter("bias", None)
        for name, value in sent["buffers"].items():
            network.register_buffer(name, self.decode(value, depth + 1))
        for name, value in sent["layers"].items():
            network.add_module(name, self.decode(value, depth + 1))
        self.passes[id(network)] = 1 + sum(self.passes.get(id(layer), 1) for layer in network._modules.values())
        if self.passes[id(network)] > MOST_LAYERS:
            raise ValueError("too many layers")
        return network


def _of_kind(name: str, base: type) -> type:
    """A class of this ``name``, so that a verdict can say what came."""
    return type(name[:80] if name.isidentifier() else base.__name__, (base,), {})


def state_of(value):
    """What can have changed in an input that a function was given, as plain values; None if nothing can."""
    if isinstance(value, nn.Module):
        return {name: tensor.detach() for name, tensor in value.state_dict().items()}
    if isinstance(value, torch.Generator):
        return value.get_state()
    return value if isinstance(value, Tensor | dict | list | np.ndarray) else None


@torch.no_grad()
def set_state(value, state) -> None:
    """Make the changes to an input that a function made to its copy; what does not fit is left as it was."""
    if isinstance(value, nn.Module) and isinstance(state, dict):
        for name, tensor in value.state_dict().items():
            set_state(tensor, state.get(name))
    elif isinstance(value, torch.Generator) and isinstance(state, Tensor):
        value.set_state(state)
    elif isinstance(value, Tensor) and isinstance(state, Tensor) and value.shape == state.shape:
        value.copy_(state)
    elif isinstance(value, dict) and isinstance(state, dict):
        value.clear()
        value.update(state)
    elif isinstance(value, list) and isinstance(state, list):
        value[:] = state
    elif isinstance(value, np.ndarray) and isinstance(state, np.ndarray) and value.shape == state.shape:
        value[...] = state


def error_of(kind: str, text: str) -> Exception:
    """An error as it was raised in the sandbox. What it says may show secret inputs, so it is ``untold``."""
    known = getattr(builtins, kind, None)
    base = known if isinstance(known, type) and issubclass(known, Exception) else Exception
    try:
        error = (base if base is known else _of_kind(kind, Exception))(text)
    except TypeError:  # an error of Python's that wants more than a text
        error = _of_kind(kind, Exception)(text)
    error.untold = True
    return error
