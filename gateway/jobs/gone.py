"""What stays of deleted jobs, for audit and usage: what ran for whom, without what is private.

================  ====  ========================================================================
key               type  holds
================  ====  ========================================================================
``gone``          hash  a line for each deleted job, as JSON, by id
``gone:ids``      zset  their ids, by their text (score 0)
``gone:of:{u}``   zset  the same, of one owner
``gone:when``     zset  the same, by the second of their deletion
================  ====  ========================================================================

`gateway.jobs.store` writes a line in the step that deletes the job, and then into the file that
says so: users must not be able to erase what they had run. After ``KEPT`` the line goes; that the
id was given stays.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import redis

from gateway.jobs.models import Attempt, Job
from gateway.jobs.parsed import UnreadableError, read_job
from gateway.records import Document, from_document, now, time_text, to_document

KEPT = timedelta(days=400)
"""More than the longest period that a report is asked for."""

LINE = "line"
"""Under which name the line is in the file of a deletion."""

_DELETED = "deleted"
_SCAN = 200


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A job, or what stays of one that was deleted."""

    job: Job
    deleted: datetime | None = None


def line_of(job: Job, deleted: datetime) -> Document:
    """Write what stays of a job: nothing that its owner wrote or that came out of it."""
    bare = replace(
        job,
        title="",
        notes="",
        tags=(),
        request={},
        keys={},
        problem=replace(job.problem, name=""),
        attempts=tuple(map(_bare, job.attempts)),
    )
    return {**to_document(bare), _DELETED: time_text(deleted)}


def _bare(attempt: Attempt) -> Attempt:
    return replace(
        attempt,
        reason_text="",
        error="",
        unanswered=(),
        verdict=None,
        chisq=None,
        forecast=None,
        measured=None,
        dataset=None,
    )


def read_line(document: Document) -> Recorded:
    """Read a line; KeyError, TypeError or ValueError when it is none."""
    deleted = datetime.fromisoformat(document[_DELETED])
    return Recorded(job=from_document(Job, document), deleted=deleted)


class GoneStore:
    """The lines, as `gateway.jobs.store` keeps them."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client

    def find(self, id: str) -> Document | None:
        """Give the line of a deleted job; None when there is none any more."""
        text = self._redis.hget("gone", id)
        return None if text is None else dict(json.loads(text))

    def restore(self, line: Document) -> None:
        """Bring a line back from its file, unless it is too old."""
        found = read_line(line)
        when = found.deleted or now()
        if when < now() - KEPT:
            return
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset("gone", found.job.id, json.dumps(line, separators=(",", ":")))
            pipe.zadd("gone:ids", {found.job.id: 0})
            pipe.zadd(f"gone:of:{found.job.owner}", {found.job.id: 0})
            pipe.zadd("gone:when", {found.job.id: int(when.timestamp())})
            pipe.execute()

    def overdue(self, count: int) -> list[str]:
        """List some ids whose line was kept as long as it is to be, oldest first."""
        until = int((now() - KEPT).timestamp())
        return list(self._redis.zrangebyscore("gone:when", "-inf", until, start=0, num=count))

    def drop(self, id: str) -> None:
        """Let a line go."""
        line = self.find(id)
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hdel("gone", id)
            pipe.zrem("gone:ids", id)
            if line is not None:
                pipe.zrem(f"gone:of:{line['owner']}", id)
            pipe.zrem("gone:when", id)
            pipe.execute()


def count(client: redis.Redis, low: str, high: str) -> int:
    """Count jobs between two bounds, as Redis writes them, deleted ones too."""
    store: Any = client
    return int(store.zlexcount("jobs", low, high) + store.zlexcount("gone:ids", low, high))


def find(client: redis.Redis, id: str) -> Recorded | None:
    """Find one job, also a deleted one."""
    return next(read(client, [id]), None)


def newest(
    client: redis.Redis, *, owner: str | None = None, low: str = "-", high: str = "+"
) -> Iterator[Recorded]:
    """Go through jobs, deleted ones too, from the newest; all, or those of one owner."""
    ids = newest_ids(client, owner=owner, low=low, high=high)
    while some := list(islice(ids, _SCAN)):
        yield from read(client, some)


def newest_ids(
    client: redis.Redis, *, owner: str | None = None, low: str = "-", high: str = "+"
) -> Iterator[str]:
    """Go through their ids alone."""
    store: Any = client
    indexes = (f"jobs:of:{owner}", f"gone:of:{owner}") if owner else ("jobs", "gone:ids")
    while True:
        found: set[str] = set()
        for index in indexes:
            found |= set(store.zrevrangebylex(index, high, low, start=0, num=_SCAN))
        ids = sorted(found, reverse=True)[:_SCAN]
        if not ids:
            return
        yield from ids
        high = f"({ids[-1]}"


def read(client: redis.Redis, ids: list[str]) -> Iterator[Recorded]:
    """Read jobs, or what stays of them; what cannot be read is left out."""
    if not ids:
        return
    store: Any = client
    with store.pipeline(transaction=False) as pipe:
        for job_id in ids:
            pipe.hget(f"job:{job_id}", "record")
        pipe.hmget("gone", ids)
        *records, lines = pipe.execute()
    for job_id, record, line in zip(ids, records, lines, strict=True):
        if record is not None:
            with suppress(UnreadableError):  # its administrator is told; the others are shown
                yield Recorded(job=read_job(job_id, record))
        elif line is not None:
            yield read_line(json.loads(line))
