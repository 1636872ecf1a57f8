"""Exercises in several steps: a function that returns one thing for each, and the first of them that is not right."""

from collections.abc import Callable, Iterable

from torch import Tensor, nn

from .verdict import NOT_TRIED, Answered, Verdict, a_kind, a_kind_of_many, listed, returned_by, wrong, wrong_step


def step_by_step(function: Callable, names: Iterable[str], *inputs) -> dict[str, object]:
    """What the reader's ``function`` makes of ``inputs``, {name of the step: its result}.

    The check ends unless there is one result for each of ``names``; if all of them are ``...`` it is not tried yet.
    """
    result, names = returned_by(function, *inputs), list(names)
    if not isinstance(result, tuple | list) or len(result) != len(names):
        came = a_kind_of_many(result)
        raise Answered(wrong(f"your function should return {len(names)} things, {listed(names)}; it returns {came}."))
    if all(part is ... for part in result):
        raise Answered(NOT_TRIED)
    return dict(zip(names, result, strict=True))


def first_problem(parts: dict[str, object], steps: dict[str, Callable[..., str | None]], case) -> Verdict | None:
    """The verdict on the first of ``parts`` that is still ``...`` or not right; None if all are right.

    ``steps``: {name of a part: a function that says what is amiss with it, or None}, in the order of the exercise. It gets
    the part, all ``parts``, of which those before are right, and the ``case`` that the reader's function was given.
    """
    for number, (name, problem_of) in enumerate(steps.items(), start=1):
        if parts[name] is ...:
            return wrong_step(number, len(steps), f", `{name}`, is next: it still holds the three dots.")
        if problem := problem_of(parts[name], parts, case):
            return wrong_step(number, len(steps), f", `{name}`: {problem}")
    return None


def no_tensor(value) -> str | None:
    """Why ``value`` is no tensor."""
    return None if isinstance(value, Tensor) else f"it should be a tensor, and this is {a_kind(value)}."


def no_number(value) -> str | None:
    """Why ``value`` is not one number."""
    if isinstance(value, Tensor) and value.numel() == 1:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return None
    return f"it should be one number, and this is {a_kind(value)}."


def no_copy(value, given: nn.Module, kind: type[nn.Module] = nn.Module) -> str | None:
    """Why ``value`` is no network of that ``kind`` beside the ``given`` one."""
    if value is given:
        return "that is the network that you were given. Make a copy: `copy.deepcopy(network)`."
    return None if isinstance(value, kind) else f"it should be a {kind.__name__}, and this is {a_kind(value)}."
