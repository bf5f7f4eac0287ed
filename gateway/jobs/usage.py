"""What users' jobs have used of each cluster, and what of that came to nothing.

It reads keys of `gateway.jobs.store`: the ids of jobs are in the order in which they were made, so
a period is a range of them, and each job is in one day: that of its submission, or of the preview
that gave it its id. Jobs that were deleted count as long as `gateway.jobs.gone` keeps their lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cache

import redis

from gateway.errors import InvalidError
from gateway.ids import lowest_id
from gateway.jobs import gone, tally
from gateway.jobs.tally import Used
from scheduler.base import JobState

MOST_DAYS = 366
MOST_JOBS = 50_000
"""Of a period: the newest, as many as are read in a request."""

_DONE = JobState.COMPLETED.value
IDLE = "IDLE"
"""Why core-hours of attempts were wasted that came to something: their processors stood idle."""


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
class Sum:
    """What jobs that were submitted in a period have used until now, and what came of it."""

    ended: Counter[str] = field(default_factory=Counter)
    """Attempts that have ended, by state."""

    core_hours: float = 0.0
    wasted: dict[str, float] = field(default_factory=dict)
    """Core-hours of attempts that did not complete and that no other has continued, by state; of
    the others what was idle, where less than half of their processors' time was used."""

    estimated: int = 0
    """Arrays with tasks of unknown length: these count from the first start to the last end."""

    succeeded: int = 0
    judged: int = 0
    """Attempts that tell of success: no other has continued them, and they were not cancelled
    before they began."""

    @property
    def wasted_core_hours(self) -> float:
        """All of what was wasted."""
        return sum(self.wasted.values())

    @property
    def success_rate(self) -> float | None:
        """How many of those that tell of it completed; None when there are none."""
        return self.succeeded / self.judged if self.judged else None

    def add(self, one: Used) -> None:
        """Count an attempt that has ended."""
        self.ended[one.state] += 1
        self.core_hours += one.core_hours
        self.estimated += one.estimated
        done = one.state == _DONE
        if done or one.continued:
            self._waste(IDLE, one.core_hours * one.idle)
        else:
            self._waste(one.state, one.core_hours)
        if not one.continued:
            self.succeeded += done
            self.judged += one.began

    def _waste(self, why: str, core_hours: float) -> None:
        if core_hours:
            self.wasted[why] = self.wasted.get(why, 0.0) + core_hours


@dataclass(kw_only=True)
class Usage(Sum):
    """What one user's jobs have used of one cluster."""

    user: str
    cluster: str
    proposal: str = ""
    """Under which they were submitted; empty: under none."""


@dataclass(kw_only=True)
class Share(Sum):
    """What the jobs of one kind, or of one group, have used."""

    name: str
    """Empty: of users that are in no group."""


@dataclass(kw_only=True)
class Report:
    """A period, most used first; who is in two groups counts in both."""

    rows: Sequence[Usage]
    kinds: Sequence[Share]
    groups: Sequence[Share]
    total: Sum
    left_out: int
    """So many older jobs of the period are not in it: it would take too long."""

    counted_from: datetime | None
    """When the oldest job that is in it was made; None when all are."""


def usage(client: redis.Redis, period: Period, groups_of: Callable[[str], Sequence[str]]) -> Report:
    """Sum up a period, of its newest jobs when there are very many.

    Parameters
    ----------
    groups_of
        Says in which groups a user is.
    """
    rows: dict[tuple[str, str, str], Usage] = {}
    kinds: dict[str, Share] = {}
    groups: dict[str, Share] = {}
    total = Sum()
    member_of = cache(groups_of)
    low, high = f"[{period.ids[0]}", f"({period.ids[1]}"
    left_out = max(0, gone.count(client, low, high) - MOST_JOBS)
    oldest: datetime | None = None
    for line in tally.newest(client, low, high, MOST_JOBS):
        oldest = line.created
        shares = [total, _share(kinds, line.kind)]
        shares += [_share(groups, name) for name in member_of(line.owner) or ("",)]
        for used in line.used:
            key = line.owner, line.cluster, used.proposal
            if key not in rows:
                rows[key] = Usage(user=key[0], cluster=key[1], proposal=key[2])
            for one in (rows[key], *shares):
                one.add(used)
    return Report(
        rows=sorted(
            rows.values(), key=lambda row: (-row.core_hours, row.user, row.cluster, row.proposal)
        ),
        kinds=_most_first(kinds),
        groups=_most_first(groups),
        total=total,
        left_out=left_out,
        counted_from=oldest if left_out else None,
    )


def _share(found: dict[str, Share], name: str) -> Share:
    return found.setdefault(name, Share(name=name))


def _most_first(found: dict[str, Share]) -> list[Share]:
    return sorted(found.values(), key=lambda one: (-one.core_hours, one.name))
