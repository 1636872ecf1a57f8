"""The quizzes of the lessons: three questions each, every answer explained, shown by jupyterquiz without a network."""

import json

from IPython.display import Javascript, display
from jupyterquiz import display_quiz

from ..data.shipped import read_shipped

# jupyterquiz loads MathJax from the internet if the page's own lacks this function. Our quizzes hold no formulas.
_NO_DOWNLOAD = "if (window.MathJax && !window.MathJax.typeset) window.MathJax.typeset = () => {};"


def quiz(lesson: str) -> None:
    """Show the quiz of ``lesson``, such as ``"00_start_here"``: three questions, each answer explained. Works offline."""
    questions = json.loads(read_shipped(__package__, "lesson", lesson, ".json"))
    display(Javascript(_NO_DOWNLOAD))
    display_quiz(questions, max_width=750)
