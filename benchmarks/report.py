"""Formats records as Markdown tables."""

from collections.abc import Iterable, Sequence

Record = dict


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Returns a Markdown table; cells are formatted by `str`."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def milliseconds(seconds: Sequence[float]) -> str:
    """Returns the median and the quartiles in milliseconds, from quartiles in seconds."""
    low, middle, high = (f"{1000 * value:.3g}" for value in seconds)
    return f"{middle} ({low}..{high})"


def times(ratio: Sequence[float]) -> str:
    """Returns the median and the quartiles of a ratio."""
    low, middle, high = (f"{value:.2f}" for value in ratio)
    return f"{middle} ({low}..{high})"


def by(records: Iterable[Record], *keys: str) -> dict[tuple, dict[str, Record]]:
    """Groups records that were timed in turn: {values of `keys`: {who: record}}."""
    groups: dict[tuple, dict[str, Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in keys), {})[record["who"]] = record
    return groups
