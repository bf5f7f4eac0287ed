"""Further attempts of a job: what an earlier one ran, once more or continued.

It is read back from the earlier plan: the problem may be gone by now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from gateway.datasets.blobs import BlobStore
from gateway.datasets.service import Files
from gateway.errors import ConflictError, InvalidError
from gateway.jobs import ran
from gateway.jobs.asking import Again, Request, Wake, require_turn
from gateway.jobs.forecaster import Forecaster
from gateway.jobs.live_store import LiveStore
from gateway.jobs.models import Attempt, Job, Plan, Wish
from gateway.jobs.part import Done, Part, done_of, part_of, told
from gateway.jobs.plan import CAMPAIGN, load_plan
from gateway.jobs.planner import Planner
from gateway.jobs.prepare import Naming, Prepared, Preparer, ProblemForJob
from gateway.jobs.resource_schema import EITHER
from gateway.jobs.resources import Resources
from gateway.jobs.result_view import read_results
from gateway.jobs.schemas import JobRequest, JobRequestSchema
from gateway.jobs.store import JobStore
from gateway.policy.service import Policies
from gateway.records import Document, now
from gateway.settings import LimitSettings

_DATA = "data/"
_ELEMENTS = "data/elements/"
_TO_CONTINUE = ("session.h5", "resume.json")
_ATTEMPTS = 100


@dataclass(frozen=True, kw_only=True)
class _Earlier:
    """What an attempt takes over from the one before, by name and digest."""

    resume: Mapping[str, str] | None = None
    """Sessions to go on from; None when it starts afresh."""

    done: Done | None = None
    """What does not run again; None when all of it does."""


@dataclass(frozen=True, kw_only=True)
class FurtherAttempts:
    """Adds attempts to jobs that have ended; the caller has seen that the asker may."""

    store: JobStore
    live: LiveStore
    files: Files
    blobs: BlobStore
    preparer: Preparer
    planner: Planner
    limits: LimitSettings
    wake: Wake
    policies: Policies
    forecaster: Forecaster

    def resume(self, request: Request, job: Job, change: Again) -> Job:
        """Continue the last attempt with what it had: more samples, more time."""
        if earlier := self._repeated(request, job):
            return earlier
        if not job.final:
            raise ConflictError(f"job {job.id} has not ended: it cannot be continued yet")
        if not job.attempt.resumable:
            raise ConflictError(
                f"attempt {job.attempt.number} of job {job.id} left nothing that "
                f"{job.attempt.method} could continue: run it again instead"
            )
        left = self.files.dataset(job.attempt.dataset or "").files
        kept = {
            ref.path.removeprefix("out/"): ref.digest
            for ref in left
            if ref.path.startswith("out/") and ref.path.endswith(_TO_CONTINUE)
        }
        return self._add(request, job, change, _Earlier(resume=kept))

    def rerun(self, request: Request, job: Job, change: Again) -> Job:
        """Run a job that has ended once more from its start, or only what failed of an array."""
        if earlier := self._repeated(request, job):
            return earlier
        if not job.final:
            raise ConflictError(f"job {job.id} has not ended: cancel it before you run it again")
        done = self._done(job) if change.only else None
        return self._add(request, job, change, _Earlier(done=done))

    def _done(self, job: Job) -> Done:
        """Say which elements are done, and what there is of them."""
        if not job.elements:
            raise InvalidError.at("/elements", f"job {job.id} is no array: run it again whole")
        attempt = job.attempt
        if attempt.dataset is None:
            raise ConflictError(f"attempt {attempt.number} of job {job.id} left no results")
        dataset = self.files.dataset(attempt.dataset)
        done = done_of(read_results(self.blobs, dataset, job.elements), dataset)
        if len(done.chisq) == job.elements:
            raise ConflictError(f"all {job.elements} elements of job {job.id} are done")
        return done

    def _repeated(self, request: Request, job: Job) -> Job | None:
        """Find what this very request has done already; None when it is new."""
        if not request.key:
            return None
        return self.store.replayed(job.owner, request.key, request.request_hash)

    def _add(self, request: Request, job: Job, change: Again, left: _Earlier) -> Job:
        with self.policies.turn(request.identity.user) as turn:
            changed = self._added(request, job, change, left)
            turn.used = True
        return changed

    def _added(self, request: Request, job: Job, change: Again, left: _Earlier) -> Job:
        if len(job.attempts) >= _ATTEMPTS:
            raise ConflictError(f"job {job.id} has {_ATTEMPTS} attempts: make a new job of it")
        require_turn(self.store.admission(job.owner, "", ""), self.limits)
        self.files.require_room(job.owner)
        prepared, part = self._prepared(request, job, change, left)
        plan = self.planner.plan(prepared)
        number = job.attempt.number
        attempt = self.planner.attempt(
            prepared,
            plan,
            resumed_from=number if left.resume is not None else None,
            kept_from=number if part.staged or part.kept else None,
        )
        made, ran_s = (made_before(job), ran_before_s(job)) if left.resume is not None else (0, 0.0)
        attempt = replace(attempt, forecast=self.forecaster.forecast(prepared, made, ran_s))
        try:
            changed = self.store.change(
                job.id,
                lambda current: _with_another(current, job, prepared, attempt),
                key=request.key,
                request_hash=request.request_hash,
            )
        except ConflictError:
            if earlier := self._repeated(request, job):
                return earlier  # this very request, in parallel
            raise
        done = left.done or Done(chisq={}, files=())
        self.live.begin_again(job.id, *told(part, done, job.elements, now().timestamp()))
        self.wake(job.id)
        return changed

    def _prepared(
        self, request: Request, job: Job, change: Again, left: _Earlier
    ) -> tuple[Prepared, Part]:
        """Take the same problem and request, with some options and resources changed."""
        before = load_plan(job.attempt.plan, self.blobs)
        asked = _changed(job, before, change)
        naming = Naming(
            id=job.id,
            attempt=job.attempt.number + 1,
            correlation_id=request.correlation_id,
            owner=job.owner,
        )
        prepared = self.preparer.prepare(
            request.identity, asked, naming, earlier_problem(job, before)
        )
        part, pack = Part(), prepared.wanted.pack
        if left.done is not None:
            part = part_of(left.done, job.elements, pack, int(before.job["pack"]))
        planned = replace(
            prepared.wanted,
            resume=left.resume,
            done=part.staged,
            indices=part.indices,
            kept=part.kept,
            owner=job.owner,
        )
        return replace(prepared, wanted=planned), part


def _changed(job: Job, before: Plan, change: Again) -> JobRequest:
    """Take the request of a job as it ran before, with what is to be different."""
    earlier: JobRequest = JobRequestSchema().load(job.request)
    return replace(
        earlier,
        cluster=job.cluster,  # today's default may be another
        elements=earlier_elements(before),
        campaign=None,
        pack=before.job["pack"],
        options={**earlier.options, **change.options},
        resources=merged(earlier.resources, change.resources),
        expert=earlier.expert if change.expert is None else change.expert,
        seed=change.seed if change.seed is not None else job.seed,
        proposal=job.attempt.proposal if change.proposal is None else change.proposal,
        title=job.title,
    )


def made_before(job: Job) -> int:
    """Count the evaluations of a job's last attempt and of those that it went on from."""
    found = [attempt.measured for attempt in _gone_on_from(job)]
    return sum(measured.evaluations or 0 for measured in found if measured)


def ran_before_s(job: Job) -> float:
    """Say how long a task of those attempts ran, all together."""
    return sum(ran.in_all_s(attempt) / attempt.tasks for attempt in _gone_on_from(job))


def _gone_on_from(job: Job) -> Iterator[Attempt]:
    number = job.attempt.number
    by_number = {attempt.number: attempt for attempt in job.attempts}
    while (attempt := by_number.pop(number, None)) is not None:
        yield attempt
        number = attempt.resumed_from or 0


def _with_another(current: Job, seen: Job, prepared: Prepared, attempt: Attempt) -> Job:
    """Add an attempt to a job as it is now, unless it has got another one since it was seen."""
    if current.attempt.number != seen.attempt.number:
        raise ConflictError(f"job {seen.id} has a new attempt already")
    return replace(
        current,
        attempts=(*current.attempts, attempt),
        options=prepared.wanted.options,
        seed=prepared.wanted.seed,
        wish=Wish.RUN,
        wish_by="",
    )


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
    """Give the elements of an array as they ran, their files by digest."""
    digests = {file.path: file.digest for file in plan.files}
    return tuple(
        {
            "label": row["label"],
            "files": {name: digests[f"{_DATA}{place}"] for name, place in row["files"].items()},
            "args": row["args"],
            "start": row["start"],
            **{name: row[name] for name in CAMPAIGN if name in row},
        }
        for row in plan.job["elements"]
    )


def merged(earlier: Resources, change: Resources) -> Resources:
    """Take what the change sets, and the earlier value for the rest.

    An earlier option goes where the change says the same thing in another way.

    >>> merged(Resources(mem_per_cpu=2**30, qos="long"), Resources(mem=2**31)).to_directives()
    {'qos': 'long', 'mem': '2048M'}
    """
    given: dict[str, Any] = {
        item.name: value
        for item in fields(change)
        if (value := getattr(change, item.name)) not in (None, (), False)
    }
    said = {other for pair in EITHER if given.keys() & set(pair) for other in pair}
    return replace(earlier, **{**dict.fromkeys(said), **given})
