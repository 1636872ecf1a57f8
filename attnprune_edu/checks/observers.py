"""How an answer is looked at that more must be known of than what it returns, such as what it does to a network.

An observer is a function (answer, *inputs) → plain values, which calls the reader's answer. When coursework is graded, it
runs beside the student's code in a sandbox, in which this module is there and the checks are not; the check runs outside.
So no observer knows what is right, and what it is given and returns can be sent: numbers, texts, tensors, lists, tuples
and dictionaries of them; networks of torch's layers.
"""

from collections.abc import Callable


def observe(observer: Callable, answer, *inputs):
    """What the ``observer`` sees of an ``answer`` with these ``inputs``, wherever the answer lives."""
    elsewhere = getattr(answer, "observed_by", None)  # a grader's answer, which asks the sandbox
    return elsewhere(observer, *inputs) if elsewhere else observer(answer, *inputs)
