"""Text that students wrote, such that it can be printed and stored anywhere."""


def printable(text: str, longest: int | None = None) -> str:
    """``text`` on one line, without what moves a terminal's cursor or turns the direction of writing: a ``�`` each.

    ``longest``: how many characters of it are kept; None: all.
    """
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "\ufffd" for letter in text[:longest])
