"""What an earlier attempt ran, read back from its plan: the problem may be gone by now."""

from __future__ import annotations

from dataclasses import fields, replace

from gateway.jobs.models import Job, Plan
from gateway.jobs.prepare import ProblemForJob
from gateway.jobs.resources import Resources
from gateway.records import Document

_DATA = "data/"
_ELEMENTS = "data/elements/"


def earlier_problem(job: Job, plan: Plan) -> ProblemForJob:
    """Give the problem of a job as it ran."""
    return ProblemForJob(
        ref=job.problem,
        job=plan.job["problem"],
        files={
            file.path.removeprefix(_DATA): file.digest
            for file in plan.files
            if file.path.startswith(_DATA) and not file.path.startswith(_ELEMENTS)
        },
        n_parameters=None,
        n_points=None,
    )


def earlier_elements(plan: Plan) -> tuple[Document, ...]:
    """Give the elements of an array as they ran: label, files by digest, args, start."""
    digests = {file.path: file.digest for file in plan.files}
    return tuple(
        {
            "label": row["label"],
            "files": {name: digests[f"{_DATA}{place}"] for name, place in row["files"].items()},
            "args": row["args"],
            "start": row["start"],
        }
        for row in plan.job["elements"]
    )


def merged(earlier: Resources, change: Resources) -> Resources:
    """Take what the change sets, and the earlier value for the rest."""
    given = {
        item.name: value
        for item in fields(change)
        if (value := getattr(change, item.name)) not in (None, (), False)
    }
    return replace(earlier, **given)
