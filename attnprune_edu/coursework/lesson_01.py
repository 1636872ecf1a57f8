"""Lesson 01, what pruning removes, as coursework."""

from random import Random

import torch

from .exercise import Exercise
from .numbers import one_of, shuffled, whole

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
INPUTS = range(4)


def _network(numbers: Random) -> dict:
    return {
        "filters": one_of(numbers, [12, 16, 20, 24, 40, 48]),
        "kernel": one_of(numbers, [3, 7]),
        "neurons": one_of(numbers, [256, 384, 512, 640, 768]),
        "read_each": one_of(numbers, [4, 6, 8]),
    }


def _network_task(filters: int, kernel: int, neurons: int, read_each: int) -> str:
    return (
        f"In a network built like the article's, `conv1` has {filters} filters, `conv2` looks at {kernel}×{kernel} pixels, "
        rf"and each of the {neurons:,} neurons of `fc1` reads ${read_each} \cdot {read_each}$ numbers from each filter of "
        "`conv2`. One filter of `conv2` is removed. How many **parameters** does the network lose in all, biases included?"
    )


def _neurons(numbers: Random) -> dict:
    """Seven or eight neurons: three can go, for both reasons, and one only looks as if it could."""
    kinds = ["silent", "unread", one_of(numbers, ["silent", "unread"]), "constant", *["needed"] * whole(numbers, 3, 4)]
    first, bias, read = [], [], []
    for kind in shuffled(numbers, kinds):
        places = shuffled(numbers, INPUTS)[: 0 if kind in ("silent", "constant") else whole(numbers, 1, 2)]
        first.append(tuple(_weight(numbers) if place in places else 0.0 for place in INPUTS))
        biases = {"silent": [-0.5, -0.4, -0.3, -0.2, 0.0], "constant": [0.2, 0.3, 0.4, 0.5]}
        bias.append(one_of(numbers, biases.get(kind, [-0.3, -0.1, 0.0, 0.1, 0.2])))
        one, other = _weight(numbers), _weight(numbers)
        read.append((0.0, 0.0) if kind == "unread" else one_of(numbers, [(one, 0.0), (0.0, one), (one, other)]))
    return {"first": tuple(first), "bias": tuple(bias), "second": tuple(zip(*read, strict=True))}


def _weight(numbers: Random) -> float:
    return one_of(numbers, [-0.9, -0.7, -0.4, -0.2, 0.3, 0.5, 0.6, 0.8])


def _neurons_task(first: tuple, bias: tuple, second: tuple) -> str:
    neurons, inputs, outputs = (WORDS[count] for count in (len(bias), len(first[0]), len(second)))
    return (
        f"Two layers with a ReLU between them: {neurons} neurons read {inputs} inputs, {outputs} outputs read the {neurons} "
        f"neurons. Which **neurons** can be removed without any change to the {outputs} outputs, whatever comes in? Answer "
        "with a list of their numbers, counted from 0."
    )


def _neurons_variables(first: tuple, bias: tuple, second: tuple) -> dict:
    return {"first": torch.tensor(first), "bias": torch.tensor(bias), "second": torch.tensor(second)}


def _size(numbers: Random) -> dict:
    # Not 1, the power that is the number itself.
    return {"exponent": one_of(numbers, [twentieths / 20 for twentieths in range(5, 31) if twentieths != 20])}


def _size_task(exponent: float) -> str:
    return (
        rf"**Your version:** the size of a weight is $|w| \cdot n^{{{exponent:g}}}$, where $n$ is the number of weights of "
        "its layer, biases not counted. So large layers lose fewer weights than by $|w|$ alone."
    )


EXERCISES = (
    Exercise("parameters_of_a_filter", "answer_1", 1, _network, _network_task),
    Exercise("removable_neurons", "answer_2", 2, _neurons, _neurons_task, variables=_neurons_variables),
    Exercise("magnitude_pruner", "magnitude_pruner", 6, _size, _size_task, added=True),
)
