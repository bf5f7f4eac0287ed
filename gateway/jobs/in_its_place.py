"""Ask for a job in the place of one that can never start.

The new one is written down first, under a key that names the old one, and only then is the old one
asked to end: so a kill in between leaves one that can never start, and asking once more ends it
without a second new one. The new one waits until the old one has ended: should that start after
all, because a partition came back in the same second, the two never run side by side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gateway.datasets.blobs import BlobStore
from gateway.errors import ConflictError
from gateway.ids import new_id
from gateway.jobs.again import earlier_elements, earlier_problem
from gateway.jobs.alarm import Instead, instead_of
from gateway.jobs.asking import Request, require_room
from gateway.jobs.dependencies import After
from gateway.jobs.models import Job, Plan
from gateway.jobs.plan import load_plan
from gateway.jobs.planner import Planner
from gateway.jobs.prepare import Naming, Prepared, Preparer
from gateway.jobs.resource_schema import ResourcesSchema
from gateway.jobs.resources import Resources
from gateway.jobs.schemas import JobRequest, JobRequestSchema
from gateway.jobs.store import JobStore
from gateway.records import Document
from gateway.settings import Settings


@dataclass(frozen=True)
class InItsPlace:
    """Puts jobs in the place of others; the caller has seen that the asker may."""

    store: JobStore
    blobs: BlobStore
    preparer: Preparer
    planner: Planner
    settings: Settings

    def made_before(self, job: Job) -> Job | None:
        """Find what was asked for in the place of a job already; ConflictError if it is gone."""
        try:
            return self.store.replayed(job.owner, key_of(job), key_of(job))
        except ConflictError as error:
            raise ConflictError(
                f"what was asked for in the place of job {job.id} was deleted: cancel {job.id}, "
                "and ask for a job with changes"
            ) from error

    def plan(self, request: Request, job: Job) -> tuple[JobRequest, Prepared, Plan]:
        """Plan a job like one that can never start, with what is in the way changed.

        Raises
        ------
        ConflictError
            When nothing can be computed that would start.
        """
        found = instead_of(job, self.settings.clusters.get(job.cluster))
        if found is None:
            state, reason = job.attempt.state.value, job.attempt.reason or "no reason"
            raise ConflictError(
                f"job {job.id} is {state} ({reason}): nothing can be computed to ask for in its "
                "place; cancel it, and ask for one with changes"
            )
        require_room(self.store.admission(job.owner, "", ""), self.settings.limits)
        wanted = self._wanted(job, found)
        prepared = self.preparer.prepare(
            request.identity,
            wanted,
            Naming(
                id=new_id(),
                attempt=1,
                correlation_id=request.correlation_id,
                owner=job.owner,
            ),
            earlier_problem(job, load_plan(job.attempt.plan, self.blobs)),
        )
        prepared = replace(prepared, wanted=replace(prepared.wanted, owner=job.owner))
        return wanted, prepared, self.planner.plan(prepared)

    def _wanted(self, job: Job, found: Instead) -> JobRequest:
        """Write down what the attempt that is stuck asks for, with what is in its way changed.

        Its first request may be another: of before a rerun, with other defaults of the site, or
        after jobs that are gone by now and that it has waited for already.
        """
        plan = load_plan(job.attempt.plan, self.blobs)
        resources = changed(_asked(job, plan), found)
        given: Document = {**resources.to_directives(), **({"mpi": True} if resources.mpi else {})}
        earlier: JobRequest = JobRequestSchema().load(job.request)
        after = After(kind="afterany", jobs=(job.id,))
        return replace(
            earlier,
            cluster=job.cluster,
            proposal=job.attempt.proposal,
            options=dict(job.options),
            campaign=None,
            elements=earlier_elements(plan),
            pack=job.pack,
            resources=resources,
            seed=job.seed,
            title=job.title,
            notes=job.notes,
            tags=job.tags,
            parent=job.id,
            after=after,
            raw={
                **job.request,
                "cluster": job.cluster,
                "proposal": job.attempt.proposal,
                "options": dict(job.options),
                "resources": given,
                "parent": job.id,
                "after": {"kind": after.kind, "jobs": list(after.jobs)},
            },
        )


def key_of(job: Job) -> str:
    """Name what is asked for in the place of a job: the idempotency key of the new one."""
    return f"in-the-place-of-{job.id}-{job.attempt.number}"


def _asked(job: Job, plan: Plan) -> Resources:
    """Read what an attempt asks for: of MPI its options of sbatch say nothing, its ranks do."""
    asked: Resources = ResourcesSchema().load(dict(job.attempt.resources))
    return replace(asked, mpi="ranks" in plan.job["run"])


def changed(resources: Resources, found: Instead) -> Resources:
    """Take what is to be different, and leave out what is to be left out."""
    new: Resources = ResourcesSchema().load(
        {name: value for name, value in found.changes.items() if value is not None}
    )
    return replace(resources, **{name: getattr(new, name) for name in found.changes})
