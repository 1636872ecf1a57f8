"""The quizzes of the lessons: three questions each, every answer explained, shown by jupyterquiz without a network."""

import json
from importlib import resources

from IPython.display import Javascript, display
from jupyterquiz import display_quiz

# jupyterquiz loads MathJax from the internet if the page's own lacks this function. Our quizzes hold no formulas.
_NO_DOWNLOAD = "if (window.MathJax && !window.MathJax.typeset) window.MathJax.typeset = () => {};"


def quiz(lesson: str) -> None:
    """Show the quiz of ``lesson``, such as ``"00_start_here"``: three questions, each answer explained. Works offline."""
    folder = resources.files(__package__)
    file = folder / f"{lesson}.json"
    if not file.is_file():
        known = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))
        raise ValueError(f"lesson must be one of {', '.join(known)}, got {lesson!r}")
    display(Javascript(_NO_DOWNLOAD))
    display_quiz(json.loads(file.read_text(encoding="utf-8")), max_width=750)
