"""The secret of a course, of which the inputs follow that students' functions are tried with."""

import os
import secrets
from pathlib import Path

from ..coursework import stream

SHORTEST_KEY = 16  # bytes


def read_key(path: str | Path) -> bytes:
    """The secret in the file ``path``, which is made, for its owner's eyes only, where there is none.

    Raises ValueError for a file that holds less than 16 bytes.
    """
    path = Path(path)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
        print(f"{path} is new: keep it, and keep it secret. Without it nobody can grade again with the same hidden inputs.")
    key = path.read_bytes()
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"key must be a file of at least {SHORTEST_KEY} bytes, and {path} has {len(key)}")
    return key


def secret_seed(student: str, check: str, key: bytes) -> int:
    """The seed of the hidden inputs with which the ``check`` tries a ``student``'s function."""
    return int(stream(student, check, key).random() * 2**53)
