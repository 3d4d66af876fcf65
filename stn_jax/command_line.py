"""What commands that are run with `python -m` share."""

import argparse
import sys
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Options in full; whatever is wrong is told in one line, with exit code 2."""

    def __init__(self, prog: str, description: str | None):
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)
