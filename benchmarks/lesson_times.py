"""Run every lesson as `make demo` runs it, one after the other, and print how long each takes and how much memory.

    python benchmarks/lesson_times.py [--rounds 3] [NN_name ...]

What is measured is the whole run in a process of its own: starting Python and a kernel, all cells, writing the page. The
memory is the most that this process and those it started had resident at one time, looked at four times a second (memory
that they share counts twice). The data are those that ATTNPRUNE_DATA names. Nothing else should run on the machine
meanwhile.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil
import torch

import attnprune_edu as ap

ROOT = Path(__file__).resolve().parent.parent


def run(command: list) -> tuple[float, int]:
    """Run ``command``; seconds, and the most bytes that its processes had resident at one time."""
    start, most = time.perf_counter(), 0
    process = psutil.Popen(command)
    while process.poll() is None:
        most = max(most, sum(map(resident, [process, *descendants(process)])))
        time.sleep(0.25)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed")
    return time.perf_counter() - start, most


def descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:  # ended meanwhile
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("names", nargs="*", metavar="NN_name")
    arguments = parser.parse_args()
    names = arguments.names or sorted(path.stem for path in (ROOT / "lessons").glob("[0-9][0-9]_*.md"))
    seconds, memory = {name: [] for name in names}, dict.fromkeys(names, 0)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            for name in names:
                took, most = run([sys.executable, ROOT / "tools" / "notebooks.py", "--html", folder, name])
                seconds[name].append(took)
                memory[name] = max(memory[name], most)
                print(f"round {number + 1}: {name} {took:.0f} s, {most / 1e9:.2f} GB", flush=True)

    print(f"\n{ap.load_data(announce=False)}\n{arguments.rounds} rounds, {torch.get_num_threads()} threads\n")
    print("| lesson | seconds, median (lowest–highest) | memory, most |")
    print("| --- | --- | --- |")
    for name, times in seconds.items():
        span = f"{statistics.median(times):.0f} ({min(times):.0f}–{max(times):.0f})"
        print(f"| {name} | {span} | {memory[name] / 1e9:.2f} GB |")


if __name__ == "__main__":
    main()
