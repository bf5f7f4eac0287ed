"""The jobs that one runs after, and those that run after it, as its page names them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from gateway.jobs.dependencies import KINDS, waits
from gateway.jobs.models import Job
from gateway.jobs.shared import ReadersJob
from gateway.jobs.store import JobStore
from scheduler.base import JobState

_MOST = 200
"""So many waiting jobs of a user are looked through for those that wait for one."""

_OFFERED = 20


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """What stands before and behind a job."""

    before: Mapping[str, Job | None]
    """By id, in the order of the request; None for one that was deleted."""

    behind: tuple[Job, ...]
    """Those that wait for it now, newest first."""

    how: str
    """How those before it have to end, or end."""

    @property
    def version(self) -> list[object]:
        """What changes when their words do."""
        rows = [
            [job_id, job.attempt.state.value if job else ""] for job_id, job in self.before.items()
        ]
        return [rows, [job.id for job in self.behind]]


def neighbours_of(store: JobStore, job: Job) -> Neighbours:
    """Find what a job runs after, and what waits for it."""
    if isinstance(job, ReadersJob):  # what its owner has besides is no part of what is shared
        return Neighbours(before={}, behind=(), how=KINDS["afterok"])
    found = {one.id: one for one in store.get_many(job.after)} if job.after else {}
    return Neighbours(
        before={job_id: found.get(job_id) for job_id in job.after},
        behind=() if job.final else _behind(store, job),
        how=KINDS.get(job.after_kind, KINDS["afterok"]),
    )


def _behind(store: JobStore, job: Job) -> tuple[Job, ...]:
    pending = store.newest(job.owner, JobState.PENDING.value, None, _MOST)
    # A job names only jobs that were there before it, and ids grow with time.
    newer = (one for one in islice(pending, _MOST) if one.id > job.id)
    return tuple(one for one in newer if waits(one) and job.id in one.attempt.waits_for)


def offered(store: JobStore, owner: str) -> list[Job]:
    """List jobs that somebody may want to run another after: the newest, live ones first."""
    newest = list(islice(store.newest(owner, None, None, _OFFERED), _OFFERED))
    return sorted(newest, key=lambda job: job.final)
