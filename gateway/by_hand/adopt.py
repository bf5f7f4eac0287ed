"""Bring a job under watch that a person submitted by hand, from the directory it runs in.

Nothing here submits, cancels or changes anything on a cluster. The owner of the directory can
write into it, so nothing in it is believed: what it holds is read as a request, planned once more,
and has to be the same bytes. The job then begins as one whose outcome nobody knows and that may
never be sent again (`Attempt.restored`): the reconciler finds it by its name and its claim, or says
that it is not there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

import structlog

from gateway.accounts.audit import BY_COMMAND
from gateway.accounts.models import Identity, Scope, expand
from gateway.by_hand.directory import (
    DATA,
    Left,
    as_it_may_have_been,
    chunks,
    read_left,
    refused,
    require_submitted,
    resources_of,
)
from gateway.by_hand.make import load_request
from gateway.errors import ConflictError, InvalidError, NotFoundError, TooManyRequestsError
from gateway.ids import is_id, new_id
from gateway.jobs import words
from gateway.jobs.admission import Full, Replayed, Room
from gateway.jobs.models import Job, Plan, Stage, marker
from gateway.jobs.nudge import Nudge
from gateway.jobs.places import Schedulers, make_place
from gateway.jobs.plan import directory, job_bytes, make_plan
from gateway.jobs.planner import Planner
from gateway.jobs.prepare import NO_PROBLEM, Naming, Prepared, Preparer, ProblemForJob
from gateway.jobs.schemas import JobRequest
from gateway.problems.models import Document
from gateway.problems.schemas import load_document
from gateway.problems.service import Found
from gateway.records import now
from gateway.services import Gateway
from scheduler.base import Scheduler

_RUN = ("mode", "seed", "shake", "simulate")

_log = structlog.get_logger("adopt")


class Adoption:
    """Takes in jobs of one user on one cluster."""

    def __init__(self, gateway: Gateway, schedulers: Schedulers, cluster: str, user: str) -> None:
        settings = gateway.settings
        if cluster not in settings.clusters:
            known = ", ".join(settings.clusters)
            raise InvalidError.at(
                "/cluster", f"{cluster[:64]!r} is no cluster here; known: {known}"
            )
        gateway.accounts.user(user)  # NotFoundError: there is nobody whose list it could be in
        self._gateway = gateway
        self._name, self._user = cluster, user
        self._login = gateway.cluster_accounts.login(cluster, user)
        found = settings.clusters[cluster]
        self._cluster = replace(found, base=found.base_of(self._login))
        self._schedulers = schedulers
        self._who = Identity(user=user, admin=False, scopes=expand([Scope.SUBMIT]))

    def adopt(self, place: PurePosixPath) -> tuple[Job, bool]:
        """Bring the job of a directory under watch; answer it, and whether it is new.

        Raises
        ------
        InvalidError, ConflictError
            If the directory is none of a job that this user could have made by hand here.
        """
        job_id = self._id(place)
        if known := self._known(job_id, place):
            return known, False
        scheduler = self._schedulers.get(make_place(self._name, self._user, self._login))
        left = read_left(scheduler, place, self._gateway.settings.limits.files_per_problem)
        _require_owner(left, self._user, marker(job_id, 1))
        files = self._take_files(scheduler, place, left)
        prepared, plan = self._planned(job_id, left, files)
        document = self._document(job_id, left, files)
        require_submitted(scheduler, place, marker(job_id, 1))
        found = self._gateway.problems.create(self._who, document, f"adopt-{job_id}", job_id)
        return self._keep(self._job(left, prepared, plan, found))

    # ---- which job it is

    def _id(self, place: PurePosixPath) -> str:
        """Read the id off the path: only where the gateway would have put it, it is followed."""
        job_id, base = place.parent.name, self._cluster
        if not is_id(job_id) or directory(base, self._user, job_id, 1) != place:
            wanted = directory(base, self._user, "ID", 1)
            raise refused(place, f"jobs of {self._user} on {self._name} lie in {wanted}")
        return job_id

    def _known(self, job_id: str, place: PurePosixPath) -> Job | None:
        """Find the job when this gateway has it; ConflictError when it is another's."""
        try:
            job = self._gateway.job_store.get(job_id)
        except NotFoundError:
            return None
        places = {attempt.directory for attempt in job.attempts}
        if (job.owner, job.cluster) == (self._user, self._name) and str(place) in places:
            return job
        raise ConflictError(
            f"job {job_id} is {job.owner}'s on {job.cluster}: {place} is not its directory"
        )

    # ---- what lies there

    def _take_files(self, scheduler: Scheduler, place: PurePosixPath, left: Left) -> dict[str, str]:
        """Keep the files of the problem as their owner's uploads: name -> digest."""
        files = {}
        for entry in left.data:
            name, content = entry.path.removeprefix(DATA), chunks(scheduler, place, entry)
            ref = self._gateway.files.add(self._who, name, content)
            files[ref.path] = ref.digest
        return files

    # ---- the same, planned once more

    def _document(self, job_id: str, left: Left, files: dict[str, str]) -> Document:
        """Say what it fits as a problem of its owner's, so that it can be run again."""
        problem = left.problem
        refs = [{"name": name, "digest": digest} for name, digest in sorted(files.items())]
        name = str(left.document.get("title") or job_id)
        if problem.get("type") == "json":
            file = next(iter(refs), None)
            content = {"file": file, "python": problem.get("python")}
            document = load_document({"name": name, "type": "json", "json": content})
        else:
            content = {"entry": problem.get("entry"), "files": refs, "args": problem.get("args")}
            document = load_document({"name": name, "type": "script", "script": content})
        bundle = self._gateway.problems.examine(self._who, document).bundle
        whole = {
            "type": bundle.type,
            "entry": bundle.entry,
            "args": list(bundle.args),
            "python": bundle.python,
        }
        if problem != whole or bundle.digests() != files:
            raise InvalidError.at("/job.json", "its problem is not what lies in data/")
        return document

    def _planned(self, job_id: str, left: Left, files: dict[str, str]) -> tuple[Prepared, Plan]:
        """Plan what the directory says, and refuse a directory that is not of that plan."""
        request = self._request(left)
        gateway = self._gateway
        preparer = Preparer(gateway.problems, gateway.files, gateway.settings)
        naming = Naming(id=job_id, attempt=1, correlation_id=left.correlation_id)
        problem = ProblemForJob(
            ref=NO_PROBLEM,
            job=left.problem,
            files=files,
            n_parameters=None,
            n_points=None,
        )
        prepared = preparer.prepare(self._who, request, naming, problem)
        for cluster in as_it_may_have_been(self._cluster, left):
            plan = make_plan(prepared.wanted, cluster, gateway.blobs)
            if plan.script == left.script and job_bytes(plan) == left.job:
                gateway.blobs.keep(*(file.digest for file in plan.files))
                return prepared, plan
        changed = "job.json" if plan.script == left.script else "job.sh"
        detail = (
            "is not as this gateway writes it: it was changed, or made for other settings of "
            f"{self._name} (bumps-gateway script --cluster {self._name}), or by another version"
        )
        raise InvalidError.at(f"/{changed}", detail)

    def _request(self, left: Left) -> JobRequest:
        """Read job.json and the script's options as if somebody had posted them."""
        job, run = left.document, left.run
        asked = {name: run[name] for name in _RUN if run.get(name) is not None}
        return load_request(
            {
                "kind": "fit",
                "problem": {"id": new_id()},
                "options": job.get("options"),
                "start": job.get("start"),
                "title": job.get("title"),
                "cluster": self._name,
                "resources": resources_of(left),
                **asked,
            }
        )

    # ---- the job

    def _job(self, left: Left, prepared: Prepared, plan: Plan, found: Found) -> Job:
        gateway, wanted, kept = self._gateway, prepared.wanted, found.kept.version
        planner = Planner(
            gateway.blobs, gateway.settings, gateway.accounts, gateway.cluster_accounts
        )
        attempt = replace(planner.attempt(prepared, plan), **_looked_for())
        problem = replace(
            prepared.problem,
            id=found.problem.id,
            version=kept.number,
            name=found.problem.name,
            type=kept.type,
            digest=kept.digest,
        )
        reference = {"id": found.problem.id, "version": kept.number}
        return Job(
            id=wanted.id,
            owner=wanted.owner,
            kind=wanted.kind,
            title=wanted.title or found.problem.name,
            cluster=self._name,
            created=now(),
            updated=now(),
            correlation_id=wanted.correlation_id,
            request={**self._request(left).raw, "problem": reference},
            problem=problem,
            options=wanted.options,
            seed=wanted.seed,
            attempts=(attempt,),
            mode=wanted.mode,
            notes=words.ADOPTED_NOTE,
        )

    def _keep(self, job: Job) -> tuple[Job, bool]:
        """Write it down, unless somebody was quicker or there is no room."""
        gateway, limits = self._gateway, self._gateway.settings.limits
        try:
            added = gateway.job_store.add(job, room=Room(jobs=limits.jobs_per_user))
        except ConflictError as error:
            if known := self._known(job.id, PurePosixPath(job.attempt.directory)):
                return known, False
            raise ConflictError(f"job {job.id} was known here and was deleted") from error
        if isinstance(added, Full):
            raise TooManyRequestsError(
                f"{job.owner} has {limits.jobs_per_user} jobs, as many as may be: delete some", 60
            )
        if isinstance(added, Replayed):  # no key was given
            return added.job, False
        gateway.accounts.audit.record(BY_COMMAND, "job.adopt", job.id)
        _log.info("adopted", job=job.id, user=job.owner, correlation_id=job.correlation_id)
        Nudge(gateway.settings)(job.id)
        return added, True


def _looked_for() -> dict[str, Any]:
    """Say of an attempt that nobody here knows its outcome, and that it is never sent again."""
    return {
        "stage": Stage.UNCERTAIN,
        "try_number": 1,
        "restored": True,
        "reason_text": words.ADOPTED,
    }


def _require_owner(left: Left, user: str, name: str) -> None:
    """See that the script was made for this user, and goes by the name that belongs here."""
    if left.owner != user:
        detail = f"its script was made for {left.owner[:40]!r}: say --user with that name"
        raise InvalidError.at("/job.sh", detail)
    found = left.options.get("job-name", "")
    if found != name:
        raise InvalidError.at("/job.sh", f"its job name is {found[:60]!r}, not {name!r}")
