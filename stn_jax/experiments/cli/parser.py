"""The argument parser of the subcommands, which reports mistakes in one line."""

import argparse
import sys
from typing import NoReturn


def fail(program: str, message: str) -> NoReturn:
    """Prints one line and exits with code 2."""
    print(f"{program}: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


class Parser(argparse.ArgumentParser):
    """An argument parser that accepts no abbreviations and reports errors in one line."""

    def __init__(self, prog: str, description: str | None):
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        fail(self.prog, message)
