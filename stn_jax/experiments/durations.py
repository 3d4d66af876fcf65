"""Durations in messages."""

_UNITS = (("days", 86_400, 172_800), ("h", 3600, 6000), ("min", 60, 100), ("s", 1, 0))
"""Each unit, its length in seconds, and the shortest duration in it."""


def about(seconds: float) -> str:
    """Returns a duration in the unit that suits it.

    >>> about(42), about(150), about(5e3), about(1e5), about(3e6)
    ('42 s', '2.5 min', '83 min', '28 h', '35 days')
    """
    unit, length = next((unit, length) for unit, length, least in _UNITS if seconds >= least)
    value = seconds / length
    return f"{value:.1f} {unit}" if value < 10 and unit != "s" else f"{value:.0f} {unit}"
