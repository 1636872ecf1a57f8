"""What ships with the package, by name: tables, quizzes."""

from importlib import resources


def read_shipped(package: str, argument: str, name: str, suffix: str) -> str:
    """Return the text of the file ``name`` + ``suffix`` that lies in ``package``.

    Raises ValueError that calls it ``argument`` and lists the names there are.
    """
    folder = resources.files(package)
    known = sorted(entry.name.removesuffix(suffix) for entry in folder.iterdir() if entry.name.endswith(suffix))
    if name not in known:
        raise ValueError(f"{argument} must be one of {', '.join(map(repr, known))}, got {name!r}")
    return (folder / f"{name}{suffix}").read_text(encoding="utf-8")
