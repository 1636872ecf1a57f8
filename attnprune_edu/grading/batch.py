"""A whole course's submissions: graded side by side, each recorded at once, and none lost when a process is."""

import ast
import contextlib
import hashlib
import multiprocessing
import os
import re
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from ..coursework import exercises_of
from .collecting import Source
from .notebooks import Unreadable, read_notebook
from .records import FAILED, GRADED, UNREADABLE, Record, read_record, write_record

LONGEST_PARSED = 100_000  # characters of a cell: its syntax tree takes hundreds of times as much memory
TRIES = 3  # of one submission, each in another process if the first one died


@dataclass(frozen=True)
class Job:
    """One submission to grade, such that any process on any machine that shares the folders can do it.

    ``checks``: those to ask. ``prints``: {check: fingerprint} of all. ``run``: a function like ``running.run_and_judge``.
    ``time``: of the file's last change.
    """

    lesson: str
    student: str
    shown: str
    source: Source
    folder: Path
    about: dict[str, str]
    prints: dict[str, str]
    checks: tuple[str, ...]
    key: bytes
    unsafe: bool
    run: Callable
    time: float = 0.0


def grade(job: Job) -> str:
    """Grade one submission, write its record, and return its state."""
    content = job.source.read()
    record = Record(job.student, job.shown, GRADED, job.about, time=job.time)
    try:
        if hashlib.sha256(content).hexdigest() != job.about["file"]:
            raise RuntimeError("the file has changed since the grading began")
        notebook = read_notebook(content)
    except Unreadable as problem:
        record.state, record.notes = UNREADABLE, [str(problem)]
        write_record(job.folder, record)
        return record.state
    exercises = exercises_of(job.lesson)
    run = job.run(
        [exercise for exercise in exercises if exercise.check in job.checks],
        notebook.cells,
        job.student,
        job.key,
        unsafe=job.unsafe,
    )
    before = read_record(job.folder, job.student)
    kept = set(job.prints) - set(job.checks) if before else set()
    record.exercises = job.prints
    record.verdicts = {check: run.verdicts[check] if check in job.checks else before.verdicts[check] for check in job.prints}
    record.notes, record.errors, record.declared = notebook.notes, run.errors, run.declared
    record.faults = {str(place): fault for place, fault in run.faults.items()}
    record.answers = dict(run.answers)
    for check in kept:
        record.faults |= {check: before.faults[check]} if check in before.faults else {}
        record.answers |= {check: before.answers[check]} if check in before.answers else {}
    record.code = {exercise.check: cell_with(exercise.answer, notebook.cells) for exercise in exercises}
    record.same_as = _same_as(notebook.cells, {job.student, run.declared or job.student})
    record.seconds, record.cpu_seconds, record.peak_bytes = run.seconds, run.cpu_seconds, run.peak_bytes
    write_record(job.folder, record)
    return record.state


def grade_all(jobs: Sequence[Job], executor: Executor | None = None, processes: int = 1, progress: bool = True) -> None:
    """Grade all ``jobs``, each of which leaves a record, and if that fails ``TRIES`` times, one that says how.

    ``executor``: what runs them, as ``ap.sweep`` takes it; None: as many ``processes`` of this machine. One that dies takes
    nothing along: what it was at is tried again in a new one. Interrupted and called again with what has no record yet, it
    goes on from there.
    """
    own = None if executor else _Processes(processes)
    executor, tries = executor or own, Counter()
    running: dict[Future, Job] = {}
    try:
        for job in jobs:
            running[executor.submit(grade, job)] = job
        with tqdm(total=len(jobs), desc="Grading", unit="submission", disable=not progress) as bar:
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    job = running.pop(future)
                    if problem := _problem(future):
                        tries[job.student] += 1
                        if tries[job.student] < TRIES and (again := _submitted(executor, job)):
                            running[again] = job
                            continue
                        notes = [f"grader failed: {problem}"]
                        write_record(
                            job.folder, Record(job.student, job.shown, FAILED, job.about, time=job.time, notes=notes)
                        )
                    bar.update()
    finally:  # also after Control-C
        for future in running:
            future.cancel()
        if own:
            own.shutdown()


def _problem(future: Future) -> str:
    """What a ``future`` failed of, "" if it did not."""
    try:
        future.result()
    except Exception as error:  # whatever a grader, a lost worker or a cluster raises
        problem = f"{type(error).__name__}: {error}".strip()
        return problem if len(problem) <= 500 else f"{problem[:100]} … {problem[-400:]}"  # a traceback says why at its end
    return ""


def _submitted(executor: Executor, job: Job) -> Future | None:
    try:
        return executor.submit(grade, job)
    except RuntimeError:  # an executor of the caller's that is broken or closed
        return None


class _Processes(ThreadPoolExecutor):
    """As many processes as threads, one each: where a process dies, that is the end of one submission and no other."""

    def __init__(self, processes: int):
        super().__init__(processes)
        self._own, self._all = threading.local(), []

    def submit(self, function, /, *arguments) -> Future:
        """Have ``function`` called in one of the processes."""
        return super().submit(self._in_process, function, *arguments)

    def _in_process(self, function, *arguments):
        if getattr(self._own, "pool", None) is None:
            spawn = multiprocessing.get_context("spawn")
            self._own.pool = ProcessPoolExecutor(1, spawn, initializer=_begin)
            self._all.append(self._own.pool)
        try:
            return self._own.pool.submit(function, *arguments).result()
        except BrokenExecutor:
            self._own.pool = None
            raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads, and then the processes."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        for pool in self._all:
            pool.shutdown(wait)


def _begin() -> None:
    """What each process does first: keep to one thread, as others have the other cores; and end when its parent does."""
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()  # a parent that is killed says no goodbye: its process would wait for ever
    os._exit(1)


def cell_with(name: str, cells: Sequence[str]) -> str:
    """The last of the ``cells`` that defines ``name``, "" if none does."""
    defines = re.compile(  # no white space at the start that runs over lines: a thousand empty ones would take for ever
        rf"^[ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b|^[ \t]*{name}[ \t]*(?::[^=\n]+)?=(?!=)", re.MULTILINE
    )
    return next((cell for cell in reversed(cells) if defines.search(cell)), "")


def _same_as(cells: Sequence[str], ids: set[str]) -> str:
    """A digest of the cells in which comments, layout and the student's own id do not count."""
    digest = hashlib.sha256()
    for cell in cells:
        for name in ids:
            cell = re.sub(rf"(['\"])\s*{re.escape(name)}\s*\1", "'...'", cell, flags=re.IGNORECASE)
        if len(cell) <= LONGEST_PARSED:
            with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about how the student writes
                cell = ast.unparse(ast.parse(cell))
        digest.update(cell.encode() + b"\0")
    return digest.hexdigest()[:16]
