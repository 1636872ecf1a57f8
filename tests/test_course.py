"""The steps of course.py: which commands they are on each system, and that they stop where something fails."""

import ast
import importlib.util
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

import course


@pytest.fixture
def called(monkeypatch):
    """The commands that course.py starts, none of which is run; ``called.status`` is what they all come back with."""

    class Calls(list):
        status = 0

        def call(self, command, **options):
            assert not isinstance(command, str) and not options.get("shell"), "no shell is the same on every system"
            self.append([str(part) for part in command])
            if "venv" in command:
                make_environment()
            return self.status

    calls = Calls()
    monkeypatch.setattr(course.subprocess, "call", calls.call)
    monkeypatch.setattr(course.subprocess, "check_output", lambda command, **_: "3\n")
    monkeypatch.setattr(course.signal, "signal", lambda *_: None)
    return calls


@pytest.fixture
def elsewhere(monkeypatch, tmp_path):
    """A folder in the place of the course, with lists of what to install."""
    monkeypatch.setattr(course, "ROOT", tmp_path)
    monkeypatch.setattr(course, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(course, "pip_settings", dict)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    return tmp_path


def make_environment():
    for name in ("python", "pip"):
        path = course.program(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("system", "path"), [("linux", "bin/python"), ("darwin", "bin/python"), ("win32", "Scripts/python.exe")]
)
def test_programs_lie_where_the_system_keeps_them(system, path):
    assert course.program("python", system) == ROOT / ".venv" / path
    assert course.program("python", system, ROOT / "other") == ROOT / "other" / path
    arguments, _ = course.installation(system, {}, {}, ROOT / "other", ["a", "b"])
    assert arguments[arguments.index("--python") + 1] == str(ROOT / "other" / path) and arguments[-2:] == ["a", "b"]


LINKS = {"UV_FIND_LINKS": "/wheels"}


@pytest.mark.parametrize(
    ("system", "environment", "settings", "searches_gpu", "handed_over"),
    [
        ("linux", {}, {}, True, {}),
        ("darwin", {}, {}, False, {}),
        ("win32", {}, {}, False, {}),
        ("linux", {"UV_TORCH_BACKEND": "cu130"}, {}, False, {}),
        ("linux", LINKS, {}, False, LINKS),
        ("linux", {"PIP_FIND_LINKS": "/wheels"}, {"find-links": "/other"}, False, LINKS),
        ("linux", {"PIP_FIND_LINKS": "/wheels /more"}, {}, False, {"UV_FIND_LINKS": "/wheels,/more"}),
        ("linux", {}, {"find-links": "/wheels"}, False, LINKS),
        ("win32", {}, {"find-links": "C:\\wheels\nC:\\more"}, False, {"UV_FIND_LINKS": "C:\\wheels,C:\\more"}),
        ("linux", {}, {"find-links": "", "index-url": "https://mirror"}, False, {"UV_DEFAULT_INDEX": "https://mirror"}),
        ("linux", {"UV_FIND_LINKS": ""}, {"find-links": "/wheels"}, True, {}),
        ("linux", {"UV_DEFAULT_INDEX": "a"}, {"index-url": "b"}, False, {"UV_DEFAULT_INDEX": "a"}),
    ],
)
def test_uv_gets_pips_sources_and_looks_for_a_gpu_where_nobody_chose(
    system, environment, settings, searches_gpu, handed_over
):
    arguments, changed = course.installation(system, environment | {"HOME": "/home"}, settings, ROOT, [])
    assert ("--torch-backend=auto" in arguments) == searches_gpu
    assert {name: value for name, value in changed.items() if name in course.HANDED_OVER} == handed_over
    assert changed["HOME"] == "/home" and changed.get("UV_TORCH_BACKEND") == environment.get("UV_TORCH_BACKEND")


@pytest.mark.parametrize("system", ["linux", "darwin", "win32"])
def test_what_is_started_finds_the_environments_programs_first(system):
    separator, own = (";" if system == "win32" else ":"), str(course.program("python", system).parent)
    assert course.surroundings({"PATH": "elsewhere", "A": "b"}, system) == {"PATH": f"{own}{separator}elsewhere", "A": "b"}
    assert course.surroundings({}, system) == {"PATH": own}


def test_a_relative_path_to_data_means_the_same_in_every_folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.npz").touch()
    assert course.surroundings({"ATTNPRUNE_DATA": "my.npz"})["ATTNPRUNE_DATA"] == str(tmp_path / "my.npz")
    assert course.surroundings({"ATTNPRUNE_DATA": "shapes"})["ATTNPRUNE_DATA"] == "shapes"


def test_lab_makes_the_readers_copies_and_opens_the_first_of_them(called, monkeypatch):
    monkeypatch.setattr(course, "prepare", lambda: None)
    course.main(["lab", "--port", "9999"])
    copies, jupyter = called
    assert copies[1:] == ["-m", "attnprune_edu_command", "lesson"]
    assert jupyter[1:3] == ["-m", "jupyterlab"] and "--port=9999" in jupyter and f"--ServerApp.root_dir={ROOT}" in jupyter
    assert "--LabApp.default_url=/lab/tree/workbook/00_start_here.ipynb" in jupyter


@pytest.mark.parametrize("name", sorted(set(course.STEPS) - {"clean", "lock"}))
def test_a_step_runs_what_is_there(called, monkeypatch, name):
    monkeypatch.setattr(course, "prepare", lambda: None)
    monkeypatch.setattr(course, "compile_once", lambda: None)
    course.main([name])
    assert called
    for program, *arguments in called:
        assert program == str(course.program("python"))
        if arguments[0] == "-m":
            assert importlib.util.find_spec(arguments[1])
        assert all((ROOT / argument).is_file() for argument in arguments if argument.endswith(".py"))


def test_options_of_mutants_are_handed_on(called, monkeypatch):
    monkeypatch.setattr(course, "prepare", lambda: None)
    course.main(["mutants", "--sample=3", "a.py", "b.py"])
    assert called[-1][1:] == ["tools/mutants.py", "--sample", "3", "a.py", "b.py"]


def test_what_the_grader_is_asked_is_handed_on(called, monkeypatch):
    monkeypatch.setattr(course, "prepare", lambda: None)
    course.main(["grade", "02", "my in", "--roster", "r.csv", "--jobs=2"])
    assert called[-1][1:] == ["-m", "attnprune_edu_command", "grade", "02", "my in", "--roster", "r.csv", "--jobs=2"]


def test_the_environment_is_made_once_and_again_when_its_lists_change(called, elsewhere):
    course.prepare()
    assert [call[2] for call in called] == ["venv", "pip", "uv", "jupyterlab.labextensions"]
    called.clear()
    course.prepare()
    assert not called
    later = time.time() + 10
    os.utime(elsewhere / "requirements.lock", (later, later))
    course.prepare()
    assert [call[2] for call in called] == ["pip", "uv", "jupyterlab.labextensions"], "what is there is kept"


def test_an_installation_that_fails_is_tried_again(called, elsewhere):
    make_environment()
    called.status = 2
    with pytest.raises(SystemExit) as stopped:
        course.prepare()
    assert stopped.value.code == 2 and not (elsewhere / ".venv" / ".ready").exists()


def test_a_python_without_venv_is_told_what_to_install(called, elsewhere):
    called.status = 1
    with pytest.raises(SystemExit, match="python3-venv"):
        course.prepare()


def test_byte_code_is_written_once_for_each_installation(called, elsewhere):
    make_environment()
    ready = elsewhere / ".venv" / ".ready"
    ready.touch()
    course.compile_once()
    course.compile_once()
    assert len(called) == 1
    later = time.time() + 10
    os.utime(ready, (later, later))
    course.compile_once()
    assert len(called) == 2


def test_clean_leaves_the_readers_work(elsewhere):
    for folder in (".venv/lib", "build", "dist", "attnprune_edu/data/__pycache__", "workbook", "lessons"):
        (elsewhere / folder).mkdir(parents=True)
    course.clean()
    assert sorted(path.name for path in elsewhere.rglob("*") if path.is_dir()) == [
        "attnprune_edu",
        "data",
        "lessons",
        "workbook",
    ]


def test_what_a_build_of_torch_brings_along_is_not_locked(elsewhere, monkeypatch):
    monkeypatch.setattr(course, "prepare", lambda: None)
    resolved = "cuda-toolkit==13\nnumpy==2\nnvidia-nccl==2\ntorch==2\ntriton==3\n"
    monkeypatch.setattr(course.subprocess, "check_output", lambda *_, **__: resolved)
    course.lock()
    assert (elsewhere / "requirements.lock").read_bytes() == b"numpy==2\ntorch==2\n"


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to end by")
def test_a_step_that_fails_gives_its_status(code, status):
    with pytest.raises(SystemExit) as stopped:
        course.leave_unless_well([sys.executable, "-c", code], os.environ)
    assert stopped.value.code == status


@pytest.mark.skipif(sys.platform == "win32", reason="a console's Control-C cannot be sent to one process there")
def test_control_c_is_for_what_runs_and_waits_for_its_goodbye():
    waits = "try: print('runs', flush=True); time.sleep(60)"  # whoever reads "runs" may interrupt from then on
    inner = f"import time\n{waits}\nexcept KeyboardInterrupt: time.sleep(0.3); print('bye')"
    outer = f"""import course, os, sys
course.STEPS["data"] = lambda: course.leave_unless_well([sys.executable, "-c", {inner!r}], os.environ)
course.main(["data"])"""
    command = [sys.executable, "-c", outer]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout.readline() == "runs\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "bye\n" and process.returncode == 0


def test_an_old_python_is_told_so(monkeypatch):
    ast.parse((ROOT / "course.py").read_text(encoding="utf-8"), feature_version=(3, 8))  # it gets as far as that sentence
    monkeypatch.setattr(course.sys, "version_info", (3, 9, 1))
    with pytest.raises(SystemExit, match=r"Python 3\.10 or later"):
        course.main([])


def test_alone_it_lists_its_steps(capsys):
    course.main([])
    listed = capsys.readouterr().out
    for name, function in course.STEPS.items():
        assert f"    {name}" in listed and function.__doc__ in listed
