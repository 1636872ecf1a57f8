"""Who takes the course: the teacher's list, and which of its students a file or folder is named after."""

import csv
import io
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .text import printable

# What a column may be called, the best name first; as Moodle, Canvas, nbgrader and GitHub Classroom export them.
COLUMNS = {
    "id": ("student", "student id", "id", "username", "user name", "login", "sis login id", "id number", "identifier"),
    "name": ("name", "full name", "student name"),
    "first": ("first name", "firstname"),
    "last": ("last name", "surname", "lastname"),
    "email": ("email", "email address", "e mail"),
    "participant": ("participant", "participant number", "participant id"),
    "github": ("github", "github username", "github user"),
}


@dataclass(frozen=True)
class Student:
    """One student: an ``id`` in lower case, and what else the list knows; "" where it does not."""

    id: str
    name: str = ""
    email: str = ""
    participant: str = ""
    github: str = ""


def same_id(text: str) -> str:
    """The form in which ids are compared: capitals and spaces around them do not count."""
    return unicodedata.normalize("NFC", printable(text.strip())).lower()  # names of files may hold what no text does


class Roster:
    """The ``students`` of a course, in the order of the list; empty if the teacher has none."""

    def __init__(self, students: Iterable[Student] = ()):
        self.students = {student.id: student for student in students}
        self._known_as = {same_id(student.github): student.id for student in self.students.values() if student.github}
        self._known_as |= {name: name for name in self.students}

    def find(self, text: str, *, anywhere: bool = False) -> str | None:
        """The id of the one whom ``text`` names: all of it, or its end after a ``-``, or with ``anywhere`` any word of it.

        None if that is nobody, or if it could be two.
        """
        text = same_id(text)
        if text in self._known_as:
            return self._known_as[text]
        pattern = r"(?<!\w){}(?!\w)|(?<![^\W_]){}(?![^\W_])" if anywhere else r"-{}$"
        named = [name for name in self._known_as if re.search(pattern.replace("{}", re.escape(name)), text)]
        longest = [name for name in named if len(name) == max(map(len, named))]
        return self._known_as[longest[0]] if len(longest) == 1 else None

    def find_participant(self, number: str, name: str) -> str | None:
        """The id of the one with this ``number`` in Moodle; in a list without numbers, the only one of that ``name``."""
        by_number = [student.id for student in self.students.values() if student.participant]
        if by_number:
            found = [known for known in by_number if self.students[known].participant == number]
        else:
            found = [student.id for student in self.students.values() if same_id(student.name) == same_id(name)]
        return found[0] if len(found) == 1 else None


def read_roster(path: str | Path) -> Roster:
    """The list in the CSV file ``path``, with a column for the id and, if there are, for what else ``COLUMNS`` names.

    Raises ValueError for a file that is no such list, has two lines for one id, or a line without one.
    """
    path = Path(path)
    lines = list(rows(path))
    header = [re.sub(r"[\s_-]+", " ", name).strip().lower() for name in (lines[0][1] if lines else [])]
    places = {
        field: next((header.index(name) for name in names if name in header), None) for field, names in COLUMNS.items()
    }
    if places["id"] is None:
        accepted = ", ".join(COLUMNS["id"])
        raise ValueError(
            f"{path.name} must have a column for the id, one of {accepted}; its columns are {lines[:1] and lines[0][1]}"
        )
    students: dict[str, Student] = {}
    for number, cells in lines[1:]:
        found = {
            field: cells[place].strip() if place is not None and place < len(cells) else ""
            for field, place in places.items()
        }
        found["id"] = same_id(found["id"])
        name = found["name"] or f"{found.pop('first')} {found.pop('last')}".strip()
        found = {field: found[field] for field in ("id", "email", "participant", "github")} | {"name": name}
        found["participant"] = found["participant"].lower().removeprefix("participant").strip()
        if not found["id"]:
            raise ValueError(f"{path.name}, line {number}: the id is empty")
        if found["id"] in students:
            raise ValueError(
                f"{path.name}, line {number}: the id {found['id']!r} stands there twice (capitals do not count)"
            )
        students[found["id"]] = Student(**found)
    if not students:
        raise ValueError(f"{path.name} must have a line for each student below its header; it has none")
    return Roster(students.values())


def rows(path: Path) -> Iterable[tuple[int, list[str]]]:
    """The lines of a CSV file that a spreadsheet may have written, (number of the line, cells), without the empty ones."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path.name} must be text in UTF-8, as a spreadsheet writes it with 'CSV UTF-8': {error}"
        ) from error
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, cells
