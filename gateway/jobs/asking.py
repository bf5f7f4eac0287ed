"""Who asks for a job or for another attempt of one, and whether there is room for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from gateway.accounts.models import Identity
from gateway.errors import TooManyRequestsError
from gateway.jobs.admission import Admission, Full
from gateway.jobs.expert import Expert
from gateway.jobs.resources import Resources
from gateway.records import Document
from gateway.settings import LimitSettings


@dataclass(frozen=True, kw_only=True)
class Request:
    """Who asks for a job, with which key, in which trail."""

    identity: Identity
    correlation_id: str
    key: str = ""
    """Idempotency key; empty for none."""

    request_hash: str = ""


@dataclass(frozen=True, kw_only=True)
class Again:
    """What another attempt does differently."""

    options: Document = field(default_factory=dict)
    resources: Resources = field(default_factory=Resources)
    expert: Expert | None = None
    """None: the same additions to the script; empty: none."""

    seed: int | None = None
    proposal: str | None = None
    """None: the same; empty: under none."""

    only: str = ""
    """``failed``: of an array, those elements alone that are not done; the others are kept."""


class Wake(Protocol):
    """Ask the reconciler to look now; correctness never depends on it."""

    def __call__(self, id: str) -> None:
        """Ask for a look at one job."""


def require_room(found: Admission, limits: LimitSettings) -> None:
    """See that a user may have one more job.

    Raises
    ------
    TooManyRequestsError
        Naming the limit that is reached.
    """
    if found.jobs >= limits.jobs_per_user:
        raise no_room(Full(alive=False), limits)
    require_turn(found, limits)


def require_turn(found: Admission, limits: LimitSettings) -> None:
    """See that one more job of a user may be alive; errors as for `require_room`."""
    if found.alive >= limits.queued_per_user:
        raise no_room(Full(alive=True), limits)


def no_room(full: Full, limits: LimitSettings) -> TooManyRequestsError:
    """Say which limit is reached, and what to do."""
    if full.alive:
        return TooManyRequestsError(
            f"{limits.queued_per_user} of your jobs have not ended, as many as this site "
            "takes: wait for some of them",
            60,
        )
    return TooManyRequestsError(
        f"you have {limits.jobs_per_user} jobs, as many as this site keeps: delete some", 60
    )
