"""What the tests of the lessons' checks share."""

import pytest


def verdict_test(cases):
    """A test that hands each answer of ``cases``, (check, answer, solved, what the verdict says), to its check."""

    @pytest.mark.parametrize(("check", "answer", "solved", "says"), cases)
    def test(check, answer, solved, says):
        verdict = check(answer)
        assert verdict.solved is solved and says in verdict.message, verdict.message
        assert "\n" not in verdict.message and "expected one of:" not in verdict.message

    return test


def step_after_step(inputs, steps, slips):
    """A function of ``inputs``, a list of names, that returns the result of each of ``steps``.

    ``steps``: {name: a function of all that is there by then, {name: value}}; ``slips`` take the place of some of them.
    """

    def function(*values):
        here = dict(zip(inputs, values, strict=True))
        for name, step in (steps | slips).items():
            here[name] = step(here)
        return tuple(here[name] for name in steps)

    return function


def dots_after(name, names):
    """Slips that leave the three dots in the place of all steps behind ``name``."""
    return dict.fromkeys(names[names.index(name) + 1 :], lambda here: ...)
