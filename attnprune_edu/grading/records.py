"""What came of each submission, a JSON file for each student, and whether that still holds."""

import dataclasses
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from .. import checks
from ..checks.verdict import Verdict
from ..coursework import Exercise
from ..experiments.fingerprint import fingerprint
from ..report.checkpoints import atomic_write

PACKAGE = Path(__file__).resolve().parent.parent
# What every verdict hangs on beside the exercise itself; how marks and pages are written does not belong there.
GRADER = (
    *("checks/verdict.py", "checks/steps.py", "checks/observers.py", "coursework/numbers.py", "coursework/exercise.py"),
    *("grading/judging.py", "grading/key.py", "grading/notebooks.py", "grading/running.py", "grading/sandbox.py"),
    *("grading/session.py", "grading/stand_in.py", "grading/system_calls.py", "grading/text.py", "grading/wire.py"),
    "grading/worker.py",
)
LONGEST_NAME = 80  # bytes of an id in the name of a file: most systems take 255 in all
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # no names of files on Windows

GRADED, UNREADABLE, FAILED = "graded", "unreadable", "grader failed"


@dataclass
class Record:
    """What came of one submission, the file ``shown`` of one ``student``.

    ``state``: GRADED, UNREADABLE or FAILED. ``about``: what the file and the grader were; ``exercises``: {check: fingerprint
    of the exercise that was graded}. ``time``: of the file's last change, in seconds since 1970. ``verdicts``, ``errors``,
    ``faults``, ``declared``, ``answers``, ``seconds``: as in ``running.Run``, with all keys as text. ``code``: {check: the
    student's cell with the answer}. ``same_as``: equal where all code cells are equal, for blanks and ids aside.
    """

    student: str
    shown: str
    state: str
    about: dict[str, str]
    exercises: dict[str, str] = field(default_factory=dict)
    time: float = 0.0
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    errors: list[tuple[int, str]] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    declared: str | None = None
    answers: dict[str, object] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    same_as: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


def to_grade(record: Record | None, about: dict[str, str], prints: dict[str, str]) -> list[str]:
    """The checks that must still be asked about a submission: those without a verdict on this file by this grader."""
    if record is None or record.state == FAILED or record.about != about:
        return list(prints)
    if record.state == UNREADABLE:
        return []
    return [check for check, print_ in prints.items() if record.exercises.get(check) != print_]


def about_file(sha256: str, key: bytes, unsafe: bool) -> dict[str, str]:
    """What a record holds for: a file, this grader, the key of the course, and whether there was a sandbox."""
    grader = hashlib.sha256()
    for name in GRADER:
        grader.update((PACKAGE / name).read_bytes())
    return {
        "file": sha256,
        "grader": f"{metadata.version('attnprune-edu')} {grader.hexdigest()[:16]}",
        "key": hashlib.sha256(b"which key" + key).hexdigest()[:16],  # says whether it is the same, and no more
        "sandbox": "no" if unsafe else "yes",
    }


def prints_of(exercises: Sequence[Exercise]) -> dict[str, str]:
    """{check: fingerprint of the check's code and of what coursework makes of it}."""
    return {exercise.check: fingerprint([getattr(checks, exercise.check), exercise]) for exercise in exercises}


def file_name(student: str) -> str:
    """A name for files about a student that every system can hold; no two ids get the same."""
    plain = re.sub(r"[^\w@+-]+", "_", student).encode()[:LONGEST_NAME].decode(errors="ignore")
    if plain == student and not RESERVED.fullmatch(plain):
        return plain
    return f"{plain}-{hashlib.sha256(student.encode()).hexdigest()[:8]}"


def read_record(folder: Path, student: str) -> Record | None:
    """The record of a ``student`` in ``folder``; None if there is none, or none that this version can read."""
    return _read(folder / f"{file_name(student)}.json")


def read_records(folder: Path) -> dict[str, Record]:
    """{student: record} of all in ``folder`` that this version can read."""
    found = filter(None, map(_read, sorted(folder.glob("*.json"))))
    return {record.student: record for record in found}


def _read(path: Path) -> Record | None:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        stored["verdicts"] = {check: Verdict(**verdict) for check, verdict in stored["verdicts"].items()}
        return Record(**stored)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def write_record(folder: Path, record: Record) -> None:
    """Write the ``record`` to ``folder``, whole or not at all."""
    with atomic_write(folder / f"{file_name(record.student)}.json") as unfinished:
        unfinished.write_text(json.dumps(dataclasses.asdict(record), indent=1) + "\n", encoding="utf-8")


def write_text(path: Path, text: str) -> None:
    """Make ``text`` the content of a file, whole or not at all; one that says the same already is left untouched."""
    write_bytes(path, text.encode("utf-8", "replace"))


def write_bytes(path: Path, content: bytes) -> None:
    """As ``write_text``, for what is no text."""
    if not path.is_file() or path.read_bytes() != content:
        with atomic_write(path) as unfinished:
            unfinished.write_bytes(content)
