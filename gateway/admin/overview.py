"""How each cluster fares, and whose jobs have not ended: for administrators.

Of a job nothing is told that its owner wrote or made: titles, notes and results are theirs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.clusters.models import Contact, Drain
from gateway.jobs import line
from gateway.jobs.census import CensusStore
from gateway.jobs.models import Job, Stage, Tracking
from gateway.jobs.unreadable import unreadable_live
from gateway.services import Gateway

_HELD = ("JobHeldUser", "JobHeldAdmin")


@dataclass(frozen=True, kw_only=True)
class ClusterOverview:
    """How one cluster fares."""

    name: str
    title: str
    scheduler: str
    accounts: str
    configured: bool
    """False for one that the settings know no more and that still has jobs."""

    drained: Drain | None
    answered: datetime | None
    failed: datetime | None
    error: str
    states: Mapping[str, int]
    in_line: int
    uncertain: int
    held: int
    stale: int
    commands_last_minute: int | None
    """None while no worker tells."""

    questions_per_minute: int
    """The most questions about the jobs of one account; 0: no limit."""


@dataclass(frozen=True, kw_only=True)
class Overview:
    """How the gateway fares."""

    clusters: tuple[ClusterOverview, ...]
    pulse_s: float | None
    """Since the worker finished its last round; None when it is silent."""

    unreadable: Mapping[str, str]
    """Ids of live jobs whose records are damaged, and why: nothing is done with them."""


@dataclass(frozen=True, kw_only=True)
class QueueFilter:
    """Which jobs; None does not narrow."""

    user: str | None = None
    state: str | None = None
    cluster: str | None = None

    def matches(self, job: Job) -> bool:
        """Whether a job is one of them."""
        own = {"user": job.owner, "state": job.attempt.state.value, "cluster": job.cluster}
        return all(wanted in (None, own[name]) for name, wanted in vars(self).items())


def look_over(services: Gateway) -> Overview:
    """Gather how all clusters fare; one look at the jobs that have not ended."""
    census, jobs = CensusStore(services.redis).look(), live_jobs(services)
    drains, contacts = services.drains.all(), services.contacts.all()
    names = [*services.settings.clusters]
    names += sorted({job.cluster for job in jobs} - set(names))
    alive = census.pulse_s is not None
    return Overview(
        clusters=tuple(
            _overview(
                services,
                name,
                [job for job in jobs if job.cluster == name],
                drains.get(name),
                contacts.get(name, Contact()),
                census.commands.get(name, 0) if alive else None,
            )
            for name in names
        ),
        pulse_s=census.pulse_s,
        unreadable=unreadable_live(services.redis) if census.unreadable else {},
    )


def _overview(
    services: Gateway,
    name: str,
    jobs: Sequence[Job],
    drained: Drain | None,
    contact: Contact,
    commands: int | None,
) -> ClusterOverview:
    settings = services.settings.clusters.get(name)
    attempts = [job.attempt for job in jobs]
    return ClusterOverview(
        name=name,
        title=(settings.title if settings else "") or name,
        scheduler=settings.scheduler if settings else "",
        accounts=settings.accounts if settings else "",
        configured=settings is not None,
        drained=drained,
        answered=contact.answered,
        failed=contact.failed,
        error=contact.error,
        states=dict(sorted(Counter(attempt.state.value for attempt in attempts).items())),
        in_line=sum(_is_in_line(job) for job in jobs),
        uncertain=sum(attempt.stage is Stage.UNCERTAIN for attempt in attempts),
        held=sum(attempt.reason in _HELD for attempt in attempts),
        stale=sum(attempt.tracking is not Tracking.FRESH for attempt in attempts),
        commands_last_minute=commands,
        questions_per_minute=settings.calls_per_minute if settings else 0,
    )


def _is_in_line(job: Job) -> bool:
    return job.attempt.stage is not Stage.SUBMITTED and job.attempt.reason == line.REASON


def live_jobs(services: Gateway) -> list[Job]:
    """List the jobs of all users that have not ended, oldest first."""
    return [job for job in services.job_store.active() if not job.final]


def queue(
    services: Gateway, wanted: QueueFilter, limit: int, after: str | None
) -> tuple[list[Job], str | None]:
    """Answer a page of these jobs, and the id that it ends with; None when nothing is left."""
    found = [job for job in live_jobs(services) if wanted.matches(job)]
    rest = [job for job in found if after is None or job.id > after]
    return rest[:limit], rest[limit - 1].id if len(rest) > limit else None
