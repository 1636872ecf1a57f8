"""Lesson 08, evaluate honestly, as coursework."""

from random import Random

from .exercise import Exercise
from .numbers import one_of


def _accuracy(numbers: Random) -> dict:
    return {
        "percent": one_of(numbers, [70, 72, 74, 76, 78, 82, 84, 86, 90, 92]),
        "points": one_of(numbers, [0.3, 0.4, 0.6, 0.7, 0.8, 1.2]),
    }


def _accuracy_task(percent: int, points: float) -> str:
    return (
        f"A network has an accuracy of {percent} %. How many test pictures are needed so that its 95 % interval reaches no "
        f"further than {points:g} points ({points / 100:g}) to either side? A whole number."
    )


# What a report may claim: of each line one sentence.
SENTENCES = (
    (
        "We prune at 20, 40 and 60 %, each with five seeds, and give the mean and the range.",
        "We prune at 40 % and report the best of five seeds.",
        "We prune half of the channels, with five seeds, and give the mean and the range.",
        "We prune at four ratios from 15 to 60 %; each number is the mean of three seeds ± their standard deviation.",
        "We prune half of the channels; the seed is 42.",
        "We prune at 40 %; each number is the mean of three seeds ± their standard deviation.",
    ),
    (
        "With L1 in place of attention the accuracy is 2 points lower.",
        "Where the channels are chosen at random, twice as many points are lost.",
        "The dense network starts from random weights.",
        "With a random choice of the channels the accuracy is 4 points lower.",
    ),
    (
        "A network of the pruned shape, trained from random weights for as many epochs, ends 1.5 points lower.",
        "The dense network is trained from scratch for 30 epochs.",
        "The pruned network is trained for ten more epochs.",
        "Built as small from the start and trained for as long, the network ends 2 points lower.",
    ),
    (
        "After fine-tuning the accuracy is 84.2 %.",
        "Right after pruning the accuracy is 61.0 %, after fine-tuning 84.2 %.",
        "Pruning takes the accuracy down to 58.3 %, and fine-tuning brings it up to 83.9 %.",
        "Fine-tuning recovers most of what pruning costs.",
    ),
    (
        "The MACs fall from 41 to 17 million.",
        "The network becomes much smaller.",
        "Of 2.3 million parameters 0.9 million are left.",
        "It computes far less, and the file is compressed well.",
    ),
    (
        "On a laptop, a batch of 32 takes 12 ms and took 19 before.",
        "It runs 40 % faster on a phone.",
        "On a laptop, with one thread, a batch of 64 takes 21 ms and took 35 before.",
        "With four threads, a single picture takes 1.9 ms and took 2.6 before.",
    ),
)


def _claims(numbers: Random) -> dict:
    return {"claims": tuple(one_of(numbers, sentences) for sentences in SENTENCES)}


def _claims_task(claims: tuple[str, ...]) -> str:
    return (
        f"Hold the rules against these claims:\n\n> {' '.join(claims)}\n\nWrite `True` where one of the claims gives all "
        "that the entry names, `False` where none does."
    )


def _interval(numbers: Random) -> dict:
    return {
        "level": one_of(numbers, [80, 90]),
        "per": one_of(numbers, [20, 30, 40, 50, 60, 80, 120, 150, 200, 250, 300, 400, 500]),
    }


def _interval_task(level: float, per: int) -> str:
    return (
        f"**Your version:** return the interval that holds {level} % of the redraws, and count in {per} pictures: how many "
        f"more of {per} pictures `first` gets right than `second`, {per} times the difference of the accuracies."
    )


EXERCISES = (
    Exercise("images_for_half_a_point", "answer_1", 1, _accuracy, _accuracy_task),
    Exercise("what_the_article_reports", "answer_2", 1, _claims, _claims_task),
    Exercise("paired_bootstrap", "paired_bootstrap", 6, _interval, _interval_task, added=True),
)
