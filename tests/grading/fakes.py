"""A run that answers at once, in the place of the sandbox; and notebooks to hand in."""

import json
import os
import re
import signal
from pathlib import Path

from attnprune_edu.checks.verdict import NOT_TRIED, right, wrong
from attnprune_edu.grading.running import Run

CALLS = []  # (student, the checks that were asked for), of the runs in this process


def notebook(*cells, **more):
    parts = [{"cell_type": "code", "source": cell, "metadata": {}, "outputs": []} for cell in cells]
    return json.dumps({"cells": parts, "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | more)


def hand_in(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(notebook(*cells), encoding="utf-8")
    return path


def answers_at_once(exercises, cells, student, key, *, unsafe=False):
    """What it finds in the text: "score_by_hand: right", "score_by_hand: wrong MESSAGE", "raise", "die MARKER" …"""
    CALLS.append((student, [exercise.check for exercise in exercises]))
    text = "\n".join(cells)
    run = Run(seconds=1.0)
    if "die" in text:
        _die(Path(re.search(r"die (\S+)", text)[1]))
    if "raise" in text:
        raise RuntimeError("a long way, and " * 100 + "no such luck")
    for exercise in exercises:
        said = re.search(rf"{exercise.check}: (\w+) ?(.*)", text)
        if said is None:
            run.verdicts[exercise.check] = NOT_TRIED
        else:
            share = 0.5 if said[1] == "half" else 0.0
            run.verdicts[exercise.check] = right("it is.") if said[1] == "right" else wrong(said[2], share)
    if declared := re.search(r"declared (\S+)", text):
        run.declared = declared[1]
    asked = {exercise.check for exercise in exercises}
    run.answers = {check: float(answer) for check, answer in re.findall(r"(\w+) is ([\d.]+)", text) if check in asked}
    if "ended" in text:
        run.faults = dict.fromkeys([1, *sorted(asked & {"score_by_hand"})], "ended the process")
    return run


def _die(marker):
    """End the process as if the machine had no memory left, if it is the first time."""
    first = not marker.exists()
    with marker.open("a") as file:
        file.write("x")
    if first:
        os.kill(os.getpid(), signal.SIGKILL)
