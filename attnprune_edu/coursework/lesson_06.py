"""Lesson 06, fine-tune and recover, as coursework."""

from random import Random

from .exercise import Exercise
from .numbers import one_of, whole

POWERS = {4: "fourth", 5: "fifth", 6: "sixth", 7: "seventh", 8: "eighth"}


def _schedule(numbers: Random) -> dict:
    return {"power": one_of(numbers, list(POWERS)), "start": whole(numbers, 1, 8) * 5 / 100}


def _schedule_task(power: int, start: float) -> str:
    return (
        f"**Your version:** the {POWERS[power]} power instead of the third, and the schedule begins at {100 * start:g} %, "
        "not at 0: so many channels are pruned already at stage 0, and what is still to be pruned then is "
        f"`final` − {start:g}."
    )


def _pictures(numbers: Random) -> dict:
    return {"start": whole(numbers, 1, 12), "step": whole(numbers, 2, 4)}


def _pictures_task(start: int, step: int) -> str:
    return (
        f"**Your version:** not all pictures are used, but only those with the numbers {start}, {start + step}, "
        f"{start + 2 * step} and so on; the first picture has the number 0. `x` and `y` have a row for each that is used."
    )


EXERCISES = (
    Exercise("cubic_schedule", "cubic", 2, _schedule, _schedule_task, added=True),
    Exercise("repair_by_hand", "repair_fc2", 6, _pictures, _pictures_task, added=True),
)
