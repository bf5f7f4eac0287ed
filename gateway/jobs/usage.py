"""What users' jobs have used of each cluster, and what of that came to nothing.

It reads keys of `gateway.jobs.store`: the ids of jobs are in the order in which they were made, so
a period is a range of them, and each job is in one day: that of its submission, or of the preview
that gave it its id. Jobs that were deleted count as long as `gateway.jobs.gone` keeps their lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import redis

from gateway.errors import InvalidError
from gateway.ids import lowest_id
from gateway.jobs import gone, ran
from gateway.jobs.line import cpus_of_task
from gateway.jobs.models import Attempt, Job
from scheduler.base import JobState

MOST_DAYS = 366
_MOST_JOBS = 50_000
_HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Period:
    """Whole days in UTC, both counted."""

    since: date
    until: date

    def __post_init__(self) -> None:
        """Refuse what would be no period, or too much work."""
        days = (self.until - self.since).days
        if days < 0:
            raise InvalidError.at("/query/until", f"{self.until} is before {self.since}")
        if days >= MOST_DAYS:
            raise InvalidError.at("/query/since", f"ask for at most {MOST_DAYS} days at once")

    @property
    def ids(self) -> tuple[str, str]:
        """Between which ids its jobs are: not below the first, below the second."""
        first, beyond = self.since, self.until + timedelta(days=1)
        return _lowest(first), _lowest(beyond)


def _lowest(day: date) -> str:
    return lowest_id(datetime.combine(day, time(), UTC))


@dataclass(kw_only=True)
class Usage:
    """What one user's jobs, submitted in a period, have used of one cluster until now."""

    user: str
    cluster: str
    proposal: str = ""
    """Under which they were submitted; empty: under none."""

    ended: Counter[str] = field(default_factory=Counter)
    """Attempts that have ended, by state."""

    core_hours: float = 0.0
    wasted_core_hours: float = 0.0
    """Of attempts that did not complete and that no other has continued."""

    estimated: int = 0
    """Arrays with tasks of unknown length: these count from the first start to the last end."""

    def add(self, attempt: Attempt, *, continued: bool) -> None:
        """Count an attempt, if it has ended."""
        if not attempt.final:
            return
        self.ended[attempt.state.value] += 1
        used = core_hours(attempt)
        self.core_hours += used
        self.estimated += bool(used) and attempt.tasks > 1 and attempt.elapsed_s is None
        if attempt.state is not JobState.COMPLETED and not continued:
            self.wasted_core_hours += used


def core_hours(attempt: Attempt) -> float:
    """Say what an attempt took: the time of all its tasks, times the processors of each."""
    return ran.in_all_s(attempt) * cpus_of_task(attempt.resources) / _HOUR


def usage(client: redis.Redis, period: Period) -> Sequence[Usage]:
    """Sum up a period, most used first.

    Raises
    ------
    InvalidError
        When there are too many jobs in it.
    """
    found: dict[tuple[str, str, str], Usage] = {}
    for job in _jobs(client, period):
        continued = {attempt.resumed_from for attempt in job.attempts}
        for attempt in job.attempts:
            key = job.owner, job.cluster, attempt.proposal
            if key not in found:
                found[key] = Usage(user=key[0], cluster=key[1], proposal=key[2])
            found[key].add(attempt, continued=attempt.number in continued)
    return sorted(
        found.values(), key=lambda row: (-row.core_hours, row.user, row.cluster, row.proposal)
    )


def _jobs(client: redis.Redis, period: Period) -> Iterator[Job]:
    low, high = (f"[{period.ids[0]}", f"({period.ids[1]}")
    if gone.count(client, low, high) > _MOST_JOBS:
        raise InvalidError.at("/query/since", f"more than {_MOST_JOBS} jobs: ask for fewer days")
    return (found.job for found in gone.newest(client, low=low, high=high))
