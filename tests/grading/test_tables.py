"""The tables that a teacher writes, and those that a teacher reads."""

import csv
import datetime
import io

import pytest

from attnprune_edu.checks.verdict import NOT_TRIED, right, wrong
from attnprune_edu.coursework import exercises_of
from attnprune_edu.grading.collecting import Collection, File, Source
from attnprune_edu.grading.marks import as_csv, marks_of, write_marks
from attnprune_edu.grading.overrides import Override, read_overrides
from attnprune_edu.grading.records import FAILED, GRADED, UNREADABLE, Record
from attnprune_edu.grading.roster import Roster, Student, read_roster

EXERCISES = exercises_of("02")
CHECKS = [exercise.check for exercise in EXERCISES]
DEADLINE = datetime.datetime(2026, 12, 1, 18, 0)


def table(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"))))


@pytest.mark.parametrize(
    ("text", "students"),
    [
        ("student\nann\n", [Student("ann")]),
        ("\ufeffUsername;Full name\r\n ANN ;Ann Lee\r\n\r\n", [Student("ann", "Ann Lee")]),
        ("id,first_name,last_name,email\nann,Ann,Lee,a@x\n", [Student("ann", "Ann Lee", "a@x")]),
        ("Participant,Student ID,GitHub\nParticipant 71,ann,ann-git\n", [Student("ann", "", "", "71", "ann-git")]),
        ('name\tstudent\n"Lee, Ann"\tann\n\tbob\n', [Student("ann", "Lee, Ann"), Student("bob")]),
    ],
)
def test_a_roster_is_read_as_other_systems_write_it(tmp_path, text, students):
    (tmp_path / "roster.csv").write_text(text, encoding="utf-8")
    assert list(read_roster(tmp_path / "roster.csv").students.values()) == students


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "must have a column for the id, one of student"),
        (b"who,name\nann,Ann\n", r"its columns are \['who', 'name'\]"),
        (b"student\n", "a line for each student"),
        (b"student\nann\n\nANN\n", "line 4: the id 'ann' stands there twice"),
        (b"student,name\n ,Ann\n", "line 2: the id is empty"),
        (b"student\nM\xfcller\n", "must be text in UTF-8"),
    ],
)
def test_a_roster_that_is_none_is_named(tmp_path, text, says):
    (tmp_path / "roster.csv").write_bytes(text)
    with pytest.raises(ValueError, match=rf"roster\.csv.*{says}"):
        read_roster(tmp_path / "roster.csv")


def test_an_id_is_found_in_a_name_unless_it_could_be_two():
    roster = Roster([Student("ann"), Student("ann-lee"), Student("li"), Student("bob", github="B0B")])
    for text, whole, anywhere in [
        ("ANN", "ann", "ann"),
        ("l-02-ann-lee", "ann-lee", "ann-lee"),
        ("oli", None, None),
        ("l-b0b", "bob", "bob"),
        ("02_ann", None, "ann"),
        ("li bob", None, "bob"),
    ]:
        assert (roster.find(text), roster.find(text, anywhere=True)) == (whole, anywhere), text
    assert roster.find("ann bob", anywhere=True) is None


HEAD = "student,exercise,points,reason\n"


def test_overrides_go_by_number_or_name_of_the_exercise(tmp_path):
    (tmp_path / "o.csv").write_text(f'{HEAD}ANN,1,0.5,"late, but well"\nbob,two_temperatures,2,ill\n', encoding="utf-8")
    found = read_overrides(tmp_path / "o.csv", EXERCISES, {"ann", "bob"})
    assert found == {("ann", CHECKS[0]): Override(0.5, "late, but well"), ("bob", CHECKS[1]): Override(2.0, "ill")}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("student,points\n", "columns student, exercise, points, reason"),
        (f"{HEAD}ann,1,1,x\neve,1,1,x\n", "line 3, student: 'eve' is neither"),
        (f"{HEAD}ann,4,1,x\n", "line 2, exercise: must be one of score_by_hand"),
        (f"{HEAD}ann,2,3,x\n", "line 2, points: must be a number from 0 to 2, got '3'"),
        (f"{HEAD}ann,2,-1,x\n", "line 2, points"),
        (f"{HEAD}ann,2,nan,x\n", "line 2, points"),
        (f"{HEAD}ann,2,many,x\n", "line 2, points: .* got 'many'"),
        (f"{HEAD}ann,2,1, \n", "line 2, reason"),
        (f"{HEAD}ann,2,1\n", "line 2, fields: there must be 4, got 3"),
        (f"{HEAD}ann,2,1,x\n\nann,two_temperatures,2,y\n", "line 4, student: 'ann' has a line"),
    ],
)
def test_a_bad_override_names_its_line_and_field(tmp_path, text, says):
    (tmp_path / "o.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"o\.csv.*{says}"):
        read_overrides(tmp_path / "o.csv", EXERCISES, {"ann"})


def a_file(student, became="graded", late=0.0):
    return File(
        f"in/{student}.ipynb", (), f"{student}.ipynb", Source("x"), DEADLINE.timestamp() + late, student, became, student
    )


def a_record(student, state=GRADED, sandbox="yes", **more):
    verdicts = {CHECKS[0]: right("yes."), CHECKS[1]: wrong("no.", 1 / 3), CHECKS[2]: NOT_TRIED} if state == GRADED else {}
    shown = more.pop("shown", "x")
    return Record(student, shown, state, {"file": student, "sandbox": sandbox}, verdicts=verdicts, **more)


def marks(tmp_path):
    """A mark of every kind, and the folder with the tables of them."""
    roster = Roster([Student(name, f"={name}", f"{name}@x", str(place)) for place, name in enumerate("abcdefgi")])
    late = {"a": -1.0, "b": 2 * 3600 + 5 * 60, "h": 86400.0 + 1}
    files = [a_file(name, late=late.get(name, 0.0)) for name in "abcefh"]
    files += [a_file("a", "superseded by in/a.ipynb"), a_file("", "passed over: it is no notebook (.ipynb)")]
    collection = Collection(files, {file.student: file for file in files[:6]}, {"g": "g.zip: refused: it is a zip"})
    records = {
        "a": a_record("a", notes=["conflicts"], declared="A "),
        "b": a_record("b", sandbox="no", declared="a", faults={"1": "ended the process", CHECKS[2]: "ended the process"}),
        "c": a_record("c", UNREADABLE, notes=["the file is empty."]),
        "e": a_record("e", FAILED, notes=["grader failed: x"]),
        "h": a_record("h", errors=[[4, "OSError: too large"], *([number, "NameError: x"] for number in range(6, 11))]),
        "j": a_record("j", time=DEADLINE.timestamp() + 60, shown="in/Kit_77_assignsubmission_file_/x.ipynb"),
        "f": Record("f", "x", GRADED, {"file": "another file", "sandbox": "yes"}),
    }
    overrides = {("d", CHECKS[0]): Override(1.0, "ill"), ("a", CHECKS[1]): Override(2.0, "@said")}
    found = marks_of(EXERCISES, roster, collection, records, overrides, DEADLINE)
    write_marks(tmp_path, "02", found, collection)
    return found


def test_everybody_has_a_line_that_says_what_is_known(tmp_path):
    found = {mark.student.id: mark for mark in marks(tmp_path)}
    assert list(found) == list("abcdefgihj")
    states = [
        "graded",
        "graded",
        "unreadable",
        "nothing handed in",
        "grader failed",
        "not graded yet",
        "unreadable",
        "nothing handed in",
        "graded",
        "graded",
    ]
    assert [mark.state for mark in found.values()] == states
    assert [mark.total for mark in found.values()] == [3.0, 1.67, 0.0, 1.0, None, None, 0.0, 0.0, 1.67, 1.67]
    assert found["d"].grade == 1.0 and found["i"].grade is None, (
        "who handed in nothing has no grade, but by the teacher's hand"
    )
    assert [name for name, mark in found.items() if mark.kept] == ["j"]
    notes = {name: "; ".join(mark.remarks) for name, mark in found.items()}
    assert "2 notebooks handed in" in notes["a"] and "conflicts" in notes["a"] and "names the id" not in notes["a"]
    assert "Exercise 2: 2 of 2 points, given by the teacher: @said" in notes["a"] and "late" not in notes["a"]
    assert "late by 2 h 5 min" in notes["b"] and "without a sandbox" in notes["b"] and "names the id 'a'" in notes["b"]
    assert "code cell 2 stopped: it ended the process; Exercise 3: calling the answer ended the process" in notes["b"]
    assert "code cell 5 stopped: OSError: too large" in notes["h"] and notes["h"].endswith("; 1 more code cell stopped")
    assert "the file is empty" in notes["c"] and "refused: it is a zip" in notes["g"]
    assert "not on the roster" in notes["h"] and "late by 1 d 1 min" in notes["h"]
    assert notes["j"] == "from an earlier run: no file among those given now; late by 1 min; not on the roster"
    assert not any("roster" in notes[name] for name in "abcdefg")


def test_the_tables_hold_it_in_the_columns_of_each_system(tmp_path):
    marks(tmp_path)
    lines = table(tmp_path / "marks.csv")
    assert list(lines[0]) == ["student", "name", *CHECKS, "total", "of", "state", "notes"]
    assert (
        lines[1][CHECKS[1]] == "0.67" and lines[1]["total"] == "1.67" and lines[4]["total"] == "" and lines[0]["of"] == "9"
    )
    moodle = table(tmp_path / "moodle.csv")
    assert (
        moodle[1]["Identifier"] == "Participant 1" and moodle[1]["Email address"] == "b@x" and moodle[1]["Grade"] == "1.67"
    )
    said = {line["ID number"]: line["Feedback comments"] for line in moodle}
    assert said["a"] == "Exercise 1: 1 of 1; Exercise 2: 2 of 2 (given by the teacher); Exercise 3: not tried"
    assert said["b"].startswith("Exercise 1: 1 of 1; Exercise 2: 0.67 of 2") and said["c"] == "the file is empty."
    assert said["i"] == moodle[7]["Grade"] == "" and moodle[9]["Identifier"] == "Participant 77"
    canvas = table(tmp_path / "canvas.csv")
    assert canvas[0]["Student"] == "Points Possible" and canvas[0]["Coursework on lesson 02"] == "9"
    assert canvas[8]["SIS Login ID"] == "i" and canvas[8]["Coursework on lesson 02"] == ""
    assert canvas[2]["SIS Login ID"] == "b" and canvas[2]["Coursework on lesson 02"] == "1.67"
    ledger = table(tmp_path / "ledger.csv")
    became = {(line["file"], line["student"]): line["what became of it"] for line in ledger}
    kept = became["in/Kit_77_assignsubmission_file_/x.ipynb", "j"]
    assert kept == "graded, from an earlier run: no file among those given now"
    assert len(ledger) == 11 and became["in/c.ipynb", "c"] == "unreadable" and became["", "d"] == "nothing handed in"
    assert became["in/e.ipynb", "e"] == "grader failed" and ledger[6]["what became of it"].startswith("superseded")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", " =1", "\n=1", "a;=1", "; @x"])
def test_no_cell_is_a_formula(cell):
    text = as_csv([[cell, "plain -1"]])
    before, semicolon, formula = cell.rpartition(";")
    expected = f"{before}{semicolon}'{formula}".translate(dict.fromkeys(map(ord, "\t\r\n"), " "))
    assert text.startswith("\ufeff") and next(csv.reader(io.StringIO(text[1:], newline=""))) == [expected, "plain -1"]
