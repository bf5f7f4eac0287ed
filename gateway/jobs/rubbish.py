"""What a deleted job left on disk, until it is removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.jobs.models import Job, dataset_id
from gateway.records import now


@dataclass(frozen=True, kw_only=True)
class Rubbish:
    """What a deleted job left; it stays in a file, without what was swept, as long as its id."""

    id: str
    owner: str
    cluster: str
    deleted: datetime
    directories: tuple[str, ...]
    login: str = ""
    """Whose account has them; empty: the one that all share."""

    datasets: tuple[str, ...] = ()
    keys: Mapping[str, str] = field(default_factory=dict)
    """Idempotency keys that must not make it again, as in the job."""

    tries: int = 0
    swept: bool = False


def rubbish_of(job: Job) -> Rubbish:
    """List what a job leaves that is being deleted."""
    return Rubbish(
        id=job.id,
        owner=job.owner,
        cluster=job.cluster,
        deleted=now(),
        directories=tuple(attempt.directory for attempt in job.attempts),
        login=job.attempt.login,
        datasets=tuple(dataset_id(job, attempt) for attempt in job.attempts),
        keys=job.keys,
    )
