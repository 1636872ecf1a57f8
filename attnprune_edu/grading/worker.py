"""Runs in the sandbox, in one process with the student's code: it runs the cells, then calls the functions it is asked for.

It knows no right answer and no key. It is told what to do in lines of JSON on its standard input, and answers in lines of
JSON on a channel of its own (the number of its file descriptor is its first argument), so that whatever the student prints
goes elsewhere. What it says is not to be trusted: the student's code could say it as well.
"""

import base64
import importlib
import json
import os
import pickle
import resource
import signal
import sys


class OutOfTime(BaseException):
    """Raised in the student's code when it has computed for too long."""


class Stopwatch:
    """Interrupts what computes for longer than ``seconds`` of the processor's time: a busy machine costs no marks."""

    def __init__(self, seconds: int):
        self.seconds = seconds
        signal.signal(signal.SIGPROF, self._ring)

    def _ring(self, *_):
        raise OutOfTime(f"stopped after {self.seconds} seconds of computing")

    def __enter__(self):
        signal.setitimer(signal.ITIMER_PROF, self.seconds)

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_PROF, 0)


def limit_resources(limits: dict) -> None:
    """Bound what this process may take, on top of what it has."""
    with open("/proc/self/statm", encoding="ascii") as pages:
        present = int(pages.read().split()[0]) * resource.getpagesize()
    most = present + limits["memory"]
    for what, bound in (
        (resource.RLIMIT_AS, most),
        (resource.RLIMIT_CPU, limits["cpu_seconds"]),
        (resource.RLIMIT_FSIZE, limits["file_size"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
    ):
        resource.setrlimit(what, (bound, bound))


def main() -> None:
    """Serve the grader until it says no more."""
    orders = os.fdopen(os.dup(0), "r", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    channel = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8", buffering=1)

    def tell(**event):
        channel.write(json.dumps(event) + "\n")

    job = json.loads(orders.readline())

    import torch
    from IPython.core.interactiveshell import InteractiveShell

    import attnprune_edu.coursework  # noqa: F401, what every notebook imports is not the student's time
    from attnprune_edu.grading import wire

    observers = importlib.import_module("attnprune_edu.checks.observers")  # `from … import` would ask the stand-in for it

    torch.set_num_threads(1)
    shell = InteractiveShell.instance(colors="nocolor")
    shell.showtraceback = lambda *_, **__: None  # nobody reads it here, and a deep one takes seconds
    shell.enable_gui = lambda *_, **__: None  # or `%matplotlib inline` ends its cell with an error
    this = os.getpid()
    limit_resources(job["limits"])
    stopwatch = Stopwatch(job["limits"]["cell_seconds"])
    tell(ready=True)

    for number, source in enumerate(job["cells"]):
        if number in job["skip"]:
            continue
        tell(cell=number)
        try:
            with stopwatch:
                result = shell.run_cell(source, store_history=False)
            error = result.error_before_exec or result.error_in_exec
        except BaseException as raised:  # whatever the student's code may do to the shell
            error = raised
        if os.getpid() != this:
            os._exit(0)  # the cell made a second process, which comes out here as well
        tell(done=number, error=error and f"{type(error).__name__}: {error}"[:300])

    mine = shell.user_ns.get("mine")
    tell(ran=True, declared=str(getattr(mine, "student", ""))[:80] or None)

    for line in orders:
        order = json.loads(line)
        tell(asked=order["answer"])
        try:
            if order["answer"] not in shell.user_ns:
                tell(missing=True)
                continue
            value = shell.user_ns[order["answer"]]
            if "inputs" not in order:
                remote = callable(value) and not isinstance(value, torch.nn.Module)
                tell(**({"function": True} if remote else {"value": wire.encode(value)}))
                continue
            tell(**called(value, order, stopwatch, observers, wire))
        except BaseException as raised:
            tell(raised=type(raised).__name__, says=str(raised)[:300])


def called(function, order: dict, stopwatch: Stopwatch, observers, wire) -> dict:
    """What came of calling the student's ``function``, and what it changed."""
    sent, parent = base64.b64decode(order["inputs"]), os.getpid()
    inputs, before = pickle.loads(sent), pickle.loads(sent)
    try:
        with stopwatch:
            if observer := order.get("observer"):
                value = getattr(observers, observer)(function, *inputs)
            else:
                value = function(*inputs)
            event = {"value": wire.encode(value, inputs)}
    except BaseException as raised:
        event = {"raised": type(raised).__name__, "says": str(raised)[:300]}
    if os.getpid() != parent:
        os._exit(0)
    states = [[wire.encode(wire.state_of(value)) for value in values] for values in (inputs, before)]
    event["changed"] = {place: now for place, (now, then) in enumerate(zip(*states, strict=True)) if now != then}
    return event
