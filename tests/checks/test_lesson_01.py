"""What the checks of lesson 01 answer."""

import copy
import math
import re

import torch
from answering import dots_after, step_after_step, verdict_test
from conftest import ROOT
from torch import nn

from attnprune_edu import checks


def layers(network, *, kinds=nn.Conv2d | nn.Linear, nested=True):
    modules = network.named_modules() if nested else network.named_children()
    return {name: layer for name, layer in modules if isinstance(layer, kinds)}


def row(network, size=torch.abs, **which):
    return torch.cat([size(layer.weight.detach()).flatten() for layer in layers(network, **which).values()])


def lowest_go(sizes, goes):
    stays = torch.ones(len(sizes), dtype=torch.bool)
    stays[sizes.argsort()[:goes]] = False
    return stays


def shaped(stays, network):
    parts = stays.split([layer.weight.numel() for layer in layers(network).values()])
    named = zip(layers(network).items(), parts, strict=True)
    return {name: part.view_as(layer.weight) for (name, layer), part in named}


def with_zeros(network, masks):
    pruned = copy.deepcopy(network)
    for name, mask in masks.items():
        pruned.get_submodule(name).weight.data *= mask
    return pruned


def sized(exponent):
    """The sizes |w| · nᵉ of a layer's n weights."""
    return lambda weight: weight.abs() * weight.numel() ** exponent


STEPS = {
    "sizes": lambda w: row(w["network"]),
    "masks": lambda w: shaped(lowest_go(w["sizes"], round(w["share"] * len(w["sizes"]))), w["network"]),
    "pruned": lambda w: with_zeros(w["network"], w["masks"]),
    "zeros": lambda w: {name: (~mask).float().mean().item() for name, mask in w["masks"].items()},
}


def pruner(**slips):
    """The solution that the lesson shows, with another way for some of its steps; the later ones build on it."""
    return step_after_step(["network", "share"], STEPS, slips)


def answers(name, value, **version):
    """The solution, with ``value`` in the place of one step and three dots behind it, and a right ``version`` of others."""
    return pruner(**version | {name: value} | dots_after(name, list(STEPS)))


def going(count):
    """Masks of the right kind with another number of weights that go."""
    return lambda w: shaped(lowest_go(w["sizes"], count(w["share"], len(w["sizes"]))), w["network"])


def by_limit(compare):
    """Masks that compare with the largest size that goes, as one writes them first."""

    def masks(w):
        limit = w["sizes"].sort().values[max(0, round(w["share"] * len(w["sizes"])) - 1)]
        return shaped(compare(w["sizes"], limit), w["network"])

    return masks


def each_layer(w):
    return {
        name: lowest_go(row(layer), round(w["share"] * layer.weight.numel())).view_as(layer.weight)
        for name, layer in layers(w["network"]).items()
    }


def other(change):
    """The pruned network, and something that is done to it."""

    def pruned(w):
        network = with_zeros(w["network"], w["masks"])
        with torch.no_grad():
            change(network, w)
        return network

    return pruned


def in_place(network, share):
    network.conv.weight.data.zero_()
    return pruner()(network, share)


def mask_as_weight(network, w):
    network.conv.weight.copy_(w["masks"]["conv"])


def percent(w):
    return {name: 100 * (~mask).float().mean().item() for name, mask in w["masks"].items()}


def floats(w):
    return {name: mask.float() for name, mask in STEPS["masks"](w).items()}


# The first step, of the networks and what the size of a layer's weights is.
WRONG_SIZES = [
    (lambda w, size: row(w["network"], lambda v: v.sign() * size(v)), "these are the weights with their signs"),
    (lambda w, size: row(w["network"], size).sort().values, "the sizes are right, but not in the order"),
    (lambda w, size: row(w["network"], torch.square), "it has the right number of values"),
    (lambda w, size: row(w["network"], size, kinds=nn.Conv2d | nn.Linear | nn.BatchNorm2d), "it holds the weights"),
    (lambda w, size: torch.cat([size(p).flatten() for p in w["network"].parameters()]), "it holds the biases"),
    (lambda w, size: row(w["network"], size, kinds=nn.Linear), "the weights of 'conv' are missing"),
    (lambda w, size: row(w["network"], size, nested=False), "only the convolution is there"),
    (
        lambda w, size: row(w["network"], size, kinds=nn.Conv2d),
        "only the convolution is there. Layers may be inside others: `named_modules()` finds all of them. Or does",
    ),
    (lambda w, size: size(w["network"].conv.weight), "it has the shape (3, 2, 3, 3)"),
    (lambda w, size: {"conv": row(w["network"], size)}, "it should be one tensor for all layers together"),
    (lambda w, size: row(w["network"], size).tolist(), "it should be one tensor for all layers together"),
    (lambda w, size: None, "it should be a tensor, and this is None"),
]
# A later step, with three dots behind it.
WRONG_STEPS = [
    ("masks", going(lambda share, total: total - round(share * total)), "the share 0.3 stays"),
    ("masks", going(lambda share, total: round(share * total) + 1), "one too many went: 0.3 · 390"),
    ("masks", going(lambda share, total: round(share * total) - 1), "one too few went"),
    ("masks", going(lambda share, total: 60), "60 of 390 weights go, and it should be 117"),
    ("masks", each_layer, "each layer loses the same share"),
    ("masks", lambda w: shaped(lowest_go(-w["sizes"], 117), w["network"]), "the largest weights go"),
    ("masks", lambda w: shaped(~lowest_go(w["sizes"], 117), w["network"]), "it is True for the smallest"),
    ("masks", lambda w: shaped(lowest_go(row(w["network"], torch.neg), 117), w["network"]), "as many weights go"),
    ("masks", lambda w: lowest_go(w["sizes"], 117), "it should be a dictionary"),
    ("masks", lambda w: {"conv": lowest_go(w["sizes"], 117)}, "it names conv, and should name conv, head.1"),
    ("masks", lambda w: dict.fromkeys(layers(w["network"]), torch.ones(3)), "for 'conv' it has the shape (3,)"),
    ("masks", lambda w: dict.fromkeys(layers(w["network"]), 0.3), "for 'conv' it should be a tensor"),
    ("masks", floats, "for 'conv' it is of type torch.float32"),
    ("pruned", lambda w: w["network"], "that is the network that you were given"),
    ("pruned", lambda w: copy.deepcopy(w["network"]), "the weights of 'conv' are as they were"),
    ("pruned", lambda w: with_zeros(w["network"], {n: ~m for n, m in w["masks"].items()}), "in 'conv' the weights"),
    ("pruned", other(mask_as_weight), "'conv' holds the mask itself"),
    ("pruned", other(lambda network, w: network.conv.weight.mul_(2)), "the weights of 'conv' should be"),
    ("pruned", other(lambda network, w: network.norm.weight.mul_(2)), "norm.weight has changed"),
    ("pruned", other(lambda network, w: network.conv.bias.zero_()), "conv.bias has changed"),
    ("pruned", lambda w: nn.Sequential(nn.Linear(2, 3)), "its layer 'conv' is not that"),
    ("pruned", lambda w: w["masks"], "it should be a Module, and this is a dict"),
    ("zeros", lambda w: {n: int((~m).sum()) for n, m in w["masks"].items()}, "these are the numbers of zeros"),
    ("zeros", lambda w: {n: m.float().mean() for n, m in w["masks"].items()}, "that is the share that is left"),
    ("zeros", lambda w: {n: 100 * (~m).float().mean() for n, m in w["masks"].items()}, "that is in percent"),
    ("zeros", lambda w: {n: (~m).sum() / 390 for n, m in w["masks"].items()}, "you divide by the weights of all"),
    ("zeros", lambda w: dict.fromkeys(w["masks"], w["share"]), "0.3 is the share of all layers together"),
    ("zeros", lambda w: dict.fromkeys(w["masks"], 0.7), "in 'conv' "),
    ("zeros", lambda w: dict.fromkeys(w["masks"], "0.3"), "for 'conv' it should be one number"),
    ("zeros", lambda w: 0.3, "it should be a dictionary"),
    ("zeros", lambda w: {"conv": 0.3}, "it names conv, and should name"),
]
# One step done in a way that is wrong for some shares or networks; what follows builds on it.
WRONG_WAYS = [
    ("masks", going(lambda share, total: int(share * total)), "one too few went: 0.371"),
    (
        "masks",
        going(lambda share, total: math.ceil(share * total)),
        "0.372 · 390 is rounded to 145, not cut off, nor rounded up",
    ),
    ("zeros", percent, "that is in percent"),
    (
        "masks",
        lambda w: by_limit(torch.gt)(w) if w["share"] else w["nothing"],
        "right for most shares, but not for 0, where nothing goes. your function stops",
    ),
    (
        "masks",
        by_limit(torch.gt),
        "right for most shares, but not for 0, where nothing goes. step 2 of 4, `masks`: one too many",
    ),
    (
        "masks",
        lambda w: by_limit(torch.gt if w["share"] else torch.ge)(w),
        "not where many weights are equal. step 2 of 4, `masks`: 390 of 390 weights go, and it should be 195. Count",
    ),
]
CASES = [
    (checks.parameters_of_a_filter, 32 * 25 + 1 + 1024 * 25, True, "801"),
    (checks.parameters_of_a_filter, torch.tensor(26_401.0), True, "801"),
    (checks.parameters_of_a_filter, 801, False, "Which weights of fc1"),
    (checks.parameters_of_a_filter, 800, False, "Which weights of fc1"),
    (checks.parameters_of_a_filter, 26_400, False, "has a bias"),
    (checks.parameters_of_a_filter, 26_432, False, "A filter has one bias"),
    (checks.parameters_of_a_filter, 26_464, False, "A filter has one bias"),
    (checks.parameters_of_a_filter, 25_600, False, "own weights go"),
    (checks.parameters_of_a_filter, 801 + 1024, False, "5 · 5 numbers"),
    (checks.parameters_of_a_filter, 25 + 1 + 25_600, False, "all 32 channels"),
    (checks.parameters_of_a_filter, 27_425, False, "biases of fc1"),
    (checks.parameters_of_a_filter, 1676, False, "a filter of conv1"),
    (checks.parameters_of_a_filter, 32 * 801 + 25_600, False, "Only one goes"),
    (checks.parameters_of_a_filter, 26_401 + 75, False, "conv1 loses nothing"),
    (checks.parameters_of_a_filter, 7, False, "add up"),
    (checks.parameters_of_a_filter, None, False, "one number, and this is None"),
    (checks.parameters_of_a_filter, "26,401", False, "one text in quotes"),
    (checks.removable_neurons, [1, 4], True, "19 of the 30"),
    (checks.removable_neurons, {4, 1}, True, "19 of the 30"),
    (checks.removable_neurons, torch.tensor([4, 1]), True, "19 of the 30"),
    (checks.removable_neurons, (1.0, 4.0), True, "19 of the 30"),
    (checks.removable_neurons, [False, True, False, False, True], True, "19 of the 30"),
    (checks.removable_neurons, [0, 1, 0, 0, 1], False, "not a 0 or 1 for each"),
    (checks.removable_neurons, [1], False, "look at the columns"),
    (checks.removable_neurons, 4, False, "look at the rows"),
    (checks.removable_neurons, [1, 2], False, "neuron 2 gives 0.5"),
    (checks.removable_neurons, [1, 2, 4], False, "neuron 2 gives 0.5"),
    (checks.removable_neurons, [2], False, "neuron 2 gives 0.5"),
    (checks.removable_neurons, [1, 3, 4], False, "neuron 3 still answers"),
    (checks.removable_neurons, [0], False, "neuron 0 still answers"),
    (checks.removable_neurons, [2, 5], False, "no neuron 5"),
    (checks.removable_neurons, [1.7], False, "whole number"),
    (checks.removable_neurons, ["1", "4"], False, "this holds a str"),
    (checks.removable_neurons, [True], False, "this holds a bool"),
    (checks.removable_neurons, [[1, 4]], False, "this holds a list"),
    (checks.removable_neurons, None, False, "this holds None"),
    (checks.removable_neurons, [], False, "There are such neurons"),
    (checks.magnitude_pruner, pruner(), True, "global magnitude pruning"),
    (checks.magnitude_pruner, lambda network, share: list(pruner()(network, share)), True, "global magnitude pruning"),
    (checks.magnitude_pruner, lambda network, share: (...,) * 4, None, "three dots"),
    (checks.magnitude_pruner, answers("sizes", lambda w: row(w["network"])), False, "step 2 of 4, `masks`, is next"),
    (checks.magnitude_pruner, lambda network, share: network, False, "should return 4 things"),
    (checks.magnitude_pruner, lambda network: network, False, "stops with TypeError"),
    (checks.magnitude_pruner, nn.Linear(2, 2).weight, False, "hand over the function"),
    (checks.magnitude_pruner, in_place, False, "changes the network"),
    *[
        (
            checks.magnitude_pruner,
            answers("sizes", lambda w, wrong=wrong: wrong(w, torch.abs)),
            False,
            f"1 of 4, `sizes`: {says}",
        )
        for wrong, says in WRONG_SIZES
    ],
    *[
        (checks.magnitude_pruner, answers(name, value), False, f"{list(STEPS).index(name) + 1} of 4, `{name}`: {says}")
        for name, value, says in WRONG_STEPS
    ],
    *[(checks.magnitude_pruner, pruner(**{name: step}), False, says) for name, step, says in WRONG_WAYS],
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


def test_the_lesson_shows_the_matrices_of_its_check():
    lesson = (ROOT / "lessons" / "01_what_pruning_removes.md").read_text(encoding="utf-8")
    shown = {"torch": torch}
    exec(re.search(r"^first = torch.tensor\(\[\n.*?(?=^answer_2)", lesson, re.DOTALL | re.MULTILINE)[0], shown)
    defaults = checks.removable_neurons.__wrapped__.__kwdefaults__
    assert all(shown[name].equal(torch.tensor(values)) for name, values in defaults.items())
