"""Files beside small records that are changed in place: where users want to hear, what is drained.

What users and administrators have set must outlive the store, as jobs do. A record has a name of
its own and no version, so the moment of writing counts; what is removed leaves no file, and the
file goes first: a kill between the two must not bring back what somebody has taken away.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.records import Document
from gateway.sidecars import Sidecars, Unfinished

KINDS = ("webhooks", "mails", "drains")


class Keepsakes:
    """The files of one kind of record."""

    def __init__(self, state: Path, kind: str) -> None:
        self._sidecars = Sidecars(state / "sidecars" / kind)

    @contextmanager
    def prepared(self, name: str, document: Document) -> Iterator[Unfinished]:
        """Have a file on the disk before the store is changed; it counts once it is kept.

        Raises
        ------
        NoSpaceError
            When the disk takes no more.
        """
        with self._sidecars.prepared(_id(name), time.time_ns(), document) as unfinished:
            yield unfinished
        self._sidecars.tidy(_id(name))

    def keep(self, name: str, document: Document) -> None:
        """Write a file in place of the one before."""
        with self.prepared(name, document) as unfinished:
            unfinished.keep()

    def drop(self, name: str) -> None:
        """Remove a file; none is no error."""
        self._sidecars.remove(_id(name))


def _id(name: str) -> str:
    """Make of any name one that a file may have."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]
