"""In the sandbox this takes the place of the checks, which know the answers: it lets their calls pass and says nothing."""

from .verdict import Verdict

UNSAID = Verdict(None, "this is judged later, by your teacher.")


def __getattr__(name: str):
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda *answer, **given: UNSAID
