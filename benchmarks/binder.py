"""Run every lesson as Binder would: in JupyterLab, with 2 GB of memory and one CPU. Linux only.

    ATTNPRUNE_DATA=cifar10.npz python benchmarks/binder.py [--within "COMMAND ..."] [NN_name ...]

For each lesson a JupyterLab is started and asked for a kernel, which gets the cells of the notebook one after the other, as
from a browser. ``--within`` is put before the command that starts JupyterLab, and keeps it and all that it starts to the
limits. Where systemd runs, the default does; elsewhere root can make a control group first,

    cgcreate -g memory,cpu:binder
    cgset -r memory.max=2G -r memory.swap.max=0 -r cpu.max="100000 100000" binder                         # cgroup v2
    cgset -r memory.limit_in_bytes=2G -r memory.memsw.limit_in_bytes=2G -r cpu.cfs_quota_us=100000 binder     # or v1

and give ``--within "cgexec -g memory,cpu:binder"``. What needs more memory is killed, and this script ends with an error.

What is measured:

    start-up      seconds from asking for a kernel to the result of lesson 00's first cell, which imports the course and
                  loads the data; each time the first kernel of a fresh JupyterLab
    first cell    the same for the lesson's own first cell, which often does more
    seconds       the whole lesson, from asking for a kernel; CPU seconds are those of its kernel, and say more than the
                  clock on a machine that does other things as well
    memory        the most that JupyterLab and its kernel had resident at one time, looked at four times a second (what
                  they share counts twice)

Every finished lesson goes to build/binder.csv at once, so that a run that was stopped goes on where it was; delete the file
to measure again. At the end the table is printed.
"""

import argparse
import json
import os
import queue
import secrets
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import nbformat
import pandas as pd
import psutil
from jupyter_client import BlockingKernelClient
from lesson_times import descendants, resident
from recovery import append, has

import attnprune_edu as ap

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
TABLE = ROOT / "build" / "binder.csv"
SYSTEMD = "systemd-run --user --scope --quiet -p MemoryMax=2G -p MemorySwapMax=0 -p CPUQuota=100%"
LOOK_EVERY = 0.25  # seconds between two looks at the memory
PATIENCE = 120.0  # seconds that JupyterLab may take to start, and to answer


class JupyterLab:
    """A JupyterLab that runs, and what its processes have taken so far: ``most`` bytes of memory at one time."""

    def __init__(self, process: psutil.Popen, runtime: Path, token: str):
        self.process, self.runtime, self.token, self.most = process, runtime, token, 0
        self.address = self._wait_until_it_runs()

    @contextmanager
    def kernel(self, notebook: str) -> Iterator["Kernel"]:
        """A fresh kernel for one of the notebooks."""
        body = {"path": f"notebooks/{notebook}.ipynb", "name": notebook, "type": "notebook", "kernel": {"name": "python3"}}
        session = self._ask("POST", "api/sessions", body)
        connection = str(self.runtime / f"kernel-{session['kernel']['id']}.json")
        client = BlockingKernelClient(connection_file=connection)
        client.load_connection_file()
        client.start_channels(iopub=False, stdin=False, hb=False, control=False)
        (process,) = (child for child in self.process.children() if connection in child.cmdline())
        yield Kernel(self, client, process)
        client.stop_channels()  # after an error, JupyterLab itself is about to end
        self._ask("DELETE", f"api/sessions/{session['id']}")

    def look(self) -> None:
        self.most = max(self.most, sum(map(resident, [self.process, *descendants(self.process)])))

    def _ask(self, method: str, path: str, body: dict | None = None) -> dict | None:
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        request = Request(f"{self.address}{path}", json.dumps(body).encode(), headers, method=method)
        with urlopen(request, timeout=PATIENCE) as response:
            return json.loads(response.read() or "null")

    def _wait_until_it_runs(self) -> str:
        """The address at which it answers, which it writes down once it does."""
        deadline = time.monotonic() + PATIENCE
        while not (written := list(self.runtime.glob("jpserver-*.json"))):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"JupyterLab did not start; its log is {self.runtime / 'log'}")
            time.sleep(0.1)
        return json.loads(written[0].read_text())["url"]


class Kernel:
    """A kernel of a JupyterLab."""

    def __init__(self, lab: JupyterLab, client: BlockingKernelClient, process: psutil.Process):
        self.lab, self.client, self.process = lab, client, process

    def run(self, code: str) -> None:
        """Run one cell, and look at the memory meanwhile; leave with an error if the cell fails or the kernel dies."""
        self.client.execute(code, allow_stdin=False)
        reply = None
        while reply is None:
            try:
                reply = self.client.get_shell_msg(timeout=LOOK_EVERY)["content"]
            except queue.Empty:
                if not self.process.is_running() or self.process.status() == psutil.STATUS_ZOMBIE:
                    raise SystemExit(f"the kernel was killed at {self.lab.most / 1e9:.2f} GB, in\n{code}") from None
            self.lab.look()
        if reply["status"] != "ok":
            raise SystemExit("\n".join([code, *reply.get("traceback", [])]))

    def cpu_seconds(self) -> float:
        return sum(self.process.cpu_times()[:4])  # its own and those of the processes that it started and that ended


@contextmanager
def jupyterlab(within: list[str]) -> Iterator[JupyterLab]:
    """A JupyterLab at the root of the course, started by the command ``within``."""
    token, environment = secrets.token_hex(), dict(os.environ)
    if os.path.isfile(environment.get("ATTNPRUNE_DATA", "")):  # kernels run in the folder of their notebook
        environment["ATTNPRUNE_DATA"] = os.path.abspath(environment["ATTNPRUNE_DATA"])
    command = [*within, sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.port=0"]
    command += [f"--ServerApp.root_dir={ROOT}", f"--IdentityProvider.token={token}"]
    with tempfile.TemporaryDirectory() as runtime:
        environment["JUPYTER_RUNTIME_DIR"] = runtime
        with open(Path(runtime, "log"), "w") as log:
            process = psutil.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield JupyterLab(process, Path(runtime), token)
        finally:
            process.terminate()
            process.wait()


def cells(name: str) -> list[str]:
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def measure(name: str, within: list[str]) -> dict[str, float]:
    with jupyterlab(within) as lab:
        began = time.perf_counter()
        with lab.kernel("00_start_here") as kernel:
            kernel.run(cells("00_start_here")[0])
            start_up = {"start_up": time.perf_counter() - began, "start_up_cpu": kernel.cpu_seconds()}
        began, times, lab.most = time.perf_counter(), [], 0
        with lab.kernel(name) as kernel:
            for code in cells(name):
                kernel.run(code)
                times.append(time.perf_counter() - began)
            found = {"first_cell": times[0], "seconds": times[-1], "cpu_seconds": kernel.cpu_seconds(), "memory": lab.most}
            return start_up | found


def report() -> None:
    table = pd.read_csv(TABLE).sort_values("lesson")
    start_up = {"seconds": table.start_up, "CPU seconds": table.start_up_cpu}
    spans = [f"{each.median():.1f} {unit} ({each.min():.1f}–{each.max():.1f})" for unit, each in start_up.items()]
    print(f"\n{ap.load_data(announce=False)}\nstart-up: {', '.join(spans)}\n")
    print("| lesson | first cell, seconds | seconds | CPU seconds | memory |\n| --- | --- | --- | --- | --- |")
    for row in table.itertuples():
        seconds = f"{row.first_cell:.0f} | {row.seconds:.0f} | {row.cpu_seconds:.0f}"
        print(f"| {row.lesson.replace('_', ' ', 1)} | {seconds} | {row.memory / 1e9:.2f} GB |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--within", type=shlex.split, default=SYSTEMD, metavar="COMMAND", help="default: %(default)s")
    parser.add_argument("names", nargs="*", metavar="NN_name")
    arguments = parser.parse_args()
    for name in arguments.names or sorted(path.stem for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")):
        if not has(TABLE, lesson=name):
            row = {"lesson": name} | measure(name, arguments.within)
            append(row, TABLE)
            print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    report()


if __name__ == "__main__":
    main()
