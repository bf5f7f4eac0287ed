"""One job as it changes, for a reader who stays."""

from __future__ import annotations

import json
from contextlib import suppress

from gateway.accounts.models import Identity
from gateway.errors import NotFoundError
from gateway.jobs.live_store import READ_AT_ONCE
from gateway.jobs.present import present
from gateway.services import Gateway
from gateway.web.sse import Event


class JobStream:
    """What a reader of one job's events is told: its state at first, then what is new."""

    def __init__(self, services: Gateway, who: Identity, job_id: str) -> None:
        self._jobs, self._live = services.jobs, services.live
        self._clusters = services.settings.clusters
        self._who = who
        self._id = job_id
        self._stamp: object = None

    def read(self, after: str | None, wait_s: float) -> list[Event]:
        """Wait for what is new since an id; nothing when it is gone or not shared any more."""
        with suppress(NotFoundError):
            return self._read(after, wait_s)
        return []

    def _read(self, after: str | None, wait_s: float) -> list[Event]:
        job = self._jobs.get(self._who, self._id)
        wait_ms = int(wait_s * 1000) if after and job.stamp == self._stamp else 1
        entries = self._live.events(self._id, after or "0", wait_ms)
        events = [Event(id=key, event=kind, data=json.loads(data)) for key, kind, data in entries]
        job = self._jobs.get(self._who, self._id)
        # Its end is the last that is told: not while there is more to read of what went before.
        if len(entries) < READ_AT_ONCE and job.stamp != self._stamp:
            self._stamp = job.stamp
            at = events[-1].id if events else (after or "0-0")
            cluster = self._clusters.get(job.cluster)
            document = present(job, self._live.progress(self._id), cluster)
            events.append(Event(id=at, event="job", data=document, last=job.final))
        return events
