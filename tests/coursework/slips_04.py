"""Wrong answers to the coursework on lesson 04: {check: [(given numbers → the answer, what the verdict says)]}."""

import random

import numpy as np
import test_lesson_04 as lesson
import torch
from test_lesson_04 import learn, mean, seeded, split
from torch.nn import functional as F


def smoothing(right_of, pictures_of):
    """The recall, with the student's numbers added, of other counts: functions (guesses, labels, classes) → (classes,)."""

    def answer(more_right, more_pictures):
        return lambda guesses, labels, classes: (
            (right_of(guesses, labels, classes) + more_right) / (pictures_of(guesses, labels, classes) + more_pictures)
        )

    return answer


def pictures(guesses, labels, classes):
    return labels.bincount(minlength=classes)


def after(change):
    """The solution, and what is done to it."""
    return lambda **given: lambda *inputs: change(smoothing(lesson.hits, pictures)(**given)(*inputs))


def only_named(more_right, more_pictures):
    def recalls(guesses, labels, classes):
        whole = smoothing(lesson.hits, pictures)(more_right, more_pictures)(guesses, labels, classes)
        return whole[guesses.unique()]

    return recalls


def in_order(chosen):
    """A split that holds out the allowed numbers at the places that ``chosen``(all, held_out, seed) gives."""

    def answer(divisor, remainder):
        def variant(count, held_out, seed):
            numbers = torch.arange(count)
            allowed = numbers[numbers % divisor != remainder]
            held = allowed[chosen(len(allowed), held_out, seed)]
            return numbers[~torch.isin(numbers, held)], held

        return variant

    return answer


def by_another_generator(shuffle):
    """``shuffle``: (seed, count) → the numbers below ``count`` in an order of chance."""

    def answer(divisor, remainder):
        def variant(count, held_out, seed):
            order = shuffle(seed, count)
            never = order % divisor == remainder
            order = torch.cat([order[~never], order[never]])
            return order[held_out:], order[:held_out]

        return variant

    return answer


def by_torch(seed, count):
    torch.manual_seed(seed)
    return torch.randperm(count)


def by_numpy(seed, count):
    np.random.seed(seed)  # noqa: NPY002
    return torch.from_numpy(np.random.permutation(count))  # noqa: NPY002


def by_python(seed, count):
    random.seed(seed)
    return torch.tensor(random.sample(range(count), count))


def shifted(divisor, remainder):
    """Counts the pictures from 1."""
    return split(divisor=divisor, remainder=(remainder - 1) % divisor)


def slipping(**slips):
    """The student's split, with these slips."""
    return lambda **given: split(**slips, **given)


def first(all, held_out, seed):
    return torch.arange(held_out)


def last(all, held_out, seed):
    return torch.arange(all - held_out, all)


def every_so_many(all, held_out, seed):
    return torch.arange(0, all, all // held_out)[:held_out]


def stretch(all, held_out, seed):
    return torch.arange(all).roll(int(torch.randint(all, (1,), generator=seeded(seed))))[:held_out]


STUDENTS = slipping()  # no slip


def learning(parts=STUDENTS, **slips):
    """The loop with the student's split, or with ``parts`` made of the student's numbers, and these slips."""
    return lambda **given: learn(parts=parts(**given), **slips)


SPLITS = [
    (slipping(held_out=-1), "pictures should be held out"),
    (slipping(finish=lambda t, v: (v, t)), "the two parts are swapped"),
    (shifted, "the lesson's own exercise"),
    (in_order(first), "you take the first or the last"),
    (in_order(last), "you take the first or the last"),
    (in_order(stretch), "you take one stretch"),
    (in_order(every_so_many), "you take one of every"),
    (slipping(seeded=lambda seed: None), "the same seed gave two different splits"),
    (slipping(seeded=lambda seed: seeded(0)), "every seed gives the same split"),
]

SLIPS = {
    "recall_of_each_class": [
        (lambda **given: lesson.recalls, "the lesson's own exercise"),
        (lambda more_right, more_pictures: smoothing(lesson.hits, pictures)(more_right, 0), "that are right only"),
        (lambda more_right, more_pictures: smoothing(lesson.hits, pictures)(0, more_pictures), "number of pictures only"),
        (
            lambda more_right, more_pictures: smoothing(lesson.hits, pictures)(more_pictures, more_right),
            "one number for the other",
        ),
        (smoothing(lesson.hits, lambda g, y, n: g.bincount(minlength=n)), "that is precision"),
        (
            smoothing(lambda g, y, n: (g == y).sum().expand(n), lambda g, y, n: torch.tensor(len(y)).expand(n)),
            "accuracy over all",
        ),
        (smoothing(lesson.hits, lambda g, y, n: torch.tensor(len(y)).expand(n)), "number of all pictures"),
        (smoothing(lambda g, y, n: (g == y).long().bincount(minlength=n), pictures), "right and wrong, not classes"),
        (smoothing(lambda g, y, n: y[g == y].bincount(), lambda g, y, n: y.bincount()), "`minlength=classes`"),
        (smoothing(lambda g, y, n: (g == y).sum(), lambda g, y, n: torch.tensor(len(y))), "all classes together"),
        (after(lambda recalls: 1 - recalls), "share that is missed"),
        (after(lambda recalls: 100 * recalls), "percent"),
        (after(lambda recalls: recalls.tolist()), "returns a list"),
        (after(lambda recalls: recalls.long()), "torch.int64"),
        (after(lambda recalls: recalls + 0.01), "classified correctly it is"),
        (lambda more_right, more_pictures: lambda *inputs: lesson.hits(*inputs) + more_right, "you count"),
        (lambda **given: lesson.hits, "you count"),
        (only_named, "never names"),
    ],
    "validation_split": [
        *SPLITS,
        (lambda **given: split(), "the lesson's own exercise"),
        (slipping(held_in=2), "2 of 50 pictures are in both parts"),
        (slipping(held_in=-2), "2 of 50 pictures are in neither"),
        (slipping(finish=lambda t, v: (t + 1, v + 1)), "go from 1 to 50"),
        (slipping(finish=lambda t, v: (t, v[:1].expand(len(v)))), "drawn twice"),
        (slipping(finish=lambda t, v: (t, v.float())), "torch.float32"),
        (slipping(finish=lambda t, v: (t, v.tolist())), "should be a tensor of indices"),
        (slipping(finish=lambda t, v: t), "return two tensors"),
        (by_another_generator(by_torch), "PyTorch's own generator"),
        (by_another_generator(by_numpy), "generator of NumPy or Python"),
        (by_another_generator(by_python), "generator of NumPy or Python"),
    ],
    "training_loop": [
        # Some of the slips: each trains networks, and test_lesson_04.py has all those that no version touches.
        *((learning(parts), says) for parts, says in SPLITS[::2]),
        (lambda **given: learn(), "the lesson's own exercise"),
        (learning(slipping(held_in=20)), "step 1 of 4: the network is also validated on 20"),
        (learning(slipping(held_in=-9)), "step 1 of 4: 9 of 360 pictures are never shown"),
        (learning(show=lambda images: images / 255), "step 1 of 4: the network sees other pictures"),
        (learning(validate=lambda v, train: torch.cat([v, train])), "no second pass"),
        (learning(order=lambda train: train), "step 2 of 4: the pictures come in the same order"),
        (learning(order=lambda train: lesson.shuffled(train)[: len(train) // 100 * 100]), "which is smaller"),
        (learning(zero=False), "step 2 of 4: the gradients of earlier batches"),
        (learning(anew=True), "step 2 of 4: make the optimiser once"),
        (learning(labels_of=lambda labels, chosen: labels[: len(chosen)]), "step 2 of 4: the loss is not the cross-entropy"),
        (learning(loss_of=lambda scores, labels: F.cross_entropy(scores.softmax(1), labels)), "a softmax of its own"),
        (learning(when="before"), "step 3 of 4: validate after each epoch"),
        (learning(validate=lambda v, train: torch.cat([v, v[:5]])), "step 3 of 4: after an epoch 65 pictures"),
        (learning(mode=lambda network, training: network.train()), "step 3 of 4: the network is validated in training mode"),
        (learning(grad=True), "step 3 of 4: validating needs no gradients"),
        (learning(finish=lambda a, b: (b, a)), "step 4 of 4: the two lists are swapped"),
        (learning(report=lambda a, hits, n: (a[-1], hits / n)), "step 4 of 4: `losses` holds the loss of"),
        (learning(report=lambda a, hits, n: (mean(a), hits)), "step 4 of 4: `accuracies` counts"),
        (learning(report=lambda a, hits, n: (mean(a), hits / n / 2)), "pictures are classified correctly"),
        (learning(report=lambda a, hits, n: (mean(a) + 1, hits / n)), "step 4 of 4: `losses` begins with"),
    ],
}
