"""Invented writing: ten glyphs that follow from a number, drawn on small grey pictures. Nobody has seen them before.

A glyph is three strokes between nine knots, each a quadratic Bézier curve. Glyphs of one number share knots, so that none
of them is told from the others by a single pixel, and none lies too near to another. Each picture bends, turns, shears and
shifts its glyph, draws it thin or thick, and adds a stroke that means nothing, and grain.
"""

import itertools

import numpy as np
import torch

from .images import ImageData, Images
from .seeds import whole_number

SIDE = 16  # pixels
CLASSES, STROKES = 10, 3
KNOTS = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2)))  # (9, 2), x to the right and y downwards
APART = 0.3  # between two glyphs, in units of the knots' distance: about two pixels for a point of a stroke
POINTS = 5  # of a stroke; straight lines lie in between
PARTS = {"train": 3_000, "validation": 1_000, "test": 1_000}
# What happens to a glyph in a picture: such that the dense networks of lesson 15 end at 82 to 91 %.
WOBBLE = 0.35  # by how much a control point moves, of the knots' distance
TURN, SHIFT = 0.4, 1.5  # radians; pixels
STRAY, NOISE = (0.5, 1.0), (0.1, 0.3)  # light of the stray stroke as a share of the glyph's; standard deviation of the grain


def glyphs_of(number: int) -> np.ndarray:
    """The ten glyphs of a ``number``: (10, 3 strokes, 3 control points, 2), x and y about -1 to 1.

    Raises TypeError or ValueError unless ``number`` is a whole number from 0 to 2**32 - 1.
    """
    rng = np.random.RandomState([whole_number("number", number)])
    chosen: list[np.ndarray] = []
    while len(chosen) < CLASSES:
        glyph = _glyph(rng)
        if all(_distance(glyph, other) > APART for other in chosen):
            chosen.append(glyph)
    return np.stack(chosen)


def draw_glyphs(number: int, count: int, seed: int = 0) -> Images:
    """Draw ``count`` pictures of the glyphs of a ``number``, in random order, every glyph equally often or once more.

    Images are uint8 (count, 1, 16, 16), labels int64 (count,). The same arguments give the same pictures everywhere.
    Raises TypeError or ValueError unless all are whole numbers, ``number`` from 0 to 2**32 - 1, ``count`` from 1 and
    ``seed`` from 0 to 2**53 - 1.
    """
    number, count = whole_number("number", number), whole_number("count", count, least=1)
    seed = whole_number("seed", seed, bits=53)
    glyphs = glyphs_of(number)
    # NumPy promises that RandomState never changes (see shapes.py); it takes seeds as words of 32 bits.
    rng = np.random.RandomState([number, seed >> 32, seed % 2**32, 1])
    labels = rng.permutation(np.arange(count, dtype=np.int64) % CLASSES)
    images = np.concatenate([_paint(glyphs[some], rng) for some in np.array_split(labels, 1 + count // 50)])
    return Images(torch.from_numpy(images), torch.from_numpy(labels))


def load_glyphs(number: int) -> ImageData:
    """The glyphs of a ``number`` as a data set with 3,000 training, 1,000 validation and 1,000 test images.

    Raises TypeError or ValueError as ``draw_glyphs`` does.
    """
    images, labels = draw_glyphs(number, sum(PARTS.values()))
    parts = zip(PARTS, images.split(list(PARTS.values())), labels.split(list(PARTS.values())), strict=True)
    return ImageData(
        name=f"glyphs-{number}",
        class_names=tuple(f"glyph {label}" for label in range(CLASSES)),
        **{name: Images(images, labels) for name, images, labels in parts},
        note="Invented glyphs, drawn by the course.",
        augment=None,  # a mirrored glyph may be another one
    )


def _glyph(rng: np.random.RandomState) -> np.ndarray:
    """Three strokes (3, 3 control points, 2); each begins at a knot of those before, so that the glyph hangs together."""
    knots = list(rng.permutation(len(KNOTS)))
    used, strokes = [knots.pop()], []
    for _ in range(STROKES):
        begin, end = used[rng.randint(len(used))], knots.pop()
        used.append(end)
        middle = (KNOTS[begin] + KNOTS[end]) / 2 + rng.uniform(-0.6, 0.6, 2)
        strokes.append([KNOTS[begin], middle, KNOTS[end]])
    return np.array(strokes)


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """How far apart two glyphs lie: the mean distance of a point of either to the nearest point of the other (chamfer)."""
    first, second = (_points(glyph).reshape(-1, 1, 2) for glyph in (one, other))
    gaps = np.linalg.norm(first - second.reshape(1, -1, 2), axis=2)
    return (gaps.min(axis=0).mean() + gaps.min(axis=1).mean()) / 2


def _points(strokes: np.ndarray) -> np.ndarray:
    """Points along Bézier curves: (…, 3 control points, 2) → (…, 5, 2)."""
    t = np.linspace(0, 1, POINTS)
    shares = np.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], axis=1)  # (5, 3)
    return shares @ strokes


def _paint(glyphs: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """One picture of each of the ``glyphs`` (N, 3, 3, 2): uint8 (N, 1, 16, 16), light on dark."""
    count = len(glyphs)

    def some(low, high, *shape):
        return rng.uniform(low, high, (count, *shape))  # for each picture numbers of its own

    stray = some(-1.2, 1.2, 1, 3, 2)
    strokes = np.concatenate([glyphs + some(-WOBBLE, WOBBLE, *glyphs.shape[1:]), stray], axis=1)
    turn, shear, size = some(-TURN, TURN), some(-0.3, 0.3), some(3.6, 5.4, 1, 2)
    across = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    along = np.stack([-np.sin(turn), np.cos(turn)], axis=1) + shear[:, None] * across
    turned = _points(strokes).reshape(count, -1, 2) @ np.stack([across, along], axis=1)
    points = (size * turned + some(-SHIFT, SHIFT, 1, 2)).reshape(count, STROKES + 1, POINTS, 2)  # in pixels from the middle

    begin, step = np.moveaxis(points[:, :, :-1], -1, 0), np.moveaxis(np.diff(points, axis=2), -1, 0)  # (2, N, 4, 4)
    at = np.arange(SIDE) - (SIDE - 1) / 2
    x, y = (side.reshape(-1, 1, 1, 1) - first for side, first in zip(np.meshgrid(at, at), begin, strict=True))
    share = np.clip((x * step[0] + y * step[1]) / ((step**2).sum(axis=0) + 1e-9), 0, 1)  # of a line before the nearest point
    gap = np.sqrt(((x - share * step[0]) ** 2 + (y - share * step[1]) ** 2).min(axis=3))  # (256, N, 4 strokes)
    ink = np.clip(0.5 + some(0.4, 1.0, 1) - gap, 0, 1)
    ink[..., -1] *= some(*STRAY)  # the stray stroke is fainter
    light = some(0.5, 0.9) * ink.max(axis=-1) + some(0.0, 0.2)  # (256, N)
    light = light + some(*NOISE) * rng.standard_normal((SIDE * SIDE, count))
    return np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8).T.reshape(count, 1, SIDE, SIDE)
