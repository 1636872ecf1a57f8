"""Checks of lesson 01, what pruning removes."""

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..networks.models import CONV_CHANNELS
from .steps import first_problem, no_copy, no_number, no_tensor, step_by_step
from .verdict import Answered, Verdict, a_kind, exercise, listed, number_of, right, wrong


@exercise
def parameters_of_a_filter(
    answer, *, filters: int = 32, kernel: int = 5, neurons: int = 1024, read_each: int = 5
) -> Verdict:
    """How many parameters does a network such as the article's lose with one filter of conv2?

    conv1 has so many ``filters``, conv2 looks at ``kernel`` × ``kernel`` pixels, and each of the ``neurons`` of fc1 reads
    ``read_each`` × ``read_each`` numbers from each filter of conv2.
    """
    area, positions = kernel**2, read_each**2
    own, bias, read = filters * area, 1, neurons * positions
    total, of_conv2 = own + bias + read, CONV_CHANNELS[1]
    answer = number_of(answer)
    if answer == total:
        return right(f"only {own + bias:,} of them are the filter's own; {read:,} stand in fc1, which reads it.")
    if answer in (own, own + bias):
        return wrong("that is the filter alone. Which weights of fc1 read what it delivers?")
    if answer == own + read:
        return wrong("this leaves one parameter out: the filter also has a bias.")
    if answer in (own + read + filters, own + read + of_conv2):
        return wrong("you counted the biases of a whole layer. A filter has one bias.")
    if answer in (read, read + bias):
        return wrong("that counts what fc1 loses. The filter's own weights go as well.")
    if answer in (own + bias + neurons, own + neurons):
        return wrong(f"each neuron of fc1 reads {read_each} · {read_each} numbers from this filter, not one.")
    if answer in (area + bias + read, area + read):
        return wrong(f"a filter of conv2 looks at all {filters} channels of conv1, each with {kernel} · {kernel} weights.")
    if answer in (total + neurons, own + read + neurons):
        return wrong("you took the biases of fc1 along. Its neurons stay, and so do their biases.")
    if answer == filters * (own + bias) + read:
        return wrong(f"that takes {filters} filters of conv2. Only one goes.")
    if answer == 3 * area + 1 + of_conv2 * area:
        return wrong("that is a filter of conv1, which the lesson removed. The question asks for one of conv2.")
    if answer == total + 3 * area:
        return wrong("conv1 loses nothing: what a filter of conv2 reads may be read by the other filters as well.")
    if kernel != read_each and answer in (filters * positions + bias + neurons * area, own + bias + neurons * area):
        return wrong(
            f"conv2 looks at {kernel} · {kernel} pixels, and fc1 reads {read_each} · {read_each} numbers of each filter."
        )
    return wrong(
        f"add up: the filter's weights (shape {filters} × {kernel} × {kernel}), its bias, and {positions} weights in each "
        f"of the {neurons} neurons of fc1."
    )


FIRST = ((0.0, 0.3, 0.0, -0.2), (0.0,) * 4, (0.0,) * 4, (0.0, 0.7, 0.0, 0.0), (0.5, 0.0, 0.4, 0.0))
BIAS = (0.1, -0.4, 0.5, 0.0, 0.2)
SECOND = ((1.0, 2.0, 0.0, -1.0, 0.0), (0.0, -1.0, 0.6, 0.5, 0.0))


@exercise
def removable_neurons(answer, *, first: tuple = FIRST, bias: tuple = BIAS, second: tuple = SECOND) -> Verdict:
    """Which neurons can go without any change to what two layers with a ReLU between them compute?

    ``first``: the weights of the first layer, a row for each neuron; ``bias``: its biases; ``second``: the weights of the
    second layer, a row for each output.
    """
    neurons = range(len(bias))
    reads_nothing = {neuron for neuron in neurons if not any(first[neuron])}
    silent = {neuron for neuron in reads_nothing if bias[neuron] <= 0}
    unread = {neuron for neuron in neurons if not any(row[neuron] for row in second)}
    removable = silent | unread
    numbers = _row_numbers(answer, len(bias))
    if numbers == removable:
        weights = [weight for row in (*first, *second) for weight in row]
        return right(
            f"{_named(silent)} always give{'s' * (len(silent) == 1)} 0, and nobody reads {_named(unread)}. "
            f"{weights.count(0)} of the {len(weights)} weights are zero, and only {len(removable)} of the {len(bias)} "
            "neurons can go: scattered zeros do not help much."
        )
    if out_of_range := sorted(numbers - set(neurons)):
        return wrong(f"there is no neuron {out_of_range[0]}: the {len(bias)} are counted from 0 to {len(bias) - 1}.")
    if constant := sorted(numbers & (reads_nothing - removable)):
        return wrong(
            f"neuron {constant[0]} gives {bias[constant[0]]:g} whatever comes in: its bias goes through the ReLU. Without "
            "it the outputs change."
        )
    if needed := sorted(numbers - removable):
        return wrong(f"neuron {needed[0]} still answers to an input, and an output reads it.")
    if numbers:
        sought, where = (silent, "rows of `first`") if silent - numbers else (unread, "columns of `second`")
        reason = "" if sought & numbers else ", for another reason"
        return wrong(f"{_named(numbers)}, yes. There is another one{reason}: look at the {where}.")
    return wrong("a neuron can go if it always gives 0, or if no output reads it. There are such neurons.")


def _named(neurons: set[int]) -> str:
    return f"neuron{'s' * (len(neurons) > 1)} {listed([str(neuron) for neuron in sorted(neurons)])}"


def _row_numbers(answer, count: int) -> set[int]:
    """The numbers of the neurons, from a list, a set, a tensor, or True and False for each of ``count`` neurons."""
    values = sorted(answer) if isinstance(answer, set | frozenset) else answer
    values = values.tolist() if isinstance(values, Tensor) else values
    values = values if isinstance(values, list | tuple) else [values]
    if len(values) == count and all(isinstance(value, bool) for value in values):
        return {number for number, value in enumerate(values) if value}
    if len(values) == count and all(isinstance(value, int | float) and value in (0, 1) for value in values):
        raise Answered(wrong("list the numbers of the neurons, not a 0 or 1 for each."))
    if wrong_ones := [value for value in values if isinstance(value, bool) or not isinstance(value, int | float)]:
        raise Answered(wrong(f"the answer is a list of neuron numbers, such as [0, 3]; this holds {a_kind(wrong_ones[0])}."))
    if any(value != round(value) for value in values):
        raise Answered(wrong("the number of a neuron is a whole number."))
    return {int(value) for value in values}


class _Case(NamedTuple):
    network: nn.Sequential
    share: float
    exponent: float

    @property
    def weights(self) -> dict[str, Tensor]:
        """{layer name: weight} of what can be pruned: convolutions and linear layers."""
        layers = self.network.named_modules()
        return {name: layer.weight.detach() for name, layer in layers if isinstance(layer, nn.Conv2d | nn.Linear)}

    def row(self, factor: Callable[[Tensor], float]) -> Tensor:
        """All weights one after another, (weights,), those of each layer multiplied by a ``factor`` of its weight."""
        return torch.cat([(factor(weight) * weight).flatten() for weight in self.weights.values()])


def _network(scales: tuple[float, float, float]) -> nn.Sequential:
    """A network whose layers differ much in size and in the size of their weights, by ``scales``.

    All sizes differ, or, where a scale is 0, all weights of this layer are 1.
    """
    head = nn.Sequential(nn.Flatten(), nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 2))
    network = nn.Sequential(OrderedDict(conv=nn.Conv2d(2, 3, 3), norm=nn.BatchNorm2d(3), head=head))
    with torch.no_grad():
        for layer, scale in zip((network.conv, head[1], head[3]), scales, strict=True):
            layer.weight.copy_(scale * layer.weight if scale else torch.ones_like(layer.weight))
    return network


def _alike(found: Tensor, wanted: Tensor) -> bool:
    return torch.allclose(found.to(wanted), wanted, rtol=1e-5, atol=0)


def _wrong_sizes(found, so_far: dict, case: _Case) -> str | None:
    """What is amiss with the sizes of all weights in one row."""
    if isinstance(found, dict):
        return "it should be one tensor for all layers together, and this is a dict. `torch.cat` joins tensors."
    if isinstance(found, list | tuple):
        return f"it should be one tensor for all layers together, and this is {a_kind(found)}. `torch.cat` joins tensors."
    if problem := no_tensor(found):
        return problem
    found, weights, exponent = found.detach(), case.weights, case.exponent
    rows = case.row(lambda weight: weight.numel() ** exponent)
    if found.shape == rows.shape:
        if _alike(found, rows.abs()):
            return None
        if _alike(found, rows):
            return "these are the weights with their signs. Take their sizes: `abs()`."
        if _alike(found.sort().values, rows.abs().sort().values):
            return "the sizes are right, but not in the order of the layers. Sort them later: the masks need their places."
        slips = [
            (lambda weight: 1, f"these are the sizes |w|. In your version they are multiplied by n^{exponent:g}."),
            (lambda weight: weight.numel() ** -exponent, f"you divide by n^{exponent:g}. Multiply by it."),
            (lambda weight: exponent * weight.numel(), f"n^{exponent:g} is a power, `n ** {exponent:g}`, not a product."),
            (lambda weight: len(rows) ** exponent, "n is the number of weights of the layer, not of all layers."),
            (
                lambda weight: len(weight) ** exponent,
                "n is the number of weights of the layer, `weight.numel()`, and not that of its rows, `len(weight)`.",
            ),
        ]
        for factor, message in slips:
            if _alike(found, case.row(factor).abs()):
                return message
        return "it has the right number of values, but these are not the sizes of the weights, one layer after another."
    if found.ndim != 1:
        return f"it has the shape {tuple(found.shape)}, and should be one row: `flatten()` each weight."
    norm = len(case.network.norm.weight)
    biases = sum(len(layer.bias) for layer in (case.network.conv, case.network.head[1], case.network.head[3]))
    missing = [name for name, weight in weights.items() if len(rows) - weight.numel() == len(found)]
    if len(found) == len(rows) + norm:
        return "it holds the weights of the batch normalisation as well. Take convolutions and linear layers only."
    if len(found) in (len(rows) + biases, len(rows) + biases + 2 * norm):
        return "it holds the biases as well. Magnitude pruning looks at the weights."
    if missing:
        return f"the weights of {missing[0]!r} are missing."
    if len(found) == weights["conv"].numel():
        return (
            "only the convolution is there. Layers may be inside others: `named_modules()` finds all of them. Or does "
            "`isinstance` ask for convolutions only?"
        )
    return f"it has {len(found)} values, and there are {len(rows)} weights in the convolutions and linear layers."


def _wrong_masks(found, so_far: dict, case: _Case) -> str | None:
    """What is amiss with True and False for each weight, where the smallest of all layers together should go."""
    weights = case.weights
    if not isinstance(found, dict):
        return f"it should be a dictionary {{layer name: True where a weight stays}}, and this is {a_kind(found)}."
    if set(found) != set(weights):
        return f"it names {', '.join(map(str, found)) or 'no layer'}, and should name {', '.join(weights)}."
    for name, weight in weights.items():
        mask = found[name]
        if problem := no_tensor(mask):
            return f"for {name!r} {problem}"
        if mask.shape != weight.shape:
            return f"for {name!r} it has the shape {tuple(mask.shape)}, and should have the weight's, {tuple(weight.shape)}."
        if mask.dtype != torch.bool:
            return f"for {name!r} it is of type {mask.dtype}, and should be torch.bool: True where a weight stays."
    sizes, plain = so_far["sizes"].detach(), case.row(lambda weight: 1).abs()
    stays = torch.cat([found[name].flatten() for name in weights])
    total, goes, gone = len(sizes), round(case.share * len(sizes)), int((~stays).sum())
    if gone == goes and (not 0 < goes < total or sizes[~stays].max() <= sizes[stays].min()):
        return None
    if gone == total - goes and 0 < goes < total and sizes[stays].max() <= sizes[~stays].min():
        return "it is True for the smallest weights, which should go. True means that a weight stays."
    if gone == total - goes and goes != total - goes and sizes[~stays].max() <= sizes[stays].min():
        return f"the share {case.share} stays. It is the share that goes."
    each = [int((~found[name]).sum()) for name in weights]
    if 0 < goes < total and each == [round(case.share * weight.numel()) for weight in weights.values()]:
        return "each layer loses the same share. Compare the weights of all layers with each other."
    if abs(gone - goes) == 1:
        cut = f"{case.share} · {total} is rounded to {goes}"
        cut += "" if case.share * total == goes else ", not cut off, nor rounded up"
        return f"one too {'many' if gone > goes else 'few'} went: {cut}."
    if gone != goes:
        ties = " Count places instead of comparing with a limit." if len(sizes.unique()) < total else ""
        return f"{gone} of {total} weights go, and it should be {goes}.{ties}"
    if sizes[stays].max() <= sizes[~stays].min():
        return "the largest weights go. The smallest should."
    if plain[~stays].max() <= plain[stays].min():
        return "the smallest by |w| alone go. In your version the sizes of step 1 decide."
    return "as many weights go as should, but not the smallest of all layers together."


def _wrong_copy(found, so_far: dict, case: _Case) -> str | None:
    """What is amiss with a copy in which the weights that go are zero."""
    if problem := no_copy(found, case.network):
        return problem
    modules = dict(found.named_modules())
    for name, weight in case.weights.items():
        mask, layer = so_far["masks"][name], modules.get(name)
        if not isinstance(getattr(layer, "weight", None), Tensor) or layer.weight.shape != weight.shape:
            return f"its layer {name!r} is not that of `network`. Single weights go without any change of shape."
        value = layer.weight.detach()
        if value.equal(weight * mask):
            continue
        if value.equal(weight):
            return f"the weights of {name!r} are as they were. Those that go should be zero."
        if value.equal(weight * ~mask):
            return f"in {name!r} the weights that should stay are zero."
        if value.equal(mask.to(value)):
            return f"{name!r} holds the mask itself. Multiply the weights by it."
        return f"the weights of {name!r} should be as they were where the mask is True, and zero elsewhere."
    weights = {f"{name}.weight" for name in case.weights}
    for name, value in case.network.state_dict().items():
        if name not in weights and not torch.equal(found.state_dict().get(name, torch.tensor(torch.nan)), value):
            return f"{name} has changed. Only the weights of convolutions and linear layers are pruned."
    return None


def _wrong_zeros(found, so_far: dict, case: _Case) -> str | None:
    """What is amiss with the share of zeros in each layer."""
    if not isinstance(found, dict):
        return f"it should be a dictionary {{layer name: share of zeros}}, and this is {a_kind(found)}."
    if set(found) != set(case.weights):
        return f"it names {', '.join(map(str, found)) or 'no layer'}, and should name {', '.join(case.weights)}."
    counts = {name: int((~mask).sum()) for name, mask in so_far["masks"].items()}
    sizes = {name: mask.numel() for name, mask in so_far["masks"].items()}
    for name, value in found.items():
        if problem := no_number(value):
            return f"for {name!r} {problem}"

    def all_are(wanted) -> bool:
        return all(abs(float(value) - wanted(name)) < 1e-6 * max(1, abs(wanted(name))) for name, value in found.items())

    if all_are(lambda name: counts[name] / sizes[name]):
        return None
    slips = [
        (lambda name: counts[name], "these are the numbers of zeros. Divide by the number of weights of the layer."),
        (lambda name: 1 - counts[name] / sizes[name], "that is the share that is left. Which share is zero?"),
        (lambda name: 100 * counts[name] / sizes[name], "that is in percent. A share lies between 0 and 1."),
        (
            lambda name: counts[name] / sum(sizes.values()),
            "you divide by the weights of all layers. Divide by the layer's own.",
        ),
        (lambda name: case.share, f"{case.share} is the share of all layers together. What is it in each?"),
    ]
    for wanted, message in slips:
        if all_are(wanted):
            return message
    for name, value in found.items():
        if abs(float(value) - counts[name] / sizes[name]) >= 1e-6:
            return f"in {name!r} {counts[name]} of {sizes[name]} weights are zero; that is not {float(value):.4g}."
    return None


STEPS = {"sizes": _wrong_sizes, "masks": _wrong_masks, "pruned": _wrong_copy, "zeros": _wrong_zeros}


@exercise
def magnitude_pruner(function, *, exponent: float = 0) -> Verdict:
    """A function (network, share) → sizes, masks, pruned, zeros: one magnitude pruning over all layers together.

    What is still ``...`` of the four is what the check asks for next. The size of a weight is |w| · nᵉ: n is the number of
    weights of its layer, e the ``exponent``.
    """
    scales_and_shares = (
        ((1, 0.3, 1), 0.3),
        ((1, 0.3, 1), 0.371),  # 144.69 of the 390 weights
        ((1, 0.3, 1), 0.372),  # 145.08
        ((1, 2, 1), 0.0),
        ((1, 2, 1), 1.0),
        ((0, 0, 0), 0.5),
    )
    for scales, share in scales_and_shares:
        case, where = _Case(_network(scales), share, exponent), ""
        if share in (0, 1):
            where = f"right for most shares, but not for {share:.0f}, where {'all' if share else 'nothing'} goes. "
        elif not any(scales):
            where = "right where all sizes differ, but not where many weights are equal. "
        before = copy.deepcopy(case.network.state_dict())
        try:
            parts = step_by_step(function, STEPS, case.network, case.share)
        except Answered as end:
            if end.verdict.solved is None:
                raise
            # To stop for such a share or network is worth what wrong masks for it are.
            raise Answered(wrong(where + end.verdict.message, 1 / len(STEPS) if where else 0)) from end
        if not all(value.equal(before[name]) for name, value in case.network.state_dict().items()):
            return wrong("your function changes the network that it is given. Change a copy: `copy.deepcopy(network)`.")
        if problem := first_problem(parts, STEPS, case):
            return wrong(where + problem.message, problem.share)
    return right("that is what the field calls global magnitude pruning. It holds for any network.")
