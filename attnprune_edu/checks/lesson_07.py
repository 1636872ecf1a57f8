"""Checks of lesson 07, smaller and faster."""

import copy
import re

import torch
from torch import Tensor, nn

from .verdict import Answered, Verdict, a_kind, close_to, exercise, number_of, returned_by, right, wrong


@exercise
def params_of_cut_conv(answer) -> Verdict:
    """conv1 keeps 8 of 32 channels, conv2 16 of 64, kernels 5×5: how many parameters has conv2 afterwards?"""
    answer = number_of(answer)
    if answer == 16 * 8 * 25 + 16:
        return right("a quarter of the filters with a quarter of the inputs: a sixteenth of the weights is left.")
    if answer == 16 * 8 * 25:
        return wrong("these are the weights. Each filter that stays also has a bias.")
    if answer == 16 * 32 * 25 + 16:  # as many as a quarter of conv2 before
        return wrong("you cut one side only. conv2 loses filters, and its inputs too: conv1 delivers 8 channels now.")
    if answer == 64 * 8 * 25 + 64:
        return wrong("the outputs are not cut. 16 of the 64 filters of conv2 stay.")
    if answer == 16 * 32 * 25:  # as many as 64 · 8 · 25
        return wrong("you cut one side only, and the biases are missing. conv2 loses filters and inputs.")
    if answer in (64 * 32 * 25 + 64, 64 * 32 * 25):
        return wrong("nothing is cut: that is conv2 before. It loses filters, and each filter loses inputs.")
    if answer == (64 * 32 * 25 + 64) / 16:
        return wrong("a sixteenth is right for the weights. A bias belongs to a filter, and a quarter of the filters stay.")
    if answer in (16 * 8 * 25 + biases for biases in (1, 8, 16 + 8, 32, 64, 16 * 8)):
        return wrong("the weights are right. Of the biases there is one for each of the 16 filters of conv2 that stay.")
    if answer in (16 * 25 + 16, 16 * 25):
        return wrong("the inputs are missing: a filter has 5 · 5 weights for each of the channels that it reads.")
    if answer in (16 * 8 * 5 + 16, 16 * 8 * 5):
        return wrong("a kernel has two sides, so it holds 5 · 5 weights.")
    if answer in (16 * 8 + 16, 16 * 8):
        return wrong("the kernel is missing: a filter has 5 · 5 weights for each input channel.")
    if answer in (48 * 24 * 25 + 48, 48 * 24 * 25):
        return wrong("you count with the channels that go, 24 and 48. Take those that stay.")
    if answer in (64 * 32 * 25 + 64 - (16 * 8 * 25 + 16), 64 * 32 * 25 - 16 * 8 * 25):
        return wrong("that is what conv2 loses. How much is left?")
    if answer in (8 * 3 * 25 + 8, 8 * 3 * 25):
        return wrong("that is conv1 afterwards. The question asks for conv2.")
    if answer == 16 * 8 * 25 + 16 + 8 * 3 * 25 + 8:
        return wrong("that is conv1 and conv2 together. The question asks for conv2 alone.")
    if answer in (16 * 3 * 25 + 16, 16 * 3 * 25):
        return wrong("3 colours go into conv1. conv2 reads the channels that conv1 delivers.")
    if answer in (8 * 25 + 1, 8 * 25):
        return wrong("that is one filter of conv2. 16 of them stay.")
    if 0 < answer < 1:
        return wrong("that is a share. Count the parameters.")
    return wrong("filters that stay · inputs that stay · 5 · 5 weights, and a bias for each filter that stays.")


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
def removal_by_hand(function) -> Verdict:
    """A function (Sequential, keep1, keep2) → a smaller Sequential that computes the same as with silent channels."""
    # The second network finds a cut that fits only the sizes, the kernel or the padding of the first.
    for stays1, stays2, size, kernel in (
        ([0, 1, 1, 0, 1, 1, 1], [1, 0, 1, 1], (20, 20), {"kernel_size": 5}),
        ([1, 0, 0, 1, 0], [0, 1, 1, 0, 1, 0, 0, 1], (12, 8), {"kernel_size": 3, "padding": 1}),
    ):
        keep1, keep2 = torch.tensor(stays1, dtype=torch.bool), torch.tensor(stays2, dtype=torch.bool)
        network, images = _example(len(keep1), len(keep2), size, kernel)
        given = copy.deepcopy(network)
        small = _removed_by(function, given, keep1, keep2)
        if problem := _no_network(small, given, network) or _wrong_tensor(small, given, keep1, keep2):
            return wrong(problem)
        if problem := _wrong_answers(small, given, {0: keep1, 3: keep2}, images):
            return wrong(f"step 4 of 4: all weights are right, but {problem}")
    return right("that is what `ap.remove` does, for any network that it can follow.")


def _example(first: int, second: int, size: tuple[int, int], kernel: dict) -> tuple[nn.Sequential, Tensor]:
    """A network as the exercise hands it over, and images for it."""
    torch.manual_seed(0)
    images = torch.randn(4, 3, *size)
    layers = [nn.Conv2d(3, first, **kernel), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(first, second, **kernel), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    features = nn.Sequential(*layers)(images).shape[1]
    return nn.Sequential(*layers, nn.Linear(features, 10)), images


def _removed_by(function, *inputs):
    """What the reader's ``function`` returns. If it stops, the check ends, with advice if the error is a usual one."""
    if isinstance(function, nn.Module):  # it can be called too
        raise Answered(wrong(f"hand over the function itself, without brackets; this is {a_kind(function)}."))
    try:
        return returned_by(function, *inputs)
    except Answered as end:
        for pattern, advice in ADVICE.items():
            if re.search(pattern, str(end.__cause__)):
                raise Answered(wrong(f"{end.verdict.message.removesuffix(':')}. {advice}")) from end
        raise


def _no_network(small, given: nn.Sequential, network: nn.Sequential) -> str | None:
    """Why ``small`` is no network to look at, or what became of the ``given`` one, a copy of ``network``; or None."""
    if small is given:
        return "you return `network` itself. Make a copy, cut that and return it: `copy.deepcopy(network)`."
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


def _wrong_tensor(small: nn.Sequential, given: nn.Sequential, keep1: Tensor, keep2: Tensor) -> str | None:
    """What is amiss in the first of three steps, a layer each, that is not right; None if all are."""
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
    steps = [
        (0, "weight", w1[keep1], _slips(w1, keep1, "filters"), staying),
        (0, "bias", first[1][keep1], _slips(first[1], keep1, "biases"), staying),
        (3, "weight", w2[keep2][:, keep1], of_second, staying),
        (3, "bias", second[1][keep2], _slips(second[1], keep2, "biases"), staying),
        (7, "weight", w3[:, columns], of_linear, flat),
        (7, "bias", linear[1], [], "It loses no outputs, so its bias stays as it was."),
    ]
    names = {
        0: "step 1 of 4: the first convolution",
        3: "step 2 of 4: the second convolution",
        7: "step 3 of 4: the linear layer",
    }
    for place, what, wanted, slips, advice in steps:
        value = getattr(small[place], what)
        if problem := _slip_behind(value, wanted, slips, what, advice):
            return f"{names[place]} {problem}"
        if value.data_ptr() == getattr(given[place], what).data_ptr():
            return f"{names[place]} shares its {what} with `network`, so training one would change the other. Clone it."
    return None


def _slips(values: Tensor, keep: Tensor, what: str) -> list[tuple[Tensor, str]]:
    """What may have been made of ``values``, one a channel in their first dimension, in place of ``values[keep]``."""
    return [
        (values, f"still has all its {what}."),
        (values[~keep], f"has the {what} that go. True means that a channel stays."),
        (values[: int(keep.sum())], f"has as many {what} as should stay, but the first ones."),
    ]


def _slip_behind(
    value: Tensor | None, wanted: Tensor, slips: list[tuple[Tensor, str]], what: str, advice: str
) -> str | None:
    """Which of the ``slips`` led to ``value``, or else in what it differs, and ``advice``; None if it is as ``wanted``."""
    if value is None:
        return f"has lost its {what}."
    if value.shape == wanted.shape and value.equal(wanted):
        return None
    for other, message in slips:
        if value.shape == other.shape and value.equal(other):
            return message
    if _without_zeros(value).equal(wanted):
        return f"still has channels that go in its {what}, as zeros. Cut them out."
    if value.shape != wanted.shape:
        return f"has a {what} of the shape {tuple(value.shape)}; it should be {tuple(wanted.shape)}. {advice}"
    if value.flatten().sort().values.equal(wanted.flatten().sort().values):
        return f"has the right numbers in its {what}, but in another order. {advice}"
    return f"has a {what} of the right shape, but with other numbers. {advice}"


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
def overall_speedup(answer) -> Verdict:
    """A layer takes 80 % of the time and becomes 4 times as fast: how many times as fast is the network?"""
    answer = number_of(answer)
    close = close_to(answer, 0.005)
    if close(2.5):
        return right("even if the layer took no time at all, the network would be only 5 times as fast.")
    if close(4):
        return wrong("that is the layer alone. The rest of the network takes as long as before.")
    if close(3.2):
        return wrong("80 % of 4 is not a time. Add up what the layer and the rest take now.")
    if close(3.4):
        return wrong("that is the mean of 4 times and once as fast, by shares. Add up times, not speeds.")
    if close(5):
        return wrong(
            "you count only one of two parts. If the time before is 1, the layer takes 0.2 now, and so does the rest."
        )
    if close(0.2) or close(20):
        return wrong("that is the time of one part, the layer or the rest. Both are needed, one after the other.")
    if close(0.4) or close(40):
        return wrong("that is the time that is left. How many times does it fit into the time before?")
    if close(0.6) or close(60):
        return wrong("that is the time saved. How long does the network take now?")
    if close(1 / 0.6):
        return wrong("you divide by the time saved. Divide the time before by the time that is left.")
    if close(2):
        return wrong("the layer took 0.8 before, but the network took 1. Divide that by what it takes now.")
    if close(1.5) or close(150):
        return wrong("that is what is gained over the old speed. How many times the old speed is the new one?")
    if close(250):
        return wrong("that is in percent. How many times as fast is it?")
    if close(1 / 0.85):
        return wrong("you make the rest 4 times as fast. It is the layer with 80 % of the time.")
    if close(1.25):
        return wrong(
            "that would be so if the rest took no time and the layer as long as before, or if the layer lost only a quarter "
            "of its time. 4 times as fast means that a quarter is left."
        )
    if close(1 / 0.36):
        return wrong("4 times as fast means a quarter of the time, not a fifth.")
    return wrong("the time before is 1. Now the layer takes 0.8 / 4, and the rest takes 0.2 as before. Divide 1 by the sum.")
