"""What a teacher chose for the grading of a lesson, remembered from one run to the next."""

import dataclasses
import datetime
import json
from dataclasses import dataclass
from pathlib import Path

from .records import write_text


@dataclass(frozen=True)
class Settings:
    """``deadline``: in the computer's own time unless it names a zone; None if there is none. ``solutions``: whether wrong
    answers are followed by a solution in the feedback.
    """

    deadline: datetime.datetime | None = None
    solutions: bool = True

    def __str__(self) -> str:
        """What differs from a first run, with the option that takes it back; "" if nothing does."""
        said = [f"the deadline is {self.deadline:%Y-%m-%d %H:%M} (--deadline none takes it back)"] if self.deadline else []
        if not self.solutions:
            said.append("feedback has no solutions (--with-solutions brings them back)")
        return "; ".join(said)


def read_settings(path: Path) -> Settings:
    """The settings in the file ``path``, those of a first run if it is missing. Raises ValueError if it holds none."""
    if not path.exists():
        return Settings()
    try:
        stored = Settings(**json.loads(path.read_text(encoding="utf-8")))
        deadline = stored.deadline and datetime.datetime.fromisoformat(stored.deadline)
        return dataclasses.replace(stored, deadline=deadline, solutions=bool(stored.solutions))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} holds no settings any more ({error}); delete it, and give the options again") from error


def write_settings(path: Path, settings: Settings) -> None:
    """Write the ``settings`` into the file ``path``."""
    deadline = settings.deadline and settings.deadline.isoformat()
    write_text(path, json.dumps({"deadline": deadline, "solutions": settings.solutions}) + "\n")
