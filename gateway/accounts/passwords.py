"""Passwords: which are good enough, and how they are kept (argon2id).

The rules are those of OWASP ASVS 6.2: a length, a list of common ones, nothing about which signs.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import cache
from importlib.resources import files

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from gateway.errors import InvalidError

SHORTEST = 8
LONGEST = 1024

# OWASP's second recommendation: 19 MiB, two passes, one lane. With the bound on how many are
# worked at once, sign-ins can never take more than 80 MB of a web process.
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_AT_ONCE = threading.BoundedSemaphore(4)
_LEET = str.maketrans("@4831!05$7+", "aabeiiosstt")
_FEW, _MANY = 2, 20
"""So few different signs are too few for a password that is not so long."""

_SEQUENCES = ("abcdefghijklmnopqrstuvwxyz", "01234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm")
_SEQUENCES_BOTH = tuple(text for way in _SEQUENCES for text in (way * 2, way[::-1] * 2))


def hash_password(password: str) -> str:
    """Make what is kept of a password."""
    with _AT_ONCE:
        return _HASHER.hash(_normal(password))


def is_password(kept: str | None, password: str) -> bool:
    """Compare a password with what was kept, in the same time when nothing was kept."""
    with _AT_ONCE:
        try:
            right = _HASHER.verify(kept or _nobody(), _normal(password))
        except (VerificationError, InvalidHashError):
            return False
    return right and kept is not None


def is_outdated(kept: str) -> bool:
    """Say whether a password should be hashed again because our parameters have changed."""
    return _HASHER.check_needs_rehash(kept)


def check_password(password: str, name: str, pointer: str = "/password") -> None:
    """Refuse a password that is too short, too long, or among the first that anybody tries.

    Raises
    ------
    InvalidError
        What is wrong, and what would be right.
    """
    length = len(_normal(password))
    if length < SHORTEST:
        raise InvalidError.at(pointer, f"has {length} signs, needs at least {SHORTEST}")
    if length > LONGEST:
        raise InvalidError.at(pointer, f"has {length} signs, may have at most {LONGEST}")
    if _is_common(_normal(password).lower(), name):
        raise InvalidError.at(
            pointer, "is one of the first that anybody would try: take a few words of your own"
        )


def _is_common(password: str, name: str) -> bool:
    """Compare with the list, also behind the usual disguises: digits added, 3 for e, doubling."""
    cores = {password, re.sub(r"^[\d\W_]+|[\d\W_]+$", "", password)}
    cores |= {core.translate(_LEET) for core in cores}
    cores |= {found[1] for core in cores if (found := re.fullmatch(r"(.+?)\1+", core))}
    if cores & (_common() | {name, name[::-1]}):
        return True
    if len(set(password)) <= _FEW and len(password) < _MANY:
        return True
    return any(password in text for text in _SEQUENCES_BOTH)


@cache
def _common() -> frozenset[str]:
    text = files("gateway.accounts").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.split())


@cache
def _nobody() -> str:
    """Make what is compared when the name is unknown, so that this takes as long."""
    return _HASHER.hash("nobody has this password")


def _normal(password: str) -> str:
    # The same word typed on two systems may come as different code points.
    return unicodedata.normalize("NFKC", password)
