"""One run of a student's notebook: what is told to the worker, what it answers, and the limits that it is held to."""

import json
import os
import select
import subprocess
import tempfile
import time
from collections import deque
from dataclasses import asdict, dataclass

import psutil

from . import sandbox, system_calls
from .wire import MOST_PARTS

TAIL = 2000
ORDER = 200_000_000  # bytes of one answer of the worker, and of all of them
MOST_EVENTS = 500_000  # two for each cell, three for each question
MARKS = 6 * MOST_PARTS  # commas and brackets of an event, each of which may cost a hundred bytes once it is read


@dataclass(frozen=True)
class Limits:
    """What a submission may take. Bytes, and seconds of the processor's time unless said otherwise."""

    memory: int = 3 << 30  # of addresses, on top of what the imports take
    cpu_seconds: int = 300  # of all processes; where that much was taken, it is not started again
    file_size: int = 32 << 20
    open_files: int = 128  # of each process; memory of the kernel's hangs on each
    cell_seconds: int = 10  # of a cell, and of a call of a function
    resident: int = 2 << 30  # of memory, all processes together
    tasks: int = 60  # processes and their threads, all together
    start: int = 300  # of the clock, until the imports are done
    asleep: int = 20  # of the clock, without computing or answering
    whole: int = 900  # of the clock, however often it is started


class Ended(BaseException):
    """The worker is gone, or had to be stopped: ``why`` in words that go behind "it". No check may take it for an error."""

    def __init__(self, why: str):
        super().__init__(why)
        self.why = why


class Session:
    """A worker in a sandbox, or, if ``unsafe``, in none. Use it in a ``with`` statement: no process outlives it."""

    def __init__(self, limits: Limits, unsafe: bool = False):
        self.limits, self.unsafe = limits, unsafe
        self.said = self.heard = self.peak = 0
        self.tail = b""  # what it printed last
        self.cpu = self.cpu_at_event = 0.0

    def __enter__(self) -> "Session":
        events, channel = os.pipe()
        calls = None if self.unsafe else system_calls.open_filter()
        command = sandbox.worker(channel) if self.unsafe else sandbox.command(channel, calls)
        self.home = tempfile.TemporaryDirectory() if self.unsafe else None
        environment = sandbox.environment() | ({"HOME": self.home.name} if self.home else {})
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(channel,) if self.unsafe else (channel, calls),
            env=environment,
            cwd=self.home.name if self.home else None,
            start_new_session=True,
        )
        os.close(channel)
        if not self.unsafe:
            os.close(calls)
        self.events, self.output = events, self.process.stdout.fileno()
        self.open, self.buffer, self.ready, self.checked = {events, self.output}, bytearray(), False, 0.0
        self.family, self.waiting = psutil.Process(self.process.pid), deque()
        self.started = self.moved = time.monotonic()
        return self

    def __exit__(self, *_) -> None:
        self._kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        os.close(self.events)
        if self.home:
            self.home.cleanup()

    def send(self, **order) -> None:
        """Tell the worker what to do."""
        data = json.dumps(order).encode() + b"\n"
        self.moved = time.monotonic()
        os.set_blocking(self.process.stdin.fileno(), False)
        while data:  # it may have to print before it reads
            try:
                data = data[os.write(self.process.stdin.fileno(), data) :]
            except BlockingIOError:
                self._read(writable=True)
            except OSError:
                break  # it is gone; whoever waits for its answer learns why
            self._hold_to_limits()

    def start(self, cells: list[str], skip: list[int]) -> None:
        """Hand over the code cells."""
        self.send(cells=cells, skip=skip, limits=asdict(self.limits))

    def next(self) -> dict:
        """The worker's next event. Raises Ended if there is none to come."""
        while not self.waiting:
            self._read()
            self._hold_to_limits()  # whatever has come: a student's code may talk without end
            if not self.waiting and self.events not in self.open:
                raise Ended("ended the process (os._exit, a crash, or more memory than allowed)")
        self.cpu_at_event, self.moved = self.cpu, time.monotonic()
        event = self.waiting.popleft()
        self.ready = self.ready or "ready" in event
        return event

    def _read(self, writable: bool = False) -> None:
        """Take what has come, waiting for it a tenth of a second."""
        writers = [self.process.stdin.fileno()] if writable else []
        for descriptor in select.select(list(self.open), writers, [], 0.1)[0]:
            data = os.read(descriptor, 1 << 20)
            if not data:
                self.open.discard(descriptor)
            elif descriptor == self.output:
                self.tail = (self.tail + data)[-TAIL:]
            else:
                self.said += len(data)
                if self.said > ORDER:
                    raise self._stop("sent more than the grader takes")
                self.buffer += data
                if b"\n" in data:  # a long line comes in thousands of pieces
                    *lines, self.buffer = self.buffer.split(b"\n")
                    self.heard += len(lines)
                    if self.heard > MOST_EVENTS or any(sum(map(line.count, b",[{")) > MARKS for line in lines):
                        raise self._stop("sent more than the grader takes")
                    self.waiting += [event for line in lines if isinstance(event := _event(line), dict)]

    def _hold_to_limits(self) -> None:
        now = time.monotonic()
        if now - self.checked < 0.2:
            return
        self.checked = now
        limits = self.limits
        resident, cpu, tasks = self._usage("rss")
        if resident > limits.resident:  # forked processes share most of theirs: count that once, which takes longer
            resident = self._usage("pss")[0]
        moved = cpu > self.cpu + 0.01
        self.cpu, self.peak = max(cpu, self.cpu), max(resident, self.peak)
        if moved:
            self.moved = now
        if tasks > limits.tasks:
            raise self._stop("started too many processes or threads")
        if resident > limits.resident:
            raise self._stop(f"used more than {limits.resident >> 30} GB of memory")
        if not self.ready:
            if now - self.started > limits.start:
                raise self._stop("did not start")
        elif self.cpu - self.cpu_at_event > limits.cell_seconds + 3:
            raise self._stop(f"computed for more than {limits.cell_seconds} seconds and could not be interrupted")
        elif now - self.moved > limits.asleep:
            raise self._stop(f"waited for more than {limits.asleep} seconds")
        elif self.cpu > limits.cpu_seconds or now - self.started > limits.whole:
            raise self._stop("took all the time that one notebook has")

    def _usage(self, memory: str) -> tuple[int, float, int]:
        """Memory in bytes, seconds computed, and how many threads, of the worker and all that it started.

        ``memory``: "rss", which counts shared pages in each process, or "pss", which divides them among the processes.
        """
        resident, cpu, tasks = 0, 0.0, 0
        for member in (self.family, *self._children()):
            try:
                with member.oneshot():
                    resident += getattr(member.memory_info() if memory == "rss" else member.memory_full_info(), memory)
                    cpu += sum(member.cpu_times()[:4])  # its own, and that of the children that have ended
                    tasks += member.num_threads()
            except psutil.Error:
                continue
        return resident, cpu, tasks

    def _stop(self, why: str) -> Ended:
        self._kill()
        return Ended(why)

    def _kill(self) -> None:
        if self.unsafe:  # no namespace ends its children with it
            for child in self._children():
                child.kill()
        self.process.kill()

    def _children(self) -> list[psutil.Process]:
        try:
            return self.family.children(recursive=True)
        except psutil.Error:
            return []


def _event(line: bytes):
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
