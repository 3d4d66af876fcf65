"""Errors whose message is meant for the person at the terminal."""

import difflib
from collections.abc import Collection


class UserError(Exception):
    """What the user gave cannot be used. One line: what is wrong, and how to mend it.

    `launch.py` prints the line without a traceback and exits with code 2.
    """


class TrainingDivergedError(Exception):
    """The loss stopped being finite. `launch.py` prints the line and exits with code 1."""


def check_choice(
    value: str, choices: Collection[str], what: str, error: type[Exception] = UserError
) -> None:
    """Raises `error`, naming the nearest right choice, if `value` is not among `choices`."""
    if value in choices:
        return
    near = difflib.get_close_matches(value.lower(), choices, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise error(f"unknown {what} {value!r}: {hint}(choices: {', '.join(choices)})")
