"""The verbs of jobs: what people and programs can do with them.

A request never waits for a cluster: it writes down what is wanted, durably, and the reconciler does
it. One click is at most one job: the idempotency key is part of the same atomic write as the job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from gateway.accounts.models import Identity
from gateway.accounts.rights import Right, may, require_own
from gateway.datasets.blobs import BlobStore
from gateway.datasets.service import Files
from gateway.errors import ConflictError, FieldError, ForbiddenError, InvalidError, NotFoundError
from gateway.faults import crash_point
from gateway.ids import new_id
from gateway.jobs import drafts, line
from gateway.jobs.admission import Full, Replayed, Room
from gateway.jobs.again import FurtherAttempts
from gateway.jobs.asked_once import asked_once
from gateway.jobs.asking import Again, Request, Wake, no_room, require_room
from gateway.jobs.dependencies import check_after
from gateway.jobs.forecaster import Forecaster, Outlook
from gateway.jobs.in_its_place import InItsPlace, key_of
from gateway.jobs.live_store import LiveStore
from gateway.jobs.models import Attempt, Job, Plan, Tracking, Wish
from gateway.jobs.plan import load_plan, script_sha256
from gateway.jobs.planner import Logins, Planner, Users
from gateway.jobs.prepare import Naming, Prepared, Preparer, ProblemForJob, Problems
from gateway.jobs.schemas import JobRequest
from gateway.jobs.shared import KIND, ReadersJob, SharedJobs, plan_for_readers, thing_of
from gateway.jobs.store import JobStore
from gateway.jobs.surveyed import Surveyed
from gateway.policy.service import Policies
from gateway.records import altered, now
from gateway.settings import Settings
from gateway.sharing.models import Name, Thing
from gateway.sharing.service import Sharing

_log = structlog.get_logger("jobs")
_EDITED = ("title", "notes", "archived", "kept")
_TAGS = 20


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What would run."""

    plan: Plan
    draft: str
    warnings: tuple[str, ...]
    tasks: int
    outlook: Outlook
    notes: tuple[FieldError, ...] = ()
    """Those of the warnings that are about one field."""

    difference: str = ""
    """What was added to the script in expert mode, as a unified diff."""


class Submitted(NamedTuple):
    """What came of a request for a job."""

    job: Job
    replayed: bool
    """Whether its key had made the job before."""

    warnings: tuple[str, ...] = ()


class JobService:
    """Jobs, for those who may."""

    def __init__(
        self,
        *,
        store: JobStore,
        live: LiveStore,
        files: Files,
        blobs: BlobStore,
        problems: Problems,
        settings: Settings,
        wake: Wake,
        users: Users,
        logins: Logins,
        closings: line.Closings,
        policies: Policies,
        surveys: Surveyed,
        forecaster: Forecaster,
        sharing: Sharing,
    ) -> None:
        self._sharing = sharing
        self.shared = SharedJobs(sharing, store)
        self._policies = policies
        self._store = store
        self._closings = closings
        self._forecaster = forecaster
        self._files = files
        self._blobs = blobs
        self._preparer = Preparer(problems, files, settings, policies, surveys)
        self._settings = settings
        self._wake = wake
        self._planner = Planner(blobs, settings, users, logins)
        self._attempts = FurtherAttempts(
            store=store,
            live=live,
            files=files,
            blobs=blobs,
            preparer=self._preparer,
            planner=self._planner,
            limits=settings.limits,
            wake=wake,
            policies=policies,
            forecaster=forecaster,
        )
        self._in_its_place = InItsPlace(store, blobs, self._preparer, self._planner, settings)

    # ---- asking for jobs

    def preview(
        self, request: Request, wanted: JobRequest, problem: ProblemForJob | None = None
    ) -> Preview:
        """Make the plan of a job without making the job.

        Parameters
        ----------
        problem
            One that is not kept yet; None looks the request's problem up.
        """
        naming = Naming(id=new_id(), attempt=1, correlation_id=request.correlation_id)
        self._check_after(request.identity.user, wanted)
        prepared = self._preparer.prepare(request.identity, wanted, naming, problem)
        plan = self._planner.plan(prepared)
        outlook = self._forecaster.outlook(prepared)
        draft = drafts.Draft(
            id=naming.id,
            owner=request.identity.user,
            correlation_id=request.correlation_id,
            seed=prepared.wanted.seed,
            sha256=script_sha256(plan),
        )
        return Preview(
            plan=plan,
            draft=drafts.sign(self._settings.secret_key, draft),
            warnings=(*prepared.warnings, *self._notes(prepared), *outlook.warnings),
            tasks=prepared.wanted.tasks,
            outlook=outlook,
            notes=prepared.notes,
            difference=self._planner.difference(prepared, plan),
        )

    def submit(self, request: Request, wanted: JobRequest) -> Submitted:
        """Accept a job; answer it, and whether the key had made it before."""
        user = request.identity.user
        if earlier := self._admit(request):
            return Submitted(earlier, replayed=True)
        with self._policies.turn(user) as turn:
            submitted = self._submit(request, wanted)
            turn.used = not submitted.replayed
        return submitted

    def of_one_request(self) -> JobService:
        """Give the same for many jobs of one request: what they have in common is asked once."""
        own = copy(self)
        own._files, own._closings = asked_once(self._files), asked_once(self._closings)
        own._preparer = self._preparer.of_one_request()
        own._forecaster = self._forecaster.of_one_request()
        return own

    def _submit(self, request: Request, wanted: JobRequest) -> Submitted:
        user = request.identity.user
        self._files.require_room(user)
        draft = drafts.read(self._settings.secret_key, wanted.draft, user) if wanted.draft else None
        naming = _naming(request, draft)
        prepared = self._preparer.prepare(request.identity, wanted, naming)
        self._check_after(user, wanted)
        plan = self._planner.plan(prepared)
        if draft and script_sha256(plan) != draft.sha256:
            raise ConflictError("the job has changed since its preview: look at a new preview")
        job = self._new_job(wanted, prepared, plan)
        job, replayed = self._accept(job, request.key, request.request_hash)
        return Submitted(job, replayed=replayed, warnings=prepared.warnings)

    def resume(self, request: Request, id: str, change: Again) -> Job:
        """Continue the last attempt with what it had: more samples, more time."""
        job = self._own(request.identity, id, Right.WRITE)
        return self._attempts.resume(request, job, change)

    def rerun(self, request: Request, id: str, change: Again) -> Job:
        """Run a job that has ended once more from its start, as a new attempt."""
        job = self._own(request.identity, id, Right.WRITE)
        return self._attempts.rerun(request, job, change)

    def ask_instead(self, request: Request, id: str) -> Job:
        """Cancel a job that can never start, and ask for one that can in its place.

        However often it is asked, one job comes of it.
        """
        job = self._own(request.identity, id, Right.WRITE)
        added = self._in_its_place.made_before(job)
        if added is None:
            with self._policies.turn(request.identity.user) as turn:
                self._files.require_room(job.owner)
                made = self._new_job(*self._in_its_place.plan(request, job))
                added, replayed = self._accept(made, key_of(job), key_of(job))
                turn.used = not replayed
        if not job.final and job.wish is not Wish.CANCEL:
            self.cancel(request.identity, id)
        return added

    # ---- ending jobs

    def cancel(self, identity: Identity, id: str) -> Job:
        """Ask for the end of a job; what it has is not waited for."""
        return self._wish(identity, id, Wish.CANCEL)

    def stop(self, identity: Identity, id: str) -> Job:
        """Ask a running job to stop and keep what it has."""
        return self._wish(identity, id, Wish.STOP)

    def delete(self, identity: Identity, id: str) -> None:
        """Forget a job that has ended, with its results."""
        job = self._own(identity, id, Right.WRITE)
        if not job.final and job.attempt.tracking is not Tracking.LOST:
            raise ConflictError(f"job {id} has not ended: cancel it first")
        if job.kept:
            raise ConflictError(f"job {id} is marked to be kept: let it go before you delete it")
        went = self._sharing.going(Name(KIND, id))
        self._store.delete(job)
        went()
        for attempt in job.attempts:
            if attempt.dataset:
                self._files.delete_dataset(attempt.dataset)

    def edit(self, identity: Identity, id: str, changes: Mapping[str, object]) -> Job:
        """Change title, notes or tags, or how it is filed."""
        self._own(identity, id, Right.WRITE)
        known = {name: value for name, value in changes.items() if name in _EDITED}
        if "tags" in changes:
            known["tags"] = tuple(changes["tags"])  # type: ignore[arg-type]  # checked by schema
        return self._store.change(id, lambda job: altered(job, **known))

    def retag(self, identity: Identity, id: str, add: Sequence[str], remove: Sequence[str]) -> Job:
        """Give a job tags and take some from it; the rest of them stay."""
        self._own(identity, id, Right.WRITE)

        def edit(job: Job) -> Job:
            kept = tuple(tag for tag in job.tags if tag not in remove)
            tags = (*kept, *(tag for tag in add if tag not in kept))
            if len(tags) > _TAGS and len(tags) > len(job.tags):
                raise ConflictError(f"job {id} has {len(job.tags)} tags, as many as it may have")
            return altered(job, tags=tags)

        return self._store.change(id, edit)

    # ---- looking

    def get(self, identity: Identity, id: str) -> Job:
        """Read a job that somebody may see, as far as they may."""
        return self.shared.seen_by(identity, self._own(identity, id, Right.READ))

    def may_read(self, identity: Identity, id: str) -> bool:
        """Whether somebody may see a job, now."""
        try:
            return self._own(identity, id, Right.READ).id == id
        except NotFoundError:
            return False

    def thing(self, identity: Identity, id: str, right: Right) -> Thing:
        """Name a job for those who decide, or see, with whom it is shared."""
        job = self._own(identity, id, right)
        if not may(identity, Right.READ, job.owner):
            raise ForbiddenError(f"who may read this job is for {job.owner} alone to see")
        return thing_of(job)

    def plan(self, job: Job, attempt: int | None = None) -> Plan:
        """Read what was, or will be, submitted for an attempt."""
        plan = load_plan(find_attempt(job, attempt).plan, self._blobs)
        return plan_for_readers(plan, job) if isinstance(job, ReadersJob) else plan

    def _own(self, identity: Identity, id: str, right: Right) -> Job:
        return require_own(self._store.get, identity, right, id, "job", self.shared.may_read)

    def _wish(self, identity: Identity, id: str, wish: Wish) -> Job:
        self._own(identity, id, Right.WRITE)

        def edit(job: Job) -> Job:
            if job.final:
                state = job.attempt.state.value
                raise ConflictError(
                    f"job {id} has ended ({state}): nothing is left to {wish.value}"
                )
            if job.wish is Wish.CANCEL:
                return job
            return altered(job, wish=wish, wish_by=identity.user)

        job = self._store.change(id, edit)
        _log.info(wish.value, job=id, user=identity.user, correlation_id=job.correlation_id)
        self._wake(id)
        return job

    def _accept(self, job: Job, key: str, request_hash: str) -> tuple[Job, bool]:
        """Write a job down, durably; answer it, and whether the key had made it before."""
        crash_point("accept-before-store")
        limits = self._settings.limits
        room = Room(jobs=limits.jobs_per_user, alive=limits.queued_per_user)
        added = self._store.add(job, key, request_hash, room)
        if isinstance(added, Full):  # others were quicker since it was looked at
            raise no_room(added, limits)
        if isinstance(added, Replayed):
            return added.job, True
        crash_point("accept-after-sidecar")
        _log.info(
            "accepted", job=job.id, kind=job.kind, user=job.owner, correlation_id=job.correlation_id
        )
        self._wake(job.id)
        return added, False

    def _admit(self, request: Request) -> Job | None:
        """Find the job that this key made before, or see that there is room for another."""
        user = request.identity.user
        found = self._store.admission(user, request.key, request.request_hash)
        if found.earlier is None:
            require_room(found, self._settings.limits)
        return found.earlier

    def _notes(self, prepared: Prepared) -> list[str]:
        """Say why the job would wait here; that is no reason to refuse it."""
        why = self._closings.why(prepared.cluster)
        notes = [f"{why}: the job waits in the gateway until it does"] if why else []
        if used := self._policies.why_waits(prepared.wanted.owner, prepared.proposal):
            notes.append(f"The job would wait in the gateway: {used}.")
        return notes

    def _check_after(self, user: str, wanted: JobRequest) -> None:
        """See that what a job is to run after are jobs of the same user, which may still end so."""
        after = wanted.after
        found = {job.id: job for job in self._store.get_many(after.jobs)}
        if errors := check_after(after, user, found):
            raise InvalidError(errors)

    def _first_attempt(self, prepared: Prepared, plan: Plan) -> Attempt:
        attempt = self._planner.attempt(prepared, plan)
        attempt = altered(attempt, forecast=self._forecaster.forecast(prepared))
        why = self._closings.why(prepared.cluster)
        if not why:
            return attempt
        return altered(attempt, reason=line.REASON, reason_text=line.waits(why))

    def _new_job(self, request: JobRequest, prepared: Prepared, plan: Plan) -> Job:
        wanted, first = prepared.wanted, self._first_attempt(prepared, plan)
        return Job(
            id=wanted.id,
            owner=wanted.owner,
            kind=wanted.kind,
            title=wanted.title or prepared.problem.name or wanted.kind,
            cluster=prepared.cluster,
            created=now(),
            updated=now(),
            correlation_id=wanted.correlation_id,
            request=request.raw,
            problem=prepared.problem,
            options=wanted.options,
            seed=wanted.seed,
            attempts=(altered(first, waits_for=request.after.held_by(wanted.id)),),
            mode=wanted.mode,
            notes=request.notes,
            tags=request.tags,
            elements=len(wanted.elements),
            pack=wanted.pack,
            parent=request.parent,
            after=request.after.jobs,
            after_kind=request.after.kind,
        )


def find_attempt(job: Job, number: int | None) -> Attempt:
    """Find an attempt of a job; None asks for the last."""
    if number is None:
        return job.attempt
    for attempt in job.attempts:
        if attempt.number == number:
            return attempt
    raise NotFoundError(f"job {job.id} has no attempt {number}; it has {len(job.attempts)}")


def _naming(request: Request, draft: drafts.Draft | None) -> Naming:
    if draft is None:
        return Naming(id=new_id(), attempt=1, correlation_id=request.correlation_id)
    return Naming(id=draft.id, attempt=1, correlation_id=draft.correlation_id, seed=draft.seed)
