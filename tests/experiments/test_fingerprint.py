import collections
import dataclasses
import enum
import functools
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from things_to_fingerprint import things
from torch import nn

import attnprune_edu as ap
from attnprune_edu.experiments.fingerprint import fingerprint


def adds(amount):
    return lambda x: x + amount


def network(*methods, **attributes):
    """A network of a class with these methods and attributes, one as every other in name and weights."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 2)
            nn.init.ones_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
            vars(self).update(attributes)

        def forward(self, x):
            return self.head(self.linear(x))

        def head(self, x):
            return x

    for method in methods:
        setattr(Network, method.__name__, method)
    return Network()


def renamed(function, **names):
    """``function`` with other names in its code, such as ``co_names=("b",)``."""
    return type(function)(function.__code__.replace(**names), globals(), "f", (0,), function.__closure__)


def with_default(value):
    return lambda x=value: x


def with_source(source, name="made_up"):
    """The function ``f`` of a module with this source."""
    module = {"__name__": name}
    exec(source, module)
    return module["f"]


def forward(self, x):
    return self.linear(x).relu()


def head(self, x):
    return -x


def frozen(layer):
    return layer.requires_grad_(False)


def seeded(layer):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.fill_(0.5)
    return layer


def tied(model):
    model[1].weight = model[0].weight
    return model


def hooked(model):
    model.register_forward_hook(lambda layer, inputs, output: -output)
    return model


def looped(*middle):
    """A list that contains itself, and so many others between."""
    outer = inner = []
    for _ in middle:
        inner.append([])
        inner = inner[0]
    inner.append(outer)
    return outer


class Kind(enum.Enum):
    ONE = 1
    TWO = 2


class Other(enum.Enum):
    ONE = 1


@dataclasses.dataclass
class Options:
    x: object


class Items(list):
    pass


def with_member(member):
    """A class that has no more than this."""
    return type("Kind", (), {"member": member})


class Holder:
    def __init__(self, x):
        self.x = x


def two():
    return nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))


DIFFERENT = {
    "numbers": (1, 2),
    "number and text": (1, "1"),
    "truth and none": (False, None),
    "tensors": (torch.zeros(3), torch.zeros(3, dtype=torch.int32)),
    "shapes": (torch.zeros(4), torch.zeros(2, 2)),
    "order": ([1, 2], [2, 1]),
    "nesting": ([1, [2]], [[1], 2]),
    "keys": ({"a": 1}, {"b": 1}),
    "what a function encloses": (adds(1), adds(2)),
    "what a function does": (lambda x: x + 1, lambda x: x - 1),
    "a constant in it": (lambda x: x + 1, lambda x: x + 2),
    "defaults": (lambda x, a=1: x, lambda x, a=2: x),
    "partial": (functools.partial(ap.importance, criterion="l1"), functools.partial(ap.importance, criterion="l2")),
    "functions": (ap.keep_by_ratio, ap.importance),
    "dataclasses": (ap.Rewind(3), ap.Rewind(4)),
    "networks": (torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)),
    "teachers": (ap.Distillation(torch.nn.Linear(2, 2)), ap.Distillation(torch.nn.Linear(2, 2))),
    "built-in functions": (torch.relu, torch.tanh),
    "nesting at the end": ([[1], 2], [[1, 2]]),
    "nesting in dictionaries": ({"a": {"b": 1}, "c": 2}, {"a": {"b": 1, "c": 2}}),
    "text at a border": (["a", "b"], ["a\0b"]),
    "an empty list more": ([[], []], [[]]),
    "list and tuple": ([1], (1,)),
    "sets": ({1, 2}, frozenset({1, 2})),
    "a set in a set": ({frozenset({1}), 2}, {frozenset({2}), 1}),
    "loops": (looped(), looped(1)),
    "where loops go back to": (looped(1), [looped()]),
    "text and bytes": ("a", b"a"),
    "truth and number": (True, 1),
    "number and fraction": (2, 2.0),
    "long numbers": (2**53, 2**53 + 1),
    "arrays": (np.zeros(2), np.ones(2)),
    "types of arrays": (np.zeros(2), np.zeros(2, dtype=np.int64)),
    "arrays of objects": (np.array([1, "a"], dtype=object), np.array([1, "b"], dtype=object)),
    "enums": (Kind.ONE, Kind.TWO),
    "classes of enums": (Kind.ONE, Other.ONE),
    "paths": (Path("a/b"), Path("a", "c")),
    "path and text": (Path("a"), "a"),
    "objects": (Holder(1), Holder(2)),
    "objects in dataclasses": (Options(Holder(1)), Options(Holder(2))),
    "objects in defaults": (with_default(Holder(1)), with_default(Holder(2))),
    "objects in closures": (adds(Holder(1)), adds(Holder(2))),
    "objects in partials": (functools.partial(max, key=Holder(1)), functools.partial(max, key=Holder(2))),
    "keyword defaults": (lambda *, a=1: a, lambda *, a=2: a),
    "attributes it reads": (lambda x: x.real, lambda x: x.imag),
    "names in it": (lambda a: a, lambda b: b),
    "names that it reads": (renamed(adds(1), co_names=("a",)), renamed(adds(1), co_names=("b",))),
    "names of locals": (renamed(adds(1), co_varnames=("a",)), renamed(adds(1), co_varnames=("b",))),
    "names of what it encloses": (renamed(adds(1), co_freevars=("a",)), renamed(adds(1), co_freevars=("b",))),
    "code in its code": (lambda x: [lambda y: y + 1], lambda x: [lambda y: y + 2]),
    "a set in its code": (lambda x: x in {1, 2}, lambda x: x in {1, 3}),
    "types of constants": (lambda x: x + 1, lambda x: x + 1.0),
    "a function that it calls": (
        with_source("def g(x): return x + 1\ndef f(x): return g(x)"),
        with_source("def g(x): return x + 2\ndef f(x): return g(x)"),
    ),
    "a function that one of these calls": (
        with_source("def h(): return f, 1\ndef g(x): return [h() for _ in x]\ndef f(x): return g(x)"),
        with_source("def h(): return f, 2\ndef g(x): return [h() for _ in x]\ndef f(x): return g(x)"),
    ),
    "a number that it reads": (with_source("n = 1\ndef f(): return n"), with_source("n = 2\ndef f(): return n")),
    "an object that it reads": (
        with_source("class C:\n    n = 1\nc = C()\nc.m = 1\ndef f(): return c"),
        with_source("class C:\n    n = 1\nc = C()\nc.m = 2\ndef f(): return c"),
    ),
    "wrapped functions": (functools.cache(lambda: 1), functools.cache(lambda: 2)),
    "methods": (Holder(1).__init__, Holder(2).__init__),
    "methods of built-in types": ("a".join, "b".join),
    "forward": (network(), network(forward)),
    "a method that forward calls": (network(), network(head)),
    "a flag": (network(flag=True), network(flag=False)),
    "a function as attribute": (network(act=torch.relu), network(act=torch.tanh)),
    "padding": (seeded(nn.Conv2d(1, 1, 3, padding=1)), seeded(nn.Conv2d(1, 1, 3, padding=2))),
    "stride": (seeded(nn.Conv2d(1, 1, 3)), seeded(nn.Conv2d(1, 1, 3, stride=2))),
    "dropout": (nn.Dropout(0.1), nn.Dropout(0.2)),
    "layers without weights": (nn.Sequential(nn.ReLU()), nn.Sequential(nn.Tanh())),
    "what learns": (seeded(nn.Linear(2, 2)), frozen(seeded(nn.Linear(2, 2)))),
    "shared weights": (seeded(two()), tied(seeded(two()))),
    "hooks": (seeded(nn.Linear(2, 2)), hooked(seeded(nn.Linear(2, 2)))),
    "lists of another class": (Items([1]), Items([2])),
    "ordered dictionaries": (collections.OrderedDict(a=1), collections.OrderedDict(a=2)),
    "cached properties": (with_member(functools.cached_property(adds(1))), with_member(functools.cached_property(adds(2)))),
    "properties": (with_member(property(adds(1))), with_member(property(adds(2)))),
    "static methods": (with_member(staticmethod(adds(1))), with_member(staticmethod(adds(2)))),
    "traced networks": (
        torch.fx.symbolic_trace(nn.Sequential(nn.ReLU())),
        torch.fx.symbolic_trace(nn.Sequential(nn.Tanh())),
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_different_things_have_different_fingerprints(name):
    one, other = DIFFERENT[name]
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(one)


def test_what_is_equal_has_the_same():
    assert fingerprint(np.float64(0.5)) == fingerprint(0.5) and fingerprint(np.int64(2)) == fingerprint(2)
    assert fingerprint(adds(1)) == fingerprint(adds(1))
    model = torch.nn.Linear(2, 2)
    again = torch.nn.Linear(2, 2)
    again.load_state_dict(model.state_dict())
    assert fingerprint(ap.Distillation(model)) == fingerprint(ap.Distillation(again))
    assert fingerprint(torch.ones(3, dtype=torch.bfloat16)) == fingerprint(torch.ones(3, dtype=torch.bfloat16))


@pytest.mark.parametrize("kind", [set, frozenset])
def test_the_order_in_which_a_set_was_filled_does_not_matter(kind):
    one, other = kind([0, 8]), kind([8, 0])
    assert list(one) != list(other) and fingerprint(one) == fingerprint(other)


def test_only_the_fields_of_a_dataclass_count():
    options, used = Options(1), Options(1)
    used.worked_out = 2
    assert fingerprint(used) == fingerprint(options)


def test_what_is_installed_counts_by_its_name_and_what_is_one_s_own_with_its_code(monkeypatch):
    before = fingerprint([nn.functional.relu, collections.namedtuple]), fingerprint(two)
    monkeypatch.setattr(nn.functional.relu, "__defaults__", (True,))
    monkeypatch.setattr(collections.namedtuple, "__kwdefaults__", {})
    assert fingerprint([nn.functional.relu, collections.namedtuple]) == before[0]
    monkeypatch.setattr(two, "__code__", looped.__code__)
    assert fingerprint(two) != before[1]


def test_what_is_typed_into_a_session_counts_with_its_code(monkeypatch):
    main, found = sys.modules["__main__"], []
    for number in (1, 2):
        function = with_source(f"def f(): return {number}", "__main__")
        monkeypatch.setattr(main, "f", function, raising=False)
        found.append(fingerprint(function))
    assert found[0] != found[1]


def test_where_a_module_lies_does_not_matter():
    one, other = (with_source(f"__file__ = {name!r}\ndef f(): return __file__") for name in ("a.py", "b.py"))
    assert fingerprint(one) == fingerprint(other)


def test_a_mask_changes_it(tiny_model):
    masked = ap.mask(tiny_model, {"conv1": torch.tensor([True, True, True, False])})
    assert fingerprint(masked) != fingerprint(tiny_model)


def test_a_network_made_again_has_the_same(tiny_model):
    assert fingerprint(network()) == fingerprint(network())
    assert fingerprint(network(head)) == fingerprint(network(head))
    keep = {"conv1": torch.tensor([True, True, True, False])}
    assert fingerprint(ap.mask(tiny_model, keep)) == fingerprint(ap.mask(tiny_model, keep))
    assert fingerprint(tiny_model.train()) == fingerprint(tiny_model.eval()), "the mode is no part of a network"
    assert fingerprint(hooked(seeded(two()))) == fingerprint(hooked(seeded(two())))
    assert fingerprint(looped()) == fingerprint(looped())
    traced = [torch.fx.symbolic_trace(seeded(two())) for _ in range(2)]
    assert fingerprint(traced[0]) == fingerprint(traced[1])


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "a plain object"),
        (threading.Lock(), "a _thread.lock"),
        (with_default(object()), "a plain object"),
        (adds(threading.Lock()), "a _thread.lock"),
        ((number for number in [1]), "a builtins.generator"),
        (network(lock=threading.Lock()), "a _thread.lock"),
        (np.frompyfunc(lambda x: x, 1, 1), "numpy.ufunc"),
        (np.sin, "numpy.ufunc"),
        (re.compile("a+"), "a re.Pattern"),
        (torch.zeros(2).to_sparse(), "a tensor without plain numbers"),
        (torch.zeros(2, device="meta"), "a tensor without plain numbers"),
        (functools.reduce(lambda inner, _: [inner], range(5000), []), "nested too deeply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_readable_contents_is_named(value, says):
    with pytest.raises(TypeError, match=f"no fingerprint for .*{says}"):
        fingerprint(value)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_it_is_the_same_in_another_process(seed):
    code = (
        "from things_to_fingerprint import things; from attnprune_edu.experiments.fingerprint import fingerprint\n"
        "for name, thing in things().items(): print(name, fingerprint(thing))"
    )
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": paths}  # sets have another order there
    there = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True).stdout
    here = [f"{name} {fingerprint(thing)}" for name, thing in things().items()]
    assert there.splitlines() == here and len({line[-16:] for line in here}) == len(here) > 20
