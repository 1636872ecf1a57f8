"""What the checks of lesson 04 answer."""

import itertools
import random
from functools import partial

import numpy as np
import torch
from answering import verdict_test
from torch.nn import functional as F

from attnprune_edu import checks


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def split(
    held_in=0, held_out=0, seeded=seeded, finish=lambda train, validation: (train, validation), divisor=1, remainder=1
):
    """The solution of the second exercise, with more or fewer in a part, and other slips.

    Numbers that leave the ``remainder`` when divided by the ``divisor`` come last, so they are not held out.
    """

    def variant(count, held, seed):
        order = torch.randperm(count, generator=seeded(seed))
        never = order % divisor == remainder
        order = torch.cat([order[~never], order[never]])
        return finish(order[held - held_in :], order[: held + held_out])

    return variant


def globally_seeded(count, held_out, seed):
    torch.manual_seed(seed)
    order = torch.randperm(count)
    return order[held_out:], order[:held_out]


def every_fourth(count, held_out, seed):
    held = torch.arange(0, count, count // held_out)[:held_out]
    return torch.tensor([number for number in range(count) if number not in held]), held


def first(count, held_out, seed):
    return torch.arange(held_out, count), torch.arange(held_out)


def last(count, held_out, seed):
    return torch.arange(count - held_out), torch.arange(count - held_out, count)


def stretch(count, held_out, seed):
    order = torch.arange(count).roll(int(torch.randint(count, (1,), generator=seeded(seed))))
    return order[held_out:], order[:held_out]


def with_repeats_held_out(count, held_out, seed):
    held = (
        torch.randint(count, (held_out,), generator=seeded(seed + 1)).unique() if seed > 3 else SPLIT(count, held_out, 3)[1]
    )
    return torch.tensor([number for number in range(count) if number not in held]), held


def by_numpy(count, held_out, seed):
    np.random.seed(seed)  # noqa: NPY002
    order = torch.from_numpy(np.random.permutation(count))  # noqa: NPY002
    return order[held_out:], order[:held_out]


def by_python(count, held_out, seed):
    random.seed(seed)
    order = torch.tensor(random.sample(range(count), count))
    return order[held_out:], order[:held_out]


def recalls(guesses, labels, classes):
    return torch.stack([(guesses[labels == c] == c).float().mean() for c in range(classes)])


def hits(guesses, labels, classes):
    return labels[guesses == labels].bincount(minlength=classes)


def named_recalls(guesses, labels, classes):
    return torch.stack([(guesses[labels == c] == c).float().mean() for c in guesses.unique()])


SPLIT = split()


def shuffled(train):
    return train[torch.randperm(len(train))]


def learn(
    parts=SPLIT,
    order=lambda train: train[torch.randperm(len(train))],
    batch=100,
    labels_of=lambda labels, chosen: labels[chosen],
    loss_of=F.cross_entropy,
    mode=lambda network, training: network.train(training),
    grad=False,
    zero=True,
    step="batch",
    show=lambda images: images,
    epochs_of=lambda epochs: epochs,
    validate=lambda validation, train: validation,
    when="after",
    report=lambda losses, correct, held_out: (torch.tensor(losses).mean().item(), correct / held_out),
    finish=lambda losses, accuracies: (losses, accuracies),
    anew=False,
    optimizer_of=torch.optim.AdamW,
):
    """The solution of the last exercise, with a place for each slip."""

    def function(network, images, labels, held_out, epochs, seed):
        train, validation = parts(len(labels), held_out, seed)
        optimizer = optimizer_of(network.parameters(), lr=0.003)
        losses, accuracies = [], []

        def correct():
            mode(network, False)
            asked = validate(validation, train)
            with torch.set_grad_enabled(grad):
                return int((network(show(images[asked])).argmax(dim=1) == labels[asked]).sum())

        for _ in range(epochs_of(epochs)):
            optimizer = optimizer_of(network.parameters(), lr=0.003) if anew else optimizer
            mode(network, True)
            right = correct() if when == "before" else 0
            mode(network, True)
            of_epoch = []
            for chosen in order(train).split(batch):
                loss = loss_of(network(show(images[chosen])), labels_of(labels, chosen))
                if zero:
                    optimizer.zero_grad()
                loss.backward()
                of_epoch.append(loss.item())
                if step == "batch":
                    optimizer.step()
            if step == "epoch":
                optimizer.step()
            loss, accuracy = report(of_epoch, right if when == "before" else correct(), len(validation))
            losses.append(loss)
            accuracies.append(accuracy)
        return finish(losses, accuracies)

    return function


def with_repeats(train, turns=itertools.count()):  # noqa: B008, it goes on counting
    """In each epoch a third of the pictures twice, and another third not at all."""
    train = train.roll(len(train) // 3 * next(turns))
    return train[torch.arange(len(train)) % (2 * len(train) // 3)]


def reporting(change):
    """The solution with another report of an epoch: a function of the losses, the hits and how many are held out."""
    return learn(report=change)


def mean(losses):
    return sum(losses) / len(losses)


def once(network, training):
    """The mode as somebody sets it who goes to evaluation mode and never back."""
    if not training:
        network.eval()


def blank(network, images, labels, held_out, epochs, seed):
    return ..., ...


CASES = [
    (checks.validation_split, split(), True, "in both parts"),
    (checks.validation_split, split(finish=lambda t, v: [t.sort().values, v.int()]), True, "in both parts"),
    (checks.validation_split, split(held_in=2), False, "2 of 50 pictures are in both parts"),
    (checks.validation_split, split(held_in=-2), False, "2 of 50 pictures are in neither"),
    (checks.validation_split, split(held_out=-1), False, "yours are 11"),
    (checks.validation_split, split(finish=lambda t, v: (v, t)), False, "swapped"),
    (checks.validation_split, split(finish=lambda t, v: (t + 1, v + 1)), False, "go from 1 to 50"),
    (checks.validation_split, split(finish=lambda t, v: (t, v * 0)), False, "drawn twice"),
    (checks.validation_split, split(finish=lambda t, v: (t, v.float())), False, "torch.float32"),
    (checks.validation_split, split(finish=lambda t, v: (t, v[None])), False, "shape (1, 12)"),
    (checks.validation_split, split(finish=lambda t, v: t), False, "return two tensors"),
    (checks.validation_split, split(finish=lambda t, v: (t, v, v)), False, "this is a tuple of 3"),
    (checks.validation_split, split(finish=lambda t, v: (t, v.tolist())), False, "validation should be a tensor of indices"),
    (checks.validation_split, split(finish=lambda t, v: {"train": t}), False, "this is a dict"),
    (checks.validation_split, split(finish=lambda t, v: (t[:0], v[:0])), False, "yours are 0"),
    (checks.validation_split, first, False, "sorted by class"),
    (checks.validation_split, last, False, "sorted by class"),
    (checks.validation_split, every_fourth, False, "one of every 4 pictures"),
    (checks.validation_split, split(seeded=lambda seed: None), False, "two different splits"),
    (checks.validation_split, split(seeded=lambda seed: seeded(0)), False, "every seed gives the same split"),
    (checks.validation_split, globally_seeded, False, "PyTorch's own generator"),
    (checks.validation_split, lambda n, h, seed: torch.randperm(n, h, seed), False, "invalid combination of arguments"),
    (checks.validation_split, lambda n, h: None, False, "stops with TypeError"),
    (checks.validation_split, lambda n, h, seed: None, False, "returns nothing"),
    (checks.validation_split, (torch.arange(3), torch.arange(3)), False, "hand over the function"),
    (checks.validation_split, stretch, False, "one stretch"),
    (checks.validation_split, with_repeats_held_out, False, "12 pictures should be held out"),
    (checks.validation_split, by_numpy, False, "generator of NumPy or Python"),
    (checks.validation_split, by_python, False, "generator of NumPy or Python"),
    (partial(checks.validation_split, divisor=7, remainder=2), split(divisor=7, remainder=2), True, "in both parts"),
    (partial(checks.validation_split, divisor=7, remainder=2), split(divisor=7, remainder=1), False, "never may be"),
    (partial(checks.validation_split, divisor=7, remainder=2), split(), False, "leaves the remainder 2 when divided by 7"),
    (checks.recall_of_each_class, recalls, True, "equally many"),
    (partial(checks.recall_of_each_class, more_right=2, more_pictures=5), recalls, False, "add both before you divide"),
    (checks.recall_of_each_class, lambda g, y, n: y[g == y].bincount() / y.bincount(), False, "`minlength=classes`"),
    (
        checks.recall_of_each_class,
        lambda g, y, n: (g == y).long().bincount(minlength=n) / y.bincount(minlength=n),
        False,
        "right and wrong, not classes",
    ),
    (checks.recall_of_each_class, lambda g, y, n: hits(g, y, n) / y.bincount(minlength=n), True, "equally many"),
    (checks.recall_of_each_class, lambda g, y, n: hits(g, y, n) / g.bincount(minlength=n), False, "precision"),
    (checks.recall_of_each_class, lambda g, y, n: (g == y).float().mean().expand(n), False, "accuracy over all"),
    (checks.recall_of_each_class, lambda g, y, n: hits(g, y, n) / len(y), False, "number of all pictures"),
    (checks.recall_of_each_class, lambda g, y, n: 1 - recalls(g, y, n), False, "missed"),
    (checks.recall_of_each_class, lambda g, y, n: 100 * recalls(g, y, n), False, "percent"),
    (checks.recall_of_each_class, hits, False, "you count"),
    (checks.recall_of_each_class, lambda g, y, n: hits(g, y, n) // y.bincount(minlength=n), False, "torch.int64"),
    (checks.recall_of_each_class, lambda g, y, n: (g == y).float().mean(), False, "all classes together"),
    (checks.recall_of_each_class, lambda g, y, n: (g == y).float(), False, "yours has (19,)"),
    (checks.recall_of_each_class, named_recalls, False, "never names"),
    (
        checks.recall_of_each_class,
        lambda g, y, n: torch.rand(n),
        False,
        "with 11, 4 and 4 pictures of the classes and 9, 1 and 3 classified",
    ),
    (checks.recall_of_each_class, lambda g, y, n: recalls(g, y, n).tolist(), False, "returns a list"),
    (checks.recall_of_each_class, 0.5, False, "hand over the function"),
    (checks.training_loop, learn(), True, "`ap.train` is this loop"),
    (checks.training_loop, learn(finish=lambda a, b: (torch.tensor(a), torch.tensor(b))), True, "`ap.train` is this loop"),
    (checks.training_loop, learn(parts=split(held_in=20)), False, "step 1 of 4: the network is also validated on 20"),
    (checks.training_loop, learn(parts=split(finish=lambda t, v: (v, t))), False, "step 1 of 4: the two parts are swapped"),
    (checks.training_loop, learn(parts=split(held_out=-9)), False, "step 1 of 4: 60 pictures should be held out"),
    (checks.training_loop, learn(parts=split(held_in=-9)), False, "step 1 of 4: 9 of 360 pictures are never shown"),
    (checks.training_loop, learn(parts=first), False, "step 1 of 4: you take the first or the last"),
    (checks.training_loop, learn(parts=every_fourth), False, "step 1 of 4: you take one of every 6"),
    (checks.training_loop, learn(parts=split(seeded=lambda seed: None)), False, "step 1 of 4: the same seed gave two"),
    (checks.training_loop, learn(parts=split(seeded=lambda seed: seeded(0))), False, "step 1 of 4: every seed gives"),
    (checks.training_loop, learn(show=lambda images: images / 255), False, "step 1 of 4: the network sees other pictures"),
    (checks.training_loop, learn(validate=lambda validation, train: train), False, "validated on 300 pictures"),
    (checks.training_loop, learn(optimizer_of=torch.optim.SGD), True, "`ap.train` is this loop"),
    (checks.training_loop, learn(anew=True), False, "step 2 of 4: make the optimiser once"),
    (checks.training_loop, learn(anew=True, optimizer_of=torch.optim.Adam), False, "step 2 of 4: make the optimiser once"),
    (checks.training_loop, learn(parts=stretch), False, "step 1 of 4: you take one stretch"),
    (checks.training_loop, learn(parts=with_repeats_held_out), False, "step 1 of 4: not every seed holds 60 pictures out"),
    (checks.training_loop, learn(order=lambda train: torch.randperm(len(train))), False, "you take places in `train`"),
    (checks.training_loop, learn(validate=lambda v, train: torch.cat([v, train])), False, "no second pass"),
    (checks.training_loop, learn(order=lambda train: shuffled(train)[: len(train) // 100 * 100]), False, "which is smaller"),
    (checks.training_loop, reporting(lambda a, hits, n: (sum(a) / (5 * n), hits / n)), False, "by the number of batches"),
    (
        checks.training_loop,
        learn(finish=lambda a, b: ([torch.tensor(loss, requires_grad=True) for loss in a], b)),
        False,
        "Use `loss.item()`",
    ),
    (checks.training_loop, learn(batch=50), False, "step 2 of 4: a batch has 100 pictures"),
    (checks.training_loop, learn(batch=300), False, "yours have up to 300"),
    (checks.training_loop, learn(epochs_of=lambda epochs: 1), False, "step 2 of 4: 3 epochs over 300 pictures"),
    (checks.training_loop, learn(epochs_of=lambda epochs: epochs + 1), False, "are 900 in all; yours are 1,200"),
    (
        checks.training_loop,
        learn(order=lambda train: train[torch.randint(len(train), (len(train),))]),
        False,
        "pictures are never shown",
    ),
    (checks.training_loop, learn(order=with_repeats), False, "step 2 of 4: in an epoch each training picture comes once"),
    (checks.training_loop, learn(order=lambda train: train), False, "step 2 of 4: the pictures come in the same order"),
    (checks.training_loop, learn(mode=once), False, "step 2 of 4: the network learns in evaluation mode, in 6 of 9"),
    (checks.training_loop, learn(mode=lambda network, training: network.eval()), False, "evaluation mode, in 9 of 9"),
    (checks.training_loop, learn(step="never"), False, "step 2 of 4: the weights do not change after each batch"),
    (checks.training_loop, learn(step="epoch"), False, "step 2 of 4: the weights do not change after each batch"),
    (checks.training_loop, learn(zero=False), False, "step 2 of 4: the gradients of earlier batches"),
    (
        checks.training_loop,
        learn(labels_of=lambda labels, chosen: labels[: len(chosen)]),
        False,
        "step 2 of 4: the loss is not the cross-entropy of the batch",
    ),
    (
        checks.training_loop,
        learn(loss_of=lambda scores, labels: F.cross_entropy(scores.softmax(1), labels)),
        False,
        "step 2 of 4: `cross_entropy` takes the scores",
    ),
    (
        checks.training_loop,
        learn(loss_of=lambda scores, labels: F.cross_entropy(scores, labels, reduction="sum")),
        False,
        "step 2 of 4: the loss is the sum",
    ),
    (checks.training_loop, learn(when="before"), False, "step 3 of 4: validate after each epoch"),
    (
        checks.training_loop,
        learn(validate=lambda validation, train: torch.cat([validation, validation[:5]])),
        False,
        "step 3 of 4: after an epoch 65 pictures are asked about",
    ),
    (
        checks.training_loop,
        learn(mode=lambda network, training: network.train()),
        False,
        "step 3 of 4: the network is validated in training mode",
    ),
    (checks.training_loop, learn(grad=True), False, "step 3 of 4: validating needs no gradients"),
    (checks.training_loop, learn(finish=lambda a, b: (b, a)), False, "step 4 of 4: the two lists are swapped"),
    (
        checks.training_loop,
        reporting(lambda a, hits, n: (a[-1], hits / n)),
        False,
        "step 4 of 4: `losses` holds the loss of",
    ),
    (checks.training_loop, reporting(lambda a, hits, n: (sum(a), hits / n)), False, "step 4 of 4: `losses` holds sums"),
    (checks.training_loop, reporting(lambda a, hits, n: (mean(a), hits)), False, "step 4 of 4: `accuracies` counts"),
    (checks.training_loop, reporting(lambda a, hits, n: (mean(a), 100 * hits / n)), False, "`accuracies` is in percent"),
    (checks.training_loop, reporting(lambda a, hits, n: (mean(a), 1 - hits / n)), False, "the share of mistakes"),
    (checks.training_loop, reporting(lambda a, hits, n: (mean(a), 0.5)), False, "pictures are classified correctly"),
    (checks.training_loop, reporting(lambda a, hits, n: (1.0, hits / n)), False, "step 4 of 4: `losses` begins with 1.0000"),
    (checks.training_loop, learn(finish=lambda a, b: a), False, "step 4 of 4: return two lists"),
    (checks.training_loop, learn(finish=lambda a, b: (a[-1], b[-1])), False, "`losses` should be a list of numbers"),
    (checks.training_loop, learn(finish=lambda a, b: (a, b[-1:])), False, "`accuracies` should have 3 numbers"),
    (checks.training_loop, learn(finish=lambda a, b: (a, ...)), False, "`accuracies` still holds the three dots"),
    (checks.training_loop, learn(finish=lambda a, b: None), False, "returns nothing"),
    (checks.training_loop, lambda *given: ([], []), False, "step 1 of 4: the network is never asked"),
    (checks.training_loop, lambda network, images, *rest: network(images), False, "learns from no picture"),
    (checks.training_loop, lambda network, images: network, False, "stops with TypeError"),
    (
        partial(checks.training_loop, divisor=9, remainder=0),
        learn(parts=split(divisor=9, remainder=0)),
        True,
        "is this loop",
    ),
    (
        partial(checks.training_loop, divisor=9, remainder=0),
        learn(parts=split(divisor=9, remainder=8)),
        False,
        "step 1 of 4: of the pictures held out",
    ),
    (checks.training_loop, None, False, "this is None"),
    (checks.validation_split, lambda count, held_out, seed: ..., None, "three dots"),
    (checks.validation_split, lambda count, held_out, seed: (..., ...), None, "three dots"),
    (checks.recall_of_each_class, lambda guesses, labels, classes: ..., None, "three dots"),
    (checks.training_loop, blank, None, "three dots"),
]


test_each_answer_gets_the_verdict_it_deserves = verdict_test(CASES)
