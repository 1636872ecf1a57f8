"""What a student's code may try, in the sandbox as it is used: what it earns, and that nothing outside notices."""

import os
import socket
import threading
import time

import pytest
import torch
from conftest import only_in_proofs
from hostile import HOSTILE_CELLS, HOSTILE_FUNCTIONS

from attnprune_edu.coursework import LESSONS, exercises_of
from attnprune_edu.grading import running, sandbox
from attnprune_edu.grading.running import run_and_judge
from attnprune_edu.grading.session import Limits
from attnprune_edu.grading.solutions import solution_of

pytestmark = pytest.mark.skipif(sandbox.problem() is not None, reason=str(sandbox.problem()))

STUDENT, KEY = "s0001", b"a key for these tests, 32 bytes."
EXERCISES = exercises_of("02")
LIMITS = Limits(cell_seconds=1, asleep=3)
START = [
    "import torch\nimport attnprune_edu as ap",
    f'from attnprune_edu.coursework import Coursework\nmine = Coursework("02", "{STUDENT}")',
    "mine.task(1)",
]
SOLVED = [
    f"{solution_of('02', exercise, STUDENT)}\nmine.check({number}, {exercise.answer})"
    for number, exercise in enumerate(EXERCISES, start=1)
]
BLANK = ["answer_1 = ...", "answer_2 = (..., ...)", "def my_importance(model, temperature):\n    return ..."]


def graded(cells, student=STUDENT, limits=LIMITS):
    run = run_and_judge(EXERCISES, cells, student, KEY, limits=limits)
    return run, [run.verdicts[exercise.check].share for exercise in EXERCISES]


@pytest.mark.parametrize(
    ("cells", "shares"), [(SOLVED, [1, 1, 1]), (BLANK, [0, 0, 0]), ([], [0, 0, 0]), (SOLVED[:1], [1, 0, 0])]
)
def test_the_solution_earns_everything_and_the_blank_nothing(cells, shares):
    run, earned = graded(START + cells)
    assert earned == shares and not run.faults and not run.errors and run.declared == STUDENT
    assert run.verdicts["score_by_hand"].solved is (None if cells == BLANK else bool(cells))


@pytest.mark.parametrize("lesson", [pytest.param(lesson, marks=only_in_proofs(exercises_of(lesson))) for lesson in LESSONS])
def test_every_lessons_solution_earns_everything_in_the_sandbox(lesson):
    exercises = exercises_of(lesson)
    cells = ["import copy, math\nimport attnprune_edu as ap\nimport torch"]
    cells += [solution_of(lesson, exercise, STUDENT) for exercise in exercises]
    run = run_and_judge(exercises, cells, STUDENT, KEY)
    assert [run.verdicts[exercise.check].share for exercise in exercises] == [1] * len(exercises), run
    assert not run.faults and not run.errors


@pytest.mark.parametrize(("lesson", "seconds"), [("02", 10), ("15", 60)])
def test_a_notebook_that_has_to_train_a_network_has_more_time(lesson, seconds, monkeypatch):
    def session(limits, unsafe):
        raise StopIteration(limits.cell_seconds)  # no error that the grader knows

    monkeypatch.setattr(running, "Session", session)
    for asked in (exercises_of(lesson), exercises_of(lesson)[:1]):  # also where another exercise is graded already
        with pytest.raises(StopIteration, match=f"^{seconds}$"):
            run_and_judge(asked, [], STUDENT, KEY)


@pytest.mark.parametrize(
    "line", ["%matplotlib inline", "%pip install attnprune", "!ls nowhere", "await __import__('asyncio').sleep(0)"]
)
def test_what_honest_students_begin_their_cells_with_stops_nothing_below(line):
    run, earned = graded([*START, f"{line}\n{SOLVED[0]}", *SOLVED[1:]])
    assert earned == [1, 1, 1] and not run.faults and not run.errors, run


@pytest.mark.parametrize("kind", HOSTILE_CELLS)
def test_a_hostile_cell_costs_no_other_answer(kind):
    cell, fault = HOSTILE_CELLS[kind]
    began = time.monotonic()
    run, earned = graded([*START, cell, *SOLVED])
    expected = [0, 0, 0] if kind == "a transformer that empties later cells" else [1, 1, 1]
    assert earned == expected, run
    if fault is None:
        assert not run.faults, run.faults
    else:
        assert [number for number in run.faults if fault in run.faults[number]] == [len(START)], run.faults
    assert time.monotonic() - began < 60
    assert run.peak_bytes < 3 << 30


@pytest.mark.parametrize("kind", HOSTILE_FUNCTIONS)
def test_a_hostile_function_earns_nothing_and_costs_no_other_answer(kind):
    function = f"def my_importance(model, temperature):\n    {HOSTILE_FUNCTIONS[kind]}"
    run, earned = graded([*START, *SOLVED[:2], function])
    assert earned == [1, 1, 0], run
    assert "tensor(" not in run.verdicts["attention_importance"].message, "the inputs are secret"


def test_it_finds_no_answers_no_secrets_and_nothing_of_the_machine(tmp_path):
    (tmp_path / "secret").write_text("the roster")
    looks = f"""
import glob, importlib, os, attnprune_edu
seen = {{}}
def look(name, what):
    try: seen[name] = what()
    except BaseException as error: seen[name] = type(error).__name__
package = os.path.dirname(attnprune_edu.__file__)
look("file", lambda: open({str(tmp_path / "secret")!r}).read())
look("checks", lambda: sorted(os.listdir(package + "/checks")))
look("grading", lambda: sorted(os.listdir(package + "/grading")))
look("judge", lambda: str(importlib.import_module("attnprune_edu.grading.judging")))
look("lesson", lambda: str(importlib.import_module("attnprune_edu.checks.lesson_02")))
look("beside", lambda: [name for name in os.listdir(os.path.dirname(package)) if "lesson" in name or "solution" in name])
look("environment", lambda: sorted(os.environ))
look("processes", lambda: len([name for name in os.listdir("/proc") if name.isdigit()]))
look("write", lambda: open(package + "/x", "w"))
look("root", lambda: open("/x", "w"))
look("replace", lambda: os.rename(package + "/checks/verdict.py", package + "/checks/other.py"))
look("user", lambda: os.getuid())
look("namespace", lambda: __import__("ctypes").CDLL(None).unshare(0x10000000))
answer_2 = list(seen.items())
"""
    run, _ = graded([*START, looks])
    seen = {pair["of"][0]: pair["of"][1] for pair in run.answers["two_temperatures"]["of"]}
    seen = {name: value["of"] if isinstance(value, dict) else value for name, value in seen.items()}
    assert seen["file"] == "FileNotFoundError"
    assert seen["checks"] == ["__init__.py", "observers.py", "verdict.py"] and seen["grading"] == ["wire.py", "worker.py"]
    assert seen["judge"] == seen["lesson"] == "ModuleNotFoundError" and seen["beside"] == []
    assert not {name for name in seen["environment"] if "KEY" in name or "TOKEN" in name}
    assert set(seen["environment"]) <= {*sandbox.environment(), "PWD", "LC_CTYPE"}
    assert seen["processes"] <= 3 and seen["user"] == 65534 and seen["namespace"] == -1
    assert seen["write"] == seen["root"] == seen["replace"] == "OSError"


def test_the_lessons_of_an_installed_package_are_hidden(monkeypatch, tmp_path):
    assert str(tmp_path) not in sandbox.command(3, 4)
    monkeypatch.setattr(sandbox, "INSIDE", tmp_path)
    command = sandbox.command(3, 4)
    assert command[command.index(str(tmp_path)) - 1] == "--tmpfs"


def test_it_reaches_no_network_not_even_this_machine():
    server = socket.create_server(("127.0.0.1", 0))
    connected = []
    threading.Thread(target=lambda: connected.append(server.accept()), daemon=True).start()
    call = f"import socket\nsocket.create_connection(('127.0.0.1', {server.getsockname()[1]}), timeout=2)"
    run, earned = graded([*START, call, *SOLVED])
    server.close()
    assert earned == [1, 1, 1] and "Error" in run.errors[0][1] and not connected


def test_what_a_student_writes_moves_no_terminals_cursor_and_fills_no_page():
    cells = [
        "raise Exception('\\x1b[31m')",
        "def my_importance(model, temperature):\n    return {'\\u202e' + 'x' * 9000: 1}",
    ]
    cells += [
        "from types import SimpleNamespace\nmine = SimpleNamespace(student='\\x1b]0;s0001\\n')",
        "answer_2 = ['A'] * 9000",
    ]
    run, earned = graded([*START, *cells])
    assert earned == [0, 0, 0] and run.declared and run.errors and "none of the layers" not in str(run.verdicts)
    said = [run.declared, run.errors[0][1], *(verdict.message for verdict in run.verdicts.values())]
    assert all(text.isprintable() and len(text) <= 1000 for text in said) and "two_temperatures" not in run.answers


def test_all_starts_together_have_the_time_that_one_notebook_has():
    run, earned = graded([*START, *["import time; time.sleep(100)"] * 3, *SOLVED], limits=Limits(asleep=1, whole=4))
    assert earned == [0, 0, 0] and 1 <= len(run.faults) <= 3 and run.seconds < 20, run


FORGED = """
import json, os, sys
channel = int(sys.argv[1])
def say(**event): os.write(channel, json.dumps(event).encode() + b"\\n")
"""


@pytest.mark.parametrize(
    "forged",
    [
        "say(asked='answer_1'); say(value=1.0); say(ran=True)",
        "say(ran=True, declared='s0002'); say(asked='x'); say(solved=True, share=1)",
        "os.write(channel, b'not json\\n' * 1000 + b'[' * 100_000 + b'\\n')",
        "say(cell=-5); say(done=10**9, error=3); os._exit(0)",
        "say(asked='answer_1'); say(value={'is': 'network', 'kind': 'Conv2d'})",
        "os.close(channel)",
        "while True: os.write(channel, b'x' * 1000 + b'\\n')",
        "say(verdicts={'score_by_hand': 1}, share=1.0); os._exit(0)",
    ],
)
def test_whatever_is_said_in_the_workers_place_earns_nothing(forged):
    run, earned = graded([*START, FORGED + forged, *BLANK])
    assert earned == [0, 0, 0], run


def test_checks_that_are_replaced_change_nothing():
    cheat = (
        "ap.checks.score_by_hand = lambda *answer, **given: True\nimport attnprune_edu.checks.observers as o\no.observe = 1"
    )
    assert graded([*START, cheat, "answer_1 = 7", *BLANK[1:]])[1] == [0, 0, 0]


def test_another_students_answers_earn_next_to_nothing():
    other = [cell.replace(STUDENT, "s0002") for cell in START]
    solved = [solution_of("02", exercise, "s0002") for exercise in EXERCISES]
    run, earned = graded(other + solved)
    assert earned[0] == earned[2] == 0 and run.declared == "s0002"


def test_two_notebooks_at_once_see_nothing_of_each_other():
    shares = {}

    def run(name, cells):
        shares[name] = graded(START + cells)[1]

    threads = [threading.Thread(target=run, args=pair) for pair in (("solved", SOLVED), ("blank", BLANK))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shares == {"solved": [1, 1, 1], "blank": [0, 0, 0]}


def test_no_process_is_left_behind():
    mark = "a mark of this test"
    run, _ = graded(
        [
            *START,
            f"""import os, sys, time
for _ in range(5):
    if not os.fork():
        os.execv(sys.executable, ["python", "-c", "import time; time.sleep(99)", {mark!r}])
time.sleep(1)""",
        ]
    )
    assert not run.errors
    for _ in range(50):  # the kernel takes them away one after the other
        if not (left := [pid for pid in os.listdir("/proc") if pid.isdigit() and _is_marked(pid, mark)]):
            break
        time.sleep(0.1)
    assert not left


def _is_marked(pid, mark):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as command:
            return mark.encode() in command.read()
    except OSError:
        return False


def test_unsafe_grades_as_well():
    run = run_and_judge(EXERCISES, START + SOLVED, STUDENT, KEY, unsafe=True, limits=LIMITS)
    assert [verdict.share for verdict in run.verdicts.values()] == [1, 1, 1] and torch.get_num_threads()
