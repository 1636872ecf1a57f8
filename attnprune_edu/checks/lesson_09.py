"""Checks of lesson 09, attention from activations."""

import contextlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..networks.models import ArticleNet
from .observers import hooked_after_error, network_afterwards, observe
from .steps import first_problem, no_tensor, step_by_step
from .verdict import Answered, Verdict, exercise, number_of, result_of, right, wrong

POWER = 2
GET = "`network.get_submodule(name)` is the layer."
BEHIND_ERRORS_OF_MAPS = {  # {words of an error: what is behind it}
    "must match the size": "`keepdim=True` keeps a shape by which you can divide.",
    "Dimension out of range": "After the sum over the channels, the positions are the dimensions 1 and 2.",
}
BEHIND_ERRORS_OF_CRITERIA = {
    "list index out of range": "The hook has caught nothing: call `network(images)` between registering and removing it.",
    "but 3 were given": "torch calls the hook with three things: layer, inputs, output.",
    "Given groups": "Call `network(images)`, not the layer: then the hook sees what the layer gives inside of the network.",
    "Dimension out of range": "`outputs` should be (N, channels, height, width), and `mean` (channels, height, width).",
    "no attribute 'body.": "A name with dots is found by `network.get_submodule(name)` only.",
    "no attribute 'conv": f"The layer is not always the same. {GET}",
    "not subscriptable": GET,
    "'str' object has no attribute": GET,
}


@exercise
def score_of_a_channel(answer, *, activations: tuple[tuple[int, int], tuple[int, int]] = ((8, -2), (2, 4))) -> Verdict:
    """The activation attention of a channel, with power 2: one number.

    ``activations``: what it gives at two positions, for each of two pictures, before its ReLU; one of them is negative.
    """
    answer, given = number_of(answer), torch.tensor(activations, dtype=torch.float32)
    through, size = given.relu(), -int(given.min())  # (pictures, positions)
    mean = through.mean(dim=0)
    slips = [
        (given.mean(dim=0).pow(POWER).mean(), f"the ReLU is missing: it turns the −{size} into 0 before you take the mean."),
        (given.abs().mean(dim=0).pow(POWER).mean(), f"a ReLU turns the −{size} into 0, not into {size}."),
        (through.pow(POWER).mean(), "you square before the mean over the pictures. The mean comes first."),
        (mean.pow(POWER).sum(), "you sum over the positions. It is their mean, so that large maps have no advantage."),
        (through.sum(dim=0).pow(POWER).mean(), "you sum over the pictures. Take their mean, then square."),
        (through.sum(dim=0).pow(POWER).sum(), "you sum over the pictures and the positions. Take the mean of both."),
        (mean.mean().pow(POWER), "you take the mean over the positions before you square. Square first, at each position."),
        (
            through.mean(dim=1).pow(POWER).mean(),
            "you take the mean over the positions first. First comes the mean over the pictures, then the square.",
        ),
        (mean.mean(), "the power is missing: square the mean of each position."),
        (mean.pow(POWER).mean().sqrt(), "no root is taken at the end."),
        (through[0].pow(POWER).mean(), "that is the first picture alone. Take the mean over both."),
        (through[1].pow(POWER).mean(), "that is the second picture alone. Take the mean over both."),
        (through.pow(POWER).sum(), "you sum over everything. First comes the mean over the pictures, then the square."),
        (through.pow(POWER).mean(dim=0).sum(), "you square before the mean over the pictures, and sum over the positions."),
        (given.pow(POWER).mean(), "the ReLU is missing, and the mean over the pictures comes before the square."),
        (mean.pow(POWER).max(), "that is the largest position. Take the mean over the positions."),
    ]
    if abs(answer - mean.pow(POWER).mean().item()) < 0.01:
        return right("over the pictures first, so that a position counts where the channel is active again and again.")
    for value, message in slips:
        if abs(answer - value.item()) < 0.01:
            return wrong(message)
    return wrong(
        "ReLU, then the mean over the two pictures at each position, then the square, then the mean of both squares."
    )


@exercise
def map_of_activations(function, *, gamma: float = 1) -> Verdict:
    """A function (activations (N, channels, height, width), power) → maps (N, height, width), each from 0 to 1.

    ``gamma``: the power to which the map is taken in the end.
    """
    for power in (2, 3):
        activations = torch.randn(3, 5, 4, 6).relu() + 0.1  # nowhere 0, which tells min-max from a division
        with _explained(BEHIND_ERRORS_OF_MAPS):
            found = result_of(function, activations, power)
        if problem := _amiss_with_maps(found, activations, power, gamma):
            return wrong(problem)
    activations[1], activations[2] = 0, activations[2] / 100
    if problem := _amiss_with_silence(result_of(function, activations, 2), activations, gamma):
        return wrong(f"right, unless a picture {problem}", 1 / 2)
    return right("along the channels it is a map; along the pictures and positions the same numbers make a score.")


@contextlib.contextmanager
def _explained(behind_errors: dict[str, str]) -> Iterator[None]:
    """Where the reader's function stops with an error, the verdict also says what is behind it, if that is known."""
    try:
        yield
    except Answered as end:
        for words, explanation in behind_errors.items():
            if words in str(end.__cause__):
                raise Answered(wrong(f"{end.verdict.message}. {explanation}")) from end
        raise


def _amiss_with_silence(found: Tensor, activations: Tensor, gamma: float) -> str | None:
    """``activations``: of three pictures, the second of which is silent and the third quiet; the power is 2."""
    sums = activations.pow(2).sum(dim=1)
    if found.shape != sums.shape:
        return (
            f"leaves all channels silent: it has a map, too, and the shape is {tuple(sums.shape)}, not {tuple(found.shape)}."
        )
    if not found.isfinite().all():
        return (
            "leaves all channels silent: then you divide 0 by 0. Its map should hold zeros, so divide by 1 there, or by no "
            "less than a tiny number."
        )
    if found[1].any():
        return f"leaves all channels silent: its map should hold zeros, and yours holds {found[1].max():.3g}."
    if not torch.allclose(found[2].to(sums), (sums[2] / sums[2].max()) ** gamma, rtol=0.01, atol=0.01):
        return (
            f"is quiet: the largest of its map should be 1, too, and yours is {found[2].max():.3g}. What do you divide by?"
        )
    return None


def _amiss_with_maps(found: Tensor, activations: Tensor, power: int, gamma: float) -> str | None:
    count, channels, height, width = activations.shape
    wanted = (count, height, width)
    sums = activations.pow(power).sum(dim=1)
    peaks = sums.amax(dim=(1, 2), keepdim=True)
    if found.shape == (count, 1, height, width):
        return "your maps have a dimension too many: the channels are summed up, so the shape is (N, height, width)."
    if found.shape == (count, channels):
        return "you sum over the positions. A map keeps them, and sums over the channels, dimension 1."
    if found.shape == (channels, height, width):
        return "you sum over the pictures. Each picture has its own map: sum over the channels, dimension 1."
    if found.shape != wanted:
        return f"the shape is {tuple(found.shape)}, and it should be (N, height, width), here {wanted}."
    maps = sums / peaks
    if _alike(found, maps**gamma):
        return None
    lows = sums.amin(dim=(1, 2), keepdim=True)
    after = activations.sum(dim=1).pow(power)
    each = activations.pow(power) / activations.pow(power).amax(dim=(2, 3), keepdim=True)
    slips = [
        (maps, f"the maps are divided as they should be. Now take them to the power {gamma:g}."),
        (maps ** (1 / gamma), f"that is the power 1 / {gamma:g}. Take the power {gamma:g}."),
        (gamma * maps, f"you multiply by {gamma:g}. Take the power."),
        (_to_peak(activations.pow(gamma * power).sum(dim=1)), f"the power {gamma:g} comes in the end, not before the sum."),
        (sums, "the sums are right. Divide each map by its largest value."),
        (sums / channels, "that is the mean over the channels. Now divide each map by its largest value."),
        (sums / sums.max(), "you divide all maps by the largest value of all pictures. Each has its own."),
        ((sums - lows) / (peaks - lows), "you also subtract the smallest value. Only divide by the largest."),
        (sums / sums.sum(dim=(1, 2), keepdim=True), "you divide by the sum of each map. Divide by its largest value."),
        (sums / sums.norm(dim=(1, 2), keepdim=True), "you divide by the length of each map. Divide by its largest value."),
        (_to_peak(after), "you put the channels together and take the power after it. Power first."),
        (after, "you sum over the channels and take the power after it. Power first, and divide by the largest at the end."),
        (sums / sums.amax(dim=1, keepdim=True), "you divide each column by its largest value. Take it over dim=(1, 2)."),
        (sums / sums.amax(dim=2, keepdim=True), "you divide each row by its largest value. Take it over dim=(1, 2)."),
        (each.sum(dim=1), "you divide each channel by its largest value. First sum over the channels, then divide."),
        (each.mean(dim=1), "you divide each channel by its largest value. First sum over the channels, then divide."),
        (sums.flatten(1).softmax(dim=1).view(wanted), "a softmax makes other shares. Divide each map by its largest value."),
        (maps.sqrt(), "no root is taken."),
        (
            _to_peak(activations.sum(dim=1)),
            "the power is missing: `activations.pow(power)`, before you sum over the channels.",
        ),
        (_to_peak(activations.amax(dim=1).pow(power)), "you take the strongest channel at each position. Sum over all."),
        (_to_peak(activations.pow(2).sum(dim=1)), "you square, whatever `power` is."),
    ]
    for value, message in slips:
        if _alike(found, value) or _alike(found, value**gamma):
            return message
    return (
        "the shape is right, the numbers are not: power of each value, sum over dimension 1, each map by its largest value."
    )


def _to_peak(sums: Tensor) -> Tensor:
    return sums / sums.amax(dim=(1, 2), keepdim=True)


class _Case(NamedTuple):
    """What a reader's function is given, and what stands where in the network. ``name``: what stands behind its dots."""

    network: nn.Module
    name: str
    power: int
    threshold: float
    inside: dict[str, Tensor]

    @property
    def given(self) -> Tensor:
        return self.inside[f"{self.name} gives"]

    @property
    def outputs(self) -> Tensor:
        return self.given - self.threshold

    @property
    def mean(self) -> Tensor:
        return self.outputs.relu().mean(dim=0)

    @property
    def scores(self) -> Tensor:
        return self.mean.pow(self.power).mean(dim=(1, 2))


@exercise
def activation_criterion(function, *, threshold: float = 0) -> Verdict:
    """A function (network, name, images, power) → outputs, mean, scores of the convolution with that name.

    outputs (N, channels, height, width): what it gives, less the ``threshold``, caught by a hook that is gone afterwards;
    mean (channels, height, width): over the images, of what of it passes a ReLU; scores (channels,): the mean over the
    positions of mean to the power.
    """
    for name, power in (("conv2", 2), ("body.conv1", 3)):
        case, images = _case(name, power, threshold)
        network, before = case.network, {key: value.clone() for key, value in case.network.state_dict().items()}
        afterwards = []

        def observed(*inputs, afterwards=afterwards):
            result, *afterwards[:] = observe(network_afterwards, function, *inputs)
            return result

        with _explained(BEHIND_ERRORS_OF_CRITERIA):
            parts = step_by_step(observed if callable(function) else function, STEPS, network, name, images, power)
        in_training, hooked = afterwards
        if any(not value.equal(before[key]) for key, value in network.state_dict().items()) or in_training:
            return wrong("your function changes the network that it is given. Only look at it.")
        if hooked:
            left = "and will run at every later forward pass. Keep what `register_forward_hook` returns, and `.remove()` it."
            return wrong(f"your hook is still in the network, {left}")
        if verdict := first_problem(parts, STEPS, case):
            return (
                verdict
                if name == "conv2"
                else wrong(f"right for conv2, power 2; for {case.name}, power {power}, {verdict.message}", verdict.share)
            )
    of_one_colour = images[:, :1]  # at which the network stops
    if observe(hooked_after_error, function, network, name, of_one_colour, power):
        return wrong(
            "right; but when `network(images)` stops with an error, your hook stays in the network. "
            "`try: … finally: hook.remove()` removes it whatever happens.",
            5 / 6,
        )
    return right("a hook of three lines, and any layer of any network can be looked at.")


def _case(name: str, power: int, threshold: float) -> tuple[_Case, Tensor]:
    article = ArticleNet((4, 6), hidden=8, num_classes=3, image_size=20).eval()
    prefix, _, name = name.rpartition(".")
    network = nn.Sequential(OrderedDict({prefix: article})).eval() if prefix else article
    images = 3 * torch.randn(7, 3, 20, 20)
    with torch.no_grad():
        first = article.conv1(images)
        pooled = article.pool(first.relu())
        second = article.conv2(pooled)
        inside = {"conv1 is given": images, "conv1 gives": first, "conv2 is given": pooled, "conv2 gives": second}
        return _Case(network, name, power, threshold, inside | {"network gives": network(images)}), images


def _wrong_outputs(part, parts: dict, case: _Case) -> str | None:
    if problem := no_tensor(part):
        return f"{problem} Put what the hook is given as its third argument into a list, and take it from there."
    part, wanted, given, least = part.detach(), case.outputs, case.given, f"{case.threshold:g}"
    other = "conv1" if case.name == "conv2" else "conv2"
    slips = [
        (case.inside[f"{case.name} is given"], "that is what the layer is given. Its output is the hook's third argument."),
        (case.inside[f"{other} gives"], f"that is what {other} gives. The layer's name is `name`: `get_submodule(name)`."),
        (case.inside["network gives"], f"that is what the whole network returns. Put the hook on the layer. {GET}"),
        (given.relu(), "take the outputs as they are here. The ReLU comes in the next step."),
        (given.mean(dim=0), "the mean comes in the next step. Here it is (N, channels, height, width)."),
    ]
    slips += [(value - case.threshold, message) for value, message in slips]
    slips += [
        (wanted.relu(), "the ReLU comes in the next step. Subtract, and leave what is negative as it is."),
        (given, f"that is all that the layer gives. Your version subtracts {least} from it."),
        (given + case.threshold, f"you add {least}. Subtract it."),
        (torch.where(wanted > 0, given, 0), f"what is above {least} stays as it is with you. Subtract {least} from all."),
        (case.scores, "these are the scores. Return outputs, mean and scores, in this order."),
        (case.mean, "this is the mean. Return outputs, mean and scores, in this order."),
    ]
    return _slip(part, wanted, slips, "(N, channels, height, width)", "outputs")


def _wrong_mean(part, parts: dict, case: _Case) -> str | None:
    if problem := no_tensor(part):
        return problem
    through = case.outputs.relu()
    given = case.given.relu()
    slips = [
        (given.mean(dim=0), "go on with `outputs`, from which you have subtracted."),
        (given.mean(dim=0) - case.threshold, "first subtract, then the ReLU: go on with `outputs`."),
        ((case.outputs - case.threshold).relu().mean(dim=0), "you subtract a second time. `outputs` is less already."),
        (case.outputs.mean(dim=0), "the ReLU is missing: what is negative does not get through."),
        (case.outputs.mean(dim=0).relu(), "first the ReLU, then the mean: what is negative in one picture counts 0 there."),
        (case.outputs.abs().mean(dim=0), "you take sizes. A ReLU turns what is negative into 0."),
        (through.sum(dim=0), "that is the sum over the pictures. Take the mean."),
        (
            through.mean(dim=1),
            "that is the mean over the channels, a map for each picture. Take it over the pictures, dim=0.",
        ),
        (through.mean(dim=(2, 3)), "that is the mean over the positions. Take it over the pictures, dim=0."),
        (through.mean(dim=(0, 2, 3)), "that is the mean over everything. Take it over the pictures only, dim=0."),
        (through.pow(case.power).mean(dim=0), "the power comes in the next step, behind the mean."),
        (case.mean.pow(case.power), "the power comes in the next step."),
        (
            through.sum(dim=0) / (through > 0).sum(dim=0).clamp(min=1),
            "you divide by the number of pictures that let something through. Divide by that of all.",
        ),
        (through.amax(dim=0), "that is the largest over the pictures. Take the mean."),
        (through[0], "that is the first picture alone. Take the mean over all."),
    ]
    return _slip(part.detach(), case.mean, slips, "(channels, height, width)", "mean")


def _wrong_scores(part, parts: dict, case: _Case) -> str | None:
    if problem := no_tensor(part):
        return problem
    mean, power, wanted = case.mean, case.power, case.scores
    powers, of_outputs = mean.pow(power), case.outputs.mean(dim=0)
    slips = [
        (powers.sum(dim=(1, 2)), "you sum over the positions. Take their mean."),
        (mean.mean(dim=(1, 2)), "the power is missing."),
        (mean.mean(dim=(1, 2)).pow(power), "the power comes before the mean over the positions."),
        (wanted.pow(1 / power), "no root is taken at the end."),
        (powers.amax(dim=(1, 2)), "that is the largest position. Take the mean."),
        (powers.mean(dim=0), "you take the mean over the channels. Each channel needs a score of its own."),
        (powers, "that is still a value for each position. Take the mean over the positions, dim=(1, 2)."),
        (powers.mean(dim=(0, 1, 2)), "that is one number for all channels. Take the mean over dim=(1, 2) only."),
        (case.outputs.relu().pow(power).mean(dim=(0, 2, 3)), "you take the power before the mean over the pictures."),
        (wanted / wanted.sum(), "do not divide by the sum."),
        (wanted / wanted.max(), "do not divide by the largest."),
        (mean.pow(2).mean(dim=(1, 2)), "you square, whatever `power` is."),
        ((mean * power).mean(dim=(1, 2)), "you multiply by the power. Take it: `mean.pow(power)`."),
    ]
    slips += [
        (part.pow(power).mean(dim=(1, 2)), "go on with `mean`, which is made behind the ReLU. Yours are made of `outputs`.")
        for part in (of_outputs, of_outputs.relu())
    ]
    return _slip(part.detach(), wanted, slips, "(channels,)", "scores")


STEPS = {"outputs": _wrong_outputs, "mean": _wrong_mean, "scores": _wrong_scores}


def _slip(found: Tensor, wanted: Tensor, slips: list[tuple[Tensor, str]], shape: str, name: str) -> str | None:
    """The first of the ``slips`` that explains ``found``, or where else it differs most from what is ``wanted``."""
    if _alike(found, wanted):
        return None
    for value, message in slips:
        if _alike(found, value):
            return message
    if found.shape != wanted.shape:
        return f"its shape is {tuple(found.shape)}, and it should be {shape}, here {tuple(wanted.shape)}."
    place = tuple(int(index) for index in torch.unravel_index((found - wanted).abs().argmax(), wanted.shape))
    where = ", ".join(map(str, place))
    return f"the shape is right, but `{name}[{where}]` should be {wanted[place]:.4g}, not {found[place]:.4g}."


def _alike(found: Tensor, value: Tensor) -> bool:
    return found.shape == value.shape and torch.allclose(found.to(value), value, rtol=1e-4, atol=1e-6)
