"""Checks of lesson 00, start here."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..networks.models import CONV_CHANNELS
from ..pruning.attention import attention_scores
from .observers import observe, steps_of_training
from .steps import first_problem, no_copy, no_number, no_tensor, step_by_step
from .verdict import Verdict, a_kind, close_to, exercise, number_of, require_keep, returned_by, right, wrong

CONV1, CONV2 = CONV_CHANNELS  # channels of the article's network
KERNEL = 5 * 5


@exercise
def weights_left(answer, *, first: int = 16, second: int = 32) -> Verdict:
    """Which share of conv2's weights stays when conv1 loses ``first`` of its 32 channels and conv2 ``second`` of its 64?"""
    answer = number_of(answer)
    inputs, filters = 1 - first / CONV1, 1 - second / CONV2  # the shares that stay
    share, weights = inputs * filters, CONV2 * CONV1 * KERNEL
    close = close_to(answer, 1e-5)

    def count(value: float) -> bool:
        return abs(answer - value) < 0.5

    if close(share):
        return right(
            f"conv2 keeps {filters:g} of its filters, and each filter that stays keeps {inputs:g} of its inputs: "
            f"{filters:g} · {inputs:g}."
        )
    if close(filters) or close(100 * filters):
        return wrong("that counts conv2's own filters. Each of them also reads the channels of conv1: how many are left?")
    if close(inputs) or close(100 * inputs):
        return wrong("that counts what each filter reads, the channels of conv1. How many filters are left?")
    if close(1 - share) or close(100 * (1 - share)):
        return wrong("that is the share that goes. Which share stays?")
    if close(100 * share):
        return wrong("that is in percent. Give the share as a number between 0 and 1.")
    if close((1 - inputs) * (1 - filters)):
        return wrong("you multiplied the shares that go. A weight stays if its filter and its input both stay.")
    if close(inputs + filters - 1) or close((inputs + filters) / 2):
        return wrong("the two shares are neither added nor averaged: of the filters that stay, each loses some inputs.")
    if count(weights * share):
        return wrong("that is how many weights are left. Divide by how many there were.")
    if count(weights) or count(weights * (1 - share)):
        return wrong("that is a number of weights, those before or those that go. Which share of them stays?")
    if close(1 / share):
        return wrong("that many times fewer weights there are. The share that stays is 1 divided by it.")
    if any(close_to(answer, 1e-9)(round(share, digits)) for digits in (2, 3, 4)):
        return wrong("nearly: that is rounded. Let Python multiply, and give all digits.")
    if close_to(answer, 1.5e-4)((weights * share + CONV2 - second) / (weights + CONV2)):
        return wrong("you counted the biases as well. Leave them out.")
    if any(close(share * also) for also in (inputs, filters, inputs**2, filters**2, share)):
        return wrong("the kernels stay 5 · 5. Only two of the four numbers of the shape get smaller.")
    if close_to(answer, 0.0015)(0.252):
        return wrong("that is the share of all parameters of the network. The question asks for the weights of conv2.")
    return wrong("conv2's weight has the shape (its channels, conv1's channels, 5, 5). Which of these numbers get smaller?")


@exercise
def keep_for_one_layer(function, *, factor: float = 1) -> Verdict:
    """A function (importance, layer, ratio) → the ``keep`` that prunes one layer alone, by ``factor`` · ratio."""
    probes = []
    # In every second one the number of channels that go is rounded up, in the others down.
    for layer, ratio, part in (("b", 0.3, 0.1), ("c", 0.9, 0.6), ("a", 0.45, 0.1), ("c", 0.37, 0.6), ("b", 0.33, 0.1)):
        channels = {"a": 10, "b": 20, "c": 40}
        # So many that the next factor would let others go.
        channels[layer] = next(n for n in range(100, 200) if part < factor * ratio * n % 1 < part + 0.3)
        probes.append(({name: torch.rand(number) for name, number in channels.items()}, layer, ratio))
    for importance, layer, ratio in probes:
        keep = returned_by(function, dict(importance), layer, ratio)
        if isinstance(keep, Tensor):
            return wrong(
                "your function returns the tensor alone. A `keep` is a dictionary {layer name: True where a channel stays}."
            )
        require_keep(keep)
        if layer not in keep:
            return wrong(f"asked for the layer {layer!r}, your `keep` names {_names(keep)}. The name comes as an argument.")
        others = [stays for name, stays in keep.items() if name != layer]
        if all(isinstance(stays, Tensor) and stays.dtype == torch.bool and stays.all() for stays in others) and others:
            return wrong(f"the same effect, but name only the one layer: {layer!r} alone, and the others stay as they are.")
        if others:
            return wrong(
                f"asked for the layer {layer!r}, your `keep` names {_names(keep)}. Give `keep_by_ratio` a dictionary with "
                "one entry."
            )
        stays = keep[layer]
        if not isinstance(stays, Tensor):
            return wrong(f"for {layer!r} your `keep` holds {a_kind(stays)}; it should be a tensor of True and False.")
        if stays.shape == importance[layer].shape and stays.dtype != torch.bool:
            return wrong("these are not True and False for each channel. Pass the importance through `keep_by_ratio`.")
        if problem := _wrong_keep(stays, importance[layer], ratio, factor):
            return wrong(problem)
    return right("a layer that `keep` does not name stays as it is.")


def _names(keep: dict) -> str:
    return ", ".join(sorted(map(str, keep))) or "no layer"


class _Case(NamedTuple):
    network: nn.Sequential
    points: Tensor
    labels: Tensor
    ratio: float
    power: float
    temperature: float

    def loss(self, network: nn.Module) -> float:
        """The mean cross-entropy of the points."""
        with torch.no_grad():
            return F.cross_entropy(network(self.points), self.labels).item()


def _case(inputs: int, hidden: int, classes: int, ratio: float, power: float, temperature: float) -> _Case:
    """A network with one hidden layer, and points that it does not know yet, equally many of each class."""
    network = nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, classes))
    with torch.no_grad():  # larger weights, so that one score is not nearly the other
        network[0].weight *= 3
    points = torch.randn(80, inputs)
    order = (points @ torch.randn(inputs)).argsort().argsort()  # of the points along some direction
    return _Case(network, points, order * classes // len(points), ratio, power, temperature)


def _alike(found: Tensor, wanted: Tensor) -> bool:
    return found.shape == wanted.shape and torch.allclose(found.to(wanted), wanted, rtol=1e-4, atol=1e-5)


def _wrong_importance(found, so_far: dict, case: _Case) -> str | None:
    """What is amiss with the importance of the hidden neurons."""
    weight = case.network[0].weight.detach()
    plain, power, temperature = weight.abs(), case.power, case.temperature
    sizes = plain**power
    signed = weight.sign() * sizes
    shares, signed_shares = (values.div(temperature).softmax(dim=1) for values in (sizes, signed))
    wanted = attention_scores(sizes, temperature)
    if problem := no_tensor(found):
        return problem
    found = found.detach()
    if _alike(found, wanted):
        return None
    if found.shape != (len(weight),):
        if _alike(found, shares * sizes):
            return "these are the parts of the sum. Add up the parts of each neuron: `sum(dim=1)`."
        if _alike(found, shares):
            return "these are the shares of attention. Multiply each by its size, and add up each row."
        if found.ndim == 1 and len(found) == weight.shape[1]:
            return "that is one value for each input. A neuron is a row: softmax and sum go along dim=1."
        return f"it has the shape {tuple(found.shape)}, and should have one value for each hidden neuron, ({len(weight)},)."
    slips = [
        (attention_scores(weight), "that is the lesson's formula. Your version has other sizes and another softmax."),
        (attention_scores(weight, temperature), f"your version has the size |w|^{power:g}, in the softmax and behind it."),
        (attention_scores(sizes), f"your version divides the sizes by {temperature:g} before the softmax."),
        (
            ((plain / temperature).softmax(dim=1) * sizes).sum(dim=1),
            f"your softmax sees |w|. In your version the size is |w|^{power:g} there as well.",
        ),
        ((shares * plain).sum(dim=1), f"the shares are right. In your version they weigh the sizes |w|^{power:g}, not |w|."),
        (
            (shares * sizes).sum(dim=1) / temperature,
            f"the division by {temperature:g} belongs into the softmax only; the shares weigh the sizes as they are.",
        ),
        (
            ((sizes * temperature).softmax(dim=1) * sizes).sum(dim=1),
            f"you multiply the sizes by {temperature:g} before the softmax. Divide them.",
        ),
        (sizes.sum(dim=1), "that is the plain sum of the sizes. Weigh each with its share of attention."),
        (sizes.mean(dim=1), "that is the plain mean of the sizes. Weigh each with its share of attention."),
        (shares.sum(dim=1), "the shares of a row always sum to 1. Multiply each by its size before you add them up."),
        ((signed_shares * signed).sum(dim=1), "you took the weights with their signs. Take their sizes: `abs()`."),
        ((shares * signed).sum(dim=1), "the shares are right, but they weigh the signed weights. Weigh the sizes."),
        ((signed_shares * sizes).sum(dim=1), "your softmax sees the signed weights. Give it the sizes."),
        (
            ((sizes / temperature).softmax(dim=0) * sizes).sum(dim=1),
            "your softmax goes along dim=0. A neuron is a row: dim=1.",
        ),
        (
            ((sizes / temperature).flatten().softmax(dim=0).view_as(sizes) * sizes).sum(dim=1),
            "your softmax takes all weights together. Each row has shares of its own: dim=1.",
        ),
        (
            (shares * sizes).mean(dim=1),
            "you took the mean of the parts. The shares are the weights of the mean: take the sum.",
        ),
        (sizes.max(dim=1).values, "that is the largest size of each row. Take the mean, weighted with the shares."),
    ]
    for value, message in slips:
        if _alike(found, value):
            return message
    return f"the first value is {found[0]:.4g}, and should be {wanted[0]:.4g}."


def _wrong_keep(found, importance: Tensor, ratio: float, factor: float = 1) -> str | None:
    """What is amiss with True and False for channels of this ``importance``, of which ``factor`` · ``ratio`` should go."""
    if problem := no_tensor(found):
        return problem
    importance = importance.detach()
    exactly = factor * ratio * len(importance)
    goes = round(exactly)
    if found.ndim == 1 and found.dtype == torch.int64 and (len(found) != len(importance) or found.max() > 1):
        return "these are numbers of channels. Say for each channel whether it stays: True or False."
    if found.shape != importance.shape:
        return f"it has the shape {tuple(found.shape)}, and should have one value for each channel, ({len(importance)},)."
    if found.dtype != torch.bool:
        return f"it is of type {found.dtype}, and should be torch.bool: True where a channel stays."
    order, left = importance.argsort(), int(found.sum())
    if len(importance) - left == goes and (not goes or importance[~found].max() <= importance[found].min()):
        return None
    if left == goes and importance[found].max() <= importance[~found].min():
        return "it is True for the least important channels, which should go. True means that a channel stays."
    if len(importance) - left == goes:
        if not found[order[-goes:]].any():
            return "the most important channels go. The least important should."
        return f"as many go as should, but not the least important: these are {sorted(order[:goes].tolist())}."
    if len(importance) - left == round(ratio * len(importance)):
        return f"the whole ratio goes, {ratio} of the layer. Your version is {factor:g} times the ratio."
    product = f"{ratio} · {len(importance)}" if factor == 1 else f"{factor:g} · {ratio} · {len(importance)}"
    if left == goes:
        return f"{left} of {len(importance)} stay. The pruning ratio, {ratio}, is the share that goes."
    if abs(len(importance) - left - goes) == 1 and abs(len(importance) - left - exactly) < 1 - 1e-9:
        return f"{product} is {exactly:g}: rounded, not cut off, nor rounded up, {goes} go."
    return f"{left} of {len(importance)} channels stay at a ratio of {ratio}, and it should be {len(importance) - goes}."


def _wrong_network(found, given: nn.Module, hidden: int, what: str) -> str | None:
    """Why ``found`` is no Linear, Tanh, Linear with so many ``hidden`` neurons."""
    if problem := no_copy(found, given, nn.Sequential):
        return problem
    kinds, wanted = (", ".join(type(layer).__name__ for layer in layers) for layers in (found, given))
    if len(found) != 3 or not all(hasattr(found[place], "weight") for place in (0, 2)):
        return f"it should have the layers {wanted}; yours has {kinds or 'none'}."
    if type(found[1]) is not type(given[1]):
        return f"its middle layer is {a_kind(found[1])}, and that of `network` is {a_kind(given[1])}."
    shapes = [tuple(found[place].weight.shape) for place in (0, 2)]
    inputs, outputs = given[0].weight.shape[1], given[2].weight.shape[0]
    if shapes != [(hidden, inputs), (outputs, hidden)]:
        wanted = f"{(hidden, inputs)} and {(outputs, hidden)}"
        return f"its weights have the shapes {shapes[0]} and {shapes[1]}, and should have {wanted}: {what}."
    return None


def _wrong_neurons(found, so_far: dict, case: _Case) -> str | None:
    """What is amiss with True and False for the hidden neurons."""
    return _wrong_keep(found, so_far["importance"], case.ratio)


def _wrong_mask(found, so_far: dict, case: _Case) -> str | None:
    """What is amiss with a copy in which the other neurons are silent."""
    given, keep = case.network, so_far["keep"]
    if problem := _wrong_network(found, given, len(keep), "a mask changes no shape"):
        return problem
    weight, bias, read = (tensor.detach() for tensor in (found[0].weight, found[0].bias, found[2].weight))
    old_weight, old_bias, old_read = given[0].weight, given[0].bias, given[2].weight
    still_there = weight[~keep].any() or bias[~keep].any()
    if still_there and not read[:, ~keep].any():
        return (
            "you silence what the second layer reads. Set the neurons' own weights and biases to zero, in the first layer."
        )
    if not weight[keep].any():
        return "the neurons that should stay are zero. True means that a neuron stays."
    if weight.equal(old_weight) and bias.equal(old_bias):
        return "nothing is silent yet: no weight has become zero."
    if weight[~keep].any():
        return "the weights of the neurons that go are not all zero. A neuron is a row: `weight[~keep] = 0`."
    if bias[~keep].any():
        return "the weights are zero, but the neurons still add their bias. Silence it as well."
    if not weight[keep].equal(old_weight[keep]) or not bias[keep].equal(old_bias[keep]):
        return "the neurons that stay have changed. A mask leaves them as they are; training comes in the next step."
    if not read.equal(old_read) or not found[2].bias.equal(given[2].bias):
        return "the second layer has changed. Silence only the hidden neurons, in the first layer."
    return None


def _wrong_tuning(found, so_far: dict, case: _Case) -> str | None:
    """What is amiss with the masked network after some training."""
    masked, keep = so_far["masked"], so_far["keep"]
    if problem := _wrong_network(found, masked, len(keep), "training changes no shape"):
        return problem
    with torch.no_grad():
        if found(case.points).equal(masked(case.points)):
            return "it answers just as `masked` does. Has it been trained?"
    awake = found[0].weight[~keep].any(dim=1)
    if awake.any():
        return (
            f"{int(awake.sum())} of {len(awake)} silent neurons woke up: training gave them weights. Set their weights and "
            "biases to zero again after every step of the optimiser."
        )
    if found[0].bias[~keep].any():
        return "the weights stayed zero, but the biases woke up. Set them to zero as well after every step."
    steps, held = so_far["training"]
    if problem := _wrong_steps(steps, list(STEPS).index("tuned") in held, found, keep):
        return problem
    before, after = case.loss(masked), case.loss(found)
    if not after < before - 0.01:
        return f"the loss on the points should fall. It went from {before:.3f} to {after:.3f}: more steps, or another rate?"
    return None


def _wrong_removal(found, so_far: dict, case: _Case) -> str | None:
    """What is amiss with the network from which the silent neurons are cut."""
    tuned, keep = so_far["tuned"], so_far["keep"]
    if found is tuned or found is so_far["masked"]:
        return "that is the network with the zeros. Build a new one, with fewer hidden neurons."
    if problem := _wrong_network(found, tuned, int(keep.sum()), "only the neurons that stay"):
        if isinstance(found, nn.Sequential) and len(found) == 3 and len(getattr(found[0], "weight", ())) == len(keep):
            problem += " (`ap.remove` sees only the masks of `ap.mask`. Cut by hand.)"
        return problem
    with torch.no_grad():
        answers = found(case.points)
        if torch.allclose(answers, tuned(case.points), rtol=1e-3, atol=1e-4):
            return None
        if torch.allclose(answers, so_far["masked"](case.points), rtol=1e-3, atol=1e-4):
            return "it answers as `masked` does, without the training. Cut `tuned`."
    parts = [
        ("first layer's weight", found[0].weight, tuned[0].weight[keep], "tuned's rows that stay"),
        ("first layer's bias", found[0].bias, tuned[0].bias[keep], "tuned's entries that stay"),
        ("second layer's weight", found[2].weight, tuned[2].weight[:, keep], "tuned's columns that stay"),
        ("second layer's bias", found[2].bias, tuned[2].bias, "all of tuned's second bias"),
    ]
    for name, value, wanted, what in parts:
        if value is None or not _alike(value.detach(), wanted.detach()):
            return f"it does not answer as `tuned` does: its {name} should be {what}."
    return "it has the right weights, but does not answer as `tuned` does."


def _wrong_share(found, so_far: dict, case: _Case) -> str | None:
    """What is amiss with the share of the parameters that is left."""
    network, small = case.network, so_far["small"]
    if problem := no_number(found):
        return problem
    before, after = (sum(parameter.numel() for parameter in part.parameters()) for part in (network, small))
    found, share = float(found), after / before
    if abs(found - share) < 1e-6:
        return None
    slips: list[tuple[float, str]] = [
        (1 - share, "that is the share that goes."),
        (100 * share, "that is in percent. A share lies between 0 and 1."),
        (1 / share, "that is how many times fewer parameters there are. Divide the other way round."),
        (after, "that is how many are left. Divide by how many there were."),
        (before - after, "that is how many go. Which share is left?"),
        (
            len(small[0].weight) / len(network[0].weight),
            "that is the share of the neurons, and of the weights. The biases are parameters, too.",
        ),
        (1.0, "nothing would be gone. Count the parameters of `small`: the zeros of `tuned` are parameters, too."),
    ]
    for value, message in slips:
        if abs(found - value) < 1e-6:
            return message
    if abs(found - share) < 0.006:
        return f"{found:g} is rounded. Return it with all its digits."
    return f"{after} of {before} parameters are left; that is not {found:.4g}."


STEPS = {
    "importance": _wrong_importance,
    "keep": _wrong_neurons,
    "masked": _wrong_mask,
    "tuned": _wrong_tuning,
    "small": _wrong_removal,
    "left": _wrong_share,
}


def _wrong_steps(steps: list[Tensor], masked_by_torch: bool, tuned: nn.Sequential, keep: Tensor) -> str | None:
    """What is amiss with the training that led to ``tuned``, where an optimiser of torch did it."""
    steps = [neurons for neurons in steps if neurons.shape == (len(keep), tuned[0].weight.shape[1] + 1)]
    if not masked_by_torch and any(neurons[~keep].any() for neurons in steps):
        return (
            "the neurons were awake while you trained. Silence them after every step of the optimiser, not only at the end."
        )
    if 0 < len(steps) < 50:
        return f"{len(steps)} steps of training are few. Take a few hundred."
    return None


def _watched(function, case: _Case) -> dict:
    """What the reader's ``function`` makes of a ``case``, {name of the step: its result}, and what its "training" did."""
    training = []

    def watched(*inputs):
        result, *training[:] = observe(steps_of_training, function, *inputs)
        return result

    asked = watched if callable(function) else function  # which says what came instead of a function
    return step_by_step(asked, STEPS, case.network, case.points, case.labels, case.ratio) | {"training": training}


@exercise
def six_steps(function, *, power: float = 1, temperature: float = 1) -> Verdict:
    """A function (network, points, labels, ratio) → importance, keep, masked, tuned, small, left: all of pruning by hand.

    ``network``: Sequential(Linear, Tanh, Linear). What is still ``...`` of the six is what the check asks for next. The size
    of a weight is |w| to the ``power``, and the sizes are divided by the ``temperature`` before the softmax.
    """
    # 3.3 neurons go, which is rounded down, and 3.6, which is rounded up.
    for case in (_case(4, 10, 3, 0.33, power, temperature), _case(3, 9, 2, 0.4, power, temperature)):
        before = copy.deepcopy(case.network.state_dict())
        parts = _watched(function, case)
        if not all(value.equal(before[name]) for name, value in case.network.state_dict().items()):
            return wrong("your function changes the network that it is given. Change a copy: `copy.deepcopy(network)`.")
        if isinstance(parts["tuned"], nn.Module) and parts["tuned"] is parts["masked"]:
            return wrong("`masked` and `tuned` are one and the same network. Train a copy: `copy.deepcopy(masked)`.")
        if problem := first_problem(parts, STEPS, case):
            return problem
    return right("all six steps. `ap` does the same for any network that it can follow.")
