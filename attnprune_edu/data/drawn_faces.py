"""Faces of people who do not exist: a person is a list of numbers, and a picture adds expression, pose and light.

A patch is a function of x and y that gives the distance to its edge, negative inside, as in ``shapes``. The face is an egg
around the origin about 2 units wide and 2.7 high; x goes right, y upwards.
"""

import numpy as np
from numpy import maximum, minimum

SIDE = 64  # pixels

# What makes a person: the lowest and the highest value of each trait, drawn once for each.
TRAITS = {
    "width": (0.78, 1.0),  # of the face, half of it
    "jaw": (0.05, 0.45),  # how much narrower the face is at the chin
    "skin": (0.52, 0.84),  # grey, 0 black, 1 white
    "hair": (0.06, 0.75),  # grey
    "hairline": (0.5, 0.95),  # height of the forehead
    "length": (-1.5, 0.7),  # how far down the hair reaches at the sides
    "fullness": (0.06, 0.32),  # how far the hair stands off
    "parting": (-0.6, 0.6),
    "eye_distance": (0.32, 0.48),  # from the middle of the face
    "eye_height": (0.1, 0.3),
    "eye_size": (0.11, 0.19),
    "iris": (0.05, 0.4),  # grey
    "brow_height": (0.2, 0.34),  # above the eye
    "brow_thickness": (0.03, 0.09),
    "brow_slope": (-0.35, 0.35),
    "nose_length": (0.36, 0.62),
    "nose_width": (0.09, 0.21),
    "mouth_height": (-0.78, -0.58),
    "mouth_width": (0.22, 0.42),
    "lips": (0.04, 0.1),
    "beard": (-1.6, 1.0),  # how dark; none below 0
    "moustache": (-1.6, 1.0),
    "glasses": (-1.6, 1.0),  # none below 0
    "ears": (0.04, 0.2),
}
# What changes from one picture of a person to the next.
MOODS = {
    "smile": (-0.25, 0.6),
    "open": (-0.1, 0.16),  # the mouth; shut below 0
    "lids": (0.35, 1.0),  # how far the eyes are open
    "frown": (-0.2, 0.2),
    "gaze": (-0.35, 0.35),
    "turn": (-0.3, 0.3),  # of the head, left and right
    "nod": (-0.14, 0.14),
    "tilt": (-0.2, 0.2),  # radians
    "size": (0.88, 1.06),
    "left": (-0.15, 0.15),
    "up": (-0.15, 0.15),
    "light": (-0.3, 0.3),  # from the left or the right
    "above": (-0.05, 0.2),
    "bright": (-0.12, 0.12),
    "wall": (0.15, 0.7),  # grey of the background
    "grain": (0.01, 0.05),
}


def draw(people: int, pictures: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``pictures`` of each of ``people``: uint8 (people · pictures, 64, 64), and int64 labels, one number a person.

    The pictures of a person follow each other. The same arguments give the same pictures everywhere.
    Raises ValueError unless both numbers are at least 1.
    """
    if people < 1 or pictures < 1:
        raise ValueError(f"people and pictures must be at least 1, got people={people}, pictures={pictures}")
    random = np.random.RandomState(seed)  # NumPy promises that it never changes
    images = np.empty((people, pictures, SIDE, SIDE), np.uint8)
    for number in range(people):
        person = {name: random.uniform(*limits) for name, limits in TRAITS.items()}
        images[number] = _paint(person, pictures, random)
    labels = np.arange(people).repeat(pictures)
    return images.reshape(-1, SIDE, SIDE), labels


def _paint(person: dict[str, float], pictures: int, random: np.random.RandomState) -> np.ndarray:
    """Paint one person, back to front: wall, hair, shoulders, ears, face, what is in it, glasses, light, grain."""
    mood = {name: random.uniform(*limits, (pictures, 1, 1)) for name, limits in MOODS.items()}
    across = (np.arange(SIDE) - (SIDE - 1) / 2) / (SIDE / 3.4)  # the picture is 3.4 units wide
    x, y = across - mood["left"], -across[:, None] - mood["up"] - 0.05
    cos, sin = np.cos(mood["tilt"]) / mood["size"], np.sin(mood["tilt"]) / mood["size"]
    x, y = x * cos + y * sin, y * cos - x * sin
    pixel = 3.4 / SIDE / mood["size"]
    picture = np.broadcast_to(mood["wall"], x.shape).copy()

    def put(grey, distance, opacity=1.0):
        nonlocal picture
        share = opacity * np.clip(0.5 - distance / pixel, 0, 1)
        picture = picture + share * (grey - picture)

    width, skin = person["width"], person["skin"]
    narrow = width * (1 - person["jaw"] * np.clip(-y, 0, 1.3) / 1.3)  # half of the face's width at this height
    egg = (hypot(x / narrow, y / 1.3) - 1) * width
    # The front of the head turns and nods; its outline stays.
    u, v = x - mood["turn"] * np.sqrt(np.clip(1 - (x / width) ** 2, 0, 1)), y - mood["nod"]

    hair, fullness = person["hair"], person["fullness"]
    mane = maximum((hypot(x / (width + fullness), (y - 0.1) / (1.3 + fullness)) - 1) * width, person["length"] - y)
    put(0.35 * hair + 0.25 * skin, maximum(abs(x) - 0.5, y + 0.9))  # the neck, in the shade
    put(0.5 * person["iris"] + 0.1, (hypot(x / 1.5, (y + 2.1) / 0.75) - 1) * 0.75)
    put(hair, mane)
    put(0.92 * skin, hypot((abs(x) - width) / 1.0, (y - 0.02) / 1.8) - person["ears"])
    put(skin, egg)
    fringe = person["hairline"] + 0.25 * (u - person["parting"]) ** 2
    put(hair, maximum(egg - 0.02, fringe - y))

    side = abs(u)
    if person["beard"] > 0:  # up to the lips, and higher at the sides
        put(0.9 * hair, maximum(egg, v - person["mouth_height"] - 1.6 * u**2), 0.85 * person["beard"])
    dx, dy = side - person["eye_distance"], v - person["eye_height"]
    size = person["eye_size"]
    put(0.75 * skin, hypot(dx / 1.5, dy + 0.02) - 1.25 * size, 0.6)  # the socket
    white = hypot(dx / 1.35, dy / mood["lids"]) - size
    put(0.95, white)
    sideways = np.sign(u) * mood["gaze"] * size
    put(person["iris"], maximum(white, hypot(dx - sideways, dy) - 0.62 * size))
    put(0.02, maximum(white, hypot(dx - sideways, dy) - 0.28 * size))
    put(0.25 * skin, abs(hypot(dx / 1.35, dy / mood["lids"]) - size) - 0.018, 0.8)
    arch = dy - person["brow_height"] + (person["brow_slope"] + mood["frown"]) * dx + 0.6 * dx**2
    put(0.8 * hair, maximum(abs(arch) - person["brow_thickness"], abs(dx) - 1.6 * size))

    tip = person["eye_height"] - person["nose_length"]
    along = np.clip((person["eye_height"] - v) / person["nose_length"], 0, 1)
    ridge = abs(side - person["nose_width"] * (0.35 + 0.65 * along)) - 0.025
    put(0.72 * skin, maximum(ridge, abs(v - (person["eye_height"] + tip) / 2) - person["nose_length"] / 2), 0.7)
    put(0.35 * skin, hypot(side - 0.55 * person["nose_width"], (v - tip) * 1.6) - 0.3 * person["nose_width"])

    spread = person["mouth_width"] * (1 + 0.35 * np.clip(mood["smile"], 0, 1))
    curve = v - person["mouth_height"] - 0.9 * mood["smile"] * (u**2 - 0.5 * spread**2) / spread
    gap = np.clip(mood["open"], 0, 1) * np.clip(1 - (u / spread) ** 2, 0, 1)
    lips = maximum(abs(curve) - gap - person["lips"] * np.clip(1.1 - (u / spread) ** 2, 0, 1), side - spread)
    put(0.6 * skin, lips)
    put(0.12, maximum(abs(curve) - maximum(gap, 0.012), side - 0.92 * spread))
    if person["moustache"] > 0:
        bow = v - person["mouth_height"] - 0.16 + 0.5 * u**2
        put(0.9 * hair, maximum(abs(bow) - 0.07, side - 0.9 * person["mouth_width"]), person["moustache"])
    if person["glasses"] > 0:
        rim = abs(hypot(maximum(abs(dx) - 0.1, 0), dy) - 1.55 * size) - 0.028
        bridge = maximum(abs(dy - 0.05) - 0.025, side - person["eye_distance"] + 1.6 * size)
        put(0.08, minimum(rim, bridge))

    shade = mood["bright"] + mood["light"] * x / 1.2 + mood["above"] * (y - 0.3) / 1.2
    grain = np.frombuffer(random.bytes(picture.size), np.int8).reshape(picture.shape) / 128
    return np.rint(255 * np.clip(picture * (1 + shade) + mood["grain"] * grain, 0, 1)).astype(np.uint8)


def hypot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The distance from the origin; faster than NumPy's, which guards against numbers far larger than these."""
    return np.sqrt(x * x + y * y)
