"""Checks of lesson 15, the capstone: a network of the reader's own, judged beside the course's."""

import math

import torch
from torch import Tensor, nn

from ..experiments.capstone import COSTS, Capstone, load_capstone
from ..networks.macs import count_macs
from ..networks.models import copy_of
from .verdict import Verdict, a_kind, close_to, exercise, listed, number_of, right, wrong

LEAST = 0.5  # accuracy: what is below knows other glyphs, or none
STEPS = 6  # one for each budget, one for being ahead of the uniform cut, two for not being behind the knapsack
Z = 1.96  # standard errors: 95 %
IN_WORDS = {"params": "parameters", "macs": "MACs", "latency": "time"}


@exercise
def capstone(network, *, number: int = 16) -> Verdict:
    """A ``network`` for the task of a ``number`` (``load_capstone``), an ``nn.Sequential`` of torch's own layers.

    It earns nothing with less than half of the pictures held back right. Else it earns a sixth for each budget that it
    meets; and with all three, a sixth more if it gets more pictures right than the uniform baseline, and two sixths if it
    is not behind the knapsack by more than chance explains (the pictures that only one of them gets right).
    """
    if problem := _no_plain_network(network):
        return wrong(problem)
    seed = int(torch.randint(2**52, ()))  # a grader's follow from a secret
    task = load_capstone(number)
    dense_macs = count_macs(task.model, task.data.image_shape)
    if (macs := _counted_macs(network, task.data.image_shape)) > dense_macs:  # it might keep a grader busy for hours
        return wrong(
            f"it takes {macs:,} MACs for an image, and the dense network {dense_macs:,}. Make it smaller than that."
        )
    correct = task.correct(network, seed)
    share = correct.double().mean().item()
    accuracy = f"{share:.1%} of {len(correct):,} pictures held back"
    if share < LEAST:
        after = "and was it repaired or trained after it was cut"
        return wrong(f"it gets {accuracy} right: not even half. Does it know the glyphs of task {number}, {after}?")
    costs = task.costs(network)
    met = [cost for cost in COSTS if task.meets(costs, cost)]
    if missed := [_over(task, costs, cost) for cost in COSTS if cost not in met]:
        kept = _silent(network) if costs["macs"] == dense_macs else ""
        return wrong(f"it gets {accuracy} right, but {listed(missed)}.{kept}", len(met) / STEPS)
    baselines = {name: task.correct(model, seed) for name, model in task.baselines().items()}
    board = ", ".join(f"{name} {one.double().mean():.1%}" for name, one in baselines.items())
    ahead = int(correct.sum()) > int(baselines["uniform"].sum())
    behind = _behind(correct, baselines["knapsack"])
    earned = len(COSTS) + ahead + 2 * (not behind)
    result = f"it meets all three budgets and gets {accuracy} right ({board})"
    so_far = f"{result}: {earned} of {STEPS} parts."
    if behind:
        hint = "Was it trained long enough? If so, does every layer keep what it needs?"
        return wrong(f"{so_far} The knapsack is ahead by more than chance. {hint}", earned / STEPS)
    if not ahead:
        return wrong(f"{so_far} The same share of every layer reaches as much.", earned / STEPS)
    return right(f"{result}.")


def _no_plain_network(network) -> str | None:
    if not isinstance(network, nn.Module):
        if callable(network):
            return "this is a function or a class. Hand over the network itself."
        model = " A plan has it as `plan.model`." if hasattr(network, "model") else ""
        return f"this is {a_kind(network)}, and a network is asked for, an `nn.Sequential`.{model}"
    strange = [module for module in network.modules() if not type(module).__module__.startswith("torch.nn.modules.")]
    if strange:
        masked = any(type(module).__name__.startswith("Parametrized") for module in strange)
        if masked:
            return "it has masks: what they silence still costs what it did. Cut it out with `ap.remove` first."
        return f"its layers must be torch's own, and one is {a_kind(strange[0])}."
    return None


def _counted_macs(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Of a network whose layers fit, without computing them; 0 of another one."""
    try:
        return count_macs(copy_of(network).to("meta"), image_shape)
    except RuntimeError:
        return 0


def _over(task: Capstone, costs, cost: str) -> str:
    """By how much a budget is missed, in words."""
    format_as = ".0%" if cost == "latency" else ",.0f"
    of = " of the dense network's" if cost == "latency" else ""
    return f"{IN_WORDS[cost]}: {costs[cost]:{format_as}}{of} where {task.budgets[cost]:{format_as}} are allowed"


def _silent(network: nn.Module) -> str:
    """A hint where whole channels are zero, and still there."""
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    zeros = sum(int((layer.weight.flatten(1) == 0).all(dim=1).sum()) for layer in layers)
    return f" Channels of zeros ({zeros} of them) cost what they did: cut them out with `ap.remove`." if zeros else ""


def _behind(one: Tensor, other: Tensor) -> bool:
    """Whether ``one`` gets fewer right than ``other``, both bool (N,), by more than chance explains: of the pictures that
    only one of them gets right, either would get half (McNemar, 1947)."""
    lost, won = int((other & ~one).sum()), int((one & ~other).sum())
    return lost - won > Z * math.sqrt(lost + won)


@exercise
def share_within_budgets(
    answer, *, params: float = 0.25, macs: float = 0.16, latency: float = 0.44, fixed: float = 0.2
) -> Verdict:
    """The largest share of channels, the same in every layer, that meets three budgets, each a share (0–1) of what was.

    Of ``params`` and ``macs`` the square of the share is left. Of the time ``fixed`` stays, and the rest falls in
    proportion to the share.
    """
    answer = number_of(answer)
    alone = {"params": math.sqrt(params), "macs": math.sqrt(macs), "latency": (latency - fixed) / (1 - fixed)}
    binds = min(alone, key=alone.__getitem__)
    best, near = alone[binds], close_to(answer, 0.004)
    if near(best):
        return right(f"the budget of {IN_WORDS[binds]} binds; alone, the others would allow {_others(alone, binds)}.")
    slips = [
        (100 * best, "that is in percent. Give it as a share, from 0 to 1."),
        (1 - best, "that is the share of the channels that go. Which share stays?"),
        *(
            (share, f"that is the largest share for the {IN_WORDS[cost]} alone. Another budget is used up before.")
            for cost, share in alone.items()
            if share - best > 0.004
        ),
        (sum(alone.values()) / len(alone), "that is the mean of what each budget allows. All three must be met."),
        (min(params, macs, latency), "that is the smallest budget. Which share of the channels leads to it?"),
        (latency, "that is the budget of time itself. A part of the time stays whatever the share is."),
        (latency - fixed, "that is what the budget leaves for the part that falls. Divide it by how large that part was."),
        (latency / (1 - fixed), "part of the time stays, whatever you do: subtract it from the budget before you divide."),
        (math.sqrt(latency), "the time does not fall with the square of the share, but in proportion to it."),
        (best**2, "that is the square of the share. The share itself is asked for."),
    ]  # fmt: skip
    for value, message in slips:
        if near(value):
            return wrong(message)
    if not 0 < answer <= 1:
        return wrong(f"a share lies between 0 and 1, and this is {answer:g}.")
    if answer < best:
        return wrong(f"{answer:g} meets all three, but a larger share does, too.")
    over = [IN_WORDS[cost] for cost, share in alone.items() if share < answer]
    return wrong(f"with {answer:g} of the channels too much is left of: {listed(over)}.")


def _others(alone: dict[str, float], binds: str) -> str:
    return listed([f"{share:.2f} ({IN_WORDS[cost]})" for cost, share in alone.items() if cost != binds])
