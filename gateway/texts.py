"""Numbers as people read them."""

from __future__ import annotations


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
