"""Files beside small records that are changed in place: who may read what, what is drained.

What users and administrators have set must outlive the store, as jobs do. A record has a name of
its own and no version, so the moment of writing counts; what is removed leaves no file, and the
file goes first: a kill between the two must not bring back what somebody has taken away.

Processes may change a record at once, and each may be held up between the store and its file. So
whoever has changed a file looks at the store again, until both say the same: the last one to look
has seen the last change.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.records import Document
from gateway.sidecars import Sidecars, Unfinished

Stored = Callable[[], Document | None]
KINDS = ("webhooks", "mails", "drains", "shares")


class Keepsakes:
    """The files of one kind of record."""

    def __init__(self, state: Path, kind: str) -> None:
        self._sidecars = Sidecars(state / "sidecars" / kind)

    @contextmanager
    def prepared(self, name: str, document: Document, stored: Stored) -> Iterator[Unfinished]:
        """Have a file on the disk before the store is changed; it counts once it is kept.

        Parameters
        ----------
        stored
            Reads what the store has of it; None where a file would bring back too much.

        Raises
        ------
        NoSpaceError
            When the disk takes no more.
        """
        with self._sidecars.prepared(_id(name), time.time_ns(), document) as unfinished:
            yield unfinished
        self._sidecars.tidy(_id(name))
        found = stored()
        if found is None:
            unfinished.take_back()
        if found != document:
            self.keep(name, stored)

    def keep(self, name: str, stored: Stored) -> None:
        """Write what the store has in place of the file before; nothing where it has none."""
        if (document := stored()) is not None:
            with self.prepared(name, document, stored) as unfinished:
                unfinished.keep()

    @contextmanager
    def dropped(self, name: str, stored: Stored) -> Iterator[None]:
        """Remove a file before the store forgets, and one that came meanwhile after."""
        self._sidecars.remove(_id(name))
        yield
        self._sidecars.remove(_id(name))
        self.keep(name, stored)


def _id(name: str) -> str:
    """Make of any name one that a file may have."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]
