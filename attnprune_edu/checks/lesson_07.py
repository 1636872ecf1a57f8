"""Checks of lesson 07, smaller and faster."""

import copy
import re
from fractions import Fraction

import torch
from torch import Tensor, nn

from .observers import observe, result_beside_network
from .verdict import Answered, Verdict, a_kind, close_to, exercise, number_of, returned_by, right, wrong, wrong_step


@exercise
def params_of_cut_conv(
    answer, *, kept: int = 8, filters: int = 32, kept2: int = 16, filters2: int = 64, kernel: int = 5
) -> Verdict:
    """conv1 keeps ``kept`` of its ``filters``, conv2 ``kept2`` of ``filters2``: how many parameters has conv2 afterwards?

    ``kernel``: the height and the width of all kernels, as conv1 reads 3 colours.
    """
    answer, size = number_of(answer), kernel**2
    weights, before = kept2 * kept * size, filters2 * filters * size
    of_conv1 = kept * 3 * size + kept
    of_filters, of_inputs = Fraction(kept2, filters2), Fraction(kept, filters)
    of_weights = of_filters * of_inputs
    if answer == weights + kept2:
        return right(f"{of_filters} of the filters with {of_inputs} of the inputs: of the weights, {of_weights} is left.")
    if answer == weights:
        return wrong("these are the weights. Each filter that stays also has a bias.")
    if answer == kept2 * filters * size + kept2:
        return wrong(f"you cut one side only. conv2 loses filters, and its inputs too: conv1 delivers {kept} channels now.")
    if answer == filters2 * kept * size + filters2:
        return wrong(f"the outputs are not cut. {kept2} of the {filters2} filters of conv2 stay.")
    if answer in (kept2 * filters * size, filters2 * kept * size):
        return wrong("you cut one side only, and the biases are missing. conv2 loses filters and inputs.")
    if answer in (before + filters2, before):
        return wrong("nothing is cut: that is conv2 before. It loses filters, and each filter loses inputs.")
    if abs(answer - (before + filters2) * of_weights) < 0.51:  # it may have been rounded
        return wrong(
            f"{of_weights} is right for the weights. A bias belongs to a filter, and {of_filters} of the filters stay."
        )
    if answer in (weights + biases for biases in (1, kept, kept2 + kept, filters, filters2, kept2 * kept)):
        return wrong(
            f"the weights are right. Of the biases there is one for each of the {kept2} filters of conv2 that stay."
        )
    if answer in (kept2 * size + kept2, kept2 * size):
        return wrong(
            f"the inputs are missing: a filter has {kernel} · {kernel} weights for each of the channels that it reads."
        )
    if answer in (kept2 * kept * kernel + kept2, kept2 * kept * kernel):
        return wrong(f"a kernel has two sides, so it holds {kernel} · {kernel} weights.")
    if answer in (kept2 * kept + kept2, kept2 * kept):
        return wrong(f"the kernel is missing: a filter has {kernel} · {kernel} weights for each input channel.")
    gone, gone2 = filters - kept, filters2 - kept2
    if answer in (gone2 * gone * size + gone2, gone2 * gone * size):
        return wrong(f"you count with the channels that go, {gone} and {gone2}. Take those that stay.")
    if answer in (before + filters2 - (weights + kept2), before - weights):
        return wrong("that is what conv2 loses. How much is left?")
    if answer in (of_conv1, of_conv1 - kept):
        return wrong("that is conv1 afterwards. The question asks for conv2.")
    if answer == weights + kept2 + of_conv1:
        return wrong("that is conv1 and conv2 together. The question asks for conv2 alone.")
    if answer in (kept2 * 3 * size + kept2, kept2 * 3 * size):
        return wrong("3 colours go into conv1. conv2 reads the channels that conv1 delivers.")
    if answer in (kept * size + 1, kept * size):
        return wrong(f"that is one filter of conv2. {kept2} of them stay.")
    if 0 < answer < 1:
        return wrong("that is a share. Count the parameters.")
    return wrong(
        f"filters that stay · inputs that stay · {kernel} · {kernel} weights, and a bias for each filter that stays."
    )


ADVICE = {  # {pattern in what torch says: what to do about it}
    r"(Missing|Unexpected) key": "A Sequential names its weights `0.weight`, `0.bias`, `3.weight`, …; all six are needed.",
    "size mismatch for": (
        "The numbers are cut, but the layers they go into still have the old sizes. "
        "Build smaller layers, or replace each weight."
    ),
    "could not be broadcast together": "Cut one side after the other: `[keep2][:, keep1]`.",
    r"shape of the mask .* tensor \[\d+, \d+\]": (  # two dimensions: that is the linear layer
        "The mask needs as many entries as the layer has columns: `in_features // len(keep2)` for each channel of `keep2`."
    ),
    "shape of the mask": (
        "`keep1` fits the filters of the first convolution and the inputs of the second, `keep2` the filters of the second."
    ),
}


@exercise
def removal_by_hand(function, *, factor: float = 1) -> Verdict:
    """A function (Sequential, keep1, keep2) → a smaller Sequential that computes the same as with silent channels.

    ``factor`` > 0: what multiplies the weights and biases of the first convolution, and divides the weights of the second.
    """
    # The second network finds a cut that fits only the sizes, the kernel or the padding of the first.
    for stays1, stays2, size, kernel in (
        ([0, 1, 1, 0, 1, 1, 1], [1, 0, 1, 1], (20, 20), {"kernel_size": 5}),
        ([1, 0, 0, 1, 0], [0, 1, 1, 0, 1, 0, 0, 1], (12, 8), {"kernel_size": 3, "padding": 1}),
    ):
        keep1, keep2 = torch.tensor(stays1, dtype=torch.bool), torch.tensor(stays2, dtype=torch.bool)
        network, images = _example(len(keep1), len(keep2), size, kernel)
        given = copy.deepcopy(network)
        small, is_given, shared = _removed_by(function, given, keep1, keep2)
        if is_given:
            return wrong("you return `network` itself. Make a copy, cut that and return it: `copy.deepcopy(network)`.")
        if problem := _no_network(small, given, network):
            return wrong(problem)
        if verdict := _wrong_tensor(small, given, keep1, keep2, shared, factor):
            return verdict
        if problem := _wrong_answers(small, given, {0: keep1, 3: keep2}, images):
            return wrong_step(4, 4, f": all weights are right, but {problem}")
    return right("that is what `ap.remove` does, for any network that it can follow.")


def _example(first: int, second: int, size: tuple[int, int], kernel: dict) -> tuple[nn.Sequential, Tensor]:
    """A network as the exercise hands it over, and images for it."""
    images = torch.randn(4, 3, *size)
    layers = [nn.Conv2d(3, first, **kernel), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(first, second, **kernel), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    features = nn.Sequential(*layers)(images).shape[1]
    return nn.Sequential(*layers, nn.Linear(features, 10)), images


def _removed_by(function, *inputs) -> tuple[object, bool, list[str]]:
    """What the reader's ``function`` returns, and how it hangs together with the network that it was given.

    If it stops, the check ends, with advice if the error is a usual one. See ``result_beside_network``.
    """
    if isinstance(function, nn.Module):  # it can be called too
        raise Answered(wrong(f"hand over the function itself, without brackets; this is {a_kind(function)}."))
    beside = []

    def removed(*inputs):
        result, *beside[:] = observe(result_beside_network, function, *inputs)
        return result

    try:
        return returned_by(removed if callable(function) else function, *inputs), *beside
    except Answered as end:
        for pattern, advice in ADVICE.items():
            if re.search(pattern, str(end.__cause__)):
                raise Answered(wrong(f"{end.verdict.message.removesuffix(':')}. {advice}")) from end
        raise


def _no_network(small, given: nn.Sequential, network: nn.Sequential) -> str | None:
    """Why ``small`` is no network to look at, or what became of the ``given`` one, a copy of ``network``; or None."""
    before, after = network.state_dict(), given.state_dict()
    if any(not value.equal(after[name]) for name, value in before.items()):
        return "your function changes the network that it is given. Make a copy first: `copy.deepcopy(network)`."
    if not isinstance(small, nn.Sequential):
        return f"your function returns {a_kind(small)}; it should return a Sequential."
    kinds, wanted = (", ".join(type(layer).__name__ for layer in layers) for layers in (small, network))
    if kinds != wanted:
        return f"the small network should have the same layers, {wanted}; yours has {kinds or 'none'}."
    if strange := [value.dtype for value in small.parameters() if value.dtype != torch.float32]:
        return f"the small network's numbers are of another type, {strange[0]}; keep torch.float32."
    return None


def _wrong_tensor(
    small: nn.Sequential, given: nn.Sequential, keep1: Tensor, keep2: Tensor, shared: list[str], factor: float
) -> Verdict | None:
    """The verdict on the first of three steps, a layer each, that is not right; None if all are."""
    first, second, linear = ((layer.weight.detach(), layer.bias.detach()) for layer in (given[0], given[3], given[7]))
    w1, w2, w3 = first[0], second[0], linear[0]
    positions = w3.shape[1] // len(keep2)
    columns = keep2.repeat_interleave(positions)
    of_second = [
        (w2, "still has all its filters, and each reads all channels of the first."),
        (w2[keep2], "has the right filters, but they still read all channels of the first."),
        (w2[:, keep1], "reads the right channels, but still has all its filters."),
        (w2[keep2][:, ~keep1], "reads the channels of the first that go."),
        (w2[~keep2][:, keep1], "has the filters that go. True means that a channel stays."),
        (w2[keep2][:, : int(keep1.sum())], "reads as many channels as it should, but the first ones."),
    ]
    of_linear = [
        (w3, "still reads all its columns. Which of them come from channels that are gone?"),
        (w3[:, ~columns], "reads the columns that go. True means that a channel stays."),
        (w3[:, keep2.repeat(positions)], "repeats all of `keep2`; the flatten writes all of channel 0 first."),
        (w3[:, : int(columns.sum())], "reads as many columns as it should, but the first ones."),
        (w3[:, : len(keep2)][:, keep2], f"has one column of each channel; the flatten writes {positions} of each."),
    ]
    staying = "Take those of the channels that stay, in the order that they have."
    flat = "Take the columns of the channels that stay; the flatten writes all of channel 0 first."
    tensors = [  # (layer, its tensor, what should stay of it, what multiplies that, slips, advice)
        (0, "weight", w1[keep1], factor, _slips(w1, keep1, "filters"), staying),
        (0, "bias", first[1][keep1], factor, _slips(first[1], keep1, "biases"), staying),
        (3, "weight", w2[keep2][:, keep1], 1 / factor, of_second, staying),
        (3, "bias", second[1][keep2], 1, _slips(second[1], keep2, "biases"), staying),
        (7, "weight", w3[:, columns], 1, of_linear, flat),
        (7, "bias", linear[1], 1, [], "It loses no outputs, so its bias stays as it was."),
    ]
    steps = {0: (1, "the first convolution"), 3: (2, "the second convolution"), 7: (3, "the linear layer")}
    for place, what, staying_values, times, slips, advice in tensors:
        number, name = steps[place]
        value = getattr(small[place], what)
        problem = _slip_behind(value, staying_values, times, factor, slips, what, advice)
        if not problem and f"{place}.{what}" in shared:
            problem = f"shares its {what} with `network`, so training one would change the other. Clone it."
        if problem:
            return wrong_step(number, 4, f": {name} {problem}")
    return None


def _slips(values: Tensor, keep: Tensor, what: str) -> list[tuple[Tensor, str]]:
    """What may have been made of ``values``, one a channel in their first dimension, in place of ``values[keep]``."""
    return [
        (values, f"still has all its {what}."),
        (values[~keep], f"has the {what} that go. True means that a channel stays."),
        (values[: int(keep.sum())], f"has as many {what} as should stay, but the first ones."),
    ]


def _slip_behind(
    value: Tensor | None,
    staying: Tensor,
    times: float,
    factor: float,
    slips: list[tuple[Tensor, str]],
    what: str,
    advice: str,
) -> str | None:
    """Which of the ``slips`` led to ``value``, or else in what it differs, and ``advice``.

    None if it is what is ``staying``, so many ``times``; a slip is one whether the ``factor`` of the exercise was seen to
    or not.
    """
    if value is None:
        return f"has lost its {what}."
    if _same(value, times * staying):
        return None
    scales = {1, factor, 1 / factor}
    for other, message in slips:
        if any(_same(value, scale * other) for scale in scales):
            return message
    if any(_same(value, scale * staying) for scale in scales):
        if times == 1:
            return f"has the right {what}, but here your version neither multiplies nor divides it."
        does = "multiplies" if times == factor else "divides"
        return f"has the right {what}, but your version {does} it by {factor:g}."
    if any(_same(_without_zeros(value), scale * staying) for scale in scales):
        return f"still has channels that go in its {what}, as zeros. Cut them out."
    if value.shape != staying.shape:
        return f"has a {what} of the shape {tuple(value.shape)}; it should be {tuple(staying.shape)}. {advice}"
    if any(_same(value.flatten().sort().values, (scale * staying).flatten().sort().values) for scale in scales):
        return f"has the right numbers in its {what}, but in another order. {advice}"
    return f"has a {what} of the right shape, but with other numbers. {advice}"


def _same(values: Tensor, others: Tensor) -> bool:
    """Whether both hold the same numbers, but for the rounding of a multiplication."""
    return values.shape == others.shape and torch.allclose(values, others, rtol=1e-5, atol=1e-8)


def _without_zeros(values: Tensor) -> Tensor:
    """``values`` without those slices, along each dimension, that hold nothing but zeros."""
    for dim in range(values.ndim):
        used = values.unsqueeze(-1).movedim(dim, 0).flatten(1).any(dim=1)
        values = values.index_select(dim, used.nonzero().flatten())
    return values


def _wrong_answers(small: nn.Sequential, given: nn.Sequential, keep: dict[int, Tensor], images: Tensor) -> str | None:
    """Why the network does not compute with its weights what the large one does with silent channels; None if it does."""
    for place in (0, 2, 3, 5):
        for setting in ("kernel_size", "stride", "padding", "dilation"):
            had, has = (getattr(network[place], setting) for network in (given, small))
            if had != has:
                return f"layer {place}, a {type(given[place]).__name__}, had {setting}={had} and now has {has}."
    rows, columns = small[3].weight.shape[:2]
    sizes = {(0, "out_channels"): columns, (3, "in_channels"): columns, (3, "out_channels"): rows}
    for (place, size), wanted in (sizes | {(7, "in_features"): small[7].weight.shape[1]}).items():
        if (has := getattr(small[place], size)) != wanted:
            return f"`small[{place}].{size}` says {has}, and the weight has {wanted}."
    silent = copy.deepcopy(given)
    with torch.no_grad():
        for place, stays in keep.items():
            silent[place].weight[~stays] = 0
            silent[place].bias[~stays] = 0
        if not torch.allclose(small(images), silent(images), atol=1e-4):
            return "the answers are not those of the network with silent channels."
    return None


@exercise
def overall_speedup(answer, *, percent: int = 80, times: int = 4) -> Verdict:
    """A layer takes ``percent`` of the time and becomes so many ``times`` as fast: how many times as fast is the network?"""
    answer = number_of(answer)
    close = close_to(answer, 0.006)  # two decimals are enough

    def close_also_in_percent(*values: float) -> bool:
        return any(close(value) or abs(answer - 100 * value) < 0.6 for value in values)

    share = percent / 100
    layer, rest = share / times, 1 - share
    left = layer + rest
    if close(1 / left):
        return right(f"even if the layer took no time at all, the network would be only {1 / rest:.3g} times as fast.")
    if close(times):
        return wrong("that is the layer alone. The rest of the network takes as long as before.")
    if close(share * times):
        return wrong(f"{percent} % of {times} is not a time. Add up what the layer and the rest take now.")
    if close(share * times + rest):
        return wrong(f"that is the mean of {times} times and once as fast, by shares. Add up times, not speeds.")
    if close(1 / layer) or close(1 / rest):
        return wrong(
            f"you count only one of two parts. If the time before is 1, the layer takes {layer:.3g} now, and the rest "
            f"{rest:.3g}."
        )
    if close_also_in_percent(layer, rest):
        return wrong("that is the time of one part, the layer or the rest. Both are needed, one after the other.")
    if close_also_in_percent(left):
        return wrong("that is the time that is left. How many times does it fit into the time before?")
    if close_also_in_percent(1 - left):
        return wrong("that is the time saved. How long does the network take now?")
    if close(1 / (1 - left)):
        return wrong("you divide by the time saved. Divide the time before by the time that is left.")
    if close(share / left):
        return wrong(f"the layer took {share:g} before, but the network took 1. Divide that by what it takes now.")
    if close_also_in_percent(1 / left - 1):
        return wrong("that is what is gained over the old speed. How many times the old speed is the new one?")
    if close_also_in_percent(1 / left):
        return wrong("that is in percent. How many times as fast is it?")
    if close(1 / (share + rest / times)):
        return wrong(f"you make the rest {times} times as fast. It is the layer with {percent} % of the time.")
    if close(1 / share) or close(1 / (1 - layer)):
        return wrong(
            "that would be so if the rest took no time and the layer as long as before, or if the layer lost only "
            f"1/{times} of its time. {times} times as fast means that 1/{times} is left."
        )
    if close(1 / (share / (times + 1) + rest)):
        return wrong(f"{times} times as fast means 1/{times} of the time, not 1/{times + 1}.")
    return wrong(
        f"the time before is 1. Now the layer takes {share:g} / {times}, and the rest takes {rest:.3g} as before. "
        "Divide 1 by the sum."
    )
