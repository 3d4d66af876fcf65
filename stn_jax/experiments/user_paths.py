"""Paths that the user gives."""

from pathlib import Path

from stn_jax.errors import UserError, shown


def user_path(text: str, option: str) -> Path:
    """Returns the path that the user gave for `option`, where "~" stands for the home folder.

    Raises:
        UserError: as `expanded` does, or the path has characters that cannot be printed, such as
            control characters: what is made there could not be named in messages and reports.
    """
    if not text.isprintable():
        raise UserError(
            f"{option}={shown(text)} has characters that cannot be printed: use another name"
        )
    return expanded(text, option)


def expanded(text: str, option: str) -> Path:
    """Returns the path that the user gave for `option`, where "~" stands for the home folder.

    Raises:
        UserError: the path is empty, or the home folder is unknown.
    """
    if not text:
        raise UserError(f"{option} is empty: name a file or a folder")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"{option}={shown(text)}: {error}".rstrip(".")) from error
