"""Ten shapes drawn on small coloured pictures: a data set without a download, for a few formulas draw it.

A shape is a function of x and y that gives the distance to its edge, negative inside: the circle is
``hypot(x, y) - 0.85``. ``maximum`` of two such functions is where both overlap, ``minimum`` joins them,
and ``abs`` makes a shape its own mirror image. Every shape stands upright and fits into a circle of about
radius 1; where it lies in the picture, how large and how turned, is decided when it is painted.
"""

import numpy as np
import torch
from numpy import hypot, maximum, minimum
from torch import Tensor

from .seeds import whole_number

SIDE = 32  # pixels


def circle(x, y):
    return hypot(x, y) - 0.85


def ring(x, y):
    return abs(hypot(x, y) - 0.66) - 0.24


def moon(x, y):
    bite = hypot(x - 0.45, y) - 0.75
    return maximum(hypot(x, y) - 1, -bite)


def drop(x, y):
    ball = hypot(x, y + 0.45) - 0.5
    tip = maximum(0.94 * abs(x) + 0.34 * (y - 1), -0.28 - y)  # two straight sides that touch the ball
    return minimum(ball, tip)


def heart(x, y):
    lobes = hypot(abs(x) - 0.48, y - 0.4) - 0.48
    tip = maximum(0.78 * abs(x) - 0.63 * (y + 0.95), y - 0.2)
    return minimum(lobes, tip)


def square(x, y):
    return maximum(abs(x), abs(y)) - 0.75


def cross(x, y):
    long, short = maximum(abs(x), abs(y)), minimum(abs(x), abs(y))
    return maximum(long - 0.95, short - 0.3)


def triangle(x, y):
    return maximum(0.87 * abs(x) + 0.5 * y, -y) - 0.5


def star(x, y):
    fifth = 2 * np.pi / 5
    angle = abs(np.arctan2(x, y) % fifth - fifth / 2)  # folded, so that all ten edges fall on one line
    return hypot(x, y) * np.cos(angle + 0.55) - 0.39


def arrow(x, y):
    head = maximum(0.75 * abs(x) + 0.66 * (y - 1), -y)
    shaft = maximum(abs(x) - 0.22, abs(y + 0.45) - 0.5)
    return minimum(head, shaft)


_ALL = (circle, ring, moon, drop, heart, square, cross, triangle, star, arrow)
SHAPES = {shape.__name__: shape for shape in _ALL}
CLASS_NAMES = tuple(SHAPES)


def draw(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw ``count`` pictures in random order: uint8 images (count, 3, 32, 32) and int64 labels (count,).

    Every shape comes equally often, or once more where ``count`` is no multiple of ten. The same ``count``
    and ``seed`` give the same pictures everywhere; a smaller ``count`` gives others, not the first ones.

    Raises TypeError or ValueError unless ``count`` is a whole number from 1 and ``seed`` one from 0.
    """
    count, seed = whole_number("count", count, least=1), whole_number("seed", seed)
    # The course's checkpoints know these very pictures. NumPy promises that RandomState never changes; its
    # Generator, like torch's, may change with any version. In float64 the last bits of a cosine,
    # which do differ between machines, are far too small to change more than a stray pixel by one.
    rng = np.random.RandomState(seed)
    labels = rng.permutation(np.arange(count, dtype=np.int64) % len(SHAPES))
    images = np.empty((count, 3, SIDE, SIDE), dtype=np.uint8)
    for label, shape in enumerate(SHAPES.values()):
        hue = 2 * np.pi * label / len(SHAPES)
        places = np.flatnonzero(labels == label)
        for chosen in np.array_split(places, 1 + len(places) // 50):  # so few fit into the cache
            images[chosen] = _paint(shape, hue, len(chosen), rng)
    return torch.from_numpy(images), torch.from_numpy(labels)


def _paint(shape, hue: float, count: int, rng: np.random.RandomState) -> np.ndarray:
    """Paint ``count`` pictures of one shape, front to back: a stroke, the shape, five dots, the background.

    Then light and shade fall over it all, and grain. The shape leans towards ``hue``, an angle on the colour wheel, so that
    colour says a little about the class, as in photographs, and never enough.
    """

    def some(low, high):
        return rng.uniform(low, high, (count, 1, 1))  # one number for each picture

    def colour():
        return some(0.25, 0.75) + rng.uniform(-0.12, 0.12, (count, 3, 1))  # a grey, and a tint

    paints, shares, uncovered = [], [], 1.0  # share: how much of a pixel shows a paint, for the edge fades over one pixel

    def put(paint, distance):
        nonlocal uncovered
        shares.append(uncovered * np.clip(0.5 - distance, 0, 1))  # (count, 32, 32)
        paints.append(paint)
        uncovered = uncovered - shares[-1]

    x = np.arange(SIDE) - (SIDE - 1) / 2  # pixels from the middle to the right, (32,)
    y = -x[:, None]  # and upwards, (32, 1)

    turn = some(0, 2 * np.pi)
    put(colour(), abs(x * np.cos(turn) + y * np.sin(turn) - some(-10, 10)) - some(0.5, 1))

    # Red, green and blue all move away from the background's, to the side with more room: never hidden.
    background = colour()
    away = np.where(background.mean(axis=1, keepdims=True) < 0.5, 1, -1)
    wheel = np.array([0, 2, 4])[:, None] * np.pi / 3  # where red, green and blue lie
    towards = np.cos(hue + some(-1.1, 1.1) - wheel)  # (count, 3, 1)
    x0, y0, turn = x - some(-4, 4), y - some(-4, 4), some(-1, 1)
    across = x0 * np.cos(turn) + y0 * np.sin(turn)  # (count, 32, 32)
    along = y0 * np.cos(turn) - x0 * np.sin(turn)
    size, stretch = some(6.5, 11), some(0.92, 1.08)
    contrast = away * rng.uniform(0.05, 0.17, (count, 3, 1)) + 0.11 * (away + towards)
    put(background + contrast, size * shape(across / size * stretch, along / size / stretch))

    for _ in range(5):
        put(colour(), hypot(x - some(-16, 16), y - some(-16, 16)) - some(1, 2.5))
    put(background, np.full((SIDE, SIDE), -1))

    mix = np.stack(shares, axis=1).reshape(count, len(shares), SIDE * SIDE)  # (count, 8, 1024)
    pictures = (np.concatenate(paints, axis=2) @ mix).reshape(count, 3, SIDE, SIDE)

    # Light and shade: four by four patches, a little lighter or darker, that melt into each other.
    nearness = np.clip(1 - abs(np.linspace(0, 3, SIDE)[:, None] - np.arange(4)), 0, 1)  # (32, 4)
    smooth = nearness**2 * (3 - 2 * nearness)
    pictures += smooth @ rng.uniform(-0.2, 0.2, (count, 3, 4, 4)) @ smooth.T

    # Whole bytes are random numbers that cost little; each is one of 256 steps from -1 to 1.
    grain = np.frombuffer(rng.bytes(pictures.size), dtype=np.int8).reshape(pictures.shape) / 128
    pictures += some(0.03, 0.12)[:, None] * grain
    return np.rint(255 * np.clip(pictures, 0, 1)).astype(np.uint8)
