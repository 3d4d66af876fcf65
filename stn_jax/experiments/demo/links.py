"""Links to what the page shows: its settings as the query of a URL."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

Limits = Mapping[str, tuple[str, float, float, float]]
"""The (label, lowest, highest, step) of each slider."""


def to(settings: Mapping[str, Any], sliders: Any = None) -> str:
    """Returns a link to settings, and to a NamedTuple of sliders as far as they were moved."""
    moved = {}
    if sliders is not None:
        start = type(sliders)()
        moved = {
            name: f"{value:g}"
            for name, value in sliders._asdict().items()
            if value != getattr(start, name)
        }
    return "?" + urlencode({**settings, **moved})


def whole(query: Mapping[str, str], name: str, highest: int) -> int | None:
    """Returns a whole number from a link, or None if it has none in 0..`highest`."""
    try:
        value = int(query[name])
    except (KeyError, ValueError):
        return None
    return value if 0 <= value <= highest else None


def sliders(query: Mapping[str, str], start: Any, limits: Limits) -> Any:
    """Returns the sliders of a link, within their limits; where it has none, those of `start`."""
    values = []
    for (name, (_, low, high, _)), value in zip(limits.items(), start, strict=True):
        try:
            values.append(min(high, max(low, float(query[name]))))
        except (KeyError, ValueError):
            values.append(value)
    return type(start)(*values)
