"""What jobs have used and came to, summed up as they end: nobody goes through jobs that are done.

===================  ====  =======================================================================
key                  type  holds
===================  ====  =======================================================================
``spent:{day}``      hash  core-seconds of that day (UTC), by user; kept for two months
``spent:proposals``  hash  core-seconds of all days, by proposal
``jobs:ended``       hash  attempts that have ended, by ``STATE cluster``
===================  ====  =======================================================================

`gateway.jobs.store` adds to them in the same step in which it lets go of a job that has ended, once
for each attempt. What is deleted later stays counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import redis

from gateway.jobs.models import Attempt, Job
from gateway.jobs.tally import core_hours
from gateway.records import now

ENDED = "jobs:ended"
KEPT_S = 62 * 24 * 3_600
_HOUR = 3_600.0


@dataclass(frozen=True, kw_only=True)
class Charge:
    """What an attempt adds to a sum."""

    attempt: int
    key: str
    field: str
    amount: float
    kept_s: int
    """How long the sum is kept; 0: for good."""


def charges(job: Job) -> list[Charge]:
    """Say what the attempts that have ended add to which sums."""
    return [charge for attempt in job.attempts if attempt.final for charge in _of_one(job, attempt)]


def _of_one(job: Job, attempt: Attempt) -> Iterator[Charge]:
    number = attempt.number
    end = f"{attempt.state.value} {job.cluster}"
    yield Charge(attempt=number, key=ENDED, field=end, amount=1, kept_s=0)
    for day, core_s in by_day(attempt).items():
        key = f"spent:{day}"
        yield Charge(attempt=number, key=key, field=job.owner, amount=core_s, kept_s=KEPT_S)
        if name := attempt.proposal:
            key = "spent:proposals"
            yield Charge(attempt=number, key=key, field=name, amount=core_s, kept_s=0)


def by_day(attempt: Attempt) -> dict[date, float]:
    """Spread the core-seconds of an attempt evenly over the time from its start to its end."""
    core_s = core_hours(attempt) * _HOUR
    if not core_s:
        return {}
    ended = (attempt.ended or now()).astimezone(UTC)
    started = (attempt.started or ended).astimezone(UTC)
    length_s = (ended - started).total_seconds()
    if not 0 < length_s < KEPT_S:
        return {ended.date(): core_s}
    return {
        day: core_s * seconds / length_s for day, seconds in _pieces(started, ended) if seconds > 0
    }


def _pieces(started: datetime, ended: datetime) -> Iterable[tuple[date, float]]:
    """Cut a time at midnights: each day with its seconds."""
    while started.date() < ended.date():
        midnight = datetime(started.year, started.month, started.day, tzinfo=UTC) + timedelta(
            days=1
        )
        yield started.date(), (midnight - started).total_seconds()
        started = midnight
    yield ended.date(), (ended - started).total_seconds()


class Spent:
    """Reads the sums."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client

    def of_users(self, users: Sequence[str], days: Sequence[date]) -> Mapping[str, float]:
        """Add up the core-hours of users in some days."""
        total: dict[str, float] = defaultdict(float)
        if not users:
            return total
        with self._redis.pipeline(transaction=False) as pipe:
            for day in days:
                pipe.hmget(f"spent:{day}", list(users))
            for row in pipe.execute():
                for user, core_s in zip(users, row, strict=True):
                    total[user] += float(core_s or 0) / _HOUR
        return total

    def of_proposals(self, names: Sequence[str]) -> Mapping[str, float]:
        """Read the core-hours of proposals."""
        if not names:
            return {}
        found = self._redis.hmget("spent:proposals", list(names))
        return {name: float(core_s or 0) / _HOUR for name, core_s in zip(names, found, strict=True)}
