"""Lesson 04, train the CNN, as coursework."""

from random import Random

from .exercise import Exercise
from .numbers import one_of, whole


def _smoothing(numbers: Random) -> dict:
    more_right = whole(numbers, 1, 6)
    return {"more_right": more_right, "more_pictures": more_right + whole(numbers, 1, 6)}


def _smoothing_task(more_right: int, more_pictures: int) -> str:
    return (
        f"**Your version:** a share of few pictures is unsure, so smooth it. Before you divide, add {more_right} to the "
        "number of pictures of a class that are classified correctly, and "
        f"{more_pictures} to the number of all its pictures."
    )


def _never(numbers: Random) -> dict:
    """No divisor divides another one, so that no rule follows from another."""
    rules = [(divisor, remainder) for divisor in (5, 6, 7, 8, 9) for remainder in range(divisor)]
    divisor, remainder = one_of(numbers, rules)
    return {"divisor": divisor, "remainder": remainder}


def _never_task(divisor: int, remainder: int) -> str:
    return (
        f"**Your version:** the pictures whose number leaves the remainder {remainder} when divided by {divisor} are copies "
        "of others. What a network says about a copy of a training picture proves nothing, so these are never held out: all "
        "of them go into training. Validation is drawn from the others."
    )


def _never_in_training_task(divisor: int, remainder: int) -> str:
    return (
        f"**Your version:** in step 1, the pictures whose number leaves the remainder {remainder} when divided by {divisor} "
        "are never held out: all of them are trained on. (Take this rule here, whatever your rule in exercise 2 was.)"
    )


EXERCISES = (
    Exercise("recall_of_each_class", "recalls", 2, _smoothing, _smoothing_task, added=True),
    Exercise("validation_split", "split_at_random", 2, _never, _never_task, added=True),
    Exercise("training_loop", "learn", 6, _never, _never_in_training_task, added=True),
)
