"""Where uploads that have not ended lie, and how much of the disk they take from their owner."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

BYTES = ".bytes.part"


def mark(user: str) -> str:
    """Name an owner, so that nobody finds the uploads of another."""
    return hashlib.sha256(user.encode()).hexdigest()[:32]


def partial_files(root: Path, user: str) -> Iterator[Path]:
    """Give what has come of each unfinished upload of a user."""
    return root.glob(f".upload-{mark(user)}-*{BYTES}")


def partial_bytes(root: Path, user: str, but: Path | None = None) -> int:
    """Say how many bytes these are.

    Parameters
    ----------
    but
        One that does not count: it is about to be a file, which does.
    """
    total = 0
    for path in partial_files(root, user):
        if path != but:
            with suppress(FileNotFoundError):  # it has just ended
                total += path.stat().st_size
    return total
