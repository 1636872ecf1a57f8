"""What an answer is worth: the lesson's own check, with the student's own numbers and inputs that nobody has seen."""

from .. import checks
from ..checks.verdict import Verdict, wrong
from ..coursework import Exercise, stream
from .key import secret_seed


def judge(exercise: Exercise, student: str, answer, key: bytes) -> Verdict:
    """The verdict on a student's ``answer``: a plain value, or a function, which may be one that asks a sandbox.

    ``key``: the secret of the course, of which the inputs for functions are made.
    """
    check = getattr(checks, exercise.check)
    given = exercise.given(stream(student, exercise.check))
    seed = secret_seed(student, exercise.check, key)
    verdict = check(answer, seed=seed, **given)
    if verdict.solved is False and check(answer, seed=seed).solved:
        if exercise.added:
            return wrong(f"that is the answer to the lesson's own exercise; your version is another: {verdict.message}")
        return wrong("that is the answer to the lesson's own numbers; yours are others.")
    return verdict
