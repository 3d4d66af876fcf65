"""Counts the cycles of a TPU kernel from its generated code, one cycle per bundle of instructions.

The compiler notes an estimate for most kernels, but none for gathers, scatters and sorts.
"""

import re

_BUNDLE = re.compile(r"\s*(?:0x)?[0-9a-f]+\s+(?:(?P<label>\w\w)\s*)?:\s*(?P<depth>>*)\s*\{")
_EXIT = re.compile(r"scmp\.\w+\.\w+\.totalorder %\w+, (\d+) /\* loop exit test")
_SHORTEST_WORKING_LOOP = 100
"""Bundles. Shorter loops of unknown length copy remainders or wait."""


class Loop:
    """A loop of a kernel, or the kernel itself."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.bundles = 0
        self.trips: int | None = None
        self.inner: list[Loop] = []

    def cycles(self, unknown_trips: float = 1) -> float:
        """Returns the cycles of one trip; `unknown_trips` is for loops of unknown length."""
        total: float = self.bundles
        for loop in self.inner:
            works = loop.bundles >= _SHORTEST_WORKING_LOOP
            trips = loop.trips or (unknown_trips if works else 1)
            total += trips * loop.cycles(unknown_trips)
        return total

    @property
    def known_trips(self) -> int:
        """How often the body of the outermost loops of known lengths runs."""
        return next((x.trips * x.known_trips for x in self.inner if x.trips), 1)


def read_kernel(text: str) -> Loop:
    """Returns the loops of a kernel's final bundles."""
    open_loops = [Loop(0)]
    for line in text.splitlines():
        if not (bundle := _BUNDLE.match(line)):
            continue
        # Empty bundles are written without their depth.
        depth = open_loops[-1].depth if "{}" in line else len(bundle["depth"])
        while open_loops[-1].depth > depth:
            open_loops.pop()
        if bundle["label"] == "LB":
            if 0 < depth == open_loops[-1].depth:
                open_loops.pop()
            open_loops[-1].inner.append(Loop(depth))
            open_loops.append(open_loops[-1].inner[-1])
        open_loops[-1].bundles += 1
        if found := _EXIT.search(line):
            # Loops are pipelined in two stages, so they take one trip more than there is work for.
            open_loops[-1].trips = max(1, int(found[1]) - 1)
    return open_loops[0]
