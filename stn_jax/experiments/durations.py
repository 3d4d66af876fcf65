"""Durations in messages."""


def about(seconds: float) -> str:
    """Returns a duration in the unit that suits it.

    >>> about(42), about(150), about(5e3), about(1e5), about(3e6)
    ('42 s', '2.5 min', '83 min', '28 h', '35 days')
    """
    for unit, length, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < most * length:
            break
    else:
        unit, length = "days", 24 * 3600
    value = seconds / length
    return f"{value:.1f} {unit}" if value < 10 and unit != "s" else f"{value:.0f} {unit}"
