"""Lesson 09, attention from activations, as coursework."""

from random import Random

from .exercise import Exercise
from .numbers import one_of, shuffled, whole


def _channel(numbers: Random) -> dict:
    """A loud picture, with the negative value, and a quieter one: such that no slip leads to the right score."""
    loud = whole(numbers, 10, 13), one_of(numbers, [-1, -3, -5])
    quiet = whole(numbers, 1, 5), whole(numbers, 2, 6)
    positions = shuffled(numbers, list(zip(*shuffled(numbers, [loud, quiet]), strict=True)))
    return {"activations": tuple(zip(*positions, strict=True))}


def _channel_task(activations: tuple[tuple[int, int], tuple[int, int]]) -> str:
    one, other = (" and ".join(f"{value}".replace("-", "−") for value in picture) for picture in activations)
    return (
        f"A channel gives, before its ReLU, {one} at the two positions of one picture, and {other} at those of another. "
        "What is its score with the power 2?"
    )


def _gamma(numbers: Random) -> dict:
    # Neither 1, which changes nothing, nor 0.5, which is a root.
    return {"gamma": one_of(numbers, [twentieths / 20 for twentieths in range(5, 36) if twentieths not in (10, 20)])}


def _gamma_task(gamma: float) -> str:
    return (
        f"**Your version:** when a map is divided, take each of its numbers to the power {gamma:g}. (So are pictures made "
        "brighter or darker; 0 and 1 stay as they are.)"
    )


def _threshold(numbers: Random) -> dict:
    return {"threshold": whole(numbers, 10, 60) / 100}


def _threshold_task(threshold: float) -> str:
    return (
        f"**Your version:** of what the layer gives, only that counts which is above {threshold:g}. So in step 1, subtract "
        f"{threshold:g} from all of it; the other steps go on with that."
    )


EXERCISES = (
    Exercise("score_of_a_channel", "answer_1", 1, _channel, _channel_task),
    Exercise("map_of_activations", "map_of", 2, _gamma, _gamma_task, added=True),
    Exercise("activation_criterion", "criterion", 6, _threshold, _threshold_task, added=True),
)
