"""Bring what older versions wrote of jobs to the keys of `gateway.jobs.store`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import redis

from scheduler.base import JobState

_SCAN = 500
_FIXED = {"active": "set", "deleted": "set", "rubbish": "list", "wake": "list", "pulse": "string"}
"""What follows ``jobs:`` in keys that are no user's, with what they are."""


def move_indexes(client: redis.Redis) -> None:
    """Version 1 had a user's index in ``jobs:{owner}``, where ``jobs:active`` and others are.

    The indexes are made anew from the records, so whatever was written halfway is right again.
    """
    store: Any = client
    rows = list(_jobs(store))
    owners = {owner for _, owner, _ in rows}
    for owner in owners:
        _remove_old(store, owner)
        store.delete(f"jobs:of:{owner}", *(f"jobs:of:{owner}:{state.value}" for state in JobState))
    with store.pipeline(transaction=False) as pipe:
        for job_id, owner, state in rows:
            pipe.zadd(f"jobs:of:{owner}", {job_id: 0})
            pipe.zadd(f"jobs:of:{owner}:{state}", {job_id: 0})
            if not owners.isdisjoint(_FIXED):
                # Nobody's jobs could be put there then. What has ended is let go of again.
                pipe.sadd("jobs:active", job_id)
        pipe.execute()


def _jobs(store: Any) -> Iterator[tuple[str, str, str]]:
    """Go through all jobs: id, owner, state."""
    low = "-"
    while ids := store.zrangebylex("jobs", low, "+", start=0, num=_SCAN):
        with store.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hmget(f"job:{job_id}", "owner", "state")
            found = pipe.execute()
        rows = zip(ids, found, strict=True)
        yield from ((job_id, *row) for job_id, row in rows if None not in row)
        low = f"({ids[-1]}"


def _remove_old(store: Any, owner: str) -> None:
    """Remove the old indexes of a user, and nothing that only has such a name."""
    store.delete(*(f"jobs:{owner}:{state.value}" for state in JobState))
    if store.type(f"jobs:{owner}") != _FIXED.get(owner):
        store.delete(f"jobs:{owner}")
