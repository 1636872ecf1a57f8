"""A short name for what a computation was given, so that a result on disk is only used again for the same question."""

import dataclasses
import functools
import hashlib
import types
from collections.abc import Iterator, Mapping
from numbers import Real

import torch
from torch import Tensor, nn


def fingerprint(value: object) -> str:
    """Return 16 hexadecimal digits for ``value``; equal values give the same ones, also in another process.

    Tensors and networks count with their numbers, dictionaries and dataclasses with their contents, functions with their
    name, their code, their defaults and what they enclose. What a function reads from its module is not looked at.
    """
    digest = hashlib.sha256()
    for part in _parts(value):
        digest.update(part + b"\0")
    return digest.hexdigest()[:16]


def _parts(value: object) -> Iterator[bytes]:
    yield type(value).__qualname__.encode() if not isinstance(value, Real) else b"number"
    if isinstance(value, Real):
        inside = [repr(float(value))]
    elif isinstance(value, str | bytes | None):
        yield repr(value).encode()
        return
    elif isinstance(value, Tensor):
        yield f"{value.dtype} {tuple(value.shape)}".encode()
        yield value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        return
    elif isinstance(value, nn.Module):
        inside = [value.state_dict()]
    elif dataclasses.is_dataclass(value):
        inside = [{field.name: getattr(value, field.name) for field in dataclasses.fields(value)}]
    elif isinstance(value, Mapping):
        inside = [part for item in value.items() for part in item]
    elif isinstance(value, list | tuple):
        inside = value
    elif isinstance(value, set | frozenset):
        inside = sorted(map(fingerprint, value))
    elif isinstance(value, functools.partial):
        inside = [value.func, value.args, value.keywords]
    elif isinstance(value, types.MethodType):
        inside = [value.__func__, value.__self__]
    elif isinstance(value, types.FunctionType):
        enclosed = [cell.cell_contents for cell in value.__closure__ or ()]
        inside = [value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, enclosed]
    elif isinstance(value, types.CodeType):
        inside = [value.co_code, value.co_names, value.co_consts]
    elif hasattr(value, "__qualname__"):  # classes and what is written in C
        inside = [value.__qualname__]
    else:
        inside = [getattr(value, "__dict__", None) or repr(value)]
    for part in inside:
        yield from _parts(part)
