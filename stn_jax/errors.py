"""Errors with messages that are meant for the user."""

import difflib
from collections.abc import Collection


class UserError(ValueError):
    """Raised if a value that the user gave cannot be used.

    The message is a single line that says what is wrong and how to fix it. Commands print this line
    without a traceback and exit with code 2.
    """

    def __init__(self, message: str):
        super().__init__(printable(message))


def check_choice(value: object, choices: Collection[str], what: str) -> None:
    """Raises `UserError` unless `value` is in `choices`; the message suggests the closest one."""
    if isinstance(value, str) and value in choices:
        return
    near = difflib.get_close_matches(str(value)[:100].lower(), choices, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UserError(f"unknown {what} {shown(value)}: {hint}(choices: {', '.join(choices)})")


def shown(value: object) -> str:
    """Returns how messages show a value that the user gave: its `repr`, shortened if it is long."""
    try:
        text = one_line(repr(value))
    except ValueError:  # an integer of more than 4300 digits
        text = "a very large number"
    return text if len(text) <= 80 else f"{text[:60]}...{text[-15:]}"


def one_line(message: object) -> str:
    r"""Returns a message as one line that can be printed: a terminal would obey control characters.

    >>> one_line("a\n  b \x1b[31m")
    'a b \\x1b[31m'
    """
    return printable(" ".join(str(message).split()))


def printable(text: object) -> str:
    r"""Returns a text with an escape sequence for each character that cannot be printed.

    >>> printable("a  b \x1b[31m")
    'a  b \\x1b[31m'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
