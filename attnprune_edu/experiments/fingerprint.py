"""A short name for what a computation was given, so that a result on disk is only used again for the same question."""

import copyreg
import dataclasses
import dis
import enum
import functools
import hashlib
import pickle
import sys
import types
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_PLAIN = (type(None), bool, int, float, complex, str, bytes, types.EllipsisType)
# What a function may read from its module beside other functions and classes.
_DATA = (*_PLAIN, list, tuple, dict, set, frozenset, enum.Enum, np.ndarray, Tensor, nn.Module)
_CODE = ("co_code", "co_consts", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_flags", "co_exceptiontable")
_ARGUMENTS = ("co_argcount", "co_posonlyargcount", "co_kwonlyargcount")


def fingerprint(value: object) -> str:
    """Return 16 hexadecimal digits for ``value``; the same value gives the same ones, also in another process.

    Containers, dataclasses and other objects count with their type and contents (dictionaries in their order, sets without
    one), tensors and arrays with their numbers. A network counts with its class, parameters, buffers, layers, hooks and all
    other attributes, but not with its mode, training or evaluation. A function counts with its name, its code, its defaults,
    what it encloses, and what it names in its own module: functions, classes, numbers, texts, containers, tensors and
    networks. A class counts with its methods and attributes. What the standard library or an installed package gives counts
    by its name alone.

    Raises TypeError for what has no contents that could be read, such as a lock, an open file or a plain ``object()``.
    """
    try:
        return _Digests().of(value).hex()[:16]
    except RecursionError as error:
        raise TypeError(f"no fingerprint for this {type(value).__qualname__}: it is nested too deeply") from error


class _Digests:
    """The digests of everything that ``fingerprint`` meets on its way through one value.

    Each is made of a tag and the digests of the parts, which are all equally long: so nothing runs into its neighbour.
    """

    def __init__(self):
        # By id. The objects stay referenced, for a new one might get the id of an old one.
        self.known: dict[int, tuple[Any, bytes | int]] = {}
        self.depth = 0

    def of(self, value: object) -> bytes:
        if isinstance(value, np.generic) and value.dtype.kind in "biufcUS":
            value = value.item()
        if type(value) in _PLAIN:
            return hashlib.sha256(f"{type(value).__name__}\0{value!r}".encode("utf-8", "surrogatepass")).digest()
        _, known = self.known.get(id(value), (None, None))
        if isinstance(known, int):  # it contains itself: that many steps up
            return self._made_of("itself", str(self.depth - known).encode())
        if known is None:
            self.known[id(value)] = (value, self.depth)
            self.depth += 1
            known = self._made_of(*_taken_apart(value))
            self.depth -= 1
            self.known[id(value)] = (value, known)
        return known

    def _made_of(self, tag: str, parts: bytes | Iterable) -> bytes:
        if not isinstance(parts, bytes):
            digests = [self.of(part) for part in parts]
            parts = b"".join(digests[:1] + sorted(digests[1:]) if tag == "set" else digests)
        return hashlib.sha256(tag.encode() + b"\0" + parts).digest()


def _taken_apart(value: Any) -> tuple[str, bytes | Iterable]:
    """A tag for the kind of ``value``, and either its bytes or its parts."""
    if type(value) in (list, tuple):
        return type(value).__name__, value
    if type(value) is dict:
        return "dict", [part for item in value.items() for part in item]
    if isinstance(value, set | frozenset):
        return "set", [type(value), *value]  # the members are put into an order of their own
    if isinstance(value, Tensor):
        return "tensor", _bytes_of(value)
    if type(value) is np.ndarray and not value.dtype.hasobject:
        return "array", f"{value.dtype.descr} {value.shape}\0".encode() + value.tobytes()
    if isinstance(value, enum.Enum):
        return "enum", [type(value).__module__, type(value).__qualname__, value.name, value.value]
    if isinstance(value, type):
        return "class", _class_parts(value)
    if isinstance(value, nn.Module):
        return "network", _network_parts(value)
    if dataclasses.is_dataclass(value):
        return "dataclass", [type(value), {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}]
    return _callable_parts(value) or _object_parts(value)


def _bytes_of(tensor: Tensor) -> bytes:
    learns = tensor.requires_grad if isinstance(tensor, nn.Parameter) else None
    try:
        plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().view(-1).view(torch.uint8)
    except (RuntimeError, NotImplementedError) as error:
        raise TypeError(f"no fingerprint for a tensor without plain numbers ({tensor.layout}, {tensor.device})") from error
    return f"{tensor.dtype} {tuple(tensor.shape)} {learns}\0".encode() + plain.numpy().tobytes()


def _network_parts(model: nn.Module) -> Iterator:
    yield type(model)
    yield len(list(model.parameters()))  # a parameter that serves twice is not the same as two equal ones
    for name, part in vars(model).items():
        if name == "training" or name.startswith(("_state_dict_", "_load_state_dict_")):
            continue
        if name == "_graph" and isinstance(model, torch.fx.GraphModule):
            continue  # its class has a forward made of it
        if isinstance(part, Mapping) and name.startswith(("_forward_", "_backward_")):
            part = list(part.values())  # hooks; their keys are counted through the process
        yield name
        yield part


def _class_parts(kind: type) -> Iterator:
    yield kind.__qualname__
    if _is_installed(kind) or issubclass(kind, enum.Enum):
        yield kind.__module__
        return
    yield from (type(kind), kind.__bases__)
    for name, part in vars(kind).items():
        special = name.startswith("__") and name.endswith("__")
        function = isinstance(part, types.FunctionType | staticmethod | classmethod | property)
        slot = isinstance(part, types.MemberDescriptorType | types.GetSetDescriptorType)
        if (not special or function) and not slot and name not in ("_abc_impl", "__annotate__", "__annotate_func__"):
            yield name
            yield part


def _callable_parts(value: Any) -> tuple[str, Iterable] | None:
    """The parts of what has code, None for other objects."""
    if isinstance(value, types.FunctionType):
        if _is_installed(value):
            return "function", [value.__module__, value.__qualname__]
        enclosed = [cell.cell_contents if _is_full(cell) else ... for cell in value.__closure__ or ()]
        attributes = {name: part for name, part in vars(value).items() if name != "__wrapped__"}
        signature = [value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__]
        return "function", [*signature, enclosed, attributes, dict(_named_in_module(value))]
    if isinstance(value, types.CodeType):
        return "code", [getattr(value, name, None) for name in (*_CODE, *_ARGUMENTS)]
    if isinstance(value, types.MethodType):
        return "method", [value.__func__, value.__self__]
    if isinstance(value, types.BuiltinFunctionType):
        return "built-in", [value.__module__, value.__qualname__, value.__self__]
    if isinstance(value, types.ModuleType):
        return "module", [value.__name__]
    if isinstance(value, property):
        return "property", [value.fget, value.fset, value.fdel]
    if isinstance(value, functools.cached_property):
        return "property", [value.func]
    if isinstance(value, weakref.ReferenceType):
        return "reference", [value()]
    if hasattr(type(value), "__wrapped__") or "__wrapped__" in getattr(value, "__dict__", ()):
        return "wrapper", [type(value), value.__wrapped__]
    return None


def _object_parts(value: Any) -> tuple[str, Iterable]:
    """The parts of any other object: what pickle would write."""
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if type(value) is object:
        raise TypeError("no fingerprint for a plain object(): it has no contents")
    reduce = copyreg.dispatch_table.get(type(value), lambda value: value.__reduce_ex__(2))
    try:
        reduced = reduce(value)
    except Exception as error:  # whatever an object raises that cannot be written
        raise TypeError(f"no fingerprint for a {kind}: its contents cannot be read ({error})") from error
    if not isinstance(reduced, str):
        make, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
        return "object", [type(value), make, arguments, state, list(items or ()), list(pairs or ())]
    if _found(pickle.whichmodule(value, reduced), reduced) is not value:
        raise TypeError(f"no fingerprint for a {kind}: no module has it under its name {reduced!r}")
    return "name", [type(value), getattr(value, "__module__", None), reduced]


def _is_full(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018  (raises if there is nothing yet)
    except ValueError:
        return False
    return True


def _is_installed(value: Any) -> bool:
    """Whether the standard library or an installed package gives ``value`` under its name."""
    name = getattr(value, "__module__", None)
    if not isinstance(name, str) or not _is_package_installed(
        name.partition(".")[0]
    ):  # types in C may have other things there
        return False
    return _found(name, value.__qualname__) is value


def _found(module: str, name: str) -> Any:
    """What ``module`` has under a name such as ``Class.method``, None if it has nothing."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


@functools.cache
def _is_package_installed(name: str) -> bool:
    if name == "builtins" or name in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return name != "__main__" and file is not None and not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _named_in_module(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """What the code of ``function`` names that its own module made: functions, classes and data."""
    for name in dict.fromkeys(_global_names(function.__code__)):
        found = function.__globals__.get(name)
        made_here = hasattr(found, "__qualname__") and getattr(found, "__module__", None) == function.__module__
        if name in function.__globals__ and not name.startswith("__") and (made_here or isinstance(found, _DATA)):
            yield name, found


def _global_names(code: types.CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _global_names(constant)
