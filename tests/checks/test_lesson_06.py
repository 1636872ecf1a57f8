"""What the checks of lesson 06 answer."""

import pytest
import torch
from answering import verdict_test

import attnprune_edu as ap
from attnprune_edu import checks


def cubic(of=lambda t: 1 - (1 - t) ** 3, ahead=0):
    return lambda final, stage, stages: final * of((stage + ahead) / stages)


def in_this_stage(final, stage, stages):
    return cubic()(final, stage, stages) - cubic()(final, stage - 1, stages)


def returning(value):
    return lambda *given: value


def inputs_of_fc2(network, images):
    given = []
    hook = network.fc2.register_forward_hook(lambda layer, inputs, output: given.append(inputs[0]))
    network(images)
    hook.remove()
    return given[0]


def repair(
    *,
    x_of="pruned",
    y_of="dense",
    toward=1.0,
    explained=1.0,
    ones_first=False,
    old_of=lambda layer: torch.cat([layer.weight, layer.bias[:, None]], dim=1),
    count=lambda x: 1,
    penalty=lambda ridge, unknowns: ridge * torch.eye(unknowns),
    inverse=torch.linalg.inv,
    finish=lambda x, y, weight, bias: (x, y, weight, bias),
):
    """The solution that the lesson shows, with a place for each slip."""

    @torch.no_grad()
    def function(dense, pruned, images, ridge):
        networks = {"dense": dense, "pruned": pruned}
        x, y = inputs_of_fc2(networks[x_of], images), networks[y_of](images)
        old = old_of(pruned.fc2)
        ones = torch.cat([x, torch.ones(len(x), 1)], dim=1).roll(int(ones_first), dims=1)
        missing = (y - explained * ones @ old.T).T @ ones
        new = toward * old + missing @ inverse(ones.T @ ones / count(x) + penalty(ridge, ones.shape[1]))
        return finish(x, y, new[:, :-1], new[:, -1])

    return function


def finished(change):
    return repair(finish=change)


def of_the_networks(change):
    """The solution, and what ``change(dense, pruned, images, ridge, x, y, weight, bias)`` makes of it."""
    return lambda *given: change(*given, *repair()(*given))


def without_bias(explained=1.0, bias=1.0):
    """Who leaves the bias out of the equations."""

    @torch.no_grad()
    def function(dense, pruned, images, ridge):
        x, y, old = inputs_of_fc2(pruned, images), dense(images), dense.fc2.weight
        missing = y - explained * x @ old.T - bias * dense.fc2.bias
        new = explained * old + torch.linalg.solve(x.T @ x + ridge * torch.eye(x.shape[1]), x.T @ missing).T
        return x, y, new, dense.fc2.bias

    return function


@torch.no_grad()
def inside(dense, pruned, images, ridge):
    """fc1's inputs and outputs in ``pruned``."""
    flat = pruned.pool(pruned.conv2(pruned.pool(pruned.conv1(images).relu())).relu()).flatten(1)
    return flat, pruned.fc1(flat)


def in_place(dense, pruned, images, ridge, x, y, weight, bias):
    with torch.no_grad():
        pruned.fc2.bias.copy_(bias)
    return x, y, weight, bias


def bias_first(layer):
    return torch.cat([layer.bias[:, None], layer.weight], dim=1)


def first_is_bias(x, y, weight, bias):
    return x, y, torch.cat([weight[:, 1:], bias[:, None]], dim=1), weight[:, 0]


@torch.no_grad()
def by_lstsq(dense, pruned, images, ridge):
    x, y = inputs_of_fc2(pruned, images), dense(images)
    new = torch.linalg.lstsq(torch.cat([x, torch.ones(len(x), 1)], dim=1), y).solution.T
    return x, y, new[:, :-1], new[:, -1]


def free_bias(ridge, unknowns):
    return ridge * torch.eye(unknowns).index_fill(0, torch.tensor([unknowns - 1]), 0)


def blank(x, y, weight, bias):
    return ..., ..., ..., ...


CASES = [
    (checks.cubic_schedule, cubic(), True, "gentle"),
    (checks.cubic_schedule, lambda *given: torch.tensor([cubic()(*given)]), True, "gentle"),
    (checks.cubic_schedule, cubic(lambda t: t), False, "linear"),
    (checks.cubic_schedule, cubic(lambda t: t**3), False, "slow at first"),
    (checks.cubic_schedule, cubic(lambda t: (1 - t) ** 3), False, "Take it away from `final`"),
    (checks.cubic_schedule, lambda final, stage, stages: (1 - stage / stages) ** 3, False, "the share of `final`"),
    (checks.cubic_schedule, lambda final, stage, stages: 1 - (1 - stage / stages) ** 3, False, "whatever `final` is"),
    (checks.cubic_schedule, lambda final, stage, stages: final - (1 - stage / stages) ** 3, False, "Multiply the cube"),
    (checks.cubic_schedule, lambda *given: 1 - cubic()(*given), False, "that share stays"),
    (checks.cubic_schedule, lambda *given: 100 * cubic()(*given), False, "in percent"),
    (checks.cubic_schedule, lambda *given: round(cubic()(*given), 2), False, "rounded"),
    (checks.cubic_schedule, cubic(lambda t: 1 - (1 - t) ** 2), False, "exponent is 3"),
    (checks.cubic_schedule, cubic(lambda t: 1 - (1 - t) * 3), False, "multiplied by 3"),
    (checks.cubic_schedule, cubic(ahead=1), False, "one stage ahead"),
    (checks.cubic_schedule, cubic(ahead=-1), False, "one stage behind"),
    (checks.cubic_schedule, lambda *given: 1 - given[0] + cubic()(*given), False, "not from 1"),
    (checks.cubic_schedule, cubic(lambda t: 1 - t**3), False, "you cube the share that is done"),
    (checks.cubic_schedule, lambda final, stage, stages: cubic()(final, stage, stages - 1), False, "divide by `stages`"),
    (checks.cubic_schedule, in_this_stage, False, "what this stage prunes"),
    (checks.cubic_schedule, lambda *given: given[1] and in_this_stage(*given), False, "what this stage prunes"),
    (checks.cubic_schedule, cubic(lambda t: 1 - t), False, "nothing is pruned yet, but"),
    (checks.cubic_schedule, cubic(lambda t: t / 2), False, "after the last stage"),
    (checks.cubic_schedule, cubic(lambda t: t**2), False, "starts and ends right"),
    (checks.cubic_schedule, lambda final, stage, stages: final * (1 - (1 - stage / stages) ^ 3), False, "written with `**`"),
    (checks.cubic_schedule, returning(torch.zeros(2)), False, "single number; yours has the shape (2,)"),
    (checks.cubic_schedule, returning([0.8]), False, "single number, and your function returns a list"),
    (checks.cubic_schedule, returning("0.8"), False, "returns a str"),
    (checks.cubic_schedule, returning(True), False, "returns a bool"),
    (checks.cubic_schedule, returning(None), False, "returns nothing"),
    (checks.cubic_schedule, 0.8, False, "this is a float"),
    (checks.repair_by_hand, repair(), True, "stay as they were"),
    (checks.repair_by_hand, repair(penalty=free_bias), True, "all four"),
    (checks.repair_by_hand, repair(inverse=torch.linalg.pinv), True, "all four"),
    (checks.repair_by_hand, lambda *given: list(repair()(*given)), True, "all four"),
    (checks.repair_by_hand, finished(lambda x, y, weight, bias: (x, ..., ..., ...)), False, "x is right; y is still"),
    (
        checks.repair_by_hand,
        finished(lambda x, y, weight, bias: (x, y, ..., ...)),
        False,
        "x and y are right; weight is still",
    ),
    (
        checks.repair_by_hand,
        finished(lambda x, y, w, bias: (x, y, w, ...)),
        False,
        "x, y and weight are right; bias is still",
    ),
    (checks.repair_by_hand, finished(lambda x, y, weight, bias: (x, y)), False, "a tuple of 2"),
    (checks.repair_by_hand, finished(lambda x, y, weight, bias: weight), False, "it returns a Tensor"),
    (checks.repair_by_hand, returning("x"), False, "it returns a str"),
    (checks.repair_by_hand, returning(None), False, "returns nothing"),
    (checks.repair_by_hand, [1, 2, 3, 4], False, "hand over the function itself"),
    (checks.repair_by_hand, repair(x_of="dense"), False, "your x comes from the dense network"),
    (checks.repair_by_hand, lambda *given: (inside(*given)[1], ..., ..., ...), False, "goes through the ReLU"),
    (checks.repair_by_hand, lambda *given: (inside(*given)[0], ..., ..., ...), False, "a column for each input of fc2"),
    (checks.repair_by_hand, finished(lambda x, *rest: (x.T, *rest)), False, "x is transposed"),
    (checks.repair_by_hand, finished(lambda x, *rest: (x.flip(0), *rest)), False, "another order"),
    (checks.repair_by_hand, finished(lambda x, *rest: (x + 1, *rest)), False, "the numbers are not"),
    (
        checks.repair_by_hand,
        finished(lambda x, *rest: (x.tolist(), *rest)),
        False,
        "x should be a tensor, and yours is a list",
    ),
    (
        checks.repair_by_hand,
        finished(lambda x, *rest: (torch.cat([x, x[:, :1]], 1), *rest)),
        False,
        "without the column of ones",
    ),
    (checks.repair_by_hand, repair(y_of="pruned"), False, "x is right; your y comes from the pruned network"),
    (checks.repair_by_hand, finished(lambda x, y, *rest: (x, y.softmax(1), *rest)), False, "without a softmax"),
    (checks.repair_by_hand, finished(lambda x, y, *rest: (x, y.relu(), *rest)), False, "without a ReLU"),
    (checks.repair_by_hand, finished(lambda x, y, *rest: (x, y.argmax(1), *rest)), False, "the shape of y is (24,)"),
    (
        checks.repair_by_hand,
        of_the_networks(lambda dense, pruned, images, ridge, x, y, *rest: (x, y - pruned(images), *rest)),
        False,
        "not yet what is missing",
    ),
    (checks.repair_by_hand, repair(toward=0, explained=0), False, "pulls the weights towards 0"),
    (checks.repair_by_hand, repair(explained=0), False, "still explain all of y"),
    (checks.repair_by_hand, repair(toward=0), False, "Add the old ones"),
    (checks.repair_by_hand, repair(toward=1, explained=1, inverse=lambda a: -torch.linalg.inv(a)), False, "wrong sign"),
    (checks.repair_by_hand, repair(penalty=lambda ridge, unknowns: 0), False, "the whole diagonal"),
    (checks.repair_by_hand, repair(penalty=lambda *_: 0, inverse=torch.linalg.pinv), False, "ridge is missing"),
    (checks.repair_by_hand, repair(penalty=lambda ridge, _: ridge, inverse=torch.linalg.pinv), False, "every entry"),
    (checks.repair_by_hand, repair(penalty=lambda ridge, n: ridge**2 * torch.eye(n)), False, "not squared"),
    (checks.repair_by_hand, repair(penalty=lambda ridge, n: 24 * ridge * torch.eye(n)), False, "mean over the pictures"),
    (checks.repair_by_hand, repair(count=len), False, "the mean in XᵀX but the sum beside it"),
    (checks.repair_by_hand, repair(ones_first=True), False, "the ones come last"),
    (checks.repair_by_hand, repair(ones_first=True, old_of=bias_first), False, "the ones come last"),
    (checks.repair_by_hand, repair(ones_first=True, finish=first_is_bias), False, "the ones come last"),
    (checks.repair_by_hand, repair(penalty=lambda ridge, n: 7 * torch.eye(n)), False, "`ridge` has no part"),
    (checks.repair_by_hand, by_lstsq, False, "`ridge` has no part"),
    (checks.repair_by_hand, repair(penalty=lambda ridge, n: 3 * ridge * torch.eye(n)), False, "Look at what is inverted"),
    (checks.repair_by_hand, without_bias(), False, "you keep the old bias"),
    (checks.repair_by_hand, without_bias(bias=0), False, "the bias is not in your equations"),
    (checks.repair_by_hand, without_bias(bias=0, explained=0), False, "the bias and the old weights"),
    (checks.repair_by_hand, finished(lambda x, y, weight, bias: (x, y, weight.T, bias)), False, "weight is transposed"),
    (checks.repair_by_hand, finished(lambda x, y, w, b: (x, y, torch.cat([w, b[:, None]], 1), b)), False, "holds the bias"),
    (checks.repair_by_hand, finished(lambda x, y, weight, bias: (x, y, weight, bias[:, None])), False, "the shape of bias"),
    (
        checks.repair_by_hand,
        of_the_networks(lambda dense, pruned, images, ridge, x, y, weight, bias: (x, y, dense.fc2.weight, bias)),
        False,
        "weight is the old one",
    ),
    (
        checks.repair_by_hand,
        of_the_networks(lambda dense, pruned, images, ridge, x, y, weight, bias: (x, y, weight, dense.fc2.bias)),
        False,
        "bias is the old one",
    ),
    (
        checks.repair_by_hand,
        of_the_networks(lambda dense, pruned, images, ridge, x, y, weight, bias: (x, y, weight, bias - dense.fc2.bias)),
        False,
        "by how much the bias changes",
    ),
    (checks.repair_by_hand, finished(lambda x, y, weight, bias: (x, y, weight, 2 * bias)), False, "numbers of bias"),
    (checks.repair_by_hand, of_the_networks(in_place), False, "changes the networks"),
    (
        checks.repair_by_hand,
        lambda *given: repair()(*given) if len(given[2]) > 16 else (*repair()(*given)[:2], given[0].fc2.weight, ...),
        False,
        "right for 24 pictures, but not for 5",
    ),
    (checks.cubic_schedule, ..., None, "three dots"),
    (checks.cubic_schedule, returning(...), None, "three dots"),
    (checks.cubic_schedule, returning([...]), None, "three dots"),
    (checks.repair_by_hand, ..., None, "three dots"),
    (checks.repair_by_hand, returning(...), None, "three dots"),
    (checks.repair_by_hand, finished(blank), None, "three dots"),
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)


@pytest.mark.parametrize(
    ("function", "share"),
    [
        (repair(x_of="dense"), 0),
        (repair(y_of="pruned"), 0.25),
        (repair(toward=0), 0.5),
        (finished(lambda x, y, weight, bias: (x, y, weight, ...)), 0.75),
        (repair(), 1),
    ],
)
def test_each_part_of_the_repair_earns_its_share(function, share):
    assert checks.repair_by_hand(function).share == share


def test_the_library_repairs_a_layer_as_the_exercise_does(imperfect, uneven_data):
    dense, images = imperfect(), uneven_data.normalize(uneven_data.train.images)
    pruned = ap.mask(dense, {"fc1": torch.arange(dense.fc1.out_features) % 2 == 0})
    library = ap.repair(pruned, uneven_data, ridge=0.1)
    x = inputs_of_fc2(pruned, images).detach()
    ridge = 0.1 * x.square().sum(dim=0)[x.any(dim=0)].mean()
    _, _, weight, bias = repair(penalty=free_bias)(dense, pruned, images, ridge)
    assert not torch.equal(library.fc2.weight, dense.fc2.weight)
    torch.testing.assert_close(library.fc2.weight, weight, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(library.fc2.bias, bias, rtol=1e-3, atol=1e-4)
