"""Checks of lesson 04, train the CNN."""

import random
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .observers import Pass, generators_moved, observe, training_passes
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
    wrong_step,
)


@exercise
def validation_split(function, *, divisor: int = 1, remainder: int = 1) -> Verdict:
    """A function (count, held_out, seed) → the indices for training and for validation, drawn at random by the seed.

    Numbers that leave the ``remainder`` when divided by the ``divisor`` are never held out; none leaves 1 when divided by 1.
    """
    moved: set[str] = set()

    def observed(*inputs):
        result, generators = observe(generators_moved, function, *inputs)
        moved.update(generators)
        return result

    split = observed if callable(function) else function
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002, the reader may draw from it
    try:
        splits = []
        for count, held_out, seed in ((50, 12, 3), (9, 3, 3), (400, 150, 3), *((50, 12, seed) for seed in (3, 4, 5, 6, 7))):
            train, validation = _split_of(split, count, held_out, seed)
            if problem := _amiss(train, validation, count, held_out) or _never_held_out(validation, divisor, remainder):
                return wrong(problem)
            if count == 50:
                splits.append(validation.long().sort().values)
    finally:
        np.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)
    if problem := _not_by_seed(splits, _may_be_held_out(50, divisor, remainder)):
        return wrong(problem)
    if moved:
        whose = "PyTorch's own generator" if "torch" in moved else "the generator of NumPy or Python"
        return wrong(
            f"the split is good, but it also moves {whose}, and so other random numbers change. "
            "Make one of your own: torch.Generator().manual_seed(seed)."
        )
    return right("no picture is in both parts, and the same seed gives the same split tomorrow.")


def _split_of(function, *inputs) -> list[Tensor]:
    """The two tensors that the reader's ``function`` returns, or the end of the check."""
    parts = returned_by(function, *inputs)
    if not isinstance(parts, tuple | list) or len(parts) != 2:
        came = a_kind_of_many(parts)
        raise Answered(wrong(f"return two tensors, `return train, validation`: the indices for each part; this is {came}."))
    if all(part is ... for part in parts):
        raise Answered(NOT_TRIED)
    for name, part in zip(("train", "validation"), parts, strict=True):
        if not isinstance(part, Tensor):
            raise Answered(wrong(f"{name} should be a tensor of indices, and this is {a_kind(part)}."))
    return list(parts)


def _may_be_held_out(count: int, divisor: int, remainder: int) -> Tensor:
    """The numbers below ``count`` that do not leave the ``remainder`` when divided by the ``divisor``."""
    numbers = torch.arange(count)
    return numbers[numbers % divisor != remainder]


def _never_held_out(validation: Tensor, divisor: int, remainder: int) -> str | None:
    """Which numbers are held out although they leave the ``remainder``."""
    if len(never := validation[validation % divisor == remainder]):
        number = int(never[0])
        return (
            f"of the pictures held out, {len(never)} never may be: {number}, for example, leaves the remainder {remainder} "
            f"when divided by {divisor}."
        )
    return None


def _not_by_seed(validation: list[Tensor], allowed: Tensor) -> str | None:
    """Why these sorted validation parts, of two equal seeds and others, are not drawn from ``allowed`` by their seed."""
    first, again, *others = (torch.searchsorted(allowed, part) for part in validation)  # places in `allowed`
    if not first.equal(again):
        return "the same seed gave two different splits. Draw with a generator that starts from the seed."
    count, held_out = len(allowed), len(first)
    if any(part.tolist() in (list(range(held_out)), list(range(count - held_out, count))) for part in (first, *others)):
        return (
            "you take the first or the last ones. The data may be sorted by class, and then classes are missing: "
            "draw at random."
        )
    if all(_is_a_stretch(part, count) for part in (first, *others)):
        return (
            "you take one stretch: draw each number at random. In data sorted by class a stretch shows a few classes only."
        )
    if all(first.equal(other) for other in others):
        if len(first.diff().unique()) == 1:
            return f"you take one of every {int(first.diff()[0])} pictures, whatever the seed. Draw at random."
        return "every seed gives the same split. Draw with a generator that starts from `seed`."
    return None


def _is_a_stretch(part: Tensor, count: int) -> bool:
    """Do these sorted numbers stand close together below ``count``, in a stretch that may go on at 0 behind the end?"""
    gaps = torch.cat([part, part[:1] + count]).diff()
    return len(part) > 2 and int(count - gaps.max() + 1) < 1.4 * len(part)  # a few in between may be passed over


def _amiss(train: Tensor, validation: Tensor, count: int, held_out: int) -> str | None:
    """What is wrong with a split of the numbers below ``count``; None if each number is in one part, once."""
    for name, part in {"train": train, "validation": validation}.items():
        if part.ndim != 1:
            return f"{name} has the shape {tuple(part.shape)}; it should be a row of indices."
        if part.dtype == torch.bool or part.is_floating_point() or part.is_complex():
            return f"{name} is of type {part.dtype}; indices are whole numbers, torch.int64."
    first, second = train.tolist(), validation.tolist()
    if any(not 0 <= index < count for index in first + second):
        lowest, highest = min(first + second), max(first + second)
        return f"for {count} pictures the indices go from 0 to {count - 1}; yours go from {lowest} to {highest}."
    if len(set(first)) < len(first) or len(set(second)) < len(second):
        return "a picture is drawn twice for the same part. `torch.randperm` gives each number once."
    if shared := set(first) & set(second):
        return f"{len(shared)} of {count} pictures are in both parts. Then validation shows what training has seen."
    if len(first) == held_out and len(second) == count - held_out:
        return "the two parts are swapped: return train first, and `held_out` of the numbers go to validation."
    if len(second) != held_out:
        return f"{held_out} pictures should be held out for validation; yours are {len(second)}."
    if missing := count - len(first) - len(second):
        return f"missing: {missing} of {count} pictures are in neither part. All that are not held out are for training."
    return None


@exercise
def recall_of_each_class(function, *, more_right: int = 0, more_pictures: int = 0) -> Verdict:
    """A function (guesses, labels, classes) → of the pictures of each class, the share classified correctly.

    To the numerator ``more_right`` is added, and ``more_pictures`` to the denominator.
    """

    def smoothed(right: Tensor, pictures: Tensor) -> Tensor:
        return (right + more_right) / (pictures + more_pictures)

    found = [int(torch.randint(low, high + 1, (1,))) for low, high in ((5, 9), (1, 3), (1, 3))]
    # Rows are the true classes. With these numbers no two formulas below give the same shares.
    confusion = torch.tensor([[found[0], 2, 0], [2, found[1], 1], [1, 0, found[2]]])
    pairs = torch.arange(9).repeat_interleave(confusion.flatten())[torch.randperm(int(confusion.sum()))]
    labels, guesses = pairs // 3, pairs % 3
    hits, pictures, named = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    expected = smoothed(hits, pictures)
    recalls = result_of(function, guesses, labels, 3)

    def equals(value):
        return recalls.shape == value.shape and torch.allclose(recalls.to(value), value, atol=1e-5)

    if recalls.numel() == 1:
        return wrong("that is one number for all classes together. Return a tensor with one for each class.")
    if recalls.shape != (3,):
        return wrong(f"for 3 classes the result should have the shape (3,); yours has {tuple(recalls.shape)}.")
    if equals(hits + 0.0) or equals(hits + more_right + 0.0):
        return wrong("you count the pictures that are classified correctly. Divide by the number of pictures of that class.")
    if not recalls.is_floating_point():
        return wrong(f"the result is of type {recalls.dtype}, and whole numbers cannot hold a share. Divide with `/`.")
    added = f"In your version {more_right} more are right, of {more_pictures} more pictures"
    misconceptions = [
        (
            smoothed(hits, named),
            "that is precision: you divide by how often the network names the class. Divide by its pictures.",
        ),
        (
            smoothed(hits.sum(), pictures.sum()).expand(3),
            "each entry is the accuracy over all pictures. Look at one class at a time.",
        ),
        (
            smoothed(hits, pictures.sum()),
            "you divide by the number of all pictures. Divide by the number of pictures of that class.",
        ),
        (
            smoothed((guesses == labels).long().bincount(minlength=3), pictures),
            "this counts right and wrong, not classes: `labels[guesses == labels].bincount(minlength=classes)`.",
        ),
        (1 - expected, "that is the share that is missed. Recall is the share that is found."),
        (100 * expected, "these are percent. Give shares between 0 and 1."),
        (hits / pictures, f"that is the recall as the network earns it. {added}: add both before you divide."),
        ((hits + more_right) / pictures, f"you add to the pictures that are right only. {added}."),
        (hits / (pictures + more_pictures), f"you add to the number of pictures only. {added}."),
        ((hits + more_pictures) / (pictures + more_right), f"you take one number for the other. {added}."),
    ]
    if not equals(expected):
        for value, message in misconceptions:
            if equals(value):
                return wrong(message)
        shown, correct = (listed([str(number) for number in numbers.tolist()]) for numbers in (pictures, hits))
        return wrong(
            f"with {shown} pictures of the classes and {correct} classified correctly it is {_rounded(expected)}; "
            f"you give {_rounded(recalls)}."
        )
    order = torch.randperm(6)
    labels, guesses = torch.tensor([3, 0, 2, 1, 3, 1])[order], torch.tensor([3, 0, 1, 1, 0, 1])[order]  # nothing is called 2
    recalls, expected = result_of(function, guesses, labels, 4), smoothed(torch.tensor([1, 2, 0, 1]), labels.bincount())
    if not equals(expected):
        return wrong("go through all classes: one that the network never names has the recall 0, and keeps its place.")
    order = torch.randperm(4)
    labels, guesses = torch.tensor([0, 1, 2, 2])[order], torch.tensor([0, 1, 0, 0])[order]  # the last class is never right
    lost = (
        "the last class may never be classified correctly, and still has a place: give `bincount` its `minlength=classes`."
    )
    try:
        recalls, expected = result_of(function, guesses, labels, 3), smoothed(torch.tensor([1, 1, 0]), labels.bincount())
    except Answered:
        return wrong(lost)
    if not equals(expected):
        return wrong(lost)
    return right("their mean is the accuracy only if all classes have equally many pictures.")


def _rounded(shares: Tensor) -> list[float]:
    return [round(share, 4) for share in shares.tolist()]


@exercise
def training_loop(function, *, divisor: int = 1, remainder: int = 1) -> Verdict:
    """A function (network, images, labels, held_out, epochs, seed) → mean loss and validation accuracy of each epoch.

    Pictures whose numbers leave the ``remainder`` when divided by the ``divisor`` are never held out.
    """
    for count, held_out, epochs, seeds in ((360, 60, 3, (3, 4)), (290, 40, 2, ())):
        run = _Run(function, count, held_out, epochs, 3, divisor, remainder)
        for number, step in enumerate((partial(_splits, seeds=seeds), _trains, _validates, _reports), start=1):
            if problem := step(run):
                return wrong_step(number, 4, f": {problem}")
    return right("`ap.train` is this loop, with a schedule for the learning rate and augmented pictures.")


class _Run:
    """What the reader's function does with an observed network, and what it returns.

    The first number of a picture says which one it is; the network sees the others.
    """

    def __init__(self, function, count: int, held_out: int, epochs: int, seed: int, divisor: int, remainder: int):
        self.function, self.count, self.held_out, self.epochs = function, count, held_out, epochs
        self.divisor, self.remainder = divisor, remainder
        self.images = torch.randn(count, 1, 3, 3)
        self.images[:, 0, 0, 0] = torch.arange(count)
        self.labels = torch.randint(4, (count,))
        self.passes: list[Pass] = []

        def observed(*inputs):
            result, passes = observe(training_passes, function, nn.Linear(8, 4), *inputs)
            self.passes = [Pass(*one) for one in passes]
            return result

        asked = observed if callable(function) else function
        self.result = returned_by(asked, self.images, self.labels, held_out, epochs, seed)
        if isinstance(self.result, tuple | list) and len(self.result) > 0 and all(part is ... for part in self.result):
            raise Answered(NOT_TRIED)
        self.trained = [one for one in self.passes if one.gradient is not None]
        self.validated = [one for one in self.passes if one.gradient is None]
        self.batches = -(-(count - held_out) // 100)  # of an epoch

    @property
    def trained_pictures(self) -> Tensor:
        return torch.cat([one.pictures for one in self.trained]).unique()

    @property
    def held_out_pictures(self) -> Tensor:
        return torch.cat([one.pictures for one in self.validated]).unique()

    def epoch(self, number: int) -> list[Pass]:
        return self.trained[number * self.batches : (number + 1) * self.batches]

    def loss_of(self, one: Pass) -> float:
        return F.cross_entropy(one.scores, self.labels[one.pictures]).item()

    def correct(self, one: Pass) -> int:
        return int((one.scores.argmax(dim=1) == self.labels[one.pictures]).sum())


def _splits(run: _Run, seeds: tuple[int, ...]) -> str | None:
    """Step 1: are pictures held out, as many as asked for, and all others trained on? And by each of ``seeds`` as well?"""
    if not run.passes:
        return "the network is never asked. Split, then train it batch by batch."
    for one in run.passes:
        if not one.images.equal(run.images[one.pictures % run.count]):
            return "the network sees other pictures than those of `images`. Hand them over as they are."
    if not run.trained:
        return "the network learns from no picture: no loss goes back through it. Is `loss.backward()` called?"
    if not run.validated:
        return "all pictures that the network sees are learned from. Ask it about those that are held out as well."
    trained, held_out = run.trained_pictures, run.held_out_pictures
    if shared := len(set(trained.tolist()) & set(held_out.tolist())):
        if len(held_out) == run.count and shared == len(trained) == run.count - run.held_out:
            return "the training pictures are asked about again. Take the mean of the batch losses; no second pass."
        if trained.equal(torch.arange(run.count - run.held_out)):
            return "you take places in `train` for picture numbers: `train[torch.randperm(len(train))]`."
        return f"the network is also validated on {shared} pictures that it is trained on."
    if len(held_out) == run.count - run.held_out and len(trained) == run.held_out:
        return "the two parts are swapped: the pictures that are held out are trained on."
    if len(held_out) != run.held_out:
        return f"{run.held_out} pictures should be held out for validation; the network is asked about {len(held_out)}."
    if missing := run.count - len(trained) - len(held_out):
        if _leaves_the_last_batch_out(run):
            return LAST_BATCH
        return f"{missing} of {run.count} pictures are never shown. All that are not held out are for training."
    rule = run.divisor, run.remainder
    others = [_Run(run.function, run.count, run.held_out, 1, seed, *rule).held_out_pictures for seed in seeds]
    for held_out_pictures in (held_out, *others):
        if problem := _never_held_out(held_out_pictures, *rule):
            return problem
    if any(len(other) != run.held_out for other in others):
        return f"not every seed holds {run.held_out} pictures out. Draw without replacement (`torch.randperm`)."
    return _not_by_seed([held_out, *others], _may_be_held_out(run.count, *rule)) if others else None


LAST_BATCH = "the last batch of an epoch, which is smaller, is left out."


def _leaves_the_last_batch_out(run: _Run) -> bool:
    whole, sizes = run.count - run.held_out, [len(one.pictures) for one in run.trained]
    return whole % 100 > 0 and set(sizes) == {100} and len(sizes) == whole // 100 * run.epochs


def _trains(run: _Run) -> str | None:
    """Step 2: does each epoch take one step for each batch of 100, on all training pictures, in a new order?"""
    sizes = [len(one.pictures) for one in run.trained]
    whole = run.count - run.held_out
    if max(sizes) > 100 or (len(sizes) > 1 and max(sizes) < 100):
        return f"a batch has 100 pictures, only the last one of an epoch may have fewer; yours have up to {max(sizes)}."
    if sum(sizes) != whole * run.epochs:
        if _leaves_the_last_batch_out(run):
            return LAST_BATCH
        return f"{run.epochs} epochs over {whole} pictures are {whole * run.epochs:,} in all; yours are {sum(sizes):,}."
    orders = [torch.cat([one.pictures for one in run.epoch(number)]) for number in range(run.epochs)]
    if any(len(order.unique()) < whole for order in orders):
        return "in an epoch each training picture comes once; in yours some come twice and others are missing."
    if any(order.equal(orders[0]) for order in orders[1:]):
        return "the pictures come in the same order in each epoch. Shuffle them anew."
    if any(order.equal(order.sort().values) for order in orders):
        return "the pictures are not shuffled. They may be sorted by class, and then a batch shows a single class."
    late = [one for one in run.trained if not one.training]
    if late:
        after = " After validating, the network must go back: `network.train()`." if run.trained[0].training else ""
        return f"the network learns in evaluation mode, in {len(late)} of {len(run.trained)} batches.{after}"
    if any(one.weights.equal(other.weights) for one, other in zip(run.trained, run.trained[1:], strict=False)):
        return (
            "the weights do not change after each batch. Is `optimizer.step()` called for each, after `backward`? "
            "A `zero_grad` between the two wipes the gradients before the step uses them."
        )
    if run.trained[-1].weights.equal(run.validated[-1].weights):
        return "the weights do not change after the last batch. `optimizer.step()` comes after `backward`."
    if any(one.left_over for one in run.trained):
        return "the gradients of earlier batches are still there, and add up. Call `optimizer.zero_grad()` for each batch."
    if _starts_anew(run):
        return "make the optimiser once, before the epochs: a new one forgets its averages."
    return _wrong_loss(run)


def _starts_anew(run: _Run) -> bool:
    """Is the first step of the second epoch one of a new Adam? Its first step is as large for each weight."""
    for number in (0, run.batches):
        sizes = (run.trained[number + 1].weights - run.trained[number].weights).abs()
        if sizes.max() > 1.05 * sizes.min():
            return False
    return True


def _wrong_loss(run: _Run) -> str | None:
    """Why what goes back through the network is not the gradient of the cross-entropy with the labels of the pictures."""
    one = run.trained[0]
    scores = one.scores.clone().requires_grad_()

    def gradient(loss: Tensor) -> Tensor:
        return torch.autograd.grad(loss, scores)[0]

    labels = run.labels[one.pictures]
    wanted = gradient(F.cross_entropy(scores, labels))
    if torch.allclose(one.gradient, wanted, atol=1e-6):
        return None
    if torch.allclose(one.gradient, wanted * len(labels), atol=1e-4):
        return "the loss is the sum over a batch. Take the mean, which is what `cross_entropy` gives by itself."
    if torch.allclose(one.gradient, gradient(F.cross_entropy(scores.softmax(dim=1), labels)), atol=1e-6):
        return "`cross_entropy` takes the scores as they come from the network: it has a softmax of its own."
    return "the loss is not the cross-entropy of the batch. Do the labels belong to the pictures: `labels[chosen]`?"


def _validates(run: _Run) -> str | None:
    """Step 3: is the network validated after each epoch, in evaluation mode and without gradients?"""
    kinds = "".join("v" if one.gradient is None else "t" for one in run.passes)
    rounds = [part for part in kinds.split("t" * run.batches) if part]
    if len(rounds) != run.epochs or kinds.startswith("v") or "t" in "".join(rounds):
        return "validate after each epoch: once all training pictures were seen, and before the next epoch begins."
    wanted = run.held_out_pictures
    start = 0
    for part in rounds:
        seen = torch.cat([one.pictures for one in run.validated[start : start + len(part)]])
        start += len(part)
        if not seen.sort().values.equal(wanted):
            return f"after an epoch {len(seen)} pictures are asked about; it should be each of the {len(wanted)} once."
    if any(one.training for one in run.validated):
        return "the network is validated in training mode. Layers such as dropout need `network.eval()`."
    if any(one.with_gradients for one in run.validated):
        return "validating needs no gradients, which cost memory and time: `with torch.no_grad():`."
    return None


def _reports(run: _Run) -> str | None:
    """Step 4: are the two lists the mean loss and the validation accuracy of each epoch?"""
    if not isinstance(run.result, tuple | list) or len(run.result) != 2:
        return f"return two lists, `return losses, accuracies`; this is {a_kind(run.result)}."
    found = []
    for name, part in zip(("losses", "accuracies"), run.result, strict=True):
        if part is ...:
            return f"`{name}` still holds the three dots."
        try:
            values = list(part)
            if any(isinstance(value, Tensor) and value.requires_grad for value in values):
                return f"`{name}` holds tensors that still carry all they were computed from. Use `loss.item()`."
            values = [float(value) for value in values]
        except (TypeError, ValueError, RuntimeError):
            return f"`{name}` should be a list of numbers, one for each epoch, and this is {a_kind(part)}."
        if len(values) != run.epochs:
            return f"`{name}` should have {run.epochs} numbers, one for each epoch; yours has {len(values)}."
        found.append(torch.tensor(values))
    epochs = [run.epoch(number) for number in range(run.epochs)]
    by_batch = [[run.loss_of(one) for one in epoch] for epoch in epochs]
    by_picture = [[run.loss_of(one) * len(one.pictures) for one in epoch] for epoch in epochs]
    whole, held_out = run.count - run.held_out, run.held_out
    mean_of_batches = torch.tensor([sum(losses) / len(losses) for losses in by_batch])
    mean = torch.tensor([sum(losses) / whole for losses in by_picture])
    correct, batches = torch.zeros(run.epochs), 0
    for one in run.passes:
        if one.gradient is None:
            correct[batches // run.batches - 1] += run.correct(one)
        else:
            batches += 1
    losses, accuracies = found
    slips = [
        (losses, correct / held_out, "the two lists are swapped: losses first, then accuracies."),
        (
            losses,
            torch.tensor([values[-1] for values in by_batch]),
            "`losses` holds the loss of the last batch. Take the mean.",
        ),
        (losses, torch.tensor([sum(values) for values in by_batch]), "`losses` holds sums over the batches. Take the mean."),
        (
            losses,
            torch.tensor([sum(values) / whole for values in by_batch]),
            "you divide the sum of the batch losses by the number of pictures. Divide it by the number of batches.",
        ),
        (losses, torch.tensor([sum(values) for values in by_picture]), "`losses` holds sums over pictures. Take the mean."),
        (accuracies, correct, "`accuracies` counts pictures. Divide by how many are held out."),
        (accuracies, 100 * correct / held_out, "`accuracies` is in percent. Give shares between 0 and 1."),
        (accuracies, 1 - correct / held_out, "`accuracies` holds the share of mistakes."),
    ]
    for value, slip, message in slips:
        if torch.allclose(value, slip, atol=1e-4):
            return message
    if not any(torch.allclose(losses, wanted, atol=1e-4) for wanted in (mean, mean_of_batches)):
        return f"`losses` begins with {losses[0]:.4f}; the mean loss of the first epoch's batches is {mean[0]:.4f}."
    if not torch.allclose(accuracies, correct / held_out, atol=1e-4):
        return (
            f"`accuracies` begins with {accuracies[0]:.4f}; after the first epoch {int(correct[0])} of {held_out} "
            f"pictures are classified correctly, {correct[0] / held_out:.4f}."
        )
    return None
