"""What all parts of a large experiment have in common: written once, where the workers of an executor find it."""

import functools
import pickle
from pathlib import Path

from ..report.checkpoints import atomic_write


def store(question, path: Path) -> Path:
    """Write ``question`` to ``path`` and return that. Raises TypeError, which says why, for one that pickle cannot write."""
    try:
        with atomic_write(path) as unfinished:
            unfinished.write_bytes(pickle.dumps(question))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            "with an executor, models, criteria and options must be such that pickle can write them (no lambda, no function "
            f"defined in another): {error}"
        ) from error
    return path


@functools.lru_cache(maxsize=1)
def load(path: Path):
    """The question in ``path``; a worker that is asked for many parts reads it once."""
    return pickle.loads(path.read_bytes())
