import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT

import attnprune_edu as ap
from attnprune_edu.experiments.fingerprint import fingerprint


def adds(amount):
    return lambda x: x + amount


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


def test_a_mask_changes_it(tiny_model):
    masked = ap.mask(tiny_model, {"conv1": torch.tensor([True, True, True, False])})
    assert fingerprint(masked) != fingerprint(tiny_model)


def test_it_is_the_same_in_another_process():
    things = "[ap.train, {'a': {'b', 'c', 'd'}}, ap.Rewind(3), 'text']"
    imports = "import attnprune_edu as ap; from attnprune_edu.experiments.fingerprint import fingerprint"
    code = f"{imports}; print(fingerprint({things}))"
    there = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert there.strip() == fingerprint(eval(things)) and len(there.strip()) == 16  # sets have another order there
