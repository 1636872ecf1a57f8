"""Random numbers that are not those with which a network began, and the whole numbers that decide what is drawn."""

import hashlib

import numpy as np
import torch


def generator_for(purpose: str, seed: int = 0) -> torch.Generator:
    """A generator on the CPU for one ``purpose``, such as ``"random half"``; every purpose and ``seed`` has its own numbers.

    The plain way, ``torch.Generator().manual_seed(seed)``, gives the numbers of which ``torch.manual_seed(seed)`` makes the
    first weights of a network. Who wants to choose some of its weights at random then chooses by their size. No number from
    0 to 2³¹ − 1, handed to ``torch.manual_seed``, gives the numbers of this generator.
    """
    digest = hashlib.sha256(f"{purpose} {seed}".encode()).digest()
    # torch reads the lowest 32 bits of a seed. The highest of them is what small numbers do not have.
    return torch.Generator().manual_seed(2**31 | int.from_bytes(digest[:4], "big"))


def whole_number(name: str, value: int, least: int = 0, bits: int = 32) -> int:
    """Return ``value`` as Python's int, in which NumPy's narrow ones do not overflow.

    Raises TypeError or ValueError, for an argument called ``name``, unless it is a whole number from ``least`` to
    2**``bits`` - 1.
    """
    accepted = f"a whole number from {least} to 2**{bits} - 1"
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be {accepted}, got {value!r}")
    if not least <= value < 2**bits:
        raise ValueError(f"{name} must be {accepted}, got {value}")
    return int(value)
