"""Checks of lesson 06, fine-tune and recover."""

import copy
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..networks.models import ArticleNet
from .verdict import (
    NOT_TRIED,
    Answered,
    Verdict,
    a_kind,
    a_kind_of_many,
    exercise,
    listed,
    result_of,
    returned_by,
    right,
    wrong,
)


@exercise
def cubic_schedule(function, *, power: int = 3, start: float = 0.0) -> Verdict:
    """A function (final, stage, stages) → the pruning ratio after that stage, by a schedule that begins at ``start``.

    It is final − (final − start) · (1 − stage/stages) to the ``power``.
    """
    for fewest in (4, 8):
        final, stages = 0.5 + int(torch.randint(1, 40, ())) / 100, int(torch.randint(fewest, fewest + 4, ()))
        ratios = [_single_number(function, final, stage, stages) for stage in range(stages + 1)]
        if problem := _amiss(ratios, _Schedule(final, stages, power, start)):
            return wrong(problem)
    return right("most goes at the start, while there is still much that nobody misses; the last stages are gentle.")


class _Schedule(NamedTuple):
    """A schedule from ``start`` to ``final``; ``power`` is 3 in the lesson."""

    final: float
    stages: int
    power: int
    start: float

    def after(self, done: float) -> float:
        """The ratio when that share of the stages is done."""
        return self.final - (self.final - self.start) * (1 - done) ** self.power


def _single_number(function, *inputs) -> float:
    result = returned_by(function, *inputs)
    if isinstance(result, list | tuple) and any(value is ... for value in result):
        raise Answered(NOT_TRIED)
    if isinstance(result, bool) or not isinstance(result, int | float | Tensor):
        raise Answered(wrong(f"a ratio is a single number, and your function returns {a_kind(result)}."))
    result = result_of(lambda: result)
    if result.numel() != 1:
        raise Answered(wrong(f"a ratio is a single number; yours has the shape {tuple(result.shape)}."))
    return float(result)


def _amiss(ratios: list[float], schedule: _Schedule) -> str | None:
    """The misconception behind the ``ratios`` of stage 0, 1, …; None if they are right."""
    final, stages, power, start = schedule
    done = [stage / stages for stage in range(stages + 1)]
    wanted = [schedule.after(t) for t in done]

    def equals(values):
        return all(abs(ratio - value) < 1e-5 for ratio, value in zip(ratios, values, strict=True))

    if equals(wanted):
        return None
    goes, to_prune = final - start, f"`final` − {start:g}" if start else "`final`"  # all that the schedule has to prune
    in_each = [schedule.after(t) - schedule.after(t - 1 / stages) for t in done]
    cube, you_cube = ("cube", "you cube") if power == 3 else ("power", "you take the power of")
    at_first = f"{100 * start:g} % of the channels are pruned already" if start else "nothing is pruned yet"
    of_this_stage = "that is what this stage prunes. Asked for is the ratio that is reached after it."
    misconceptions = [
        ([start + goes * t for t in done], "that is the linear schedule: each stage prunes equally much."),
        (
            [start + goes * t**power for t in done],
            f"yours is slow at first and fast at the end. The {cube} is that of the rest, 1 − stage/stages.",
        ),
        ([goes * (1 - t) ** power for t in done], "that is what is still to come. Take it away from `final`."),
        ([(1 - t) ** power for t in done], f"that is only the share of {to_prune} that is still to come."),
        ([1 - (1 - t) ** power for t in done], "it ends at 1, whatever `final` is. Multiply by `final`."),
        (
            [schedule._replace(final=1).after(t) for t in done],
            "it ends at 1, whatever `final` is. It should end at `final`.",
        ),
        (
            [1 - goes * (1 - t) ** power for t in done],
            "subtract from `final`, not from 1: what ends at `final` is the ratio.",
        ),
        (
            [final - goes * t**power for t in done],
            f"{you_cube} the share that is done. Take the one that is still to come, 1 − stage/stages.",
        ),
        ([1 - value for value in wanted], "that share stays. The pruning ratio is the share that goes."),
        (
            [final - (1 - t) ** power for t in done],
            f"what is still to come is a share of {to_prune}. Multiply the {cube} by it.",
        ),
        *(
            ([schedule._replace(power=other).after(t) for t in done], f"you took {other} instead: the exponent is {power}.")
            for other in {2, 3} - {power}
        ),
        (
            [final - goes * power * (1 - t) for t in done],
            f"you multiplied by {power}. The power is written `** {power}`.",
        ),
        (
            [schedule.after(t + 1 / stages) for t in done],
            f"you are one stage ahead. At stage 0 {at_first}.",
        ),
        (
            [schedule.after(t - 1 / stages) for t in done],
            "you are one stage behind: `stage` stages are done, not one less.",
        ),
        (
            [schedule.after(stage / (stages - 1)) for stage in range(stages + 1)],
            "divide by `stages`, not by `stages - 1`: stage 0 is the start, and the last stage is number `stages`.",
        ),
        *(([first, *in_each[1:]], of_this_stage) for first in (0.0, start, in_each[0])),
        ([100 * value for value in wanted], "that is in percent. A ratio lies between 0 and 1."),
    ]
    if start:
        misconceptions += [
            ([value - start for value in wanted], f"what was pruned before is missing: at stage 0 {at_first}, not 0."),
            ([schedule._replace(start=0.0).after(t) for t in done], f"your schedule begins at 0; at stage 0 {at_first}."),
            (
                [start + final * (1 - (1 - t) ** power) for t in done],
                f"it ends above `final`. Only {to_prune} is still to be pruned when the schedule begins.",
            ),
            (
                [final - final * (1 - start) * (1 - t) ** power for t in done],
                f"{100 * start:g} % are a share of all channels, not of `final`.",
            ),
        ]
    for values, message in misconceptions:
        if equals(values):
            return message
    if all(abs(ratio - value) < 0.006 for ratio, value in zip(ratios, wanted, strict=True)):
        return "your ratios are rounded. Return them with all their digits."
    if abs(ratios[0] - start) > 1e-5:
        return f"at stage 0 {at_first}, but you give {ratios[0]:.4g}."
    if abs(ratios[-1] - final) > 1e-5:
        return f"after the last stage the ratio should be {final:g}, but you give {ratios[-1]:.4g}."
    middle = stages // 2
    given = f"you give {ratios[middle]:.4g}"
    return f"it starts and ends right, but at stage {middle} of {stages} it should be {wanted[middle]:.4g}; {given}."


@exercise
def repair_by_hand(function, *, start: int = 0, step: int = 1) -> Verdict:
    """A function (dense, pruned, images, ridge) → x, y, weight, bias for the last layer of an ArticleNet.

    Used are the images with the numbers ``start``, ``start`` + ``step`` and so on, in the lesson all of them.
    x (images used, inputs): what the layer is given in ``pruned``; y (images used, outputs): what it gives in ``dense``;
    weight (outputs, inputs) and bias (outputs,): those with the smallest ‖x Wᵀ + b − y‖² + ridge · ‖W − W₀‖², with the old
    weight W₀; b is one more weight. What is still ``...`` of the four is what the check asks for next.
    """
    for count in (24, 5):  # the second time fewer images than unknowns
        case = _case(count, start, step)
        before = [tensor.clone() for network in (case.dense, case.pruned) for tensor in network.state_dict().values()]
        try:
            result = returned_by(function, case.dense, case.pruned, case.images, case.ridge)
        except Answered as end:
            if "singular" in str(end.__cause__):
                return wrong(
                    "what you invert is singular. With the ridge on the whole diagonal, and only there, it never is."
                )
            raise
        if not isinstance(result, tuple | list) or len(result) != 4:
            came = a_kind_of_many(result)
            return wrong(f"your function should return four things, x, y, weight and bias; it returns {came}.")
        if all(part is ... for part in result):
            return NOT_TRIED
        after = [tensor for network in (case.dense, case.pruned) for tensor in network.state_dict().values()]
        if not all(map(torch.equal, before, after)):
            return wrong("your function changes the networks that it is given. Return new tensors instead.")
        if found := _first_problem(case, result):
            done, problem = found
            if "numbers of weight" in problem and not _uses_the_ridge(function, case):
                problem = (
                    "x and y are right; `ridge` has no part in your weight. The formula adds λI to XᵀX, and λ is `ridge`."
                )
            if count < 24:
                problem = f"right for 24 pictures, but not for {count}, fewer than the layer has inputs: {problem}"
            return wrong(problem, share=done / 4)
    return right("all four. Where an input is always 0, its weights stay as they were.")


class _Case(NamedTuple):
    """What a reader's function is given, and which of the images it should use."""

    dense: nn.Module
    pruned: nn.Module
    images: Tensor
    ridge: float
    start: int
    step: int

    @property
    def used(self) -> Tensor:
        return self.images[self.start :: self.step]


@torch.no_grad()
def _case(count: int, start: int, step: int) -> _Case:
    """A small network without half of its hidden neurons, and images of which ``count`` should be used."""
    dense = ArticleNet((4, 6), hidden=16, num_classes=7, image_size=16).eval()
    images = torch.randn(start + step * count, 3, 16, 16)
    for parameter in dense.parameters():  # else all images look alike to so small a network
        parameter *= 3
    hidden = _outputs(dense, images[start::step])["fc1 gives"]
    # Each hidden neuron speaks for half of the images used, so that no solution of the equations hangs on rounding.
    dense.fc1.weight /= hidden.std(dim=0)[:, None]
    dense.fc1.bias.sub_(hidden.median(dim=0).values).div_(hidden.std(dim=0))
    pruned = copy.deepcopy(dense)
    for parameter in pruned.fc1.parameters():  # zeros and no mask, for a network with masks cannot be sent
        parameter[1::2] = 0
    return _Case(dense, pruned, images, 2.5, start, step)


def _uses_the_ridge(function, case: _Case) -> bool:
    """Whether a ridge that is no number spoils the weights, or stops the function."""
    try:
        weight = returned_by(function, case.dense, case.pruned, case.images, float("nan"))[2]
    except Answered:
        return True
    return bool(weight.isnan().any())


def _first_problem(case: _Case, parts: Sequence) -> tuple[int, str] | None:
    """How many of ``x, y, weight, bias`` are right before the first that is not, and what is amiss; None if all are."""
    with torch.no_grad():
        inside, outside = _outputs(case.pruned, case.used), _outputs(case.dense, case.used)
    x, y = inside["fc2 is given"], outside["fc2 gives"]
    names = ("x", "y", "weight", "bias")
    wanted = {"x": x, "y": y, "weight": case.dense.fc2.weight.detach(), "bias": case.dense.fc2.bias.detach()}
    done = []
    for name, part in zip(names, parts, strict=True):
        so_far = f"{listed(done)} {'are' if len(done) > 1 else 'is'} right; " if done else ""
        if part is ...:
            return len(done), f"{so_far}{name} is still three dots."
        if not isinstance(part, Tensor):
            return len(done), f"{so_far}{name} should be a tensor, and yours is {a_kind(part)}."
        part = part.detach()
        if problem := _wrong_shape(name, part, wanted[name].shape, case):
            return len(done), so_far + problem
        problem = {
            "x": lambda part: _wrong_rows(part, x, _slips_of_x(inside, outside)),
            "y": lambda part: _wrong_rows(part, y, _slips_of_y(inside, outside)),
            "weight": lambda part: _wrong_weight(part, x, y, case),
            "bias": lambda part: _wrong_bias(part, x, y, case),
        }[name](part)
        if problem:
            return len(done), so_far + problem
        done.append(name)
    return None


def _outputs(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """What stands where in an ArticleNet, by what a reader may take for the inputs or the outputs of fc2."""
    flat = network.pool(network.conv2(network.pool(network.conv1(images).relu())).relu()).flatten(1)
    hidden = network.fc1(flat)
    after = hidden.relu()
    return {"fc1 is given": flat, "fc1 gives": hidden, "fc2 is given": after, "fc2 gives": network.fc2(after)}


def _slips_of_x(pruned: dict[str, Tensor], dense: dict[str, Tensor]) -> list[tuple[Tensor, str]]:
    return [
        (dense["fc2 is given"], "your x comes from the dense network. The new weights are for what is left in `pruned`."),
        (pruned["fc1 gives"], "your x is what fc1 gives. Before it reaches fc2 it goes through the ReLU."),
        (dense["fc1 gives"], "your x is what fc1 gives in `dense`, before the ReLU. Take `pruned`, behind the ReLU."),
    ]


def _slips_of_y(pruned: dict[str, Tensor], dense: dict[str, Tensor]) -> list[tuple[Tensor, str]]:
    return [
        (pruned["fc2 gives"], "your y comes from the pruned network. What fc2 should give is what it gave in `dense`."),
        (dense["fc2 gives"].softmax(dim=1), "y holds the scores of fc2 as they are, without a softmax."),
        (dense["fc2 gives"].relu(), "y holds the scores of fc2 as they are, without a ReLU."),
        (dense["fc2 gives"] - pruned["fc2 gives"], "y is what fc2 gives in `dense`, not yet what is missing of it."),
    ]


def _wrong_shape(name: str, found: Tensor, wanted: torch.Size, case: _Case) -> str | None:
    rows, columns = (*wanted, 1)[:2]
    first, second, third = range(case.start, case.start + 3 * case.step, case.step)
    picture = "picture" if len(case.used) == len(case.images) else f"of the pictures {first}, {second}, {third} …"
    meaning = {
        "x": f"a row for each {picture}, a column for each input of fc2",
        "y": f"a row for each {picture}, a column for each output of fc2",
        "weight": "(outputs, inputs), as fc2.weight has",
        "bias": "(outputs,), as fc2.bias has",
    }[name]
    shape = tuple(found.shape)
    if shape == wanted:
        return None
    if shape == (rows, columns + 1) and name == "x":
        return "x has a column too many. Return it without the column of ones, which only the equations need."
    if shape in ((rows, columns + 1), (columns + 1, rows)) and name == "weight":
        return f"weight still holds the bias, as its last column; return the two apart. Its shape should be {tuple(wanted)}."
    if shape == (columns, rows) and name != "bias":
        return f"{name} is transposed: its shape is {shape}, and it should be {tuple(wanted)}, {meaning}."
    return f"the shape of {name} is {shape}, and it should be {tuple(wanted)}: {meaning}."


def _alike(found: Tensor, value: Tensor) -> bool:
    return found.shape == value.shape and torch.allclose(found.to(value), value, rtol=1e-3, atol=1e-3 * value.std().item())


def _wrong_rows(found: Tensor, wanted: Tensor, slips: list[tuple[Tensor, str]]) -> str | None:
    if _alike(found, wanted):
        return None
    for value, message in slips:
        if _alike(found, value):
            return message
    if _alike(found.sort(dim=0).values, wanted.sort(dim=0).values):
        return "the rows are in another order than the pictures."
    return f"the shape is right, the numbers are not: the first is {found[0, 0]:.4g}, and it should be {wanted[0, 0]:.4g}."


def _solutions(x: Tensor, y: Tensor, case: _Case, pull: float) -> Iterator[tuple[Tensor, str | None]]:
    """Weights (outputs, inputs + 1), the bias as the last column, and what is amiss with them; nothing with the first.

    ``pull``: how strongly the ridge pulls the bias. In the lesson's formula it is a weight like any other, 1; in the
    library it is free, 0. Either will do.
    """
    x, y, ridge = F.pad(x.double(), (0, 1), value=1.0), y.double(), case.ridge
    layer = case.dense.fc2
    old = torch.cat([layer.weight, layer.bias[:, None]], dim=1).detach().double()
    squares, diagonal = x.T @ x, torch.eye(x.shape[1], dtype=torch.float64)
    diagonal[-1, -1] = pull

    def solve(penalty, missing=y - x @ old.T):
        return torch.linalg.lstsq(squares + penalty, x.T @ missing, driver="gelsd").solution.T

    yield old + solve(ridge * diagonal), None
    of_ones_first = (old + solve(ridge * diagonal)).roll(1, dims=1)
    mixed = old + solve(ridge * diagonal, y - x.roll(1, dims=1) @ old.T).roll(1, dims=1)  # and the old bias last
    ones_last = "the ones come last in X, as the bias does in W: put them there, as in the text."
    yield from [
        (old, "weight is the old one. Now move it towards what explains y."),
        (old + solve(0 * diagonal), "the ridge is missing: your weights fit y alone, as if ridge were 0."),
        (solve(ridge * diagonal, y), "your ridge pulls the weights towards 0. It should pull them towards the old ones."),
        (
            old + solve(ridge * diagonal, y),
            "you add the old weights, but still explain all of y. Explain what the old ones leave unexplained.",
        ),
        (solve(ridge * diagonal), "that is by how much the weights change. Add the old ones."),
        (old - solve(ridge * diagonal), "the change has the wrong sign: what is missing is y minus what the layer gives."),
        (
            old + solve(torch.full_like(squares, ridge)),
            "you add the ridge to every entry of xᵀx. It belongs on the diagonal only: ridge times the identity.",
        ),
        (old + solve(ridge**2 * diagonal), "the ridge is not squared in the formula."),
        (
            old + solve(ridge * len(x) * diagonal),
            "you take the mean over the pictures, so that the ridge weighs more. The formula takes the sum.",
        ),
        (
            old + len(x) * solve(ridge * len(x) * diagonal),
            "you take the mean in XᵀX but the sum beside it. The formula takes the sum in both.",
        ),
        *((weights, ones_last) for weights in (of_ones_first, mixed, mixed.roll(-1, dims=1))),
    ]


def _without_bias(x: Tensor, y: Tensor, case: _Case) -> list[tuple[Tensor, str]]:
    """Weights (outputs, inputs) of those who left the bias out of the equations, and what to tell them."""
    x, y, (old, bias) = x.double(), y.double(), (part.detach().double() for part in case.dense.fc2.parameters())
    squares = x.T @ x + case.ridge * torch.eye(x.shape[1], dtype=torch.float64)
    hint = "The bias is one more weight: give x a column of ones."
    return [
        (old + torch.linalg.solve(squares, x.T @ (y - bias - x @ old.T)).T, f"you keep the old bias. {hint}"),
        (old + torch.linalg.solve(squares, x.T @ (y - x @ old.T)).T, f"the bias is not in your equations. {hint}"),
        (torch.linalg.solve(squares, x.T @ y).T, f"the bias and the old weights are not in your equations. {hint}"),
    ]


def _wrong_weight(found: Tensor, x: Tensor, y: Tensor, case: _Case) -> str | None:
    known = [_solutions(x, y, case, pull) for pull in (1, 0)]
    best = [next(solutions)[0][:, :-1] for solutions in known]
    if any(_alike(found, value.to(found)) for value in best):
        return None
    slips = [(weights[:, :-1], message) for weights, message in chain(*known)]
    for value, message in slips + _without_bias(x, y, case):
        if _alike(found, value.to(found)):
            return message
    return (
        f"the numbers of weight are not right: the first is {found[0, 0]:.4g}, and it should be {best[0][0, 0]:.4g}. "
        "Look at what is inverted, on which side it stands, and what is transposed."
    )


def _wrong_bias(found: Tensor, x: Tensor, y: Tensor, case: _Case) -> str | None:
    best, old = [next(_solutions(x, y, case, pull))[0][:, -1] for pull in (1, 0)], case.dense.fc2.bias.detach()
    if any(_alike(found, value.to(found)) for value in best):
        return None
    if _alike(found, old):
        return "bias is the old one. It is solved for together with the weights: the last column of the solution."
    if any(_alike(found + old, value.to(found)) for value in best):
        return "that is by how much the bias changes. Add the old one."
    return f"the numbers of bias are not right: the first is {found[0]:.4g}, and it should be {best[0][0]:.4g}."
