"""Restore the store from the sidecar files, when it is lost and they are there.

Nothing is submitted: a job that had not ended comes back as uncertain, and the reconciler looks for
it at its cluster before anything else. Accounts have no sidecars: their passwords are set again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from gateway.datasets.models import Dataset
from gateway.errors import ConflictError
from gateway.jobs import words
from gateway.jobs.models import Job, Stage
from gateway.jobs.store import JobStore
from gateway.problems.models import FitProblem
from gateway.problems.store import KeptVersion, ProblemStore
from gateway.records import Document, from_document
from gateway.services import Gateway, open_gateway
from gateway.settings import Settings
from gateway.sidecars import Sidecars


def rebuild(settings: Settings) -> Iterator[str]:
    """Bring back what the store lacks; say what was done, a line for each kind of thing."""
    gateway = open_gateway(settings)
    root = settings.state_directory / "sidecars"
    yield f"datasets: {_datasets(gateway, Sidecars(root / 'datasets'))} restored"
    problems = ProblemStore(gateway.redis, Sidecars(root / "problems"))
    yield f"problems: {_problems(problems, Sidecars(root / 'problems'))} restored"
    restored, uncertain = _jobs(gateway.job_store, Sidecars(root / "jobs"))
    yield f"jobs: {restored} restored, {uncertain} of them to be looked for"
    yield "accounts are not in files: add the users again (bumps-gateway user add)"


def _datasets(gateway: Gateway, sidecars: Sidecars) -> int:
    datasets = [from_document(Dataset, document) for document in sidecars]
    for dataset in datasets:
        gateway.datasets.add(dataset)
    return len(datasets)


def _problems(store: ProblemStore, sidecars: Sidecars) -> int:
    count = 0
    for document in sidecars:
        problem = from_document(FitProblem, document["problem"])
        for version in sorted(
            document["versions"], key=lambda kept: int(kept["version"]["number"])
        ):
            kept = from_document(KeptVersion, version)
            store.put(replace(problem, version=kept.version.number), kept)
        store.describe(problem)
        count += 1
    return count


def _jobs(store: JobStore, sidecars: Sidecars) -> tuple[int, int]:
    restored = uncertain = 0
    for document in sorted(sidecars, key=_id):
        job = to_be_looked_for(from_document(Job, document))
        try:
            store.add(job)
        except ConflictError:
            continue  # the store still has it, and knows better
        store.remember_keys(job)
        restored += 1
        uncertain += not job.final
    return restored, uncertain


def to_be_looked_for(job: Job) -> Job:
    """Bring a job that had not ended back as uncertain: it is found or ended, never sent again.

    A sidecar may be older than the last call that was made. So an attempt of which it says that
    nothing was submitted yet is looked for as its first try.
    """
    if job.final:
        return job
    return job.with_attempt(
        stage=Stage.UNCERTAIN,
        try_number=max(1, job.attempt.try_number),
        looks=0,
        looked=None,
        restored=True,
        error=words.RESTORED,
    )


def _id(document: Document) -> str:
    return str(json.dumps(document.get("id")))
