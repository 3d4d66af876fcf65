"""What all parts of a run share."""

import sys
from typing import NamedTuple


class Settings(NamedTuple):
    """How thoroughly to measure.

    Attributes:
        short: tiny shapes and one repeat, to find wrong results; its times mean nothing.
        recipe: "paper" or "modern", of the networks whose steps are timed.
        compile_steps: whether torch's steps are timed compiled as well.
    """

    short: bool
    recipe: str = "paper"
    compile_steps: bool = False

    @property
    def repeats(self) -> tuple[int, int]:
        """At least and at most so many."""
        return (1, 1) if self.short else (5, 15)

    @property
    def budget(self) -> float:
        """Seconds for a set of things timed in turn, as long as there are enough repeats."""
        return 1.5

    def say(self, line: str) -> None:
        """Shows that the run goes on."""
        print(line, file=sys.stderr, flush=True)
