"""The guard must work in an interpreter in which nothing has imported torch's compiler yet."""

import importlib.machinery
import importlib.util
import json
import subprocess
import sys
from types import ModuleType

import pytest

from attnprune_edu import _compiler

SCRIPT = """
import copy, json, sys
import attnprune_edu as ap
import torch
from attnprune_edu.data.images import from_arrays
from torch import _dynamo as held  # a reference from before

found = {
    "stand-in": held is sys.modules["torch._dynamo"] is torch._dynamo,
    "torch came first": ap._limits._TORCH_CAME_FIRST,
    "threads were looked at": ap._limits.lower_threads.cache_info().currsize == 1,
}

images, labels = torch.randint(0, 256, (60, 16, 16, 3), dtype=torch.uint8).numpy(), torch.arange(60).numpy() % 3
data = from_arrays(images, labels, images, labels, name="tiny")
model = ap.ArticleNet(conv_channels=(4, 6), hidden=10, num_classes=3, image_size=16)
ap.train(model, data, 1, progress=False)
ap.coupled_layers(model, example_inputs=data.example_inputs)

@torch._disable_dynamo  # as torch marks those functions of its own that must not be followed
def secret(x):
    return inner(x.sin())

def inner(x):
    return x.tan()

x = torch.linspace(0, 1, 5)
secret(x)
found["before"] = [name for name in ("sympy", "torch._dynamo.eval_frame") if name in sys.modules]

TRIGGER
followed = []

def backend(graph, example_inputs):
    followed.extend(str(node.target) for node in graph.graph.nodes)
    return graph.forward

compiled = torch.compile(lambda x: secret(x.cos()).exp(), backend=backend)
found["same"] = torch.equal(compiled(x), x.cos().sin().tan().exp())
found["followed"] = {name: name in followed for name in ("cos", "sin", "tan", "exp")}

def step(net, optimizer):
    optimizer.zero_grad()
    net(x).square().sum().backward()
    optimizer.step()

torch.manual_seed(0)
plain = torch.nn.Linear(5, 2)
copied = copy.deepcopy(plain)
for net, do in ((plain, step), (copied, torch.compile(step, backend="eager"))):
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(2):
        do(net, optimizer)
found["apart"] = max((a - b).abs().max().item() for a, b in zip(plain.parameters(), copied.parameters()))

import torch._dynamo.config
from torch._dynamo.utils import counters
real = sys.modules["torch._dynamo"]
found["one module"] = [
    real is torch._dynamo, type(real) is type(torch), type(held) is type(torch), held.optimize is real.optimize,
    *(sys.modules[f"torch._dynamo.{name}"] is getattr(real, name) is getattr(held, name) for name in ("config", "utils")),
    counters is real.utils.counters, real.config.__spec__.origin == real.config.__file__,
]
print(json.dumps(found))
"""


@pytest.mark.parametrize("trigger", ["", "import torch._dynamo.config"])
def test_training_does_without_the_compiler_which_works_as_ever_when_it_is_asked_for(trigger):
    code = SCRIPT.replace("TRIGGER", trigger)
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    found = json.loads(run.stdout)
    assert found["threads were looked at"] and not found["torch came first"]
    assert found["stand-in"] and found["before"] == []
    assert found["same"] and found["apart"] < 1e-5, "a step of Adam is 0.1; compiled, it rounds otherwise"
    assert found["followed"] == {"cos": True, "sin": False, "tan": False, "exp": True}
    assert all(found["one module"]), found["one module"]


@pytest.fixture
def real(monkeypatch):
    """What stands for the real module, where nothing needs to be compiled."""
    module = ModuleType("torch._dynamo")
    module.disable = lambda fn=None, recursive=True, **options: ("disabled", fn, recursive, options)
    monkeypatch.setitem(sys.modules, "torch._dynamo", module)
    return module


def test_a_compiler_that_is_there_already_or_not_at_all_is_left_alone(monkeypatch, real):
    before = list(sys.meta_path)
    assert not _compiler.put_off_compiler() and sys.modules["torch._dynamo"] is real
    monkeypatch.delitem(sys.modules, "torch._dynamo")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not _compiler.put_off_compiler() and "torch._dynamo" not in sys.modules
    assert sys.meta_path == before


def test_only_what_torch_itself_marks_is_noted_for_later(real):
    stand_in = _compiler._StandIn(importlib.machinery.ModuleSpec("torch._dynamo", None))
    assert stand_in.disable(len, False, reason="mine") == ("disabled", len, False, {"reason": "mine"})
    assert stand_in.disable(recursive=False) == ("disabled", None, False, {})
    assert stand_in.disable(print, True, wrapping=False) is print
    assert stand_in.graph_break() is None
