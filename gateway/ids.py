"""Identifiers: 128 bits, sortable by time of creation, never given twice."""

from __future__ import annotations

import re
import secrets
import threading
import time
from datetime import datetime

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PATTERN = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_RANDOM_BITS = 80

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """Make a ULID (https://github.com/ulid/spec): 48 bits of milliseconds, 80 random bits.

    Within one process the ids grow strictly, also inside one millisecond; across processes the
    random bits keep them apart.

    >>> first, second = new_id(), new_id()
    >>> first < second, len(first)
    (True, 26)
    """
    global _last
    fresh = (time.time_ns() // 1_000_000 << _RANDOM_BITS) | secrets.randbits(_RANDOM_BITS)
    with _lock:
        _last = fresh if fresh > _last else _last + 1
        number = _last
    return _text(number)


def lowest_id(moment: datetime) -> str:
    """Say below which id none was made at or after an instant.

    >>> from datetime import UTC
    >>> lowest_id(datetime(2026, 1, 2, tzinfo=UTC)) < new_id()
    True
    """
    return _text(int(moment.timestamp() * 1000) << _RANDOM_BITS)


def _text(number: int) -> str:
    return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_id(text: str) -> bool:
    """Say whether a text has the form of our ids.

    >>> is_id(new_id()), is_id("../etc/passwd"), is_id("01J")
    (True, False, False)
    """
    return _PATTERN.fullmatch(text) is not None
