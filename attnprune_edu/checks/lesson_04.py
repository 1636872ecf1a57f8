"""Checks of lesson 04, train the CNN."""

import torch
from torch import Tensor

from .verdict import Answered, Verdict, close_to, exercise, result_of, right, wrong


@exercise
def recall_by_hand(answer) -> Verdict:
    """What is the recall of dog in the lesson's table of three classes?"""
    answer = float(answer)
    close = close_to(answer, 0.004)
    if close(0.7):
        return right("recall reads along the row: of all that are dogs, which share does the network find?")
    if close(70 / 95):
        return wrong("you went down the column: of all that it calls dog. That is precision; recall reads along the row.")
    if close(190 / 250):
        return wrong("that is the accuracy over all three classes. Recall looks at the row of dog alone.")
    if close(0.3):
        return wrong("that is the share of dogs that it misses. Recall is the share that it finds.")
    if answer in (70, 100):
        return wrong("give a share between 0 and 1: the dogs that it finds, divided by all dogs.")
    if close(70 / 250):
        return wrong("you divided by the pictures of all classes. Divide by the number of dogs.")
    if close(0.8):
        return wrong("that is the recall of cat, and of ship. Take the row of dog.")
    return wrong("take the row of dog: what stands in the column of dog, divided by the sum of the row.")


@exercise
def validation_split(function) -> Verdict:
    """A function (count, held_out, seed) → the indices for training and for validation, drawn at random by the seed."""
    before = torch.get_rng_state()
    try:
        for count, held_out in ((50, 12), (9, 3)):
            train, validation = _split_of(function, count, held_out, 3)
            if problem := _amiss(train, validation, count, held_out):
                return wrong(problem)
        splits = [_split_of(function, 50, 12, seed)[1].sort().values for seed in (3, 3, 4, 5)]
        if any(split.tolist() in (list(range(12)), list(range(38, 50))) for split in splits):
            return wrong(
                "you take the first or the last ones. The data may be sorted by class, and then classes are missing: "
                "draw at random."
            )
        if not splits[0].equal(splits[1]):
            return wrong("the same seed gave two different splits. Draw with a generator that starts from the seed.")
        if splits[0].equal(splits[2]) and splits[0].equal(splits[3]):
            return wrong("every seed gives the same split. Does your generator start from `seed`?")
        if not torch.get_rng_state().equal(before):
            return wrong(
                "the split is good, but it also moves PyTorch's own generator, and so other random numbers change. "
                "Make one of your own: torch.Generator().manual_seed(seed)."
            )
    finally:
        torch.set_rng_state(before)
    return right("no picture is in both parts, and the same seed gives the same split tomorrow.")


def _split_of(function, *inputs) -> list[Tensor]:
    """The two tensors that the reader's ``function`` returns, or the end of the check."""
    results = []

    def first_look(*given):
        results.append(function(*given))
        if results[0] is None or results[0] is ...:
            return results[0]
        blank = isinstance(results[0], tuple | list) and any(part is ... for part in results[0])
        return ... if blank else torch.tensor(0)  # what else it may be is told apart below

    result_of(first_look if callable(function) else function, *inputs)
    parts = results[0]
    if not isinstance(parts, tuple | list) or len(parts) != 2 or not all(isinstance(part, Tensor) for part in parts):
        raise Answered(wrong("return two tensors, `return train, validation`: the indices for each part."))
    return list(parts)


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
def recall_of_each_class(function) -> Verdict:
    """A function (guesses, labels, classes) → of the pictures of each class, the share classified correctly."""
    labels = torch.tensor([0, 1, 0, 0, 2, 1, 0, 0, 1, 0, 0, 2, 0, 1])  # 8, 4 and 2 pictures
    guesses = torch.tensor([0, 1, 0, 1, 2, 0, 0, 0, 0, 1, 0, 0, 0, 2])
    expected = torch.tensor([6 / 8, 1 / 4, 1 / 2])
    hits, found = torch.tensor([6.0, 1.0, 1.0]), torch.tensor([9.0, 3.0, 2.0])
    recalls = result_of(function, guesses, labels, 3)

    def equals(value):
        return recalls.shape == value.shape and torch.allclose(recalls.to(value), value, atol=1e-5)

    if recalls.numel() == 1:
        return wrong("that is one number for all classes together. Return a tensor with one for each class.")
    if recalls.shape != (3,):
        return wrong(f"for 3 classes the result should have the shape (3,); yours has {tuple(recalls.shape)}.")
    if equals(hits):
        return wrong("you count the pictures that are classified correctly. Divide by the number of pictures of that class.")
    if not recalls.is_floating_point():
        return wrong(f"the result is of type {recalls.dtype}, and whole numbers cannot hold a share. Divide with `/`.")
    misconceptions = [
        (hits / found, "that is precision: you divide by how often the network names the class. Divide by its pictures."),
        (torch.full((3,), 8 / 14), "each entry is the accuracy over all pictures. Look at one class at a time."),
        (hits / 14, "you divide by the number of all pictures. Divide by the number of pictures of that class."),
        (1 - expected, "that is the share that is missed. Recall is the share that is found."),
        (100 * expected, "these are percent. Give shares between 0 and 1."),
    ]
    for value, message in misconceptions:
        if equals(value):
            return wrong(message)
    if not equals(expected):
        return wrong(
            f"with 8, 4 and 2 pictures of the classes and 6, 1 and 1 classified correctly it is {expected.tolist()}; "
            f"you give {[round(share, 4) for share in recalls.tolist()]}."
        )
    labels, guesses = torch.tensor([3, 0, 2, 1, 3, 1]), torch.tensor([3, 0, 1, 1, 0, 1])  # nothing is called 2
    recalls, expected = result_of(function, guesses, labels, 4), torch.tensor([1.0, 1.0, 0.0, 0.5])
    if not equals(expected):
        return wrong("go through all classes: one that the network never names has the recall 0, and keeps its place.")
    return right("their mean is the accuracy only if all classes have equally many pictures.")
