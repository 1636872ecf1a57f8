"""What every check is made of: a verdict, and the care for answers that are missing or of a strange kind."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Verdict:
    """``solved`` is True, False, or None for "not tried yet"; ``message`` is one line for the reader.

    ``share``: of the points that the answer earns as coursework, 0–1; more than 0 where some of several steps are right.
    """

    solved: bool | None
    message: str
    share: float = 0.0

    def __repr__(self) -> str:
        """What the notebook shows."""
        if self.solved:
            return "✓ Right. " + self.message[0].upper() + self.message[1:]
        return ("✗ Not yet: " if self.solved is False else "… Not tried yet: ") + self.message


def right(message: str) -> Verdict:
    """A right answer, and one thing more that is worth knowing."""
    return Verdict(True, message, 1.0)


def wrong(message: str, share: float = 0.0) -> Verdict:
    """A wrong answer, and the misconception behind it; a ``share`` of it may be right."""
    return Verdict(False, message, share)


def wrong_step(number: int, steps: int, problem: str) -> Verdict:
    """An answer in several ``steps`` of which the one with this ``number``, from 1, is not right; those before are."""
    return wrong(f"step {number} of {steps}{problem}", (number - 1) / steps)


NOT_TRIED = Verdict(None, "put your answer in the place of the three dots and run the cell again.")


class Answered(Exception):  # noqa: N818, a way out and not an error
    """Ends a check early with its ``verdict``."""

    def __init__(self, verdict: Verdict):
        super().__init__(verdict.message)
        self.verdict = verdict


def exercise(check: Callable[..., Verdict]) -> Callable[..., Verdict]:
    """Make a function a check: the answer ``...`` is not tried yet, and an answer of a strange type raises nothing.

    What else the function takes is what the exercise gives, with the lesson's numbers as its default; coursework gives every
    student others. The inputs that it tries a reader's function with are drawn by ``torch`` alone, from the ``seed``.
    """

    @functools.wraps(check)
    def checked(answer, *, seed: int = 0, **given) -> Verdict:
        if answer is ...:
            return NOT_TRIED
        if isinstance(answer, str):
            try:
                float(answer)
            except ValueError:
                return wrong("this is one text in quotes, and the exercise asks for another kind of answer.")
            return wrong("this is a number in quotes, which makes it a text. Remove the quotes.")
        try:
            with torch.random.fork_rng(devices=[]):  # what the reader draws later does not depend on the check
                torch.default_generator.manual_seed(seed)  # `torch.manual_seed` looks for all devices, which takes longer
                return check(answer, **given)
        except Answered as end:
            return end.verdict
        except (TypeError, ValueError, AttributeError, KeyError, IndexError, RuntimeError, OverflowError) as error:
            return wrong(f"this is {a_kind(answer)}, and the check cannot read it as an answer ({first_line(error)}).")

    return checked


def require_keep(answer) -> None:
    """End the check unless ``answer`` is a dictionary, as a ``keep`` is."""
    if not isinstance(answer, dict):
        layers = "{layer name: True where a channel stays}"
        raise Answered(wrong(f"`keep` is a dictionary {layers}, and this is {a_kind(answer)}."))


def number_of(answer) -> float:
    """The one number that ``answer`` is. Anything else ends the check with what came."""
    if isinstance(answer, bool):
        raise Answered(wrong(f"the answer is one number, and this is {answer}."))
    if isinstance(answer, tuple) and len(answer) == 2 and all(type(part) is int for part in answer):
        point = f"{answer[0]}.{answer[1]}"
        raise Answered(wrong(f"with a comma these are two numbers. Python writes decimals with a point: {point}"))
    try:
        return float(answer.detach() if isinstance(answer, Tensor) else answer)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Answered(wrong(f"the answer is one number, and this is {a_kind(answer)}.")) from error


def returned_by(function: Callable, *inputs):
    """What the reader's ``function`` makes of ``inputs``. If it cannot be called, stops or returns nothing, the check ends.

    A function that returns ``...`` is not tried yet. Tensors are handed over as copies; changing them is pointed out.
    """
    if not callable(function):
        raise Answered(wrong(f"hand over the function itself, without brackets; this is {a_kind(function)}."))
    copies = [value.clone() if isinstance(value, Tensor) else value for value in inputs]
    try:
        result = function(*copies)  # a grader hands over one that asks the student's function elsewhere
    except Exception as error:  # whatever the reader's code may raise
        power = ". In Python a power is written with `**`" if "for ^:" in str(error) else ""
        raise Answered(wrong(f"your function stops with {type(error).__name__}: {first_line(error)}{power}")) from error
    if result is ...:
        raise Answered(NOT_TRIED)
    if result is None:
        raise Answered(wrong("your function returns nothing. Does it end with `return`?"))
    for value, copy in zip(inputs, copies, strict=True):
        if isinstance(value, Tensor) and not value.equal(copy):
            raise Answered(wrong("your function changes the tensor it is given. Make a new one instead."))
    return result


def result_of(function: Callable[..., Tensor], *inputs) -> Tensor:
    """What the reader's ``function`` makes of ``inputs``: a tensor, or a number made one.
    Anything else ends the check with what is amiss, as in ``returned_by``.
    """
    result = returned_by(function, *inputs)
    if isinstance(result, int | float) and not isinstance(result, bool):
        result = torch.tensor(result)
    if not isinstance(result, Tensor):
        raise Answered(wrong(f"your function returns {a_kind(result)}; it should return a tensor."))
    return result


def a_kind(value) -> str:
    """What kind of thing ``value`` is, with its article: "an int", "a Tensor"."""
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{'an' if kind[0].lower() in 'aeiou' or kind == 'ndarray' else 'a'} {kind}"


def a_kind_of_many(value) -> str:
    """As ``a_kind``, and of a tuple or list also how many there are: "a tuple of 3"."""
    return f"{a_kind(value)} of {len(value)}" if isinstance(value, tuple | list) else a_kind(value)


def listed(names: Sequence[str]) -> str:
    """The names in a sentence: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def first_line(error: Exception) -> str:
    """What an error says first. One from a grader's sandbox may tell the inputs, which are secret, so it is ``untold``."""
    if getattr(error, "untold", False):
        return "with inputs that the notebook does not show"
    return str(error).split("\n")[0].removesuffix(", but expected one of:")  # torch lists what it would take below


def close_to(answer: float, tolerance: float) -> Callable[[float], bool]:
    """A function that says whether ``answer`` is less than ``tolerance`` away from a value."""
    return lambda value: abs(answer - value) < tolerance
