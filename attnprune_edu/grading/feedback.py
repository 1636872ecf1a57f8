"""The page that a student reads: what was asked, what the answer was, what is wrong with it, and how it goes."""

import functools
import io
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup, escape
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

try:
    from latex2mathml.converter import convert
except ImportError as error:
    raise ImportError("feedback needs latex2mathml: pip install 'attnprune-edu[grading]'") from error

from ..checks.verdict import Verdict
from ..coursework import Exercise, stream
from .collecting import moodle_folder
from .lesson_text import Part, lesson_file, lesson_values, parts_of, title_of
from .marks import NOTHING, WAITING, Mark
from .records import FAILED, UNREADABLE, file_name, write_bytes, write_text
from .release import running_alone
from .solutions import solution_of

PAGES = Path(__file__).parent / "pages"


def write_feedback(folder: Path, lesson: str, exercises: Sequence[Exercise], marks: Sequence[Mark], solutions: bool) -> None:
    """Write a page for each of the ``marks`` on something that was handed in: ``ID.html`` in ``folder``.

    ``solutions``: whether a wrong answer is followed by a folded solution with the student's own numbers.
    """
    for mark in marks:
        if has_page(mark):
            write_text(folder / page_name(mark), page(lesson, exercises, mark, solutions))


def has_page(mark: Mark) -> bool:
    """Whether there is something to tell the student."""
    return mark.state not in (NOTHING, WAITING, FAILED)


def page_name(mark: Mark) -> str:
    """The name of the file that the student's page is in."""
    return f"{file_name(mark.student.id)}.html"


def write_for_moodle(path: Path, folder: Path, lesson: str, marks: Sequence[Mark]) -> None:
    """Pack the pages in ``folder`` as Moodle's "Upload multiple feedback files in a zip" wants them, if it sent files."""
    places = {moodle_folder(mark.record.shown): folder / page_name(mark) for mark in marks if has_page(mark) and mark.record}
    places.pop("", None)
    if not places:
        return
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, file in places.items():
            # Without a time of its own, so that the same pages make the same zip.
            archive.writestr(zipfile.ZipInfo(f"{place}/feedback_{lesson}.html"), file.read_bytes(), zipfile.ZIP_DEFLATED)
    write_bytes(path, packed.getvalue())


def page(lesson: str, exercises: Sequence[Exercise], mark: Mark, solutions: bool = True) -> str:
    """The feedback on one student's coursework as one HTML page."""
    title, lesson_parts = _lesson(lesson)
    parts = []
    for number, exercise in enumerate(exercises, start=1) if mark.record and mark.state != UNREADABLE else ():
        verdict = mark.record.verdicts.get(exercise.check)
        given = exercise.given(stream(mark.student.id, exercise.check))
        part = lesson_parts.get(exercise.check)
        parts.append(
            {
                "heading": part.heading if part else f"Exercise {number}",
                "task": typeset(_task(exercise, part, given)),
                "answer": exercise.answer,
                "code": mark.record.code.get(exercise.check),
                "verdict": verdict,
                "points": mark.points[exercise.check],
                "of": exercise.points,
                "override": mark.overrides.get(exercise.check),
                "solution": solution_of(lesson, exercise, mark.student.id)
                if solutions and verdict and not verdict.solved
                else None,
            }
        )
    return template("feedback").render(lesson=lesson, title=title, mark=mark, parts=parts)


@functools.cache
def template(name: str) -> jinja2.Template:
    """The page ``name`` of the folder ``pages``, into which nothing goes that is not escaped."""
    pages = jinja2.Environment(loader=jinja2.FileSystemLoader(PAGES), autoescape=True, undefined=jinja2.StrictUndefined)
    pages.filters |= {"points": lambda number: f"{number:g}", "sentence": _sentence, "said": _said}
    pages.globals["style"] = Markup((PAGES / "style.css").read_text(encoding="utf-8"))
    return pages.get_template(f"{name}.html.j2")


def _lesson(lesson: str) -> tuple[str, dict[str, Part]]:
    """The title of a lesson, and {check: the exercise in its text}; none where the lessons are not beside the package."""
    try:
        text = lesson_file(lesson).read_text(encoding="utf-8")
    except FileNotFoundError:
        return f"Lesson {lesson}", {}
    return title_of(text), {part.check: part for part in parts_of(text)}


def _task(exercise: Exercise, part: Part | None, given: dict) -> str:
    """What a student was asked, in Markdown: the lesson's text with the numbers ``given``."""
    own, texts = exercise.task(**given), running_alone(part.before) if part else []
    text = "\n\n".join(f"```python\n{piece}\n```" if place % 2 else piece for place, piece in enumerate(texts))
    if exercise.added:
        text += f"\n\n{own}"
    elif (sentence := exercise.task(**lesson_values(exercise))) in text:
        text = text.replace(sentence, own, 1)
    else:
        text = own
    if exercise.variables:
        defined = "\n".join(f"{name} = {value!r}" for name, value in exercise.variables(**given).items())
        text += f"\n\n```python\n{defined}\n```"
    return text


class _Renderer(IPythonRenderer):
    """Markdown as notebooks have it, with mathematics as MathML, which browsers draw by themselves."""

    def inline_math(self, body: str) -> str:
        return _mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return _mathml(body, "block")


def _mathml(tex: str, display: str) -> str:
    spaced = re.sub(r"\\(ln|log|exp|max|min)(?= )", r"\\\1\\,", tex)  # or a browser draws "ln" and "4" as "ln4"
    try:
        return convert(spaced, display=display)
    except Exception:  # of the converter's dozen, which have no name in common
        return f"<code>{escape(tex)}</code>"


def typeset(text: str) -> Markup:
    """The course's own Markdown as HTML."""
    return Markup(MarkdownWithMath(renderer=_Renderer(escape=False)).render(text))


def _said(verdict: Verdict) -> Markup:
    """What a check said, with its first word in bold."""
    word = {True: "✓ Right.", False: "✗ Not yet:", None: "… Not tried:"}[verdict.solved]
    message = "there was no answer in the place of the three dots." if verdict.solved is None else verdict.message
    return Markup("<strong>{}</strong> {}").format(
        word, _with_code(message[:1].upper() + message[1:] if verdict.solved else message)
    )


def _sentence(note: str) -> Markup:
    return _with_code(note[:1].upper() + note[1:] + ("" if note.endswith((".", "!", "?")) else "."))


def _with_code(text: str) -> Markup:
    """A line of text, in which `this` is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))
