"""What the page of a job says of sharing: to its owner who has access, to a reader why."""

from __future__ import annotations

from typing import Any

from gateway.jobs.models import Job
from gateway.jobs.shared import ReadersJob, thing_of
from gateway.services import Gateway
from gateway.sharing.models import How


def sharing_part(services: Gateway, job: Job) -> dict[str, Any]:
    """Gather what the page of a job says of sharing."""
    if isinstance(job, ReadersJob):
        way_in = services.sharing.path(job.share) if job.share.how is How.LINK else ""
        return {"reading": job.share, "sharing": None, "way_in": way_in}
    thing = thing_of(job)
    return {
        "reading": None,
        "sharing": {
            "accesses": services.sharing.accesses(thing),
            "groups": services.sharing.groups_for(thing),
            "links": services.sharing.links,
        },
    }
