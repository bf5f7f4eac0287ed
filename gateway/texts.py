"""Numbers as people read them."""

from __future__ import annotations

import math

_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def size_text(count: int) -> str:
    """Say a number of bytes.

    >>> size_text(900), size_text(20_480), size_text(3_500_000)
    ('900 B', '20 kB', '3.5 MB')
    """
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return ""


def duration(seconds: float | None) -> str:
    """Say a time span in one or two units.

    >>> duration(0.02), duration(59.6), duration(125), duration(7300), duration(200000)
    ('0.02 s', '60 s', '2 min 5 s', '2 h 1 min', '2 d 7 h')
    >>> duration(float("inf")), duration(None)
    ('-', '-')
    """
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < _MINUTE:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    for size, large, part, small in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "min"),
        (_MINUTE, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {large}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"
