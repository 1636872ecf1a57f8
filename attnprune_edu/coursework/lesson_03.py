"""Lesson 03, choosing the threshold, as coursework."""

from random import Random

from .exercise import Exercise
from .numbers import one_of, whole


def _layer(numbers: Random) -> dict:
    """A layer in which the second score stays although the third is close, and the many low ones raise the sum."""
    highest = whole(numbers, 3, 12)
    counts = highest, whole(numbers, 5, 40), 2 * highest + whole(numbers, 3, 9), whole(numbers, 45, 70)
    top = one_of(numbers, [80, 85, 90, 95])  # hundredths
    scores = top, top - 10, top - 15, one_of(numbers, [20, 25, 30])
    channels = tuple((score / 100, count) for score, count in zip(scores, counts, strict=True))
    return {"channels": channels, "k": sum(counts[:3])}


def _layer_task(channels: tuple[tuple[float, int], ...], k: int) -> str:
    scores, counts = zip(*channels, strict=True)
    return f"""
By hand: the table says how many channels of a layer have which score.

| score | {" | ".join(map(str, scores))} |
| --- |{" --- |" * len(scores)}
| channels | {" | ".join(map(str, counts))} |

The threshold is the mean of the **{k}** highest; a score counts once for every channel that has it. How many channels stay?
""".strip()


def _way(numbers: Random) -> dict:
    return {"part": one_of(numbers, [*range(11, 40), *range(61, 90)]) / 100}


def _way_task(part: float) -> str:
    return (
        f"**Your version:** let $\\theta$ lie {part} of the way from the highest score that goes to the lowest that stays. "
        "(If none goes, $\\theta$ is the lowest score.)"
    )


def _least(numbers: Random) -> dict:
    return {"least": whole(numbers, 3, 32)}


def _least_task(least: int) -> str:
    return (
        f"**Your version:** the **{least}** most important channels of each layer always stay, not only one. "
        "(If a layer has fewer, all of them do.)"
    )


EXERCISES = (
    Exercise("stay_above_the_mean", "answer_1", 1, _layer, _layer_task),
    Exercise("theta_of_ratio", "theta_of_ratio", 2, _way, _way_task, added=True),
    Exercise("budget_by_hand", "my_budget", 6, _least, _least_task, added=True),
)
