"""Clusters that take no new jobs for a while: an administrator's switch.

What was accepted waits in the gateway and is not lost; what is over there is followed to its end.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.accounts.audit import Audit
from gateway.clusters.models import Drain
from gateway.clusters.store import DrainStore
from gateway.errors import InvalidError, NotFoundError
from gateway.records import now
from gateway.settings import Settings

REASON_LENGTH = 200
_NOTHING_SAID = "its administrators have paused it"


class Drains:
    """The verbs of the switch; the worker and the pages ask `why`."""

    def __init__(self, store: DrainStore, settings: Settings, audit: Audit) -> None:
        self._store = store
        self._settings = settings
        self._audit = audit

    def all(self) -> Mapping[str, Drain]:
        """Read which clusters are drained, by name."""
        return self._store.all()

    def why(self, cluster: str) -> str:
        """Say to users why a cluster takes nothing new; empty when it does."""
        drain = self._store.find(cluster)
        return "" if drain is None else self._words(cluster, drain)

    def notes(self) -> dict[str, str]:
        """Say it of all clusters that take nothing new."""
        return {name: self._words(name, drain) for name, drain in self.all().items()}

    def drain(self, cluster: str, reason: str, by: str) -> Drain:
        """Hand nothing new over to a cluster; the same again only gives another reason."""
        self._require_known(cluster)
        drain = Drain(reason=_one_line(reason), by=by, since=now())
        self._store.put(cluster, drain)
        self._audit.record(by, "cluster.drain", f"{cluster}: {drain.reason}")
        return drain

    def resume(self, cluster: str, by: str) -> bool:
        """Hand over again what waits; False when nothing was stopped."""
        if cluster not in self._store.all():  # one that the settings know no more may be let go
            self._require_known(cluster)
            return False
        self._store.remove(cluster)
        self._audit.record(by, "cluster.resume", cluster)
        return True

    def drain_all(self, reason: str, by: str) -> None:
        """Hand nothing new over to any cluster."""
        for cluster in self._settings.clusters:
            self.drain(cluster, reason, by)

    def resume_all(self, by: str) -> None:
        """Hand over again to every cluster."""
        for cluster in self._store.all():
            self.resume(cluster, by)

    def _require_known(self, cluster: str) -> None:
        if cluster not in self._settings.clusters:
            known = ", ".join(self._settings.clusters)
            raise NotFoundError(f"there is no cluster {cluster[:64]!r}; known: {known}")

    def _words(self, cluster: str, drain: Drain) -> str:
        settings = self._settings.clusters.get(cluster)
        title = (settings.title if settings else "") or cluster
        return f"{title} takes no new jobs now ({drain.reason or _NOTHING_SAID})"


def _one_line(reason: str) -> str:
    """Check what all users will read."""
    text = reason.strip()
    if len(text) > REASON_LENGTH or not text.isprintable():
        raise InvalidError.at("/reason", f"is not one line of at most {REASON_LENGTH} signs")
    return text
