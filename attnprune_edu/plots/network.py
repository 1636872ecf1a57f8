"""A drawing of a network: what comes out of each of its steps."""

import math
import textwrap

from matplotlib.figure import Figure

from .style import ORANGE

A_ROW = 8  # steps side by side; with more, their texts run into each other
STEP, TALLEST = 1.22, 1.15  # inches from step to step, and of the largest box
FRONT, TOP, SIDE = "#A9D6F2", "#DCEFFA", "#6BA9CF"  # faces of a box, of three brightnesses


def plot_network(shapes: dict[str, tuple[int, ...]], notes: dict[str, str] | None = None) -> Figure:
    """Draw what comes out of each step of a network, {step: shape without the batch}, as a row of boxes, at most 8 a row.

    A shape is (channels, height, width) or (features,). A box is tall as the picture is and wide as there are channels, a
    bar tall as there are features, by root and logarithm: to scale, 3 and 1,024 could not stand side by side. ``notes``:
    {step: what else to say below its name}.
    """
    notes = notes or {}
    if not shapes:
        raise ValueError("shapes must hold at least one step, got an empty dictionary")
    for name, shape in shapes.items():
        if len(shape) not in (1, 3) or min(shape) < 1:
            raise ValueError(f"shapes[{name!r}] must be (channels, height, width) or (features,), above 0, got {shape}")
    if unknown := set(notes) - set(shapes):
        raise ValueError(f"notes must name steps of {list(shapes)}, got {sorted(unknown)}")
    rows = -(-len(shapes) // A_ROW)
    lines = {name: _wrapped(note) for name, note in notes.items()}
    row_height = 1.8 + 0.15 * max((text.count("\n") + 1 for text in lines.values()), default=0)  # inches, as all below
    width, height = STEP * min(len(shapes), A_ROW), row_height * rows
    figure = Figure(figsize=(width, height))
    last = 0.0
    axis = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axis.set_axis_off()
    largest = {
        "side": max((max(shape[1:]) for shape in shapes.values() if len(shape) == 3), default=1),
        "count": max(shape[0] for shape in shapes.values()),
    }
    for place, (name, shape) in enumerate(shapes.items()):
        row, column = divmod(place, A_ROW)
        x, y = STEP * (column + 0.5), row_height * (rows - row) - 0.9
        left, right, top = _box(axis, x, y, shape, largest) if len(shape) == 3 else _bar(axis, x, y, shape, largest)
        axis.text(x, top + 0.06, "×".join(map(str, shape)), ha="center", va="bottom", fontsize=9)
        below = y - TALLEST / 2 - 0.08
        axis.text(x, below, name.strip(), ha="center", va="top", fontsize=10, weight="bold")
        axis.text(x, below - 0.2, lines.get(name, ""), ha="center", va="top", fontsize=8, linespacing=1.1)
        if place:
            start = last if column else 0.02  # the first of a further row is reached from the margin
            axis.annotate("", (left - 0.03, y), (start, y), arrowprops={"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0})
        last = right + 0.03
    return figure


def _box(axis, x: float, y: float, shape: tuple[int, ...], largest: dict[str, int]) -> tuple[float, float, float]:
    """Draw a box with its middle at (x, y); return where it ends on the left, on the right and above."""
    channels, rows, columns = shape
    height = 0.85 * TALLEST * math.sqrt(rows / largest["side"])
    width = 0.06 + 0.5 * math.log2(1 + channels) / math.log2(1 + largest["count"])
    depth = 0.15 * TALLEST * math.sqrt(columns / largest["side"])  # as seen from above and from the right
    left, right = x - (width + depth) / 2, x + (width - depth) / 2
    low, high = y - (height + depth) / 2, y + (height - depth) / 2
    faces = {
        FRONT: [(left, low), (right, low), (right, high), (left, high)],
        TOP: [(left, high), (right, high), (right + depth, high + depth), (left + depth, high + depth)],
        SIDE: [(right, low), (right, high), (right + depth, high + depth), (right + depth, low + depth)],
    }
    for color, corners in faces.items():
        axis.fill(*zip(*corners, strict=True), facecolor=color, edgecolor="black", linewidth=0.8, joinstyle="round")
    return left, right + depth, high + depth


def _bar(axis, x: float, y: float, shape: tuple[int, ...], largest: dict[str, int]) -> tuple[float, float, float]:
    """Draw a thin bar with its middle at (x, y); return where it ends on the left, on the right and above."""
    half = 0.5 * TALLEST * (0.25 + 0.75 * math.log2(1 + shape[0]) / math.log2(1 + largest["count"]))
    left, right = x - 0.06, x + 0.06
    axis.fill([left, right, right, left], [y - half, y - half, y + half, y + half], facecolor=ORANGE, edgecolor="black")
    return left, right, y + half


def _wrapped(note: str) -> str:
    if max(map(len, note.split("\n"))) > 17:  # as many as fit below one step
        note = note.replace(", ", ",\n")
    return "\n".join(textwrap.fill(line, 17) for line in note.split("\n"))
