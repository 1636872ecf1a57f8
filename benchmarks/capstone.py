"""The capstone's baselines: what uniform cut, knapsack and search make of tasks that nobody has seen.

    python benchmarks/capstone.py [--numbers 0 1 2 … 8 15] [--search] [--threads 1]

For each number a dense network, and each baseline before and after two epochs of fine-tuning, on the same 3,000 held-back
pictures. A finished number goes to attnprune_edu/experiments/results/capstone.csv at once; numbers that stand there are not
measured again. ``seconds`` of processor time: training for the dense network, else all that leads to the tuned network.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
import torch

import attnprune_edu as ap
from attnprune_edu.report.checkpoints import atomic_write

TABLE = Path(__file__).resolve().parent.parent / "attnprune_edu" / "experiments" / "results" / "capstone.csv"


def rows_of(number: int, methods: list[str]) -> list[dict]:
    start = time.process_time()
    task = ap.load_capstone(number)
    about = {"number": number, "method": "dense", "tuned": False, "seconds": time.process_time() - start}
    rows = [{**about, **task.judge(task.model)}]
    for method in methods:
        start = time.process_time()
        network = task.planned(method)
        planned = time.process_time() - start
        tuned = task.tuned(network)
        seconds = time.process_time() - start
        for is_tuned, one, took in ((False, network, planned), (True, tuned, seconds)):
            rows.append({"number": number, "method": method, "tuned": is_tuned, "seconds": took, **task.judge(one)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--numbers", type=int, nargs="+", default=[*range(9), 15])
    parser.add_argument("--search", action="store_true", help="with Optuna's search, a minute or two for a number")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    methods = ["uniform", "knapsack", *(["search"] if arguments.search else [])]
    for number in arguments.numbers:
        known = pd.read_csv(TABLE) if TABLE.exists() else pd.DataFrame(columns=["number"])
        if number in set(known.number):
            continue
        rows = pd.DataFrame(rows_of(number, methods))
        with atomic_write(TABLE) as unfinished:
            pd.concat([known, rows] if len(known) else [rows]).to_csv(unfinished, index=False, float_format="%.5g")
        print(rows[["number", "method", "tuned", "accuracy", "params", "macs", "latency", "met", "seconds"]], flush=True)


if __name__ == "__main__":
    main()
