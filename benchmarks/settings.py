"""The settings that all parts of a run share."""

import sys
from typing import NamedTuple

METHODS = ("nearest", "bilinear", "bicubic")
CHANNELS = (1, 3, 16, 64)
"""What the part `methods` measures."""


class Settings(NamedTuple):
    """How thoroughly to measure.

    Attributes:
        short: whether to use tiny shapes and one repeat. This finds wrong results, but the times
            mean nothing.
        recipe: "paper" or "modern", the recipe of the networks whose steps are timed.
        compile_steps: whether to time torch's steps compiled as well.
        device: whether to measure fewer workloads and networks, for a borrowed GPU.
        methods: which of `METHODS` the part `methods` measures.
        channels: which of `CHANNELS` it measures.
    """

    short: bool
    recipe: str = "paper"
    compile_steps: bool = False
    device: bool = False
    methods: tuple[str, ...] = METHODS
    channels: tuple[int, ...] = CHANNELS

    @property
    def repeats(self) -> tuple[int, int]:
        """The least and the greatest number of repeats."""
        return (1, 1) if self.short else (5, 15)

    @property
    def budget(self) -> float:
        """Seconds for a set of functions timed in turn, as far as `repeats` allows."""
        return 1.5

    def say(self, line: str) -> None:
        """Prints a line of progress."""
        print(line, file=sys.stderr, flush=True)
