"""Paths that the user gives."""

from pathlib import Path

from stn_jax.errors import UserError, shown


def user_path(text: str, option: str) -> Path:
    """Returns the path that the user gave for `option`, where "~" stands for the home folder.

    Raises:
        UserError: it is empty, has characters that cannot be printed, such as control characters,
            or the home folder is unknown.
    """
    if not text:
        raise UserError(f"{option} is empty: name a file or a folder")
    if not text.isprintable():
        raise UserError(
            f"{option}={shown(text)} has characters that cannot be printed: use another name"
        )
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"{option}={shown(text)}: {error}") from error
