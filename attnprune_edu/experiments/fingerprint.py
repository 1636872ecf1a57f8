"""A short name for what a computation was given, so that a result on disk is only used again for the same question."""

import dataclasses
import enum
import functools
import hashlib
import sys
import types
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

DEEPEST = 300  # levels, or Python itself would give up
_PLAIN = (type(None), bool, int, float, complex, str, bytes, types.EllipsisType)
# What a function may read from its module beside what was made there.
_DATA = (*_PLAIN, list, tuple, dict, set, frozenset, enum.Enum, np.ndarray, Tensor, nn.Module)
_CODE = ("co_code", "co_consts", "co_names", "co_varnames", "co_freevars", "co_cellvars", "co_flags")
_PARTS = {  # of what pickle would not write, or by its name alone
    types.CodeType: [*_CODE, "co_argcount", "co_posonlyargcount", "co_kwonlyargcount"],
    types.CellType: ["cell_contents"],
    types.MethodType: ["__func__", "__self__"],
    types.BuiltinFunctionType: ["__module__", "__qualname__", "__self__"],
    (types.ModuleType, types.GetSetDescriptorType): ["__name__"],
    property: ["fget", "fset", "fdel"],
    functools.cached_property: ["func"],
    (staticmethod, classmethod, functools._lru_cache_wrapper): ["__wrapped__"],
}


def fingerprint(value: object) -> str:
    """Return 16 hexadecimal digits for ``value``; the same value gives the same ones, also in another process.

    Containers, dataclasses and other objects count with their type and contents (dictionaries in their order, sets without
    one), tensors and arrays with their numbers. A network counts with its class, parameters, buffers, layers, hooks and all
    other attributes, but not with its mode, training or evaluation. A function counts with its name, its code, its defaults,
    what it encloses, and what it names in its own module: functions, classes and their objects, numbers, texts, containers,
    tensors and networks. A class counts with its methods and attributes. What the standard library or an installed package
    gives counts by its name alone.

    Raises TypeError for what does not tell its contents, such as a lock, an open file, a compiled regular expression, a
    function like ``np.sin`` or a plain ``object()``.
    """
    return _digest(value, {}).hex()[:16]


def _digest(value: Any, known: dict[int, tuple[Any, bytes]], above: tuple[int, ...] = ()) -> bytes:
    """Made of a tag and the digests of the parts, which are all equally long: so nothing runs into its neighbour.

    ``known``: {id: (object, its digest)}, with the object, for a new one might get the id of an old one. ``above``: the ids
    of what contains ``value``.
    """
    if id(value) in known:
        return known[id(value)][1]
    if id(value) in above:  # it contains itself: that many steps up
        return hashlib.sha256(f"itself {above[::-1].index(id(value))}".encode()).digest()
    if len(above) == DEEPEST:
        raise TypeError(f"no fingerprint for what is nested too deeply, in more than {DEEPEST} levels")
    try:
        tag, parts = _taken_apart(value)
    except Exception as error:  # whatever an object raises that cannot be read
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        raise TypeError(f"no fingerprint for a {kind}: its contents cannot be read ({error})") from error
    if not isinstance(parts, bytes):
        digests = [_digest(part, known, (*above, id(value))) for part in parts]
        parts = b"".join(sorted(digests) if tag in ("set", "frozenset") else digests)
    digest = hashlib.sha256(tag.encode() + b"\0" + parts).digest()
    known[id(value)] = value, digest
    return digest


def _taken_apart(value: Any) -> tuple[str, bytes | Iterable]:
    """A tag for the kind of ``value``, and either its bytes or its parts."""
    if isinstance(value, np.generic) and value.dtype.kind in "biufcUS":
        value = value.item()
    tag = type(value).__name__
    if type(value) in _PLAIN:
        return tag, repr(value).encode("utf-8", "surrogatepass")
    if type(value) in (list, tuple, set, frozenset):
        return tag, value
    if type(value) is dict:
        return tag, [part for item in value.items() for part in item]
    if isinstance(value, Tensor):
        if value.layout != torch.strided or value.is_meta:
            raise TypeError(f"a tensor without plain numbers, {value.layout} on {value.device}")
        learns = value.requires_grad if isinstance(value, nn.Parameter) else None
        plain = value.detach().cpu().resolve_conj().resolve_neg().contiguous().view(-1).view(torch.uint8)
        return "tensor", f"{value.dtype} {tuple(value.shape)} {learns}\0".encode() + plain.numpy().tobytes()
    if type(value) is np.ndarray and not value.dtype.hasobject:
        return "array", f"{value.dtype.descr} {value.shape}\0".encode() + value.tobytes()
    if isinstance(value, enum.EnumMeta) or (isinstance(value, type | types.FunctionType) and _is_installed(value)):
        return "name", [value.__module__, value.__qualname__]
    if isinstance(value, type):
        return "class", _class_parts(value)
    if isinstance(value, nn.Module):
        return "network", _network_parts(value)
    if isinstance(value, types.FunctionType):
        return "function", _function_parts(value)
    if dataclasses.is_dataclass(value):
        return "dataclass", [type(value), {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}]
    for kinds, names in _PARTS.items():
        if isinstance(value, kinds):
            return tag, [getattr(value, name) for name in names]
    if type(value) is object or isinstance(value, set | frozenset):
        raise TypeError("a plain object() has none, and sets of other classes have no order")
    written = value.__reduce_ex__(2)  # as pickle does
    if isinstance(written, str):
        return "name", [type(value), getattr(value, "__module__", None), written]
    return "object", [type(value), *written[:3], *(list(more or ()) for more in written[3:5])]


def _network_parts(model: nn.Module) -> list:
    unread = {"training", "_flat_weight_refs"}
    if isinstance(model, torch.fx.GraphModule):
        unread.add("_graph")  # its class has a forward made of it
    attributes = {name: part for name, part in vars(model).items() if name not in unread}
    for name, part in attributes.items():
        if isinstance(part, OrderedDict) and "_hooks" in name:
            attributes[name] = list(part.values())  # the keys are counted through the process
    # A parameter that serves twice is not the same as two equal ones.
    return [type(model), len(list(model.parameters())), attributes]


def _class_parts(kind: type) -> list:
    members = {}
    for name, part in vars(kind).items():
        is_method = isinstance(part, types.FunctionType | staticmethod | classmethod | property)
        if (is_method or not name.startswith("__")) and name not in ("_abc_impl", "__annotate__", "__annotate_func__"):
            members[name] = part
    return [kind.__qualname__, type(kind), kind.__bases__, members]


def _function_parts(function: types.FunctionType) -> list:
    codes, scope = [function.__code__], function.__globals__
    for code in codes:  # grows meanwhile
        codes += [inner for inner in code.co_consts if isinstance(inner, types.CodeType)]
    found = {name: scope[name] for code in codes for name in code.co_names if name in scope and not name.startswith("__")}
    named = {
        name: part
        for name, part in found.items()
        if isinstance(part, _DATA) or getattr(part, "__module__", None) == function.__module__
    }
    signature = [function.__qualname__, function.__code__, function.__defaults__, function.__kwdefaults__]
    return [*signature, function.__closure__, vars(function), named]


def _is_installed(value: Any) -> bool:
    """Whether the standard library or an installed package gives ``value`` under its name."""
    module = str(getattr(value, "__module__", None))  # types in C may have other things there
    package = module.partition(".")[0]
    folders = Path(getattr(sys.modules.get(package), "__file__", None) or "").parts
    if package not in sys.stdlib_module_names and {"site-packages", "dist-packages"}.isdisjoint(folders):
        return False
    found = sys.modules.get(module)
    for name in value.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is value and module != "__main__"
