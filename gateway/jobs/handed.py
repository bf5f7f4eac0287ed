"""What was handed to schedulers, for an audit: who, what, when, by which script, under which id.

It reads keys of `gateway.jobs.store`, newest first and a bounded number at once. All of it stands
in the jobs' records, and of deleted ones in what `gateway.jobs.gone` keeps; so a store that is
built again from files has it too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis

from gateway.jobs import gone
from gateway.jobs.gone import Recorded
from gateway.jobs.models import Attempt
from gateway.jobs.tally import core_hours

MOST_LOOKED_AT = 2_000
"""Jobs that one page looks at: what a narrow filter leaves out costs time, too."""


@dataclass(frozen=True, kw_only=True)
class HandedFilter:
    """Which jobs; None does not narrow."""

    user: str | None = None
    job: str | None = None
    cluster: str | None = None


@dataclass(frozen=True, kw_only=True)
class Handed:
    """One attempt: what ran, or was to run."""

    asked: datetime
    user: str
    login: str
    job: str
    attempt: int
    tries: int
    kind: str
    cluster: str
    native_id: str | None
    state: str
    wish: str
    wish_by: str
    template: str
    script_sha256: str
    resources: Mapping[str, Any]
    """The effective directives, defaults of the site included."""

    expert: Mapping[str, Any]
    """What its owner added to the script in expert mode."""

    options: Mapping[str, Any]
    """The effective options of the fit."""

    seed: int
    problem_digest: str
    correlation_id: str
    proposal: str
    started: datetime | None
    ended: datetime | None
    core_hours: float
    """What it took; 0 until it has ended."""

    deleted: datetime | None
    """When its owner deleted the job; None while it is there."""


@dataclass(frozen=True, kw_only=True)
class HandedPage:
    """Attempts, newest job first; ``last`` is the job to go on below, None at the end."""

    rows: Sequence[Handed]
    last: str | None


def handed(
    client: redis.Redis, wanted: HandedFilter, limit: int, after: str | None = None
) -> HandedPage:
    """Read the attempts of at most so many jobs; a page may have fewer, and still not be the last.

    Titles, notes and results are their owners', and not here.
    """
    rows: list[Handed] = []
    jobs = 0
    for looked_at, found in enumerate(_newest(client, wanted, after), 1):
        job = found.job
        if wanted.cluster in (None, job.cluster) and wanted.user in (None, job.owner):
            jobs += 1
            rows.extend(_row(found, attempt) for attempt in reversed(job.attempts))
        if jobs >= limit or looked_at >= MOST_LOOKED_AT:
            return HandedPage(rows=rows, last=None if wanted.job else job.id)
    return HandedPage(rows=rows, last=None)


def _newest(client: redis.Redis, wanted: HandedFilter, after: str | None) -> Iterator[Recorded]:
    if wanted.job:
        found = gone.find(client, wanted.job)
        return iter(() if found is None else (found,))
    return gone.newest(client, owner=wanted.user, high=f"({after}" if after else "+")


def _row(found: Recorded, attempt: Attempt) -> Handed:
    job = found.job
    return Handed(
        asked=attempt.asked,
        user=job.owner,
        login=attempt.login,
        job=job.id,
        attempt=attempt.number,
        tries=attempt.try_number,
        kind=job.kind,
        cluster=job.cluster,
        native_id=attempt.native_id,
        state=attempt.state.value,
        wish=job.wish.value,
        wish_by=job.wish_by,
        template=attempt.template,
        script_sha256=attempt.script_sha256,
        resources=attempt.resources,
        expert=attempt.expert,
        options=job.options,
        seed=job.seed,
        problem_digest=job.problem.digest,
        correlation_id=job.correlation_id,
        proposal=attempt.proposal,
        started=attempt.started,
        ended=attempt.ended,
        core_hours=core_hours(attempt) if attempt.state.final else 0.0,
        deleted=found.deleted,
    )
