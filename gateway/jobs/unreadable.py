"""Jobs whose records are damaged: what an administrator is told of them.

Nothing is done with such a job, and every other goes on. It reads keys of `gateway.jobs.store`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from gateway.jobs.parsed import UnreadableError, read_job

_AT_ONCE = 200


def unreadable_live(client: redis.Redis) -> dict[str, str]:
    """Say of the jobs that live whose record cannot be read, and why."""
    store: Any = client
    return _unreadable(store, sorted(store.smembers("jobs:active")))


def unreadable(client: redis.Redis) -> dict[str, str]:
    """Say it of all jobs, those that have ended too; it reads every record."""
    store: Any = client
    found: dict[str, str] = {}
    low = "-"
    while ids := store.zrangebylex("jobs", low, "+", start=0, num=_AT_ONCE):
        found |= _unreadable(store, ids)
        low = f"({ids[-1]}"
    return found


def _unreadable(store: Any, ids: Sequence[str]) -> dict[str, str]:
    found = {}
    with store.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hmget(f"job:{job_id}", "record", "observed")
        for job_id, (text, observed) in zip(ids, pipe.execute(), strict=True):
            try:
                if text is not None:
                    read_job(job_id, text, observed)
            except UnreadableError as error:
                found[job_id] = str(error)
    return found
