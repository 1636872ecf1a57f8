"""What all figures share: the palette, how they reach a notebook, and small helpers for axes."""

import io

import numpy as np
from IPython.display import Image, Markdown, display
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

# From the palette of Okabe and Ito (2008), without its green: the tests found it too close to blue for the tritanopic.
BLUE, ORANGE, SKY, GREY = "#0072B2", "#E69F00", "#56B4E9", "#BBBBBB"
# Not from that palette, whose other colours the tests found too close to these for one or other colour blindness.
RUST, STONE = "#A33B20", "#777777"
KEPT = {"color": BLUE, "edgecolor": BLUE}
PRUNED = {"color": "white", "edgecolor": GREY, "hatch": "////"}
READABLE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}  # behind a text that may cross a line
# Lines differ in colour, in dashes and in markers, so that any one of the three is enough.
LINES = [
    {"color": BLUE, "linestyle": "-", "marker": "o"},
    {"color": ORANGE, "linestyle": "--", "marker": "s"},
    {"color": SKY, "linestyle": ":", "marker": "^"},
    {"color": "black", "linestyle": "-.", "marker": "x"},
    {"color": RUST, "linestyle": (0, (8, 2)), "marker": "v"},
    {"color": STONE, "linestyle": (0, (4, 1, 1, 1, 1, 1)), "marker": "P"},
]


def show(figure: Figure, alt: str) -> None:
    """Display ``figure`` in a notebook, with ``alt``, one sentence that says what is to be seen, as its text and caption."""
    if not alt.strip():
        raise ValueError("alt must be a sentence that says what the figure shows, got an empty text")
    # JupyterLab drops the alternative text of pictures, so the sentence stands below as well, for everybody.
    display(Image(data=png(figure), alt=alt), Markdown(f"*{alt}*"))


def png(figure: Figure) -> bytes:
    """Return ``figure`` as the bytes of a PNG picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def clean(axis) -> None:
    """Take the frame away above and to the right."""
    axis.spines[["top", "right"]].set_visible(False)


def without_ticks(axes) -> None:
    """Leave only what is drawn inside each of ``axes``, an array of axes."""
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)


def in_percent(axis, percent: str) -> None:
    """Show the axes that ``percent`` names, "x", "y" or "xy", from 0 to 100 %; their values are shares (0–1)."""
    if "x" in percent:
        axis.set_xlim(-0.03, 1.03)
        axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    if "y" in percent:
        axis.set_ylim(0, 1)
        axis.yaxis.set_major_formatter(PercentFormatter(1.0))


def reference_line(axis, label: str, height: float) -> None:
    """Draw a dashed horizontal line with its ``label`` to the right of the axis."""
    axis.axhline(height, color="black", linestyle="--", linewidth=1, zorder=0)
    place = {"xycoords": ("axes fraction", "data"), "xytext": (4, 0), "textcoords": "offset points", "va": "center"}
    axis.annotate(label, (1, height), **place)


def heat_map(axis, values: np.ndarray, texts: np.ndarray, low: float, high: float, **font) -> None:
    """Draw a matrix from dark at ``low`` to bright at ``high``, with ``texts``, one for each of its ``values``."""
    axis.imshow(values, cmap="cividis", vmin=low, vmax=high)
    for (row, column), value in np.ndenumerate(values):
        color = "white" if value < (low + high) / 2 else "black"
        axis.text(column, row, texts[row, column], ha="center", va="center", color=color, **font)
