"""What the page of a job says of sharing: to its owner who has access, to a reader why."""

from __future__ import annotations

from typing import Any

from gateway.jobs.models import Job
from gateway.jobs.shared import ReadersJob, thing_of
from gateway.services import Gateway


def sharing_part(services: Gateway, job: Job) -> dict[str, Any]:
    """Gather what the page of a job says of sharing."""
    if isinstance(job, ReadersJob):
        return {"reading": job.share, "sharing": None}
    thing = thing_of(job)
    return {
        "reading": None,
        "sharing": {
            "accesses": services.sharing.accesses(thing),
            "groups": services.sharing.groups_for(thing),
            "links": services.sharing.links,
        },
    }
