"""Figures of gates: which channels were silent when, and how their ranking changed."""

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .style import BLUE, ORANGE, STONE, clean

OPEN, RETURNED, SILENT = "open", "open again", "silent"


def states_at(record: list, layer: str, place: int) -> np.ndarray:
    """``"open"``, ``"open again"`` or ``"silent"`` for each channel of ``layer`` (channels,) at choice number ``place``."""
    kept = torch.stack([choice.keep[layer] for choice in record[: place + 1]]).numpy()  # (choices, channels)
    return np.where(~kept[-1], SILENT, np.where(kept.all(axis=0), OPEN, RETURNED))


def ranks_at(record: list, layer: str, place: int) -> np.ndarray:
    """The rank of each channel of ``layer`` (channels,) at choice number ``place``; 1 is the most important."""
    order = record[place].importance[layer].argsort(descending=True, stable=True)
    ranks = torch.empty(len(order), dtype=torch.long)
    ranks[order] = torch.arange(1, len(order) + 1)
    return ranks.numpy()


def plot_gates(record: list, layer: str, step: int) -> Figure:
    """Draw what ``RunningGates`` recorded for one ``layer``, at one of the steps at which they chose.

    Left, each channel at its rank at the first choice and its rank now; on the diagonal nothing has changed. Right, a row
    for each channel in the order of the first ranking, coloured while its gate is open. In both the most important channels
    are on top. Raises ValueError if there was no choice at ``step`` or none for ``layer``.
    """
    steps = [choice.step for choice in record]
    if step not in steps:
        raise ValueError(f"step must be one of {steps}, at which the gates chose, got {step}")
    if layer not in record[0].keep:
        raise ValueError(f"layer must be one of {list(record[0].keep)}, got {layer!r}")
    place = steps.index(step)
    first, now, states = ranks_at(record, layer, 0), ranks_at(record, layer, place), states_at(record, layer, place)
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    looks = {
        OPEN: {"marker": "o", "color": BLUE},
        RETURNED: {"marker": "s", "color": ORANGE},
        SILENT: {"marker": "x", "color": STONE},
    }
    left.plot([1, len(first)], [1, len(first)], color="black", linewidth=0.8, zorder=0)
    for state, look in looks.items():
        chosen = states == state
        left.scatter(first[chosen], now[chosen], s=22, label=f"{state} ({chosen.sum()})", **look)
    left.set_xlabel("rank at the first choice")
    left.set_ylabel(f"rank at step {step}")
    left.invert_yaxis()
    left.legend(frameon=False, fontsize=9, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
    clean(left)

    order = np.argsort(first)
    kept = torch.stack([choice.keep[layer] for choice in record]).numpy()[:, order].T  # (channels, choices)
    kept = np.pad(kept, ((0, 0), (1, 0)), constant_values=True)  # all are open before the first choice
    edges = [0, *steps, steps[-1] + steps[0]]  # a choice holds until the next one
    right.pcolormesh(edges, np.arange(len(order) + 1) + 0.5, kept, cmap=ListedColormap(["white", BLUE]), vmin=0, vmax=1)
    right.axvline(step, color="black", linewidth=1.2)
    right.invert_yaxis()
    right.set_xlabel("training step")
    right.set_ylabel("channel, by its first rank")
    right.set_title("coloured: the gate is open", fontsize=9)
    for axis in (left.xaxis, left.yaxis, right.yaxis):
        axis.set_major_locator(MaxNLocator(6, integer=True))
    return figure
