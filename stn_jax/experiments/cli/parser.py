"""The argument parser of the subcommands, which reports mistakes in one line."""

import argparse
import contextlib
import io
import sys
from pathlib import Path
from typing import NoReturn

from stn_jax.errors import UserError, one_line
from stn_jax.experiments.user_paths import user_path


def fail(program: str, message: object, exit_code: int = 2) -> NoReturn:
    """Prints one line and exits."""
    with contextlib.suppress(OSError):  # the exit code tells, if stderr is closed
        print(f"{program}: {one_line(message)}", file=sys.stderr)
    sys.exit(exit_code)


def fail_with_each(program: str, errors: BaseExceptionGroup) -> NoReturn:
    """Prints one line for each error and exits."""
    for error in errors.exceptions:
        print(f"{program}: {one_line(error)}", file=sys.stderr)
    sys.exit(2)


def escape_what_stdout_lacks() -> None:
    """Makes stdout escape characters that are not in its encoding, as stderr always does."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # it may be closed, or replaced
        sys.stdout.reconfigure(errors="backslashreplace")


class Parser(argparse.ArgumentParser):
    """An argument parser that accepts no abbreviations and reports errors in one line."""

    def __init__(self, prog: str, description: str | None):
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        fail(self.prog, message)

    def add_path(self, option: str, **settings) -> None:
        """Adds an option or an argument whose values are paths."""

        def read(text: str) -> Path:
            try:
                return user_path(text, option)
            except UserError as error:
                self.error(str(error))

        self.add_argument(option, type=read, **settings)
