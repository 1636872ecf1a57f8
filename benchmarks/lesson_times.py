"""Run every lesson as `make demo` runs it, one after the other, and print how long each takes as a table.

    python benchmarks/lesson_times.py [--rounds 3] [NN_name ...]

What is measured is the whole run in a process of its own: starting Python and a kernel, all cells, writing the page. The
data are those that ATTNPRUNE_DATA names. Nothing else should run on the machine meanwhile.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

import attnprune_edu as ap

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("names", nargs="*", metavar="NN_name")
    arguments = parser.parse_args()
    names = arguments.names or sorted(path.stem for path in (ROOT / "lessons").glob("[0-9][0-9]_*.md"))
    seconds = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.rounds):
            for name in names:
                start = time.perf_counter()
                subprocess.run([sys.executable, ROOT / "tools" / "notebooks.py", "--html", folder, name], check=True)
                seconds[name].append(time.perf_counter() - start)
                print(f"round {number + 1}: {name} {seconds[name][-1]:.0f} s", flush=True)

    print(f"\n{ap.load_data(announce=False)}\n{arguments.rounds} rounds, {torch.get_num_threads()} threads\n")
    print("| lesson | seconds, median (lowest–highest) |")
    print("| --- | --- |")
    for name, times in seconds.items():
        print(f"| {name} | {statistics.median(times):.0f} ({min(times):.0f}–{max(times):.0f}) |")


if __name__ == "__main__":
    main()
