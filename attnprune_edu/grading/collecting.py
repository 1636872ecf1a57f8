"""From what a teacher has, folders and zips of every system, to one notebook a student; every file is accounted for.

Who handed in what is decided by names that the system gave, never by what a student could choose deeper inside.
"""

import datetime
import functools
import hashlib
import itertools
import os
import re
import stat
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .notebooks import LARGEST
from .roster import Roster, same_id

MOST_FILES = 100_000  # in one zip
MOST_UNPACKED = 20 * 2**30  # bytes, of one zip
NOTEBOOK = re.compile(r"\.ipynb(\.txt|\.json)?$", re.IGNORECASE)  # browsers add an ending of their own
MOODLE = re.compile(r"(?P<name>.+)_(?P<number>\d+)_assignsubmission_[a-z]*_?", re.DOTALL)
STRANGER = "fits no line of the roster"
COPIES = {".ipynb_checkpoints", "__MACOSX", ".git"}  # folders of copies that nobody handed in


@dataclass(frozen=True)
class Source:
    """Where a file lies: the file ``path``, or in the zip there the ``member`` of this place in its list, from 0."""

    path: str
    member: int | None = None

    def read(self) -> bytes:
        """Its bytes, but no more than one above 100 MB. Raises OSError, or ValueError for a damaged zip."""
        if self.member is None:
            with open(self.path, "rb", opener=_without_following) as file:
                return file.read(LARGEST + 1)
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(archive.infolist()[self.member]) as file:
                return file.read(LARGEST + 1)
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:  # encrypted, unknown method, …
            raise ValueError(f"the zip is damaged or locked ({error})") from error


def _without_following(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


@dataclass
class File:
    """One file that was seen: its name ``shown`` to the teacher, the ``time`` of its last change in seconds since 1970,
    whose it is ("" if nobody's), and what ``became`` of it, "" before that is known.
    """

    shown: str
    folders: tuple[str, ...]
    name: str
    source: Source
    time: float
    student: str = ""
    became: str = ""
    sha256: str = ""

    @property
    def is_notebook(self) -> bool:
        """Whether it may be graded, by its name."""
        return not self.became and bool(NOTEBOOK.search(self.name))


@dataclass(frozen=True)
class Collection:
    """``files``: all that were seen. ``chosen``: {student: the file to grade}. ``without``: {student: why there is none}."""

    files: list[File]
    chosen: dict[str, File]
    without: dict[str, str]

    @property
    def strangers(self) -> list[File]:
        """The notebooks that nobody on the roster handed in, as far as Moodle's names tell."""
        return [file for file in self.files if file.became.endswith(STRANGER)]


def collect(submissions: Sequence[str | Path], roster: Roster, lesson: str) -> Collection:
    """Look through ``submissions``, files, folders or zips, for notebooks of a ``lesson`` such as ``"02"``.

    Known are a flat folder of files named after students, a folder for each student, nbgrader's ``submitted/ID/…``, what
    Moodle packs, checkouts of GitHub Classroom, and a zip of any of these. Of two notebooks of one student the later one is
    chosen, but one of another lesson last. Raises FileNotFoundError for a submission that is not there, and ValueError for
    one that is neither a folder nor a notebook nor a zip, or where Moodle's names fit nobody in the ``roster``.
    """
    files: list[File] = []
    for path in map(Path, submissions):
        found = list(_seen(path))
        _pass_over(found)
        _name_students(found, roster, is_zip=path.is_file())
        files += found
    chosen: dict[str, File] = {}
    for file in sorted(filter(lambda file: file.is_notebook, files), key=lambda file: _order(file, lesson)):
        if not file.student:
            file.became = "refused: it names no student"
            continue
        try:
            file.sha256 = _sha256(file.source)
        except (OSError, ValueError) as error:
            file.became = f"refused: it cannot be read ({getattr(error, 'strerror', None) or error})"
            continue
        if file.student in chosen:
            chosen[file.student].became = f"superseded by {file.shown}"
        chosen[file.student] = file
    for file in chosen.values():
        file.became = "graded"
    without = {
        file.student: f"{file.name}: {file.became}"
        for file in files
        if file.student and file.student not in chosen
        if file.student in roster.students or file.became.startswith("refused")
    }
    collection = Collection(files, dict(sorted(chosen.items())), without)
    if collection.strangers and not any(file.student and moodle_folder(file.shown) for file in files):
        raise ValueError(
            "Moodle's folders are named after its participants, and none of them is on the roster (the first is: "
            f"{collection.strangers[0].became.removeprefix('refused: ')}). Beside the column for the id, the roster needs "
            "the column participant, with the number that Moodle's grading worksheet has as 'Participant 12345', or the "
            "column name, with names as Moodle writes them"
        )
    return collection


def moodle_number(shown: str) -> str:
    """The number of the participant who handed in the file ``shown``; "" if it does not come from Moodle."""
    match = MOODLE.match(moodle_folder(shown))
    return match["number"] if match else ""


def moodle_folder(shown: str) -> str:
    """What Moodle named the folder of the file ``shown``, as in "Ada_10021_assignsubmission_file_"; "" if there is none."""
    return next((match[0] for part in re.split(r"[/\\]", shown) if (match := MOODLE.match(part))), "")


def _order(file: File, lesson: str) -> tuple:
    other = re.match(r"(\d\d)_", file.name)
    return bool(other is None or other[1] == lesson), file.time, file.shown


def _sha256(source: Source) -> str:
    content = source.read()
    if len(content) > LARGEST:
        raise ValueError("it is larger than 100 MB; clear the outputs of all cells, save it, and hand it in again")
    return hashlib.sha256(content).hexdigest()


def _seen(path: Path) -> Iterator[File]:
    if path.is_dir():
        yield from _in_folder(path)
    elif not path.exists():
        raise FileNotFoundError(f"submissions must be folders, zips or notebooks, and {path} is not there")
    elif zipfile.is_zipfile(path):
        yield from _in_zip(path)
    elif NOTEBOOK.search(path.name):
        yield File(str(path), (), path.name, Source(str(path)), path.stat().st_mtime)
    else:
        raise ValueError(f"submissions must be folders, zips or notebooks, got {path}")


def _in_folder(root: Path) -> Iterator[File]:
    def seen(path: Path, became: str = "") -> File:
        try:
            status = path.lstat()
        except OSError as error:
            return File(str(path), _folders(path), path.name, Source(str(path)), 0.0, became=f"refused: {error.strerror}")
        if stat.S_ISLNK(status.st_mode):
            became = "refused: it is a link; hand in the file itself"
        elif not stat.S_ISREG(status.st_mode) and not became:
            became = "refused: it is no plain file"
        return File(str(path), _folders(path), path.name, Source(str(path)), status.st_mtime, became=became)

    def _folders(path: Path) -> tuple[str, ...]:
        return path.relative_to(root).parts[:-1]

    refused: list[File] = []
    for folder, inner, names in os.walk(
        root, onerror=lambda e: refused.append(seen(Path(e.filename), f"refused: {e.strerror}"))
    ):
        for name in sorted(inner):
            if name == ".git" or (Path(folder) / name).is_symlink():
                inner.remove(name)
                yield seen(Path(folder) / name, "passed over: it is the history of a checkout")
        inner.sort()
        for name in sorted(names):
            yield seen(Path(folder) / name)
    yield from refused


def _in_zip(path: Path) -> Iterator[File]:
    try:
        members = zipfile.ZipFile(path).infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ValueError(f"submissions must be folders, zips or notebooks; {path} is damaged ({error})") from error
    if len(members) > MOST_FILES or sum(member.file_size for member in members) > MOST_UNPACKED:
        raise ValueError(
            f"a zip must hold at most {MOST_FILES:,} files and 20 GB, and {path} holds more; unpack it with care"
        )
    for place, member in enumerate(members):
        if member.is_dir():
            continue
        # Such names only say whose a file is; nothing is ever written under them.
        parts = tuple(
            part for part in PurePosixPath(member.filename.replace("\\", "/")).parts if part not in ("/", ".", "..")
        )
        try:
            time = datetime.datetime(*member.date_time).timestamp()
        except (ValueError, OverflowError):
            time = 0.0
        became = "refused: it is a link; hand in the file itself" if stat.S_ISLNK(member.external_attr >> 16) else ""
        *folders, name = parts or ("",)
        yield File(f"{path}/{'/'.join(parts)}", tuple(folders), name, Source(str(path), place), time, became=became)


def _pass_over(files: list[File]) -> None:
    in_nbgrader = any(file.folders[:1] == ("submitted",) for file in files if file.is_notebook)
    for file in files:
        if file.became:
            continue
        if COPIES.intersection(file.folders) or file.name.startswith("._"):
            file.became = "passed over: it is a copy that a program keeps"
        elif file.name.lower().endswith(".zip"):
            file.became = "refused: it is a zip inside; unpack it, and hand in the notebook itself"
        elif not file.is_notebook:
            file.became = "passed over: it is no notebook (.ipynb)"
        elif in_nbgrader and file.folders[:1] != ("submitted",):
            file.became = "passed over: it is not in the folder submitted"


def _name_students(files: list[File], roster: Roster, is_zip: bool) -> None:
    """Say of each file whose it is. What all notebooks share are folders around the students', or one student's own."""
    folders = [file.folders for file in files if file.is_notebook]
    shared = functools.reduce(_common, folders) if folders else ()
    flat = is_zip and len(shared) == 1 and len([inner for inner in folders if inner == shared]) > 1
    checkouts = {(*file.folders, file.name)[-2] for file in files if file.name == ".git" and file.folders}
    checkouts |= {
        inner for file in files if ".git" in file.folders[1:] for inner in [file.folders[file.folders.index(".git") - 1]]
    }
    assignment = (
        "".join("".join(functools.reduce(_common, sorted(checkouts))).rpartition("-")[:2]) if len(checkouts) > 1 else ""
    )
    for file in files:
        if not file.became.startswith("passed over: it is a copy"):
            file.student = _student_of(file, roster, shared, flat, assignment)


def _common(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """How both begin."""
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return tuple(part for part, _ in same)


def _student_of(file: File, roster: Roster, shared: tuple[str, ...], flat: bool, assignment: str) -> str:
    for part in (*file.folders, file.name):
        if moodle := MOODLE.match(part):
            known = roster.find_participant(moodle["number"], moodle["name"])
            if not known and file.is_notebook:  # the number is no id: the student typed another, and has its numbers
                file.became = f"refused: Moodle's participant {moodle['number']}, {moodle['name']}, {STRANGER}"
            return known or ""
    if "submitted" in file.folders[:-1]:
        part = file.folders[file.folders.index("submitted") + 1]
        return roster.find(part) or same_id(part)
    around = _common(file.folders, shared)
    known = next((known for part in around if (known := roster.find(part))), None)
    if known:
        return known
    if own := file.folders[len(around) :]:
        return roster.find(own[0]) or same_id(own[0].removeprefix(assignment))
    if shared and not flat and around == shared:
        return same_id(shared[0])
    stem = re.sub(r" ?\(\d+\)$", "", NOTEBOOK.sub("", file.name).removesuffix(".zip"))
    handed_in = file.is_notebook or file.became.startswith("refused")
    return roster.find(stem, anywhere=True) or (same_id(stem) if handed_in else "")
