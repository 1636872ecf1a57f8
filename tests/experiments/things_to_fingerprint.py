"""Objects of all kinds, made anew in each process that asks for their fingerprints."""

import collections
import dataclasses
import decimal
import enum
import functools
import math
import operator
import pathlib

import numpy as np
import pandas as pd
import torch
from torch import nn

import attnprune_edu as ap

SCALE = 2.0
PATH = pathlib.PurePosixPath("a/b")


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    names: set = dataclasses.field(default_factory=lambda: {"a", "b", "c"})

    def length(self):
        return abs(self.x)


class Plain:
    """Neither a dataclass nor a network."""

    kinds = ("one", "two")

    def __init__(self, size):
        self.size, self.others = size, [{"x", 1, None, 2.5, ("y", 3)}]

    @property
    def double(self):
        return 2 * self.size

    @functools.cached_property
    def triple(self):
        return 3 * self.size

    def __call__(self, model):
        return {name: scaled(layer.weight) for name, layer in model.named_modules() if name in {"first", "second", "third"}}


class Slotted:
    __slots__ = ("size",)

    def __init__(self):
        self.size = 3


class Network(nn.Module):
    def __init__(self, flag=True):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.flag, self.act = nn.Conv2d(3, 4, 3, padding=1), flag, torch.relu
        self.lstm = nn.LSTM(4, 2)
        self.register_buffer("seen", torch.ones(2), persistent=False)
        self.conv.register_forward_hook(lambda layer, inputs, output: output * 2)

    def forward(self, images):
        return self._head(self.act(self.conv(images)))

    def _head(self, x):
        return scaled(x.mean(dim=(2, 3))) if self.flag else x.amax(dim=(2, 3))


def scaled(x):
    return x * SCALE if len(x) else recursive(x, 3)


def recursive(x, times):
    return scaled(recursive(x, times - 1)) if times else x


@functools.cache
def cached(x):
    return recursive(x, 1)


def closing_over(amount, default=Colour.RED):
    def count(n):
        return count(n - 1) + amount if n else 0  # encloses itself

    return lambda x, kind=default, point=Point(1.0): count(x) + sum(other * amount for other in (kind, point))


def things():
    """{name: object}"""
    itself = [1]
    itself.append(itself)
    masked = ap.mask(ap.ArticleNet((4, 4), 5, image_size=16), {"conv1": torch.tensor([True, False, True, True])})
    with torch.no_grad():
        for parameter in masked.parameters():
            parameter.fill_(0.5)
    return {
        "sets": {"a", "b", 1, 2.5, None, ("c", 3), frozenset({"x", "y", "z"})},
        "closure": closing_over(3),
        "lambda with defaults": lambda x, path=PATH, kinds=frozenset("pq"): x in {"u", "v", "w"} and path,
        "partial": functools.partial(scaled, x=np.arange(3)),
        "function": scaled,
        "of the package": ap.train,
        "cached": cached,
        "enum": Colour.BLUE,
        "path": pathlib.Path("some/where"),
        "dataclass": Point(2.0),
        "object": Plain(3),
        "slots": Slotted(),
        "method": Plain(3).__call__,
        "class": Network,
        "network": Network(),
        "masked": masked,
        "traced": torch.fx.symbolic_trace(nn.Sequential(nn.ReLU(), nn.Flatten())),
        "arrays": [np.arange(6.0).reshape(2, 3), np.array(["a", "bc"]), np.array([1, "x", None], dtype=object)],
        "table": pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
        "collections": [collections.OrderedDict(a=1), collections.defaultdict(list, b=[2]), collections.Counter("aab")],
        "from libraries": [math.sin, torch.nn.functional.relu, torch.relu, operator.itemgetter(1)],
        "torch": [torch.float16, torch.device("cpu"), torch.Size([2, 3]), torch.channels_last, torch.bfloat16],
        "numbers": [decimal.Decimal("1.5"), 2**70, -0.0, math.nan, 1j, np.float32(0.5), np.datetime64("2020-01-01")],
        "generator": np.random.default_rng(3),
        "contains itself": itself,
    }
