"""Whether a user may have another job: what the store says of it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.jobs.models import Job


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """An earlier request with the same key made this job already."""

    job: Job


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What decides whether a user may have another job."""

    earlier: Job | None
    """The job that this very request has made before."""

    jobs: int
    alive: int


@dataclass(frozen=True, kw_only=True)
class Room:
    """How much a user may have: jobs, and jobs that have not ended; 0 for any number."""

    jobs: int = 0
    alive: int = 0


@dataclass(frozen=True, kw_only=True)
class Full:
    """There was no room for the job: which of the two was reached."""

    alive: bool


ANY = Room()
