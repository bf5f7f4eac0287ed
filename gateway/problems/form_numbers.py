"""Numbers as people type them into a form."""

from __future__ import annotations

import re

_WHOLE = re.compile(r"[-+]?[0-9]{1,15}")


def number(text: str) -> int | float | str:
    """Read a number; anything else stays text.

    >>> number("12"), number("1e-3"), number("a")
    (12, 0.001, 'a')
    """
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text
