"""Tells people in the page that somebody shares a job with them, until it is taken back.

Nothing of it is sent: a mail at the wish of somebody else is none that they asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from gateway.errors import NotFoundError
from gateway.jobs.models import Job
from gateway.jobs.parsed import UnreadableError
from gateway.notifications.models import end_of
from gateway.notifications.store import NotificationStore
from gateway.sharing.models import How, Share

MOST = 100
"""Members of a group that are told: a larger one is no circle of people who wait for this."""


class ReadsJobs(Protocol):
    """What reads jobs."""

    def get(self, id: str) -> Job:
        """Read a job; NotFoundError when it is gone, UnreadableError when it is damaged."""


class ShareNotices:
    """Says it, once to each for a job, whatever is shared again meanwhile."""

    def __init__(self, store: NotificationStore, jobs: ReadsJobs) -> None:
        self._store = store
        self._jobs = jobs

    def shared(self, share: Share, readers: Sequence[str]) -> None:
        """Tell readers of a new share."""
        with suppress(NotFoundError, UnreadableError):  # gone meanwhile
            job = self._jobs.get(share.thing)
            for reader in readers[:MOST]:
                told = replace(
                    end_of(job, job.attempt),
                    user=reader,
                    by=share.by,
                    text=_text(share),
                    verdict=None,
                )
                self._store.tell(_member(share, reader), told)

    def taken_back(self, share: Share, readers: Sequence[str]) -> None:
        """Leave no title with those who may not read it any more."""
        for reader in readers[:MOST]:
            self._store.withdraw(_member(share, reader), reader)


def _member(share: Share, reader: str) -> str:
    return f"share:{share.thing}:{share.field}:{reader}"


def _text(share: Share) -> str:
    through = f" through the group {share.to}" if share.how is How.GROUP else ""
    until = f" until {share.expires:%Y-%m-%d %H:%M} UTC" if share.expires else ""
    return f"{share.by} shares this job with you{through}{until}."
