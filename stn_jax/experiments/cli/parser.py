"""The argument parser of the subcommands, which reports mistakes in one line."""

import argparse
import contextlib
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
