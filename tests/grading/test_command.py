"""The whole command, with a run that answers at once: what stands where in the end, and what a second run leaves alone."""

import base64
import csv
import datetime
import html
import io
import os
import re
import zipfile
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path

import fakes
import pytest
from fakes import answers_at_once, hand_in

from attnprune_edu import cli
from attnprune_edu.checks.verdict import NOT_TRIED, right, wrong
from attnprune_edu.coursework import LESSONS, exercises_of, stream
from attnprune_edu.grading import command, summary
from attnprune_edu.grading.command import grade_course, read_key
from attnprune_edu.grading.feedback import page, typeset
from attnprune_edu.grading.lesson_text import lesson_values
from attnprune_edu.grading.marks import Mark
from attnprune_edu.grading.records import GRADED, Record
from attnprune_edu.grading.roster import Student
from attnprune_edu.grading.solutions import solution_of
from attnprune_edu.grading.summary import blanked

EXERCISES = exercises_of("02")
OF = {exercise.check: exercise.points for exercise in EXERCISES}
ROSTER = "student,name\nann,Ann\nbob,Bob\ncleo,Cleo\ndan,Dan\n"
RIGHT = "score_by_hand: right\ntwo_temperatures: right\nattention_importance: right"
WRONG = "score_by_hand: wrong it is 1.5, not {}.\ntwo_temperatures: wrong no.\nattention_importance: half a step."
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)> $\\href{javascript:alert(3)}{x}$"


@pytest.fixture
def handed_in(with_picture, monkeypatch):
    """As ``with_picture``, but the summary's picture, which takes longer than all the rest, is none."""
    monkeypatch.setattr(summary, "_picture", lambda _: "<svg/>")
    return with_picture


@pytest.fixture
def with_picture(tmp_path, monkeypatch):
    """A folder with a course's submissions, in which the command is at work."""
    monkeypatch.chdir(tmp_path)
    fakes.CALLS.clear()
    (tmp_path / "roster.csv").write_text(ROSTER)
    for student, code in {"ann": RIGHT, "bob": WRONG.format("1e-3"), "eve": WRONG.format("27")}.items():
        hand_in(tmp_path / "in" / student / "02_x.ipynb", code)
    (tmp_path / "in" / "cleo").mkdir()
    (tmp_path / "in" / "cleo" / "x.ipynb").write_text("no notebook")
    return tmp_path


def grade(submissions=("in",), **more):
    with ThreadPoolExecutor(1) as executor:
        options = {"roster": "roster.csv", "key": "k.key", "executor": executor, "run": answers_at_once}
        return grade_course("2", submissions, **options | more)


def stamps(folder):
    return {path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*.*")}


def marks(folder):
    lines = csv.DictReader(io.StringIO((folder / "graded/02/marks.csv").read_text(encoding="utf-8-sig")))
    return {line["student"]: line for line in lines}


def test_everything_is_written_and_ten_lines_say_what_it_was(handed_in, capsys):
    assert grade()
    out = handed_in / "graded" / "02"
    assert {name: (line["total"], line["state"]) for name, line in marks(handed_in).items()} == {
        "ann": ("9", "graded"),
        "bob": ("3", "graded"),
        "cleo": ("0", "unreadable"),
        "dan": ("0", "nothing handed in"),
        "eve": ("3", "graded"),
    }
    assert sorted(path.stem for path in (out / "feedback").glob("*.html")) == ["ann", "bob", "cleo", "eve"]
    assert {path.name for path in out.iterdir()} >= {"moodle.csv", "canvas.csv", "ledger.csv", "summary.html"}
    said = capsys.readouterr().out
    assert "5 students: 3 graded" in said and "2 × Exercise 1: it is 1.5, not 1e-3." in said and len(said.splitlines()) <= 12


def test_a_second_run_does_nothing_and_one_student_alone_leaves_all_others_as_they_were(handed_in):
    grade()
    before = stamps(handed_in / "graded")
    fakes.CALLS.clear()
    assert grade() and stamps(handed_in / "graded") == before and not fakes.CALLS
    grade(only=[" BOB"])
    assert [student for student, _ in fakes.CALLS] == ["bob"]
    changed = {path.name for path, stamp in stamps(handed_in / "graded").items() if stamp != before[path]}
    assert changed == {"bob.json"}
    with pytest.raises(ValueError, match="--only must name students who handed in a notebook, got 'Dan', 'x'"):
        grade(only=["Dan", "bob", "x"])


def test_who_hands_in_nothing_new_keeps_the_mark_and_deleting_the_record_forgets_it(handed_in, capsys):
    grade()
    before = marks(handed_in)
    by_hand = handed_in / "graded" / "02" / "overrides.csv"
    by_hand.write_text("student,exercise,points,reason\neve,3,3,as before\n")
    hand_in(handed_in / "again" / "bob" / "x.ipynb", RIGHT)
    capsys.readouterr()
    grade(submissions=["again"], deadline=datetime.datetime(2020, 1, 1, 18))
    after = marks(handed_in)
    assert after["bob"]["total"] == "9" and "3 kept from an earlier run" in capsys.readouterr().out
    for student in ("ann", "cleo", "eve"):  # of whom eve is on no roster
        assert after[student]["total"] == before[student]["total"] and after[student]["state"] == before[student]["state"]
        assert "from an earlier run: no file among those given now; late by" in after[student]["notes"]
        assert "From an earlier run" in (handed_in / "graded/02/feedback" / f"{student}.html").read_text()
    assert "from an earlier run" not in after["bob"]["notes"] + after["dan"]["notes"]
    (handed_in / "graded/02/results/ann.json").unlink()
    grade(submissions=["again"])
    assert marks(handed_in)["ann"]["state"] == "nothing handed in"


def test_a_deadline_and_pages_without_solutions_are_remembered_until_they_are_taken_back(handed_in, capsys):
    def seen():
        page = (handed_in / "graded/02/feedback/bob.html").read_text()
        return "late by" in marks(handed_in)["bob"]["notes"], "<details>" in page, capsys.readouterr().out

    grade(deadline=datetime.datetime(2020, 1, 1, 18), solutions=False)
    capsys.readouterr()
    grade()
    late, shown, said = seen()
    assert late and not shown and "the deadline is 2020-01-01 18:00" in said and "feedback has no solutions" in said
    grade(deadline=None)
    late, shown, said = seen()
    assert not late and not shown and "deadline" not in said
    grade(solutions=True)
    assert seen()[1] and "solutions" not in seen()[2]
    (handed_in / "graded/02/settings.json").write_text("[]")
    with pytest.raises(ValueError, match=r"settings\.json holds no settings"):
        grade()


def test_moodle_gets_a_zip_of_pages_under_its_own_names(handed_in, capsys):
    grade()
    packed = handed_in / "graded" / "02" / "moodle_feedback.zip"
    assert not packed.exists()
    hand_in(handed_in / "moodle" / "Dan_4_assignsubmission_file_" / "x.ipynb", RIGHT)
    hand_in(handed_in / "moodle" / "Zoe_5_assignsubmission_file_" / "x.ipynb", RIGHT)
    grade(submissions=["in", "moodle"])
    assert "refused, as no line of the roster fits: 1 of Moodle's" in capsys.readouterr().out
    with zipfile.ZipFile(packed) as archive:
        assert archive.namelist() == ["Dan_4_assignsubmission_file_/feedback_02.html"]
        page = archive.read(archive.namelist()[0])
    assert page == (handed_in / "graded/02/feedback/dan.html").read_bytes()


def test_a_new_file_is_graded_and_an_override_survives_it(handed_in, capsys):
    grade()
    by_hand = handed_in / "graded" / "02" / "overrides.csv"
    by_hand.write_text("student,exercise,points,reason\nbob,1,0.5,said it aloud\ncleo,2,1,told me\n")
    capsys.readouterr()
    grade()
    assert marks(handed_in)["bob"]["total"] == "3.5" and "points by hand: 2, from" in capsys.readouterr().out
    hand_in(handed_in / "in" / "bob" / "03_later.ipynb", RIGHT)
    os.utime(hand_in(handed_in / "in" / "bob" / "x.ipynb", RIGHT), (2e9, 2e9))
    fakes.CALLS.clear()
    grade()
    assert [student for student, _ in fakes.CALLS] == ["bob"] and marks(handed_in)["bob"]["total"] == "8.5"
    assert "3 notebooks handed in, x.ipynb was graded" in marks(handed_in)["bob"]["notes"]
    page = (handed_in / "graded/02/feedback/bob.html").read_text()
    assert page.count("aid it aloud") == 1 and "Your teacher decided:</strong> Said it aloud." in page
    unreadable = (handed_in / "graded/02/feedback/cleo.html").read_text()
    assert "given by the teacher: told me" in unreadable and "Hand in the notebook again" in unreadable
    assert "<section" not in unreadable, "there is no answer to speak of"
    assert marks(handed_in)["eve"]["notes"] == "not on the roster"


def test_a_grader_that_fails_is_no_success_and_the_next_run_retries(handed_in, capsys):
    hand_in(handed_in / "in" / "dan" / "x.ipynb", "raise")
    assert not grade() and marks(handed_in)["dan"]["total"] == ""
    assert "failed on dan" in capsys.readouterr().out and not (handed_in / "graded/02/feedback/dan.html").exists()
    assert grade(run=succeeds)


def succeeds(*arguments, **options):
    return answers_at_once(arguments[0], ["x"], *arguments[2:], **options)


def test_the_summary_knows_misconceptions_copies_and_borrowed_answers(with_picture):
    handed_in = with_picture
    borrowed = float(solution_of("02", EXERCISES[0], "ann").partition("=")[2])
    hand_in(handed_in / "in" / "dan" / "x.ipynb", f"score_by_hand: wrong no.\nscore_by_hand is {borrowed}\ndeclared ann<b>")
    hand_in(handed_in / "in" / "eve" / "02_x.ipynb", WRONG.format("1e-3"))
    hand_in(handed_in / "in" / "blank" / "x.ipynb", "x")
    hand_in(handed_in / "in" / "blank2" / "x.ipynb", "x")
    grade()
    text = (handed_in / "graded/02/summary.html").read_text(encoding="utf-8")
    rows = [re.sub(r"</?t[dr][^>]*>", "|", row) for row in re.findall(r'<tr role="row"><td.*</tr>', text)]
    assert "||1, score_by_hand||1||0||3||2||" in rows and "||1||2||it is 1.5, not 1e-3.||" in rows
    bob, eve, dan, ann = (f'<a href="feedback/{name}.html">{name}</a>' for name in ("bob", "eve", "dan", "ann"))
    assert f"||{bob} Bob (3 of 9), {eve} (3 of 9)||" in rows
    assert not any("blank" in row for row in rows), "what nobody touched is no copy"
    assert f"||{dan} Dan||1||{ann} Ann||" in rows and f"||{dan} Dan||ann&lt;b&gt;||" in rows
    assert any(re.match(r"\|\|<a.*>cleo</a> Cleo\|\|unreadable\|\|the file is no notebook", row) for row in rows)
    pictures = re.findall(r'(?:src|srcset)="data:image/svg\+xml;base64,([^"]+)"', text)
    assert len(set(pictures)) == 2 and all(b"partly right" in base64.b64decode(picture) for picture in pictures)
    assert 'alt="Histogram of the points, 0 points: 3 students' in text
    assert not [tag for tag, _ in Read(text).found if tag == "script"]


@pytest.mark.parametrize(
    ("message", "left"), [("it is -1.5e-3, not 2,000.", "it is …, not …."), ("conv1: 3 of fc2", "conv1: … of fc2")]
)
def test_sentences_are_grouped_without_their_numbers(message, left):
    assert blanked(message) == left


class Read(HTMLParser):
    """A page as a browser takes it: ``found``, [(tag, attributes)], and the text within mathematics."""

    def __init__(self, text):
        super().__init__()
        self.found, self.typeset, self._open = [], "", []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br", "source"):
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.typeset += data if "math" in self._open else ""


def a_page(**more):
    student = Student("ann", f"Ann {EVIL}")
    verdicts = {
        "score_by_hand": right("it is."),
        "two_temperatures": wrong(f"{EVIL} `{EVIL}`"),
        "attention_importance": NOT_TRIED,
    }
    code = {exercise.check: f"{exercise.answer} = {EVIL!r}" for exercise in EXERCISES[:2]}
    record = Record("ann", EVIL, GRADED, {}, verdicts=verdicts, errors=[[0, EVIL]], faults={"2": "hung"}, code=code)
    points = {exercise.check: float(number) for number, exercise in enumerate(EXERCISES)}
    return page("02", EXERCISES, Mark(student, GRADED, points, OF, [EVIL], record), **more)


def test_the_page_teaches_with_the_students_own_numbers():
    text = a_page()
    given = EXERCISES[0].given(stream("ann", "score_by_hand"))
    assert f"<mn>{given['heavy']}</mn>" in text and "<code>\\" not in text, "formulas, and not their TeX"
    assert (
        "Code cell 3 stopped: it hung." in text
        and "Code cell 1 stopped: &lt;script&gt;" in text
        and "Exercise 1 · ★" in text
        and "<strong>3 of 9 points</strong>" in text
    )
    assert "Build the importance of a whole network" in text and "Your version:" in text, "the lesson's text and the own one"
    assert text.count("<details>") == 2 and solution_of("02", EXERCISES[0], "ann") not in text, "what is right needs none"
    assert solution_of("02", EXERCISES[1], "ann").replace('"', "&#34;") in text
    assert (
        "No cell of your notebook gives <code>my_importance</code>" in text
        and "✗ Not yet:" in text
        and "… Not tried:" in text
    )
    assert "<details>" not in a_page(solutions=False)


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_lessons_page_asks_for_the_students_numbers_and_for_no_others(lesson):
    exercises = exercises_of(lesson)
    verdicts = {exercise.check: wrong("no.") for exercise in exercises}
    points = dict.fromkeys(verdicts, 0.0)
    text = page(
        lesson,
        exercises,
        Mark(Student("ann"), GRADED, points, points, [], Record("ann", "x", GRADED, {}, verdicts=verdicts)),
    )
    assert "<code>\\" not in text and "$" not in plain(text), "a formula that is none"
    assert text.count("<details>") == len(exercises) and re.search(rf"<h1>{lesson} · .+: feedback for ann</h1>", text)
    for exercise in exercises:
        given = exercise.given(stream("ann", exercise.check))
        assert plain(typeset(exercise.task(**given))) in plain(text)
        assert exercise.added or plain(typeset(exercise.task(**lesson_values(exercise)))) not in plain(text)
        for name in exercise.variables(**given) if exercise.variables else ():
            assert f"{name} = " in plain(text)


def plain(text):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


def test_nothing_that_a_student_wrote_is_html_or_typeset():
    found = Read(a_page())
    assert not [tag for tag, _ in found.found if tag in ("script", "img")]
    assert not [name for _, attributes in found.found for name in attributes if name.startswith("on")]
    policy = next(attributes for tag, attributes in found.found if "http-equiv" in attributes)["content"]
    assert "default-src 'none'" in policy and "script-src" not in policy
    assert "|w|" in "".join(found.typeset.split()) and "href" not in found.typeset


def test_a_formula_that_cannot_be_drawn_stands_there_as_it_was_written():
    assert typeset(r"so $\left( x$ is") == "<p>so <code>\\left( x</code> is</p>\n"


def test_the_key_is_made_once_for_its_owner_alone(tmp_path, capsys):
    key = read_key(tmp_path / "new" / "k.key")
    assert len(key) == 32 and "keep it secret" in capsys.readouterr().out
    assert read_key(tmp_path / "new" / "k.key") == key and not capsys.readouterr().out
    assert os.name == "nt" or (tmp_path / "new" / "k.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "short.key").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"at least 16 bytes, and .*short\.key has 5"):
        read_key(tmp_path / "short.key")


def test_the_command_line_says_all_of_it(handed_in, monkeypatch, capsys):
    asked = {}

    def grades(lesson, submissions, **options):
        asked.update(options, lesson=lesson, submissions=[str(path) for path in submissions])
        return len(submissions) == 2

    monkeypatch.setattr(command, "grade_course", grades)
    options = [
        "--roster",
        "r.csv",
        "--only",
        "ann",
        "bob",
        "--only",
        "cleo",
        "--deadline",
        "2026-12-01 18:00",
        "--jobs",
        "3",
    ]
    assert cli.main(["grade", "02", "in", "more.zip", *options, "--without-solutions"]) == 0
    assert asked["lesson"] == "02" and asked["submissions"] == ["in", "more.zip"] and asked["only"] == ["ann", "bob", "cleo"]
    assert asked["jobs"] == 3 and asked["deadline"].hour == 18 and asked["solutions"] is False and not asked["unsafe"]
    assert cli.main(["grade", "02", "in"]) == 1 and asked["deadline"] is ... and asked["solutions"] is ...
    cli.main(["grade", "02", "in", "--deadline", "none", "--with-solutions"])
    assert asked["deadline"] is None and asked["solutions"] is True
    assert cli.main(["grade", "02", "in", "--deadline", "soon"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "attnprune-edu grade: --deadline must be a time such as '2026-12-01 18:00', or none; got 'soon'"
    ]
    with pytest.raises(SystemExit):
        cli.main(["grade", "02", "in", "--jobs", "0"])
    assert "--jobs" in capsys.readouterr().err


def test_releases_and_sources_are_written_where_they_are_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["assignment", "2", "03", "--no-hints"]) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert {path.name for path in written} == {path.name for path in Path("assignment").iterdir()} and len(written) == 3
    assert "Hint" not in (Path("assignment") / "02_coursework.ipynb").read_text(encoding="utf-8")
    assert cli.main(["nbgrader", "02", "--course", "course"]) == 0
    assert Path("coursework.key").exists() and Path("course/source/lesson_02/02_attention_formula.ipynb").exists()
    for bad in (["assignment", "77"], ["nbgrader", "77"]):
        assert cli.main(bad) == 1
        assert "no lesson 77" in capsys.readouterr().err


def test_marks_go_into_a_gradebook_when_there_is_one_to_fill(handed_in, monkeypatch):
    filled = {}
    monkeypatch.setattr(command, "into_gradebook", lambda path, lesson, marks: filled.update(marks))
    grade(gradebook="book.db")
    assert filled["ann"] == {exercise.check: exercise.points for exercise in EXERCISES}
    assert filled["bob"]["attention_importance"] == 3 and set(filled) == {"ann", "bob", "cleo", "eve"}, "dan"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["99", "in"], "lesson must be one of"), (["02", "nowhere"], "nowhere is not there"), (["02", "in"], "bubblewrap")],
)
def test_what_cannot_be_used_is_said_before_anything_is_run(handed_in, monkeypatch, capsys, arguments, says):
    monkeypatch.setattr(command.sandbox, "problem", lambda: "bubblewrap is not installed")
    assert cli.main(["grade", *arguments]) == 1
    assert says in capsys.readouterr().err and not (handed_in / "graded").exists()
