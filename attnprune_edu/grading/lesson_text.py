"""A lesson's exercises, as its text has them: what coursework is made from, and what it must agree with."""

import re
from dataclasses import dataclass
from pathlib import Path

from .. import checks
from .._course import COURSE
from ..coursework import Exercise, exercises_of

FENCE = re.compile(r"```python\n(.*?)```\n?", re.DOTALL)
FOLDED = re.compile(r"<details><summary>(Hint|Solution)</summary>\n\n(.*?)</details>\n?", re.DOTALL)
CALL = re.compile(r"ap\.checks\.(\w+)\((\w+)\)")


@dataclass(frozen=True)
class Part:
    """One exercise as it stands in the lesson.

    ``heading``, such as "Exercise 1 · ★ · 4 minutes"; ``before``: what stands above the blank, texts and code in turn, the
    first and the last of them a text; ``blank``: the code with the three dots, without the call of the ``check``;
    ``answer``: the variable that the call hands over; ``hint`` in Markdown; ``solution``: code.
    """

    heading: str
    before: tuple[str, ...]
    blank: str
    check: str
    answer: str
    hint: str
    solution: str


def lesson_file(lesson: str, course: Path = COURSE) -> Path:
    """The text of a ``lesson``, by its number. Raises FileNotFoundError where there is none."""
    found = sorted((course / "lessons").glob(f"{lesson}_*.md"))
    if not found:
        raise FileNotFoundError(f"no lesson {lesson} in {course / 'lessons'}")
    return found[0]


def title_of(text: str) -> str:
    """The title of a lesson, from its first heading."""
    return re.search(r"^# (.+)$", text, re.MULTILINE)[1]


def parts_of(text: str) -> list[Part]:
    """The exercises of a lesson's text."""
    section = text.split("## Your turn\n", 1)[-1]
    section = re.split(r"^## ", section, maxsplit=1, flags=re.MULTILINE)[0]
    return [_part(chunk) for chunk in section.split("### ")[1:] if CALL.search(chunk)]


def _part(chunk: str) -> Part:
    heading, body = chunk.split("\n", 1)
    folded = {name: text.strip() for name, text in FOLDED.findall(body)}
    pieces = FENCE.split(FOLDED.sub("", body))  # text, code, text, code …
    place = next(place for place in range(1, len(pieces), 2) if CALL.search(pieces[place]))
    call = CALL.search(pieces[place])
    answer = folded.get("Solution", "")
    code = re.search(r"```\n(.*?)```", answer, re.DOTALL) or re.search(rf"`({call[2]} = [^`]+)`", answer)
    return Part(
        heading=heading.strip(),
        before=tuple(piece.strip() for piece in pieces[:place]),
        blank=pieces[place].replace(call[0], "").strip(),
        check=call[1],
        answer=call[2],
        hint=folded.get("Hint", ""),
        solution=code[1].strip() if code else "",
    )


def lesson_values(exercise: Exercise) -> dict:
    """The numbers that the lesson itself gives in this ``exercise``: {keyword of the check: value}."""
    return dict(getattr(checks, exercise.check).__wrapped__.__kwdefaults__ or {})


def _calls(parts) -> str:
    return ", ".join(f"{part.check}({part.answer})" for part in parts)


def agreed(lesson: str, text: str) -> list[tuple[Part, Exercise]]:
    """The exercises of a lesson's ``text`` beside those of its coursework.

    Raises ValueError, which says what to mend, where the two disagree: another number or order of exercises, other names, or
    a task that with the lesson's own numbers does not stand in the lesson.
    """
    parts, exercises = parts_of(text), exercises_of(lesson)
    if [(part.check, part.answer) for part in parts] != [(one.check, one.answer) for one in exercises]:
        raise ValueError(
            f"lesson {lesson} asks for {_calls(parts)}, and its coursework for {_calls(exercises)}; make "
            f"coursework/lesson_{lesson}.py agree"
        )
    for part, exercise in zip(parts, exercises, strict=True):
        sentence = "" if exercise.added else exercise.task(**lesson_values(exercise))
        if sentence not in "\n\n".join(part.before):
            raise ValueError(
                f"lesson {lesson}, {part.check}: the lesson no longer says what its coursework replaces: {sentence}"
            )
        if not part.solution:
            raise ValueError(f"lesson {lesson}, {part.check}: no code is found in the folded solution")
    return list(zip(parts, exercises, strict=True))
