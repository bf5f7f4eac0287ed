"""What must hold when the faults are over; I1 to I5 are the sentences of ``docs/promises.rst``."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from gateway.errors import NotFoundError
from gateway.jobs.models import Job
from gateway.records import to_document
from gateway.sidecars import Sidecars
from scheduler.base import VOID
from tests.faults.crowd import History
from tests.faults.events import starts_of
from tests.faults.rig import Rig
from tests.faults.watcher import Watcher, processes_of
from tests.live import Api


@dataclass(kw_only=True)
class Verdict:
    """What became of all that was acknowledged."""

    jobs: int
    requests: int
    states: Counter[str]
    lost: list[str] = field(default_factory=list)
    """I5 and I1: an acknowledged job that is gone, or that came to no end."""

    double: list[str] = field(default_factory=list)
    """I1: two jobs for one key, or two runs for one job."""

    other: list[str] = field(default_factory=list)
    """I2, I4, and sidecars that differ from the store."""

    notes: list[str] = field(default_factory=list)
    """What the scheduler's own list tells beyond that."""

    @property
    def faults(self) -> list[str]:
        """All that must not be."""
        return [*self.lost, *self.double, *self.other]


def judge(rig: Rig, api: Api, history: History, watcher: Watcher) -> Verdict:
    """Check everything, after all has settled."""
    ids = sorted(history.ids)
    found = {name: job for name in ids if (job := _job(rig, name)) is not None}
    verdict = Verdict(
        jobs=len(ids),
        requests=history.requests,
        states=Counter(job.attempt.state.value for job in found.values()),
    )
    verdict.lost += [f"{name} was acknowledged and is gone" for name in ids if name not in found]
    listed = rig.site.compare(list(found.values()))
    verdict.lost += [
        f"{job.id} did not end: {job.attempt.reason_text}"
        for job in found.values()
        if not job.final and job.id not in listed.forgotten
    ]
    verdict.lost += listed.lost
    verdict.double += listed.double
    verdict.notes += listed.notes
    verdict.double += [
        f"key {key} made {sorted(made)}" for key, made in history.answers.items() if len(made) != 1
    ]
    total = api.http.get("/jobs").json()["total"]
    if total != len(ids):
        verdict.double.append(f"{len(ids)} jobs were acknowledged, and there are {total}")
    for job in found.values():
        verdict.double += runs_of(job, listed.launches.get(job.id, 1))
        verdict.other += [*_sidecar(rig, job), *_cancelled(job, history)]
    verdict.other += watcher.changed
    verdict.other += [f"{name} was CANCELLED and ran" for name in watcher.cancelled_but_running]
    verdict.other += history.unexpected
    return verdict


def runs_of(job: Job, launches: int = 1) -> list[str]:
    """Say where more than one run, or a run that the record does not know, left its mark.

    Parameters
    ----------
    launches
        How often the scheduler says that it began this very job, as after a requeue.
    """
    directory = Path(job.attempt.directory)
    faults = []
    if (starts := starts_of(job)) > launches:
        faults.append(f"{job.id} began {starts} times")
    owners = {path.read_text(encoding="ascii").strip() for path in directory.glob("claim.*")}
    if len(owners - {VOID}) > 1:
        faults.append(f"{job.id} was claimed by {sorted(owners - {VOID})}")
    if starts and job.attempt.native_id not in owners:
        faults.append(f"{job.id} ran, and its claim is not {job.attempt.native_id}'s: {owners}")
    if job.attempt.state.value == "COMPLETED" and not starts:
        faults.append(f"{job.id} is COMPLETED and began {starts} times")
    return faults


def _job(rig: Rig, id: str) -> Job | None:
    try:
        return rig.gateway.job_store.get(id)
    except NotFoundError:
        return None


def _sidecar(rig: Rig, job: Job) -> list[str]:
    kept = Sidecars(rig.live.state / "sidecars" / "jobs").read(job.id)
    if kept is None:
        return [f"{job.id} has no sidecar"]
    return [] if kept == to_document(job) else [f"{job.id}: the sidecar is not as the store"]


def _cancelled(job: Job, history: History) -> list[str]:
    left = processes_of(job) if job.final else []
    faults = [f"{job.id} has ended and {left} still run"] if left else []
    if job.id in history.cancelled and job.attempt.state.value == "COMPLETED":
        result = json.loads((Path(job.attempt.directory) / "result.0.json").read_bytes())
        faults += [f"{job.id} was cancelled half way and is COMPLETED"] * (
            result["status"] != "done"
        )
    return faults
