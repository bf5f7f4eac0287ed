"""A job that somebody may read as the beginning of one of their own.

Who may read a job may have all that it ran with: the version of its problem, with its data, becomes
a problem of theirs. Nothing else of its owner's does: no other version, no proposal, no address.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.accounts.models import Identity
from gateway.records import Document
from gateway.services import Gateway

_OWNERS = ("draft", "after", "proposal")


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What is needed to run the same."""

    job: str
    request: Document
    problem: str | None


def copied(services: Gateway, who: Identity, job_id: str) -> Copied:
    """Copy what a job ran with, and write the request that runs it again.

    Raises
    ------
    ConflictError
        When its problem was deleted.
    """
    job = services.jobs.get(who, job_id)
    request = {name: value for name, value in job.request.items() if name not in _OWNERS}
    request["parent"] = job.id
    if job.problem.id is None:
        return Copied(job=job.id, request=request, problem=None)
    found = services.problems.copy_for(who, job.problem, request.get("elements"))
    services.accounts.audit.record(who.user, "job.copy", f"{job.id} problem {found.problem.id}")
    request["problem"] = {"id": found.problem.id, "version": 1}
    return Copied(job=job.id, request=request, problem=found.problem.id)
