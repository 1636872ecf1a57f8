"""What the checks of lesson 09 answer."""

import pytest
import torch
from answering import dots_after, step_after_step, verdict_test

import attnprune_edu as ap
from attnprune_edu import checks

NAMES = ["outputs", "mean", "scores"]


def caught(network, name, images, place="output", remove=True):
    """What a hook on the layer sees."""
    found = []
    see = {
        "output": lambda layer, inputs, output: found.append(output),
        "input": lambda layer, inputs, _: found.append(inputs[0]),
    }
    hook = network.get_submodule(name).register_forward_hook(see[place])
    try:
        with torch.no_grad():
            network(images)
    finally:
        if remove:
            hook.remove()
    return found[0]


def hooking(hook_on, see=lambda layer, inputs, output: output, run=lambda network, images: network(images), only=False):
    """A criterion whose hook is on ``hook_on(network, name)`` and stays after an error; ``only`` its first step."""

    def gives(here):
        found = []
        hook = hook_on(here["network"], here["name"]).register_forward_hook(lambda *args: found.append(see(*args)))
        run(here["network"], here["images"])
        hook.remove()
        return found[0].detach()

    return outputs(gives) if only else criterion(outputs=gives)


def criterion(**slips):
    """The solution that the lesson shows, with a place for each slip."""
    steps = {
        "outputs": lambda here: caught(here["network"], here["name"], here["images"]),
        "mean": lambda here: here["outputs"].relu().mean(dim=0),
        "scores": lambda here: here["mean"].pow(here["power"]).mean(dim=(1, 2)),
    }
    return step_after_step(["network", "name", "images", "power"], steps, slips)


def outputs(change):
    return criterion(outputs=change, **dots_after("outputs", NAMES))


def mean(change):
    return criterion(mean=lambda here: change(here["outputs"], here["power"]), **dots_after("mean", NAMES))


def scores(change):
    return criterion(scores=lambda here: change(here["mean"], here["power"], here["outputs"]))


def changed(network, name, images, power):
    with torch.no_grad():
        network.conv1.bias.add_(1)
    return criterion()(network, name, images, power)


def in_training(network, name, images, power):
    return criterion()(network.train(), name, images, power)


def map_of(activations, power):
    sums = activations.pow(power).sum(dim=1)
    return sums / sums.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)


def peak(activations, power):
    return activations.pow(power).sum(dim=1).amax(dim=(1, 2), keepdim=True)


def peaked(sums):
    return sums / sums.amax(dim=(1, 2), keepdim=True)


CASES = [
    (checks.score_of_a_channel, 14.5, True, "again and again"),
    (checks.score_of_a_channel, torch.tensor(14.5), True, "again and again"),
    (checks.score_of_a_channel, 13, False, "the ReLU is missing"),
    (checks.score_of_a_channel, 17, False, "not into 2"),
    (checks.score_of_a_channel, 21, False, "square before the mean over the pictures"),
    (checks.score_of_a_channel, 29, False, "sum over the positions"),
    (checks.score_of_a_channel, 58, False, "you sum over the pictures. Take"),
    (checks.score_of_a_channel, 116, False, "the mean of both"),
    (checks.score_of_a_channel, 12.25, False, "before you square"),
    (checks.score_of_a_channel, 12.5, False, "mean over the positions first"),
    (checks.score_of_a_channel, 3.5, False, "the power is missing"),
    (checks.score_of_a_channel, 3.81, False, "no root"),
    (checks.score_of_a_channel, 32, False, "first picture alone"),
    (checks.score_of_a_channel, 10, False, "second picture alone"),
    (checks.score_of_a_channel, 25, False, "largest position"),
    (checks.score_of_a_channel, 84, False, "you sum over everything"),
    (checks.score_of_a_channel, 42, False, "before the mean over the pictures, and sum over the positions"),
    (checks.score_of_a_channel, 22, False, "the ReLU is missing, and the mean over the pictures"),
    (checks.score_of_a_channel, 99, False, "ReLU, then the mean"),
    (checks.score_of_a_channel, [5, 2], False, "one number, and this is a list"),
    (checks.score_of_a_channel, "14.5", False, "Remove the quotes"),
    (checks.map_of_activations, map_of, True, "the same numbers make a score"),
    (checks.map_of_activations, lambda a, p: map_of(a, p).nan_to_num(), True, "the same numbers make a score"),
    (checks.map_of_activations, lambda a, p: peaked(a.pow(p).mean(dim=1)).nan_to_num(), True, "the same numbers"),
    (checks.map_of_activations, lambda a, p: peaked(a.pow(p).sum(dim=1)), False, "divide 0 by 0"),
    (checks.map_of_activations, lambda a, p: a.pow(p).sum(1) / (peak(a, p) + 1e-8), True, "the same numbers"),
    (checks.map_of_activations, lambda a, p: peaked(a.pow(p).sum(1)).nan_to_num(0.5), False, "zeros, and yours holds 0.5"),
    (checks.map_of_activations, lambda a, p: a.pow(p).sum(1) / peak(a, p).clamp(min=1), False, "is quiet: the largest"),
    (checks.map_of_activations, lambda a, p: map_of(a[a.sum((1, 2, 3)) > 0], p), False, "is (3, 4, 6), not (2, 4, 6)"),
    (checks.map_of_activations, lambda a, p: map_of(a, p) / peak(a, p).squeeze(), False, "`keepdim=True` keeps"),
    (checks.map_of_activations, lambda a, p: a.pow(p).sum(1) / a.sum(1).amax((2, 3)), False, "are the dimensions 1 and 2"),
    (checks.map_of_activations, lambda a, p: a.pow(p).sum(1) / a.pow(p).sum(1).amax(1, True), False, "each column"),
    (checks.map_of_activations, lambda a, p: a.pow(p).sum(1) / a.pow(p).sum(1).amax(2, True), False, "each row"),
    (checks.map_of_activations, lambda a, p: (a / a.amax((2, 3), True)).pow(p).sum(1), False, "you divide each channel"),
    (checks.map_of_activations, lambda a, p: (a / a.amax((2, 3), True)).pow(p).mean(1), False, "you divide each channel"),
    (checks.map_of_activations, lambda a, p: map_of(a * p, 1), False, "the power is missing: `activations.pow(power)`"),
    (checks.map_of_activations, lambda a, p: peaked(a.mean(1).pow(p)), False, "you put the channels together and take"),
    (checks.map_of_activations, lambda a, p: a.pow(p).sum(dim=1), False, "the sums are right"),
    (checks.map_of_activations, lambda a, p: a.pow(p).mean(dim=1), False, "mean over the channels. Now divide"),
    (checks.map_of_activations, lambda a, p: map_of(a, p)[:, None], False, "a dimension too many"),
    (checks.map_of_activations, lambda a, p: a.pow(p).sum(dim=(2, 3)), False, "sum over the positions"),
    (checks.map_of_activations, lambda a, p: a.pow(p).sum(dim=0), False, "sum over the pictures"),
    (checks.map_of_activations, lambda a, p: a.pow(p), False, "the shape is (3, 5, 4, 6)"),
    (checks.map_of_activations, lambda a, p: a.pow(p).sum(1) / a.pow(p).sum(1).max(), False, "Each has its own"),
    (
        checks.map_of_activations,
        lambda a, p: ap.normalize(a.pow(p).sum(1).flatten(1)).view(len(a), *a.shape[2:]),
        False,
        "subtract the smallest",
    ),
    (
        checks.map_of_activations,
        lambda a, p: a.pow(p).sum(1) / a.pow(p).sum((1, 2, 3))[:, None, None],
        False,
        "divide by the sum of each",
    ),
    (
        checks.map_of_activations,
        lambda a, p: torch.nn.functional.normalize(a.pow(p).sum(1).flatten(1)).view(len(a), *a.shape[2:]),
        False,
        "the length of each map",
    ),
    (checks.map_of_activations, lambda a, p: peaked(a.sum(1).pow(p)), False, "Power first."),
    (checks.map_of_activations, lambda a, p: a.sum(1).pow(p), False, "Power first, and divide"),
    (
        checks.map_of_activations,
        lambda a, p: a.pow(p).sum(1).flatten(1).softmax(1).view(len(a), *a.shape[2:]),
        False,
        "a softmax",
    ),
    (checks.map_of_activations, lambda a, p: map_of(a, p).sqrt(), False, "no root"),
    (checks.map_of_activations, lambda a, p: map_of(a, 1), False, "the power is missing"),
    (checks.map_of_activations, lambda a, p: peaked(a.amax(1).pow(p)), False, "strongest channel"),
    (checks.map_of_activations, lambda a, p: map_of(a, 2), False, "whatever `power` is"),
    (checks.map_of_activations, lambda a, p: map_of(a, p) + 0.1, False, "the numbers are not"),
    (checks.map_of_activations, lambda a, p: map_of(a.sub_(1), p), False, "changes the tensor"),
    (checks.map_of_activations, lambda a, p: map_of(a, p).tolist(), False, "returns a list"),
    (checks.map_of_activations, lambda a, p: None, False, "returns nothing"),
    (checks.map_of_activations, torch.ones(3), False, "this is a Tensor"),
    (checks.activation_criterion, criterion(), True, "any layer of any network"),
    (checks.activation_criterion, lambda *given: list(criterion()(*given)), True, "any layer of any network"),
    (
        checks.activation_criterion,
        outputs(lambda here: caught(here["network"], here["name"], here["images"])),
        False,
        "step 2 of 3, `mean`, is next",
    ),
    (checks.activation_criterion, mean(lambda o, p: o.relu().mean(dim=0)), False, "step 3 of 3, `scores`, is next"),
    (
        checks.activation_criterion,
        outputs(lambda here: caught(here["network"], here["name"], here["images"], place="input")),
        False,
        "what the layer is given",
    ),
    (
        checks.activation_criterion,
        outputs(lambda here: caught(here["network"], here["name"], here["images"], remove=False)),
        False,
        "your hook is still in the network",
    ),
    (
        checks.activation_criterion,
        outputs(lambda here: caught(here["network"], "conv1", here["images"])),
        False,
        "what conv1 gives",
    ),
    (checks.activation_criterion, outputs(lambda here: here["network"](here["images"])), False, "whole network returns"),
    (
        checks.activation_criterion,
        outputs(lambda here: caught(here["network"], here["name"], here["images"]).relu()),
        False,
        "The ReLU comes in the next step",
    ),
    (
        checks.activation_criterion,
        outputs(lambda here: caught(here["network"], here["name"], here["images"]).mean(dim=0)),
        False,
        "the mean comes in the next step",
    ),
    (checks.activation_criterion, outputs(lambda here: [1]), False, "this is a list. Put what the hook"),
    (
        checks.activation_criterion,
        outputs(lambda here: caught(here["network"], here["name"], here["images"])[:3]),
        False,
        "`outputs`: its shape is (3, 6",
    ),
    (
        checks.activation_criterion,
        outputs(lambda here: 2 * caught(here["network"], here["name"], here["images"])),
        False,
        "the shape is right, but `outputs[",
    ),
    (checks.activation_criterion, hooking(lambda network, name: network.get_submodule(name)), False, "stops with an error"),
    (checks.activation_criterion, hooking(getattr), False, "'body.conv1'. A name with dots"),
    (checks.activation_criterion, hooking(lambda network, name: network.conv2), False, "not always the same"),
    (
        checks.activation_criterion,
        hooking(lambda network, name: network, only=True),
        False,
        "whole network returns. Put the hook on",
    ),
    (checks.activation_criterion, hooking(lambda network, name: network[name]), False, "not subscriptable. `network.get_"),
    (checks.activation_criterion, hooking(lambda network, name: name), False, "'register_forward_hook'. `network.get_sub"),
    (checks.activation_criterion, hooking(getattr, see=lambda output: output), False, "three things: layer, inputs, output"),
    (checks.activation_criterion, hooking(getattr, run=lambda *_: None), False, "The hook has caught nothing"),
    (checks.activation_criterion, outputs(lambda here: here["network"].conv2(here["images"])), False, "not the layer"),
    (checks.activation_criterion, lambda *given: criterion()(*given)[::-1], False, "these are the scores. Return outputs"),
    (checks.activation_criterion, lambda *given: (*criterion()(*given)[1:], ...), False, "this is the mean. Return"),
    (checks.activation_criterion, mean(lambda o, p: o.relu().mean(dim=0).pow(p)), False, "power comes in the next step."),
    (
        checks.activation_criterion,
        mean(lambda o, p: o.relu().sum(dim=0) / (o > 0).sum(dim=0).clamp(min=1)),
        False,
        "that let something through",
    ),
    (checks.activation_criterion, scores(lambda m, p, o: o.mean(dim=0).pow(p).mean(dim=(1, 2))), False, "made of `outputs`"),
    (
        checks.activation_criterion,
        scores(lambda m, p, o: o.mean(dim=0).relu().pow(p).mean(dim=(1, 2))),
        False,
        "made of `outputs`",
    ),
    (checks.activation_criterion, scores(lambda m, p, o: (m * p).mean(dim=(1, 2))), False, "you multiply by the power"),
    (
        checks.activation_criterion,
        scores(lambda m, p, o: m.pow(p).mean(dim=(1, 2)) + torch.tensor([0, 0, 0, 1, 0, 0])),
        False,
        "the shape is right, but `scores[3]` should be",
    ),
    (checks.activation_criterion, scores(lambda m, p, o: m.mean(dim=(2, 3))), False, "and `mean` (channels, height"),
    (checks.activation_criterion, mean(lambda o, p: o.mean(dim=0)), False, "step 2 of 3, `mean`: the ReLU is missing"),
    (checks.activation_criterion, mean(lambda o, p: o.mean(dim=0).relu()), False, "first the ReLU, then the mean"),
    (checks.activation_criterion, mean(lambda o, p: o.abs().mean(dim=0)), False, "you take sizes"),
    (checks.activation_criterion, mean(lambda o, p: o.relu().sum(dim=0)), False, "sum over the pictures"),
    (checks.activation_criterion, mean(lambda o, p: o.relu().mean(dim=1)), False, "a map for each picture"),
    (checks.activation_criterion, mean(lambda o, p: o.relu().mean(dim=(2, 3))), False, "mean over the positions"),
    (checks.activation_criterion, mean(lambda o, p: o.relu().mean(dim=(0, 2, 3))), False, "mean over everything"),
    (checks.activation_criterion, mean(lambda o, p: o.relu().pow(p).mean(dim=0)), False, "the power comes in the next step"),
    (checks.activation_criterion, mean(lambda o, p: o.relu().amax(dim=0)), False, "largest over the pictures"),
    (checks.activation_criterion, mean(lambda o, p: o.relu()[0]), False, "first picture alone"),
    (checks.activation_criterion, scores(lambda m, p, o: m.pow(p).sum(dim=(1, 2))), False, "step 3 of 3, `scores`: you sum"),
    (checks.activation_criterion, scores(lambda m, p, o: m.mean(dim=(1, 2))), False, "the power is missing"),
    (checks.activation_criterion, scores(lambda m, p, o: m.mean(dim=(1, 2)).pow(p)), False, "power comes before the mean"),
    (checks.activation_criterion, scores(lambda m, p, o: m.pow(p).mean(dim=(1, 2)).pow(1 / p)), False, "no root"),
    (checks.activation_criterion, scores(lambda m, p, o: m.pow(p).amax(dim=(1, 2))), False, "largest position"),
    (checks.activation_criterion, scores(lambda m, p, o: m.pow(p).mean(dim=0)), False, "a score of its own"),
    (checks.activation_criterion, scores(lambda m, p, o: m.pow(p)), False, "a value for each position"),
    (checks.activation_criterion, scores(lambda m, p, o: m.pow(p).mean()), False, "one number for all channels"),
    (
        checks.activation_criterion,
        scores(lambda m, p, o: o.relu().pow(p).mean(dim=(0, 2, 3))),
        False,
        "before the mean over the pictures",
    ),
    (
        checks.activation_criterion,
        scores(lambda m, p, o: ap.normalize(m.pow(p).mean(dim=(1, 2)), "sum")),
        False,
        "divide by the sum",
    ),
    (
        checks.activation_criterion,
        scores(lambda m, p, o: m.pow(p).mean(dim=(1, 2)) / m.pow(p).mean(dim=(1, 2)).max()),
        False,
        "by the largest",
    ),
    (
        checks.activation_criterion,
        scores(lambda m, p, o: m.pow(2).mean(dim=(1, 2))),
        False,
        "right for conv2, power 2; for conv1, power 3",
    ),
    (checks.activation_criterion, scores(lambda m, p, o: float(m.mean())), False, "this is a float"),
    (checks.activation_criterion, changed, False, "changes the network"),
    (checks.activation_criterion, in_training, False, "changes the network"),
    (
        checks.activation_criterion,
        lambda *given: criterion()(*given)[2],
        False,
        "3 things, outputs, mean and scores; it returns a Tensor",
    ),
    (checks.activation_criterion, lambda network, *rest: network.nothing, False, "stops with AttributeError"),
    (checks.activation_criterion, [1, 2, 3], False, "hand over the function itself"),
    (checks.score_of_a_channel, ..., None, "three dots"),
    (checks.map_of_activations, lambda *given: ..., None, "three dots"),
    (checks.activation_criterion, lambda *given: (..., ..., ...), None, "three dots"),
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


@pytest.mark.parametrize(
    ("function", "share"),
    [
        (outputs(lambda here: [1]), 0),
        (mean(lambda o, p: o.mean(dim=0)), 1 / 3),
        (scores(lambda m, p, o: m), 2 / 3),
        (hooking(lambda network, name: network.get_submodule(name)), 5 / 6),
        (criterion(), 1),
    ],
)
def test_each_step_earns_its_share(function, share):
    assert checks.activation_criterion(function).share == pytest.approx(share)


def test_the_library_scores_and_maps_as_the_exercises_do(tiny_model, tiny_data):
    images = tiny_data.normalize(tiny_data.train.images)
    everything = {"data": tiny_data, "num_images": len(images)}
    for power in (2, 3):
        library = ap.importance(tiny_model, "activation_attention", power=power, **everything)
        through, _, scores = criterion()(tiny_model, "conv2", images, power)
        torch.testing.assert_close(library["conv2"], scores, rtol=1e-4, atol=1e-7)
        maps = ap.attention_maps(tiny_model, tiny_data, tiny_data.train.images, "conv2", power)
        torch.testing.assert_close(maps, map_of(through.relu(), power), rtol=1e-3, atol=1e-5)
