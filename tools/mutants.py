"""Break the library in small ways, one at a time, and see whether a test fails: what survives is not tested.

    python tools/mutants.py [--sample 20] [--seed 0] [--workers 2] [--tests "…"] [MODULE ...]

The ways are those of mutmut (another number, another operator, an argument left out, …) and three more. mutmut's own runner
would not do: it leaves decorated functions alone, and wraps all others, which tests that look into functions notice. Here a
mutant is a changed file in a copy of the library, and a forked process, which has torch loaded already, runs the module's
tests on it. What came out is kept in build/mutants, so that the next call goes on where this one was stopped; a mutant is
tried again when its module or its tests have changed. Needs Linux or macOS.
"""

import argparse
import ast
import compileall
import contextlib
import difflib
import hashlib
import importlib
import itertools
import json
import multiprocessing
import multiprocessing.connection
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
import pandas as pd
import psutil
import pytest
from mutmut.mutation.mutators import mutation_operators, operator_if_exp
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "build" / "mutants"
COPIED = ("attnprune_edu", "tests", "pyproject.toml")
MUTATED = ["networks/training.py", *(f"{floor}/[!_]*.py" for floor in ("pruning", "report", "experiments"))]
MODULES = [str(path.relative_to(ROOT)) for pattern in MUTATED for path in sorted((ROOT / "attnprune_edu").glob(pattern))]
# What a module's tests are, where it is not the file of the same name: arguments for pytest.
IN_ONE_PROCESS = "not processes_side_by_side and not dask_cluster and not killed_sweep"
TESTS = {
    "attnprune_edu/experiments/fingerprint.py": "tests/experiments/test_fingerprint.py -k 'not another_process'",
    "attnprune_edu/experiments/sweep.py": f"tests/experiments/test_sweep.py -k '{IN_ONE_PROCESS}'",
    "attnprune_edu/pruning/cutting.py": "tests/pruning/test_removal.py tests/pruning/test_any_network.py",
    "attnprune_edu/pruning/groups.py": "tests/pruning/test_groups.py tests/pruning/test_any_network.py",
    "attnprune_edu/pruning/guest.py": "tests/pruning/test_groups.py",
    "attnprune_edu/pruning/silence.py": "tests/pruning/test_masks.py tests/pruning/test_any_network.py",
}
NOT_MUTATED = (cst.Annotation, cst.Decorator, cst.Import, cst.ImportFrom, cst.Raise)
TIMED_OUT, KILLED, SURVIVED = "timed out", "killed", "survived"


def leave_out_statement(node: cst.SimpleStatementLine) -> Iterator[cst.CSTNode]:
    """A call for the sake of what it does, such as ``model.eval()``, is left out."""
    if len(node.body) == 1 and isinstance(node.body[0], cst.Expr) and isinstance(node.body[0].value, cst.Call):
        yield node.with_changes(body=[cst.Pass()])


def leave_out_decorator(node: cst.FunctionDef) -> Iterator[cst.CSTNode]:
    """A decorator, such as ``@torch.no_grad()``, is left out."""
    for number in range(len(node.decorators)):
        yield node.with_changes(decorators=[*node.decorators[:number], *node.decorators[number + 1 :]])


OPERATORS = [
    *mutation_operators,
    (cst.If, operator_if_exp),  # always, and never
    (cst.CompIf, operator_if_exp),
    (cst.SimpleStatementLine, leave_out_statement),
    (cst.FunctionDef, leave_out_decorator),
]


class Mutations(cst.CSTVisitor):
    """Collects pairs (node, what may stand in its place). Texts, annotations, errors and default values are left alone."""

    def __init__(self):
        super().__init__()
        self.found, self.left_alone = [], set()

    def on_visit(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.Param):
            self.left_alone.add(node.default)
        is_text = isinstance(node, cst.SimpleString) and " " in node.value
        if is_text or isinstance(node, NOT_MUTATED) or node in self.left_alone:
            return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                self.found += [(node, other) for other in operator(node)]
        return True


def mutants_of(source: str, seed: int) -> Iterator[str]:
    """Every mutant of a module's ``source`` that Python reads as something else, in random order."""
    tree, mutations = cst.parse_module(source), Mutations()
    tree.visit(mutations)
    random.Random(seed).shuffle(mutations.found)
    seen = {ast.dump(ast.parse(source))}
    for node, other in mutations.found:
        mutant = tree.deep_replace(node, other).code
        try:
            meaning = ast.dump(ast.parse(mutant))
        except SyntaxError:
            continue
        if meaning not in seen:
            seen.add(meaning)
            yield mutant


@dataclass
class Trial:
    """One text of a module, its own or a mutant of it, and the tests to run on it."""

    module: str
    original: str
    source: str
    tests: list[str]
    key: str  # names the trial by all the texts that it is made of, so that a result holds until one of them changes

    @property
    def diff(self) -> str:
        """What was changed."""
        lines = [text.splitlines() for text in (self.original, self.source)]
        return "\n".join(difflib.unified_diff(*lines, self.module, "mutant", n=1, lineterm=""))


def trials_of(module: str, tests: list[str], folder: Path, seed: int) -> Iterator[Trial]:
    """The trial of ``module`` as it stands in ``folder``, and then those of its mutants."""
    original = (folder / module).read_text(encoding="utf-8")
    files = [folder / "tests/conftest.py", *(folder / argument.split("::")[0] for argument in tests)]
    texts = [*tests, *(path.read_text(encoding="utf-8") for path in files if path.is_file())]
    for source in itertools.chain([original], mutants_of(original, seed)):
        digest = hashlib.sha256("\0".join([module, source, *texts]).encode())
        yield Trial(module, original, source, tests, digest.hexdigest()[:16])


def work(trial: Trial, folder: Path) -> None:
    """Run the tests of ``trial`` in the copy ``folder``: the whole life of a forked process. It exits with 0 if all pass."""
    os.setsid()  # so that what the tests start can be ended along with them
    with open(folder / "log", "w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    os.chdir(folder)
    os.environ["PYTHONPATH"] = str(folder)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    (folder / trial.module).write_text(trial.source, encoding="utf-8")
    without = [argument for plugin in ("cacheprovider", "nbval", "anyio") for argument in ("-p", f"no:{plugin}")]
    os._exit(pytest.main(["-x", "-q", *without, *trial.tests]))


def run(trials: list[Trial], folders: list[Path], limits: dict[str, float]) -> Iterator[tuple[Trial, str, float]]:
    """Run ``trials`` side by side, one in each of the copies ``folders``; yield each with its outcome and its seconds.

    ``limits``: the seconds that a module's trials may take.
    """
    fork = multiprocessing.get_context("fork")
    waiting, running = list(reversed(trials)), {}
    try:
        while waiting or running:
            while waiting and folders:
                trial, folder = waiting.pop(), folders.pop()
                process = fork.Process(target=work, args=(trial, folder))
                process.start()
                running[process] = trial, folder, time.monotonic()
            multiprocessing.connection.wait([process.sentinel for process in running], timeout=1)
            for process, (trial, folder, start) in list(running.items()):
                seconds = time.monotonic() - start
                if late := process.is_alive():
                    if seconds < limits[trial.module]:
                        continue
                    os.killpg(process.pid, signal.SIGKILL)
                process.join()
                (folder / trial.module).write_text(trial.original, encoding="utf-8")
                del running[process]
                folders.append(folder)
                yield trial, TIMED_OUT if late else KILLED if process.exitcode else SURVIVED, seconds
    finally:  # also after Ctrl-C
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def copies(where: Path, number: int) -> list[Path]:
    """Copy what Git knows or would add, ``number`` times, so that nobody's working tree is touched."""
    listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard", "-z", *COPIED], cwd=ROOT, text=True)
    folders = [where / str(count) for count in range(number)]
    for folder in folders:
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        compileall.compile_dir(folder / "attnprune_edu", quiet=1)
    return folders


def load_libraries() -> None:
    """Import what the tests import, so that forked processes need not, and forget the modules that may be mutated."""
    for name in ("attnprune_edu", "torch._dynamo", "torch_pruning", "onnxruntime", "hypothesis", "xdist.plugin"):
        importlib.import_module(name)
    package, torch = sys.modules["attnprune_edu"], sys.modules["torch"]
    torch.set_num_threads(1)  # a process that has threads must not be forked
    for name in package.__all__:
        getattr(package, name)
    for name in [name for name in sys.modules if name.split(".")[0] == "attnprune_edu"]:
        del sys.modules[name]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "modules", nargs="*", default=MODULES, metavar="MODULE", help="such as attnprune_edu/networks/macs.py"
    )
    parser.add_argument("--sample", type=int, default=20, help="mutants of each module; 0 takes all of them")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other mutants")
    parser.add_argument("--workers", type=int, default=psutil.cpu_count(logical=False) or 1, help="processes side by side")
    parser.add_argument("--tests", help="arguments for pytest, in place of the module's usual tests")
    options = parser.parse_args()
    if unknown := [module for module in options.modules if not (ROOT / module).is_file()]:
        parser.error(f"MODULE must be a file of the library, such as {MODULES[0]}, got {unknown[0]}")

    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # tidies up as Ctrl-C does
    load_libraries()
    KEPT.mkdir(parents=True, exist_ok=True)
    known = {path.stem: json.loads(path.read_text()) for path in KEPT.glob("*.json")}

    def keep(trial: Trial, outcome: str, seconds: float) -> None:
        known[trial.key] = {"outcome": outcome, "seconds": seconds}
        (KEPT / f"{trial.key}.json").write_text(json.dumps(known[trial.key]))

    originals, mutants = {}, []
    with tempfile.TemporaryDirectory(prefix="copies-", dir=KEPT) as where:
        folders = copies(Path(where), options.workers)
        for module in options.modules:
            usual = TESTS.get(module, f"tests/{Path(module).parent.name}/test_{Path(module).stem}.py")
            trials = trials_of(module, shlex.split(options.tests or usual), folders[0], options.seed)
            originals[module] = next(trials)
            mutants += itertools.islice(trials, options.sample or None)
        untouched = [trial for trial in originals.values() if trial.key not in known]
        for trial, outcome, seconds in run(untouched, folders, dict.fromkeys(originals, 600)):
            if outcome != SURVIVED:
                logs = "\n".join((folder / "log").read_text() for folder in folders if (folder / "log").exists())
                sys.exit(f"{logs}\nThese must pass before {trial.module} is changed: {shlex.join(trial.tests)}")
            keep(trial, outcome, seconds)
        limits = {module: 20 + 3 * known[trial.key]["seconds"] for module, trial in originals.items()}
        untried = [trial for trial in mutants if trial.key not in known]
        for result in tqdm(run(untried, folders, limits), total=len(untried), unit="mutant"):
            keep(*result)

    table = pd.DataFrame({"module": trial.module, "outcome": known[trial.key]["outcome"]} for trial in mutants)
    for trial in mutants:
        if known[trial.key]["outcome"] != KILLED:
            print(f"\n{known[trial.key]['outcome']}:\n{trial.diff}")
    counts = pd.crosstab(table.module, table.outcome, margins=True, margins_name="all")
    print(f"\n{counts.reindex(columns=[KILLED, SURVIVED, TIMED_OUT, 'all'], fill_value=0).to_string()}")


if __name__ == "__main__":
    main()
