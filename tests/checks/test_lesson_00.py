"""What the checks of lesson 00 answer."""

import copy
import math

import torch
from answering import dots_after, step_after_step, verdict_test
from torch import nn
from torch.nn import functional as F

import attnprune_edu as ap
from attnprune_edu import checks


def silenced(network, keep, *, bias=True):
    masked = copy.deepcopy(network)
    with torch.no_grad():
        masked[0].weight[~keep] = 0
        if bias:
            masked[0].bias[~keep] = 0
    return masked


def trained(masked, points, labels, keep, *, weights=True, biases=True, steps=50):
    tuned = copy.deepcopy(masked)
    optimizer = torch.optim.SGD(tuned.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(tuned(points), labels).backward()
        optimizer.step()
        with torch.no_grad():
            if weights:
                tuned[0].weight[~keep] = 0
            if biases:
                tuned[0].bias[~keep] = 0
    return tuned


def cut(network, keep, *, activation=nn.Tanh):
    small = nn.Sequential(
        nn.Linear(network[0].in_features, int(keep.sum())), activation(), nn.Linear(int(keep.sum()), network[2].out_features)
    )
    small[0].weight.data, small[0].bias.data = network[0].weight.data[keep].clone(), network[0].bias.data[keep].clone()
    small[2].weight.data, small[2].bias.data = network[2].weight.data[:, keep].clone(), network[2].bias.data.clone()
    return small


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def lowest_go(importance, goes):
    keep = torch.ones(len(importance), dtype=torch.bool)
    keep[importance.argsort()[:goes]] = False
    return keep


def scored(formula, power=1, temperature=1):
    """The first step by a ``formula`` of the sizes of the weights, the temperature, and the weights with their signs."""

    def step(w):
        weight = w["network"][0].weight.detach()
        sizes = weight.abs() ** power
        return formula(sizes, temperature, weight.sign() * sizes)

    return step


def score(s, t, w):
    return ((s / t).softmax(1) * s).sum(1)


STEPS = {
    "importance": scored(score),
    "keep": lambda w: lowest_go(w["importance"], round(w["ratio"] * len(w["importance"]))),
    "masked": lambda w: silenced(w["network"], w["keep"]),
    "tuned": lambda w: trained(w["masked"], w["points"], w["labels"], w["keep"]),
    "small": lambda w: cut(w["tuned"], w["keep"]),
    "left": lambda w: count(w["small"]) / count(w["network"]),
}


def six(**slips):
    """The solution that the lesson shows, with another way for some of its steps; the later ones build on it."""
    return step_after_step(["network", "points", "labels", "ratio"], STEPS, slips)


def answers(name, value, **version):
    """The solution, with ``value``, made of what is right, in the place of one step and three dots behind it.

    ``version``: another way for other steps, which is right.
    """
    right = STEPS | version
    return six(**right | {name: lambda w: value(w | {name: right[name](w)})} | dots_after(name, list(STEPS)))


def in_place(network, points, labels, ratio):
    with torch.no_grad():
        network[0].weight[0] = 0
    return six()(network, points, labels, ratio)


def silence_the_reader(w):
    masked = copy.deepcopy(w["network"])
    masked[2].weight.data[:, ~w["keep"]] = 0
    return masked


def silence_both(w):
    masked = silenced(w["network"], w["keep"])
    masked[2].weight.data[:, ~w["keep"]] = 0
    return masked


def other_columns(w):
    small = cut(w["tuned"], w["keep"])
    small[2].weight.data = w["tuned"][2].weight.data[:, : int(w["keep"].sum())].clone()
    return small


def silenced_at_the_end(w):
    tuned = trained(w["masked"], w["points"], w["labels"], w["keep"], weights=False, biases=False)
    return silenced(tuned, w["keep"])


def half_the_second_bias(w):
    small = cut(w["tuned"], w["keep"])
    small[2].bias.data[0] = 7
    return small


def train_the_masked(network, points, labels, ratio):
    importance, keep, _, tuned, small, left = six()(network, points, labels, ratio)
    return importance, keep, tuned, tuned, small, left


def one_layer(importance, layer, ratio):
    return ap.keep_by_ratio({layer: importance[layer]}, pruning_ratio=ratio)


def rounded(to_whole):
    return lambda w: lowest_go(w["importance"], to_whole(w["ratio"] * len(w["importance"])))


# The first step of six, as a formula of the sizes, the temperature and the weights with their signs.
WRONG_SCORES = [
    (lambda s, t, w: s.sum(1), "that is the plain sum"),
    (lambda s, t, w: s.mean(1), "that is the plain mean"),
    (lambda s, t, w: (s / t).softmax(1), "these are the shares"),
    (lambda s, t, w: (s / t).softmax(1).sum(1), "the shares of a row always"),
    (lambda s, t, w: (s / t).softmax(1) * s, "these are the parts"),
    (lambda s, t, w: ((s / t).softmax(1) * s).mean(1), "you took the mean"),
    (lambda s, t, w: ((s / t).softmax(0) * s).sum(1), "your softmax goes along dim=0"),
    (lambda s, t, w: ((s / t).softmax(0) * s).sum(0), "that is one value for each input"),
    (lambda s, t, w: ((w / t).softmax(1) * w).sum(1), "you took the weights"),
    (lambda s, t, w: ((w / t).softmax(1) * s).sum(1), "your softmax sees the signed"),
    (lambda s, t, w: ((s / t).softmax(1) * w).sum(1), "the shares are right, but"),
    (lambda s, t, w: ((s / t).flatten().softmax(0).view_as(s) * s).sum(1), "your softmax takes all"),
    (lambda s, t, w: s.max(1).values, "that is the largest"),
    (lambda s, t, w: s.norm(dim=1), "the first value is"),
    (lambda s, t, w: score(s, t, w).tolist(), "it should be a tensor, and this is a list"),
    (lambda s, t, w: None, "it should be a tensor, and this is None"),
]
# A later step, made of what is right, with three dots behind it.
WRONG_STEPS = [
    ("keep", lambda w: ~w["keep"], "it is True for the least important"),
    ("keep", lambda w: w["keep"].float(), "it is of type torch.float32"),
    ("keep", lambda w: w["keep"].nonzero().flatten(), "these are numbers of channels"),
    ("keep", lambda w: w["importance"].argsort(), "these are numbers of channels"),
    ("keep", lambda w: lowest_go(w["importance"], 7), "3 of 10 stay. The pruning ratio, 0.33"),
    ("keep", lambda w: lowest_go(w["importance"], 5), "5 of 10 channels stay"),
    ("keep", lambda w: lowest_go(-w["importance"], 3), "the most important channels go"),
    ("keep", lambda w: lowest_go(-w["importance"].roll(1), 3), "as many go as should"),
    ("keep", lambda w: {"0": w["keep"]}, "it should be a tensor, and this is a dict"),
    ("masked", lambda w: w["network"], "that is the network that you were given"),
    ("masked", lambda w: copy.deepcopy(w["network"]), "nothing is silent"),
    ("masked", lambda w: silenced(w["network"], ~w["keep"]), "the neurons that should stay are zero"),
    ("masked", lambda w: silenced(w["network"], w["keep"], bias=False), "the weights are zero, but"),
    ("masked", silence_both, "the second layer has changed"),
    ("masked", silence_the_reader, "you silence what the second layer reads"),
    ("masked", lambda w: STEPS["tuned"](w), "the neurons that stay have changed"),
    ("masked", lambda w: cut(w["network"], w["keep"]), "its weights have the shapes (7, 4)"),
    ("masked", lambda w: w["network"][0].weight * w["keep"][:, None], "it should be a Sequential"),
    ("tuned", lambda w: copy.deepcopy(w["masked"]), "it answers just as"),
    ("tuned", lambda w: 0.3, "it should be a Sequential, and this is a float"),
    ("small", lambda w: w["tuned"], "that is the network with the zeros"),
    ("small", lambda w: copy.deepcopy(w["tuned"]), "its weights have the shapes (10, 4)"),
    ("small", lambda w: cut(w["masked"], w["keep"]), "it answers as `masked` does"),
    ("small", lambda w: cut(w["tuned"], w["keep"], activation=nn.ReLU), "its middle layer is a ReLU"),
    ("small", lambda w: cut(w["tuned"], w["keep"].roll(1)), "it does not answer as `tuned` does: its first"),
    ("small", other_columns, "it does not answer as `tuned` does: its second layer's weight"),
    ("small", lambda w: nn.Sequential(*cut(w["tuned"], w["keep"])[:2]), "it should have the layers"),
    ("left", lambda w: 1 - w["left"], "that is the share that goes"),
    ("left", lambda w: 100 * w["left"], "that is in percent"),
    ("left", lambda w: 1 / w["left"], "that is how many times fewer"),
    ("left", lambda w: count(w["small"]), "that is how many are left"),
    ("left", lambda w: 0.7, "that is the share of the neurons"),
    ("left", lambda w: 1.0, "nothing would be gone"),
    ("left", lambda w: round(w["left"], 2), "0.71 is rounded"),
    ("left", lambda w: "0.7", "it should be one number, and this is a str"),
]
# One step done in a way that is wrong for good; what follows builds on it.
WRONG_WAYS = [
    (
        "tuned",
        lambda w: trained(w["masked"], w["points"], w["labels"], w["keep"], weights=False),
        "3 of 3 silent neurons woke up",
    ),
    ("tuned", lambda w: trained(w["masked"], w["points"], w["labels"], w["keep"], biases=False), "the biases woke up"),
    (
        "tuned",
        lambda w: trained(w["masked"], w["points"], -w["labels"] + 2, w["keep"]),
        "the loss on the points should fall",
    ),
    ("tuned", silenced_at_the_end, "step 4 of 6, `tuned`: the neurons were awake while you trained"),
    ("tuned", lambda w: trained(w["masked"], w["points"], w["labels"], w["keep"], steps=5), "5 steps of training are few"),
    ("keep", rounded(int), "step 2 of 6, `keep`: 0.4 · 9 is 3.6: rounded, not cut off"),
    ("keep", rounded(math.ceil), "step 2 of 6, `keep`: 0.33 · 10 is 3.3: rounded, not cut off"),
    ("small", lambda w: ap.remove(w["tuned"]), "sees only the masks of `ap.mask`"),
    ("small", half_the_second_bias, "its second layer's bias should be all of tuned's"),
    ("small", lambda w: cut(w["tuned"], lowest_go(w["importance"], 3)), "its weights have the shapes (6, 3)"),
]
CASES = [
    (checks.weights_left, 0.25, True, "0.5 of its inputs"),
    (checks.weights_left, torch.tensor(0.25), True, "0.5 of its inputs"),
    (checks.weights_left, 0.5, False, "channels of conv1"),
    (checks.weights_left, 0.75, False, "share that goes"),
    (checks.weights_left, 25, False, "in percent"),
    (checks.weights_left, 12_800, False, "how many weights are left"),
    (checks.weights_left, 51_200, False, "a number of weights"),
    (checks.weights_left, 4, False, "1 divided by it"),
    (checks.weights_left, 12_832 / 51_264, False, "counted the biases"),
    (checks.weights_left, 0.2504, False, "counted the biases"),
    (checks.weights_left, 429_290 / 1_703_370, False, "all parameters of the network"),
    (checks.weights_left, 1 / 16, False, "kernels stay"),
    (checks.weights_left, 0.1, False, "Which of these numbers get smaller"),
    (checks.weights_left, [0.25], False, "one number, and this is a list"),
    (checks.weights_left, None, False, "one number, and this is None"),
    (checks.weights_left, "0.25", False, "Remove the quotes"),
    (checks.keep_for_one_layer, one_layer, True, "stays as it is"),
    (checks.keep_for_one_layer, lambda i, layer, ratio: ap.keep_by_ratio(i, ratio), False, "names a, b, c"),
    (checks.keep_for_one_layer, lambda i, layer, ratio: one_layer(i, "b", 0.3), False, "asked for the layer 'c'"),
    (checks.keep_for_one_layer, lambda i, layer, ratio: one_layer(i, layer, 1 - ratio), False, "the share that goes"),
    (checks.keep_for_one_layer, lambda i, layer, ratio: one_layer(i, layer, ratio)[layer], False, "the tensor alone"),
    (checks.keep_for_one_layer, lambda i, layer, ratio: {layer: i[layer]}, False, "not True and False"),
    (checks.keep_for_one_layer, lambda i, layer, ratio: {layer: [True] * 20}, False, "holds a list"),
    (checks.keep_for_one_layer, lambda i, layer, ratio: {layer: ~one_layer(i, layer, ratio)[layer]}, False, "should go"),
    (
        checks.keep_for_one_layer,
        lambda i, layer, ratio: {n: torch.ones(len(v), dtype=torch.bool) for n, v in i.items()} | one_layer(i, layer, ratio),
        False,
        "the same effect, but name only the one layer: 'b'",
    ),
    (
        checks.keep_for_one_layer,
        lambda i, layer, ratio: {layer: lowest_go(i[layer], int(ratio * len(i[layer])))},
        False,
        "0.9 · 102 is 91.8: rounded, not cut off",
    ),
    (
        checks.keep_for_one_layer,
        lambda i, layer, ratio: {layer: lowest_go(i[layer], math.ceil(ratio * len(i[layer])))},
        False,
        "0.3 · 101 is 30.3: rounded, not cut off",
    ),
    (checks.keep_for_one_layer, lambda i, layer, ratio: {}, False, "names no layer"),
    (checks.keep_for_one_layer, lambda i, layer, ratio: one_layer(i, "fc1", ratio), False, "stops with KeyError"),
    (checks.keep_for_one_layer, lambda i, layer, ratio: [True], False, "and this is a list"),
    (checks.keep_for_one_layer, lambda i, layer, ratio: None, False, "returns nothing"),
    (checks.keep_for_one_layer, {"fc1": torch.ones(3)}, False, "hand over the function"),
    (checks.keep_for_one_layer, lambda i, layer, ratio: ..., None, "three dots"),
    (checks.six_steps, six(), True, "all six steps"),
    (checks.six_steps, six(masked=lambda w: ap.mask(w["network"], {"0": w["keep"]})), True, "all six steps"),
    (checks.six_steps, lambda *inputs: list(six()(*inputs)), True, "all six steps"),
    (checks.six_steps, lambda *inputs: (...,) * 6, None, "three dots"),
    (checks.six_steps, lambda *inputs: ..., None, "three dots"),
    (checks.six_steps, six(**dots_after("importance", list(STEPS))), False, "step 2 of 6, `keep`, is next"),
    (checks.six_steps, six(**dots_after("small", list(STEPS))), False, "step 6 of 6, `left`, is next"),
    (checks.six_steps, lambda *inputs: six()(*inputs)[0], False, "should return 6 things"),
    (checks.six_steps, lambda *inputs: six()(*inputs)[:3], False, "it returns a tuple of 3"),
    (checks.six_steps, lambda network: network, False, "stops with TypeError"),
    (checks.six_steps, in_place, False, "changes the network"),
    (checks.six_steps, train_the_masked, False, "one and the same network"),
    *[
        (checks.six_steps, answers("importance", scored(formula)), False, f"step 1 of 6, `importance`: {says}")
        for formula, says in WRONG_SCORES
    ],
    *[
        (checks.six_steps, answers(name, value), False, f"step {list(STEPS).index(name) + 1} of 6, `{name}`: {says}")
        for name, value, says in WRONG_STEPS
    ],
    *[(checks.six_steps, six(**{name: step}), False, says) for name, step, says in WRONG_WAYS],
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)
