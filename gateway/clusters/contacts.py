"""When each cluster last answered, and what went wrong last: told by the worker, for watchers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from gateway.clusters.models import Contact
from gateway.clusters.store import ContactStore
from gateway.records import now

_TELL_S = 5.0
_LONGEST = 500


class Contacts:
    """Writes down how it went, of each cluster every few seconds at most."""

    def __init__(self, store: ContactStore, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._told: dict[tuple[str, bool], float] = {}

    def all(self) -> Mapping[str, Contact]:
        """Read what is known, by cluster."""
        return self._store.all()

    def answered(self, cluster: str) -> None:
        """Note that it did what it was asked."""
        if self._is_time(cluster, good=True):
            self._store.answered(cluster, now())

    def failed(self, cluster: str, error: str) -> None:
        """Note that it did not, and why."""
        if self._is_time(cluster, good=False):
            self._store.failed(cluster, now(), error[:_LONGEST])

    def _is_time(self, cluster: str, *, good: bool) -> bool:
        moment = self._clock()
        last = self._told.get((cluster, good))
        if last is not None and moment - last < _TELL_S:
            return False
        self._told[cluster, good] = moment
        return True
