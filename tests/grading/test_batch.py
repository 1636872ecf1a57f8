"""Many submissions at once: what is recorded stays, what is missing is done, and no death loses anything."""

import json
import os
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace

import fakes
import pytest
from fakes import answers_at_once, hand_in

from attnprune_edu import checks
from attnprune_edu.coursework import exercises_of
from attnprune_edu.grading import batch, records
from attnprune_edu.grading.batch import Job, cell_with, grade_all
from attnprune_edu.grading.collecting import collect
from attnprune_edu.grading.records import about_file, file_name, prints_of, read_record, to_grade, write_record
from attnprune_edu.grading.roster import Roster

CHECKS = [exercise.check for exercise in exercises_of("02")]
KEY = bytes(32)


@pytest.fixture(autouse=True)
def calls():
    fakes.CALLS.clear()
    return fakes.CALLS


def jobs_of(folder, cells, asked=CHECKS):
    """A job for each student of {student: cells}, whose records go to ``folder / "results"``."""
    for student, code in cells.items():
        hand_in(folder / "in" / f"{student}.ipynb", *code)
    chosen = collect([folder / "in"], Roster(), "02").chosen
    prints = prints_of(exercises_of("02"))
    rest = (prints, tuple(asked), KEY, False, answers_at_once)
    return [
        Job("02", student, file.shown, file.source, folder / "results", about_file(file.sha256, KEY, False), *rest)
        for student, file in chosen.items()
    ]


def states(folder):
    found = [json.loads(path.read_text()) for path in sorted((folder / "results").iterdir())]
    return {record["student"]: record["state"] for record in found}


def test_each_submission_leaves_a_record_whatever_it_is(tmp_path, calls):
    cells = {"ann": ["score_by_hand: right"], "bob": ["raise"], "cleo": ["x"], "../e": ["x"]} | {"con": ["x"]}
    jobs = jobs_of(tmp_path, {name.strip("./"): code for name, code in cells.items()})
    (tmp_path / "in" / "cleo.ipynb").write_text("no notebook")  # after it was collected
    with ThreadPoolExecutor(2) as executor:
        grade_all(jobs, executor, progress=False)
    assert states(tmp_path) == {
        "ann": "graded",
        "bob": "grader failed",
        "cleo": "grader failed",
        "con": "graded",
        "e": "graded",
    }
    assert "no such luck" in read_record(tmp_path / "results", "bob").notes[0]
    assert calls.count(("bob", CHECKS)) == batch.TRIES
    ann = read_record(tmp_path / "results", "ann")
    assert ann.verdicts[CHECKS[0]].solved and ann.verdicts[CHECKS[1]].solved is None and ann.exercises == jobs[0].prints


def test_what_no_notebook_is_says_so_and_is_not_tried_again(tmp_path, calls):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ann.ipynb").write_text("no notebook")
    (job,) = jobs_of(tmp_path, {})
    with ThreadPoolExecutor(1) as executor:
        grade_all([job], executor, progress=False)
    record = read_record(tmp_path / "results", "ann")
    assert record.state == "unreadable" and "Hand in" in record.notes[0] and not calls
    assert to_grade(record, job.about, job.prints) == []


def test_only_a_changed_exercise_is_asked_again(tmp_path, calls):
    cells = ["score_by_hand: right", "two_temperatures: wrong no.", "score_by_hand is 3", "two_temperatures is 4", "ended"]
    (job,) = jobs_of(tmp_path, {"ann": cells})
    with ThreadPoolExecutor(1) as executor:
        grade_all([job], executor, progress=False)
        before = read_record(tmp_path / "results", "ann")
        assert to_grade(before, job.about, job.prints) == []
        changed = job.prints | {CHECKS[1]: "another"}
        again = replace(job, prints=changed, checks=tuple(to_grade(before, job.about, changed)))
        grade_all([again], executor, progress=False)
    after = read_record(tmp_path / "results", "ann")
    assert calls == [("ann", CHECKS), ("ann", CHECKS[1:2])]
    assert after.exercises == changed and after.verdicts == before.verdicts
    assert after.faults == before.faults == dict.fromkeys(["1", CHECKS[0]], "ended the process")
    assert after.answers == before.answers == {CHECKS[0]: 3.0, CHECKS[1]: 4.0}


@pytest.mark.parametrize("other", ["file", "key", "sandbox", "grader"])
def test_another_file_key_sandbox_or_grader_begins_anew(tmp_path, other):
    (job,) = jobs_of(tmp_path, {"ann": ["score_by_hand: right"]})
    with ThreadPoolExecutor(1) as executor:
        grade_all([job], executor, progress=False)
    record = read_record(tmp_path / "results", "ann")
    assert to_grade(record, job.about | {other: "another"}, job.prints) == CHECKS
    record.state = records.FAILED
    assert to_grade(record, job.about, job.prints) == CHECKS == to_grade(None, job.about, job.prints)


def test_what_a_verdict_hangs_on_is_in_its_fingerprints(monkeypatch):
    exercises, about, before = exercises_of("02"), about_file("x", KEY, False), prints_of(exercises_of("02"))
    assert about_file("x", b"k" * 32, False) != about != about_file("x", KEY, True) and KEY.hex() not in str(about)
    assert prints_of([replace(exercises[0], points=2), *exercises[1:]]) == before | {
        CHECKS[0]: prints_of([replace(exercises[0], points=2)])[CHECKS[0]]
    }
    monkeypatch.setattr(checks, CHECKS[1], checks.verdict.exercise(lambda answer, *, filters=(): checks.verdict.right("x")))
    assert [check for check, found in prints_of(exercises).items() if found != before[check]] == [CHECKS[1]]


def test_an_interruption_keeps_what_is_done_and_calls_the_rest_off(tmp_path):
    class Interrupted(Executor):
        def __init__(self):
            self.given = []

        def submit(self, function, job):
            if len(self.given) == 2:
                raise KeyboardInterrupt
            self.given.append(Future())
            if len(self.given) == 1:
                self.given[0].set_result(function(job))
            return self.given[-1]

    jobs, executor = jobs_of(tmp_path, {"ann": ["x"], "bob": ["x"], "cleo": ["x"]}), Interrupted()
    with pytest.raises(KeyboardInterrupt):
        grade_all(jobs, executor, progress=False)
    assert executor.given[1].cancelled() and states(tmp_path) == {"ann": "graded"}
    missing = [job for job in jobs if to_grade(read_record(job.folder, job.student), job.about, job.prints)]
    assert [job.student for job in missing] == ["bob", "cleo"]


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")
def test_a_process_that_dies_loses_no_submission(tmp_path):
    marker = tmp_path / "died"
    grade_all(jobs_of(tmp_path, {"ann": [f"die {marker}"], "bob": ["x"]}), processes=2, progress=False)
    assert states(tmp_path) == {"ann": "graded", "bob": "graded"} and marker.read_text() == "xx"


def test_a_dask_cluster_grades_too(tmp_path):
    distributed = pytest.importorskip("distributed")
    jobs = jobs_of(tmp_path, {"ann": ["x"], "bob": ["raise"], "cleo": ["x"]})
    with distributed.Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as client:
        grade_all(jobs, client.get_executor(), progress=False)
    assert states(tmp_path) == {"ann": "graded", "bob": "grader failed", "cleo": "graded"}


def test_a_record_that_was_cut_off_counts_as_none(tmp_path):
    record = records.Record("ann", "x", records.GRADED, {"file": "x"}, errors=[[1, "ValueError: \ud800"]])
    write_record(tmp_path, record)
    assert read_record(tmp_path, "ann") == record and read_record(tmp_path, "bob") is None
    path = tmp_path / "ann.json"
    for damaged in (path.read_text()[:50], "[]", "{}", '{"verdicts": {"x": 3}}'):
        path.write_text(damaged)
        assert read_record(tmp_path, "ann") is None


def test_every_id_gets_a_file_of_its_own_that_every_system_can_hold():
    ids = ["ann", "a b", "a/b", "../a", "con", "com1.x", "a" * 300, "a" * 301, "学" * 80, "ü", ".", "", "a_b"]
    names = [file_name(name) for name in ids]
    assert len(set(names)) == len(ids) and names[0] == "ann"
    assert all(len(name.encode()) < 100 and not set("/\\.: ") & set(name) for name in names)
    assert not {"con", "com1"} & set(names)


@pytest.mark.parametrize(
    ("cells", "found"),
    [
        (["my_importance = 1", "def my_importance(m):\n    return 1", "my_importance == 2"], 1),
        (["x = 1\nmy_importance: dict = {}"], 0),
        (["class my_importance: pass", "print(my_importance)"], 0),
        (["def my_importance_2(): pass"], None),
        (["my_importance = 1", "\n" * 200_000], 0),  # at once
    ],
)
def test_the_cell_with_the_answer_is_the_last_that_defines_it(cells, found):
    assert cell_with("my_importance", cells) == ("" if found is None else cells[found])


def test_equal_notebooks_are_those_that_differ_in_comments_and_ids_alone(tmp_path):
    same = {"ann": ["id = 'Ann'", "a=1"], "bob": ['id = "bob"', "a = 1  # mine"]}
    jobs = jobs_of(tmp_path, same | {"cleo": ["id = 'cleo'", "a = 2"], "dan": ["%time\nid = 'dan'", "a = 1"]})
    with ThreadPoolExecutor(1) as executor:
        grade_all(jobs, executor, progress=False)
    digests = {job.student: read_record(job.folder, job.student).same_as for job in jobs}
    assert digests["ann"] == digests["bob"] and len(set(digests.values())) == 3
