"""Formats records as Markdown tables."""

from collections.abc import Iterable, Mapping, Sequence

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


def comparison(records: Sequence[Record], keys: Mapping[str, str]) -> str:
    """Returns a table of our times and the peers' ratios.

    Args:
        records: the records of `timing.compared` with further entries.
        keys: the entries that tell rows apart, with the headings of their columns.
    """
    peers = [who for who in dict.fromkeys(record["who"] for record in records) if who != "ours"]
    rows = []
    for values, group in by(records, *keys).items():
        cells = [times(group[peer]["ratio"]) if peer in group else "-" for peer in peers]
        rows.append([*values, milliseconds(group["ours"]["seconds"]), *cells])
    return table([*keys.values(), "ours, ms", *(f"{peer} / ours" for peer in peers)], rows)
