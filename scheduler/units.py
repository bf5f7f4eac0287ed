"""Times and sizes as Slurm writes them; inside, they are `timedelta` and bytes."""

from __future__ import annotations

import re
from datetime import timedelta

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
TIB = 1024 * GIB

_DAYS = re.compile(r"([0-9]{1,5})-([0-9]{1,2})(?::([0-9]{1,2})(?::([0-9]{1,2}))?)?")
_CLOCK = re.compile(r"(?:([0-9]{1,6}):)?([0-9]{1,8})(?::([0-9]{1,2}))?")
_MEMORY = re.compile(r"([0-9]{1,15})([KMGT]?)B?", re.IGNORECASE)
_FACTORS = {"K": KIB, "": MIB, "M": MIB, "G": GIB, "T": TIB}


def parse_time(text: str) -> timedelta:
    """Read a time limit in any of Slurm's forms; a bare number is minutes.

    Raises
    ------
    ValueError
        If the text is none of these forms, or is no time at all (``0``, ``UNLIMITED``).

    >>> str(parse_time("90")), str(parse_time("90:00")), str(parse_time("1:30:00"))
    ('1:30:00', '1:30:00', '1:30:00')
    >>> str(parse_time("2-03")), str(parse_time("2-03:30")), str(parse_time("2-03:30:15"))
    ('2 days, 3:00:00', '2 days, 3:30:00', '2 days, 3:30:15')
    """
    value = _with_days(text) or _without_days(text)
    if value is None:
        raise ValueError(
            f"{text!r} is not a time: write minutes (90), MM:SS, HH:MM:SS, D-HH or D-HH:MM:SS"
        )
    if not value:
        raise ValueError(f"{text!r} is no time to work in: ask for at least one minute")
    return value


def _with_days(text: str) -> timedelta | None:
    if (found := _DAYS.fullmatch(text)) is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _without_days(text: str) -> timedelta | None:
    parts = text.split(":")
    if _CLOCK.fullmatch(text) is None:
        return None
    numbers = [int(part) for part in parts]
    if len(numbers) == 3:
        return timedelta(hours=numbers[0], minutes=numbers[1], seconds=numbers[2])
    return timedelta(minutes=numbers[0], seconds=sum(numbers[1:]))


def format_time(value: timedelta) -> str:
    """Write a time limit as ``D-HH:MM:SS``; a part of a second counts as a whole one.

    >>> format_time(timedelta(days=1, hours=2, seconds=3)), format_time(timedelta(minutes=90))
    ('1-02:00:03', '0-01:30:00')
    """
    seconds = -(-value // timedelta(seconds=1))
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    return f"{days}-{hours:02}:{minutes:02}:{seconds:02}"


def parse_memory(text: str) -> int:
    """Read a size in bytes: K, M, G and T are powers of 1024, a bare number is megabytes.

    >>> parse_memory("2G") == 2 * GIB, parse_memory("512") == 512 * MIB
    (True, True)
    """
    if (found := _MEMORY.fullmatch(text)) is None:
        raise ValueError(
            f"{text!r} is not a size: write a whole number with K, M, G or T, such as 2G"
        )
    return int(found[1]) * _FACTORS[found[2].upper()]


def format_memory(size_bytes: int) -> str:
    """Write a size as Slurm takes it, rounded up to a whole megabyte.

    >>> format_memory(2 * GIB), format_memory(1)
    ('2048M', '1M')
    """
    return f"{-(-size_bytes // MIB)}M"
