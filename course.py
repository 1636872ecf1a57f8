"""The course in a few steps, on Linux, macOS and Windows: `python course.py lab` sets everything up and opens lesson 00.

Needs Python 3.10 or later and nothing else. `make lab` and its like call this file.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
UV = "uv==0.13.9"
FIRST_PAGE = "/lab/tree/workbook/00_start_here.ipynb"
BUILT = ("build", "dist", ".pytest_cache", ".ruff_cache", ".hypothesis")
# What uv calls a setting: what pip calls it in the environment, and in its configuration.
HANDED_OVER = {"UV_FIND_LINKS": ("PIP_FIND_LINKS", "find-links"), "UV_DEFAULT_INDEX": ("PIP_INDEX_URL", "index-url")}

STEPS: dict[str, Callable[..., None]] = {}


def step(function: Callable[..., None]) -> Callable[..., None]:
    """Make ``function`` a step of its name, with hyphens, whose docstring is its line in the list of steps."""
    STEPS[function.__name__.replace("_", "-")] = function
    return function


@step
def lab(port: int) -> None:
    """set everything up and open lesson 00 in JupyterLab"""
    prepare()
    python("-m", "attnprune_edu_command", "lesson")
    python(*jupyterlab(port))


@step
def demo() -> None:
    """run lesson 00 without a browser and leave it as one HTML page"""
    prepare()
    python("tools/notebooks.py", "--html", "build", "00_start_here")
    print(f"The lesson, run on this machine: {Path('build', '00_start_here.html')}")


@step
def test() -> None:
    """set everything up and run every test"""
    prepare()
    compile_once()
    python("-m", "ruff", "check", ".")
    python("-m", "ruff", "format", "--check", ".")
    # A process for each core, and one thread in each process: threads of two processes wait for each other. One process more
    # for the tests that often wait, for a page or for another process. A notebook's cells stay together, and so do the tests
    # that need the same lesson in the browser.
    cores = "import psutil; print((psutil.cpu_count(logical=False) or 1) + 1)"
    processes = subprocess.check_output([program("python"), "-c", cores], text=True).strip()
    pytest = ("-m", "pytest", "-q")
    python(*pytest, "-n", processes, "--dist", "loadgroup", OMP_NUM_THREADS="1")
    python(
        *(*pytest, "-n", "auto", "--dist", "loadfile", "-p", "no:cacheprovider"),
        *("--nbval-lax", "--nbval-cell-timeout=300", "notebooks"),
        OMP_NUM_THREADS="1",
        ATTNPRUNE_DATA="shapes",
    )


@step
def zoo() -> None:
    """cut every classification network of torchvision and compare, in ONNX Runtime as well"""
    prepare()
    python("-m", "pytest", "-q", "-m", "zoo", "tests/pruning/test_zoo.py", OMP_NUM_THREADS="1")


@step
def extras() -> None:
    """install nbgrader, Optuna and TensorBoard, which only some people need, and run their tests"""
    prepare()
    for package in ("nbgrader", "optuna", "tensorboard"):
        install_extra(package)
    tests = ("grading/test_nbgrader.py", "experiments/test_search.py", "networks/test_tensorboard.py")
    python("-m", "pytest", "-q", *(f"tests/{name}" for name in tests), OMP_NUM_THREADS="1")


def install_extra(name: str) -> None:
    """Install what only some people need, unless it is there; each extra is called as the package that it brings."""
    if subprocess.call([program("python"), "-c", f"import {name}"], stderr=subprocess.DEVNULL):
        python("-m", "pip", "install", "--quiet", "--disable-pip-version-check", f"attnprune-edu[{name}]")


@step
def mutants(sample: int, modules: Sequence[str]) -> None:
    """break modules in small ways to see whether their tests notice"""
    prepare()
    install_extra("mutmut")
    python("tools/mutants.py", "--sample", str(sample), *modules, OMP_NUM_THREADS="1")


def teachers(command: str, arguments: Sequence[str]) -> None:
    """Run one of the teachers' commands of ``attnprune-edu``; without arguments, list those it takes."""
    prepare()
    python("-m", "attnprune_edu_command", command, *(arguments or ["--help"]))


@step
def assignment(arguments: Sequence[str]) -> None:
    """for teachers: write what students get of a lesson as coursework"""
    teachers("assignment", arguments)


@step
def grade(arguments: Sequence[str]) -> None:
    """for teachers: grade the coursework that students handed in"""
    teachers("grade", arguments)


@step
def nbgrader(arguments: Sequence[str]) -> None:
    """for teachers: write source notebooks for a course of nbgrader's"""
    teachers("nbgrader", arguments)


@step
def proofs() -> None:
    """grade right, copied and wrong answers of 500 students to every exercise (many minutes)"""
    prepare()
    tests = ("tests/coursework", *(f"tests/grading/test_{name}.py" for name in ("release", "running", "wire")))
    python("-m", "pytest", "-q", "-n", "auto", "-m", "not zoo", *tests, OMP_NUM_THREADS="1", PROOF_STUDENTS="500")


@step
def data() -> None:
    """download CIFAR-10 (170 MB), resuming where an earlier try broke off"""
    prepare()
    python("-m", "attnprune_edu_command", "data")


@step
def notebooks() -> None:
    """write every notebook from its lesson and run it (on the data that ATTNPRUNE_DATA names)"""
    prepare()
    python("tools/notebooks.py", "--execute")


@step
def book() -> None:
    """build the book: a site of all lessons as stored, and the library's reference"""
    prepare()
    python("book/build.py")
    print(f"The book: {Path('build', 'book', 'html', 'index.html')}")


@step
def checkpoints() -> None:
    """train the networks that ship with the package again"""
    prepare()
    python("benchmarks/train_checkpoints.py")


@step
def bench() -> None:
    """measure the training loop against a DataLoader and against the network alone"""
    prepare()
    python("benchmarks/train_throughput.py")


@step
def lock() -> None:
    """resolve the newest versions that fit pyproject.toml and constraints.txt into requirements.lock"""
    prepare()
    command = [program("python"), "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "lab", "--extra", "test"]
    command += ["--constraint", "constraints.txt", "--universal", "--python-version", "3.10", "--upgrade"]
    resolved = subprocess.check_output([*command, "--no-annotate", "--no-header", "--quiet"], cwd=ROOT, text=True)
    # These come with torch where its build needs them; locked, they would reach CPU builds as well.
    kept = [line for line in resolved.splitlines() if not line.startswith(("nvidia-", "cuda-", "triton=="))]
    (ROOT / "requirements.lock").write_text("\n".join(kept) + "\n", encoding="utf-8", newline="\n")


@step
def release_check() -> None:
    """build the wheel, install it into an environment of its own, and do there what readers and teachers do"""
    prepare()
    python("-m", "tools.release_check")


@step
def clean() -> None:
    """remove the environment and everything built; your workbook stays"""
    caches = [path for path in ROOT.rglob("__pycache__") if VENV not in path.parents]
    for folder in (VENV, *(ROOT / name for name in BUILT), *caches):
        shutil.rmtree(folder, ignore_errors=True)


def program(name: str, system: str = sys.platform, folder: Path | None = None) -> Path:
    """Where the environment in ``folder`` (default: the course's) keeps the program ``name``.

    ``system``: one of the values of ``sys.platform``.
    """
    return (folder or VENV) / (f"Scripts/{name}.exe" if system == "win32" else f"bin/{name}")


def python(*arguments: str, **variables: str) -> None:
    """Run the environment's Python at the root of the course, with ``variables`` set; leave with its status if it fails."""
    leave_unless_well([program("python"), *arguments], surroundings(os.environ) | variables)


def leave_unless_well(command: Sequence[str | Path], environment: Mapping[str, str]) -> None:
    """Run ``command`` at the root of the course, and leave with its status if that is not 0."""
    if status := subprocess.call(command, cwd=ROOT, env=environment):
        sys.exit(status if status > 0 else 128 - status)  # as shells count what a signal ended


def surroundings(environment: Mapping[str, str], system: str = sys.platform) -> dict[str, str]:
    """``environment`` as what is started here gets it.

    The environment's programs come first, so that JupyterLab's terminals and cells find `attnprune-edu`. Notebooks run in
    their own folder, so that a relative path to data must not depend on where it is read.
    """
    changed = dict(environment)
    folders = [str(program("python", system).parent), environment.get("PATH", "")]
    changed["PATH"] = (";" if system == "win32" else ":").join(folder for folder in folders if folder)
    if os.path.isfile(environment.get("ATTNPRUNE_DATA", "")):
        changed["ATTNPRUNE_DATA"] = os.path.abspath(environment["ATTNPRUNE_DATA"])
    return changed


def jupyterlab(port: int, root: Path = ROOT) -> list[str]:
    """What to ask of Python so that JupyterLab opens the reader's copy of lesson 00 of the course in ``root``."""
    arguments = ["-m", "jupyterlab", f"--port={port}", f"--ServerApp.root_dir={root}", f"--LabApp.default_url={FIRST_PAGE}"]
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0  # Windows has no such user
    return [*arguments, "--allow-root"] if is_root else arguments


def prepare() -> None:
    """Make the environment, unless it is newer than the lists of what belongs into it."""
    ready, lists = VENV / ".ready", [ROOT / "requirements.lock", ROOT / "pyproject.toml"]
    if ready.exists() and ready.stat().st_mtime >= max(path.stat().st_mtime for path in lists):
        return
    there = program("python").exists() and program("pip").exists()
    if not there and subprocess.call([sys.executable, "-m", "venv", "--clear", VENV]):
        sys.exit("Python's venv module is missing or broken; on Debian or Ubuntu: sudo apt install python3-venv")
    print(f"Installing into {VENV.name} ...", flush=True)
    python("-m", "pip", "install", "--quiet", "--disable-pip-version-check", UV)
    locked = ("-r", "requirements.lock", "--editable", ".")
    arguments, environment = installation(sys.platform, os.environ, pip_settings(), VENV, locked)
    leave_unless_well([program("python"), *arguments], environment)
    news = "@jupyterlab/apputils-extension:announcements"  # asks in a dialog whether to fetch them
    command = [program("python"), "-m", "jupyterlab.labextensions", "disable", "--level=sys_prefix", news]
    subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    ready.touch()


def pip_settings() -> dict[str, str]:
    """What pip's configuration says about where packages come from, by pip's names."""
    found = {}
    for _, setting in HANDED_OVER.values():
        command = [program("python"), "-m", "pip", "config", "get", f"global.{setting}"]
        found[setting] = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    return found


def installation(
    system: str, environment: Mapping[str, str], settings: Mapping[str, str], folder: Path, packages: Sequence[str]
) -> tuple[list[str], dict[str, str]]:
    """What to ask of Python so that uv installs ``packages`` into the environment in ``folder``, and in what surroundings.

    uv takes a tenth of pip's time, but does not read pip's ``settings``, {name: value}: they are handed over. PyPI's torch
    for Linux brings several GB of CUDA, so there uv looks for a GPU and takes the CPU build where it finds none, unless
    UV_TORCH_BACKEND names a build, or pip or uv have sources of their own, which know what they hold.
    """
    changed = dict(environment)
    for name, (variable, setting) in HANDED_OVER.items():
        if name not in environment:  # where pip wants spaces or lines between several, uv wants commas
            changed[name] = ",".join(environment.get(variable, settings.get(setting, "")).split())
        if not changed[name]:
            del changed[name]
    python = str(program("python", system, folder))
    arguments = ["-m", "uv", "pip", "install", "--quiet", "--python", python, "--link-mode=copy"]
    if system == "linux" and not {*HANDED_OVER, "UV_TORCH_BACKEND"} & changed.keys():
        arguments.append("--torch-backend=auto")
    return [*arguments, *packages], changed


def compile_once() -> None:
    """Write byte code: the tests start a hundred processes, and where none may be written each would compile torch anew."""
    compiled, ready = VENV / ".compiled", VENV / ".ready"
    if compiled.exists() and compiled.stat().st_mtime >= ready.stat().st_mtime:
        return
    command = [program("python"), "-m", "compileall", "-q", "-j", "0", VENV]
    subprocess.call(command, stdout=subprocess.DEVNULL)  # it fails on files of packages that no Python compiles
    compiled.touch()


def main(arguments: Sequence[str] | None = None) -> None:
    """Do the step that the command line names; without one, list them all."""
    if sys.version_info < (3, 10):  # noqa: UP036 (nothing is installed yet that would have asked)
        sys.exit(f"Python 3.10 or later is needed, this is {sys.version.split()[0]}. With make: make PYTHON=python3.12 ...")
    parser = argparse.ArgumentParser(
        description="The course in a few steps: `python course.py STEP`, or `make STEP`.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=24, width=120),
    )
    choices = parser.add_subparsers(dest="step", metavar="STEP")
    for name, function in STEPS.items():
        choices.add_parser(name, help=function.__doc__, description=function.__doc__)
    choices.choices["lab"].add_argument("--port", type=int, default=8888, help="default: 8888 (make lab PORT=8888)")
    of_mutants = choices.choices["mutants"]
    of_mutants.add_argument("--sample", type=int, default=20, help="per file, default: 20, 0: all (make mutants SAMPLE=20)")
    of_mutants.add_argument(
        "modules", nargs="*", metavar="FILE", help="default: most of the library (make mutants ONLY=FILE)"
    )
    for name, example in {
        "assignment": "LESSON=02",
        "grade": "LESSON=02 SUBMISSIONS=FOLDER ROSTER=FILE",
        "nbgrader": "LESSON=02 COURSE=FOLDER",
    }.items():
        choices.choices[name].add_argument(
            "arguments",
            nargs=argparse.REMAINDER,
            metavar="LESSON ...",
            help=f"as of `attnprune-edu {name}`; alone, lists them (make {name} {example})",
        )
    chosen = vars(parser.parse_args(arguments))
    if (name := chosen.pop("step")) is None:
        parser.print_help()
        return
    # Control-C is for what runs here: JupyterLab asks whether to stop, and takes its kernels with it.
    signal.signal(signal.SIGINT, lambda *_: None)
    STEPS[name](**chosen)


if __name__ == "__main__":
    main()
