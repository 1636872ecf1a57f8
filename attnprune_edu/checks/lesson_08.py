"""Checks of lesson 08, evaluate honestly."""

import torch
from torch import Tensor

from .verdict import NOT_TRIED, Answered, Verdict, exercise, result_of, right, wrong


@exercise
def images_for_half_a_point(answer) -> Verdict:
    """An accuracy near 80 %: how many test pictures until its 95 % interval reaches 0.005 to either side?"""
    answer = float(answer)
    if 24_500 <= answer <= 25_700:  # 1.96 or 2 standard deviations, rounded as one likes
        return right("half the reach takes four times the pictures: for a quarter of a point it would be nearly 100,000.")
    if answer == 10_000:
        return wrong("CIFAR-10 has so many test pictures, and there the interval reaches 0.8 points to either side.")
    squared = 0.005**2
    if abs(answer - 0.16 / squared) < 1:
        return wrong("the 1.96 is missing: one standard deviation to either side holds only 68 % of the cases.")
    for z in (1.96, 2):
        square_all = f"square both sides of the formula: the {z} and the 0.005 are squared, too."
        root = f"the root is forgotten: the formula has √(0.8 · 0.2 / n), and that times {z} should be 0.005."
        misconceptions = [
            (
                z**2 * 0.16 / 0.0025**2,
                "then the whole interval is half a point wide. It should reach half a point to either side.",
            ),
            (z**2 * 0.16 / 0.01**2, "then it reaches a whole point to either side. Asked for is half a point, 0.005."),
            (
                z**2 * 0.25 / squared,
                "you take p = 0.5, the worst case. Near 80 % it is p (1 − p) = 0.8 · 0.2, and fewer are enough.",
            ),
            (z**2 * 0.8 / squared, "you take p for p (1 − p). The formula has 0.8 · 0.2 under the root."),
            (z**2 * 0.2 / squared, "you take 1 − p for p (1 − p). The formula has 0.8 · 0.2 under the root."),
            (z**2 * 0.4 / squared, "p (1 − p) stands under the root. Once both sides are squared, it is 0.16 and not 0.4."),
            (
                z**2 * 0.16**2 / squared,
                "p (1 − p) stands under the root. Once both sides are squared, it is 0.16, not 0.16².",
            ),
            (z * 0.16 / squared, square_all),
            (z**2 * 0.16 / 0.005, square_all),
            (z * 0.16 / 0.005, root),
            (z * 0.16 / 0.01, root),
            (z * 0.4 / 0.005, "that is the root of n. Square it."),
            (z**2 * 0.16 / 0.05**2, "half a point is 0.005. With 0.05 the interval reaches five points to either side."),
            (
                z**2 * 2 * 0.16 / squared,
                "so many are for the difference of two networks on different pictures. Here it is one network.",
            ),
            (z**2 * 80 * 20 / squared, "80 and 20 are percent, and 0.005 is a share. Take 0.8 and 0.2."),
        ]
        for pictures, message in misconceptions:
            if abs(answer - pictures) < 0.4 + 0.01 * pictures:
                return wrong(message)
    if 0 < answer < 4:
        return wrong("half a point is 0.005, half of one percent. You divide by 0.5, which is 50 points.")
    equation = "set 1.96 · √(0.8 · 0.2 / n) to 0.005 and solve for n."
    if not answer >= 4:
        return wrong(equation)
    reach = 1.96 * (0.16 / answer) ** 0.5
    return wrong(f"with {answer:,.0f} pictures the interval reaches {reach:.3g} to either side: {equation}")


@exercise
def interval_of_difference(function) -> Verdict:
    """A function (first (pictures,), second (pictures,)) → (2,), the 95 % interval of the difference of two accuracies."""
    generator = torch.Generator().manual_seed(0)
    for pictures, leads in ((400, True), (150, False)):
        better = torch.rand(pictures, generator=generator) < 0.8
        worse = better ^ (torch.rand(pictures, generator=generator) < 0.15)
        first, second = (better, worse) if leads else (worse, better)
        if problem := _amiss(_interval_of(function, first, second), first, second):
            return wrong(problem)
    if not (_interval_of(function, better, better.clone()).abs() < 1e-6).all():
        return wrong("right where the two differ. If they are right on the same pictures, both ends should be 0.")
    return right("the more often the two agree, the narrower it is. That is what comparing in pairs gains.")


def _interval_of(function, *inputs: Tensor) -> Tensor:
    """What the reader's ``function`` returns, where a pair of numbers is as good as a tensor."""

    def as_tensor(*given):
        result = function(*given)
        if not isinstance(result, tuple | list):
            return result
        if any(end is ... for end in result):
            return ...
        return torch.stack([torch.as_tensor(end, dtype=torch.float64) for end in result])

    try:
        return result_of(as_tensor if callable(function) else function, *inputs)
    except Answered as end:
        if "two bool tensors" not in end.verdict.message:
            raise
        # PyTorch says this, too, but advises an operator that loses the sign.
        raise Answered(wrong("True and False cannot be subtracted. Make numbers of them first: `first.double()`.")) from end


def _amiss(result: Tensor, first: Tensor, second: Tensor) -> str | None:
    """The misconception behind the ``result``; None if it is right."""
    pictures, first, second = len(first), first.double(), second.double()
    difference = first - second
    mean, root = difference.mean().item(), pictures**0.5
    reach = 1.96 * difference.std().item() / root
    given = f"for {pictures} pictures"

    def near(value, expected):
        return abs(value - expected) < 1e-5 + 0.004 * abs(expected)  # with n or with n − 1 in the standard deviation

    if result.numel() == 1:
        value = float(result)
        if near(value, reach):
            return "that is how far it reaches to either side. Return both ends: the mean minus this, and plus this."
        if near(value, 2 * reach):
            return "that is how wide the interval is. Return its two ends, the low one first."
        if near(value, mean):
            return "that is the difference itself. Return the two ends of its interval."
        return "that is one number. Return two: the low and the high end of the interval."
    if result.numel() in (pictures, 2 * pictures):
        return f"{given} you return {result.numel()} numbers. Take the mean of the differences: the interval is around it."
    if result.shape != (2,):
        return f"the result has the shape {tuple(result.shape)}; it should be (2,), the low and the high end."
    if not result.is_floating_point():
        return f"the result is of type {result.dtype}; the ends are shares and need a type such as torch.float64."
    low, high = result.tolist()
    if near(low, mean) and near(high, reach):
        return "these are the middle and the reach. Return the ends: the mean minus the reach, and plus the reach."
    if low > high:
        return "the two ends are swapped: the low one comes first."
    middle, half = (low + high) / 2, (high - low) / 2
    if near(middle, -mean):
        if mean < 0:
            return "a difference may be below 0. Take first − second as it is, not its absolute value."
        return "the sign is turned round: you take second − first. Asked for is first − second."
    if near(middle, difference.abs().mean().item()):
        return "you count where the two differ. Where only the second is right, it should be −1, not 1."
    if near(middle, difference[difference != 0].mean().item()):
        return "you look only at pictures on which the two differ. The others count as well, with a difference of 0."
    if near(middle, 0):
        return "your interval is around 0. It should be around the difference of the two accuracies."
    if near(middle, 100 * mean):
        return "these are points, as in percent. Give shares: 0.01 is one point."
    if any(abs(middle - network.mean().item()) < 0.01 for network in (first, second)):
        return "that is an interval of one accuracy. Asked for is that of the difference, first − second."
    if not near(middle, mean):
        return f"{given} the middle of your interval is {middle:.4f}; the accuracies differ by {mean:.4f}."
    if 0.994 < half / reach < 1.026:  # 1.96, 2 or Student's t, with either standard deviation
        return None
    spread, spreads = difference.std().item(), (first.std().item(), second.std().item())
    misconceptions = [
        (
            1.96 * (spreads[0] ** 2 + spreads[1] ** 2) ** 0.5 / root,
            "too wide: the sum of two variances ignores that both saw the same pictures and mostly agree. "
            "Take the standard deviation of first − second.",
        ),
        (
            1.96 * (spreads[0] + spreads[1]) / root,
            "too wide: two separate intervals ignore that both saw the same pictures. "
            "Take the standard deviation of first − second.",
        ),
        (1.96 * spreads[0] / root, "it reaches as far as for `first` alone. Take the standard deviation of first − second."),
        (
            1.96 * spreads[1] / root,
            "it reaches as far as for `second` alone. Take the standard deviation of first − second.",
        ),
        (
            1.96 * (abs(mean) * (1 - abs(mean))) ** 0.5 / root,
            "p (1 − p) holds for an accuracy. For a difference take the standard deviation of first − second.",
        ),
        (1.96 * spread, "the division by √n is missing: the mean of n pictures varies less than a single one."),
        (spread, "that is how much a single picture varies. Divide by √n for the mean of n pictures, and multiply by 1.96."),
        (1.96 * spread / pictures, "you divide by n. The mean varies √n times less than a single picture."),
        (spread / root, "the 1.96 is missing: one standard deviation to either side holds only 68 % of the cases."),
        (2 * reach, "twice too wide: it should reach 1.96 standard deviations of the mean to either side."),
        (reach / 2, "only half as wide: it should reach 1.96 standard deviations of the mean to either side."),
        (1.96 * spread**2 / root, "you take the variance. Its root, the standard deviation, belongs there."),
        (1.96 * spread**0.5 / root, "the root is of n alone. The standard deviation already is the root of the variance."),
    ]
    for value, message in misconceptions:
        if near(half, value):
            return message
    return (
        f"{given} the middle is right, but it reaches {half:.4f} to either side; it should be {reach:.4f}. "
        f"Do you divide by the root of `len(first)`, here {pictures}?"
    )


# What the article has of each rule, and what to say where the reader thinks otherwise.
ARTICLE = {
    "several pruning ratios": (True, "it names three: 10, 20 and 30 %."),
    "several seeds, with their spread": (
        False,
        "it names no seed, and says of no number how much it varies from run to run.",
    ),
    "a random baseline": (False, "it compares with nothing, and so not with channels chosen at random either."),
    "the pruned shape from scratch": (False, "it trains no small network from the start to compare with."),
    "accuracy before and after fine-tuning": (
        False,
        "it says that the accuracy falls, by less and less, but gives no accuracy, neither before nor after.",
    ),
    "parameters or MACs in numbers": (False, "that computation and storage fall clearly is a statement, and no number."),
    "time with batch size and threads": (
        False,
        "30 % faster is a number, but with which batch size and how many threads it does not say.",
    ),
}


@exercise
def what_the_article_reports(answer) -> Verdict:
    """A dictionary {rule: True where the article has what it asks for}: what does the article report?"""
    if not isinstance(answer, dict):
        kind = type(answer).__name__
        return wrong(f"the answer is a dictionary {{rule: True where the article has it}}, and this is a {kind}.")
    if unknown := [str(rule) for rule in answer if rule not in ARTICLE]:
        return wrong(f'"{unknown[0]}" is none of the rules here. Leave the texts before the colons as they are.')
    if missing := [rule for rule in ARTICLE if rule not in answer]:
        return wrong(f'missing: "{missing[0]}". The answer has a line for each of the {len(ARTICLE)} rules.')
    blanks = sum(value is ... for value in answer.values())
    if blanks == len(ARTICLE):
        return NOT_TRIED
    if blanks:
        return wrong(f"three dots are left at {blanks} of {len(ARTICLE)} rules. Write True or False there as well.")
    for rule, (has, message) in ARTICLE.items():
        if answer[rule] not in (True, False):
            return wrong(f'write True or False, without quotes; at "{rule}" stands {str(answer[rule])!r}.')
        if answer[rule] != has:
            return wrong(f'"{rule}": {message}')
    return right(
        "one rule of seven. What comes without numbers can be neither checked nor refuted, so this course measures it."
    )
