"""Make the plan of an attempt: the script, job.json and the table of files, all before the 202.

What is planned is what runs: the plan is kept as one immutable content, the preview shows the
script in it, and launching only copies it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import PurePosixPath
from typing import Any

from fitters.bundle import build_driver
from gateway.clusters.settings import ClusterSettings
from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import FileRef
from gateway.jobs.expert import NOTHING, Expert
from gateway.jobs.models import Job, Plan, PlannedFile, marker
from gateway.jobs.resources import Resources, parse_time
from gateway.jobs.script import render_script, signal_lead
from gateway.records import Document, altered, from_document, to_document
from scheduler.base import StagedFile, StagedJob

_FORMAT = 1
_JOB = "job.json"
_SCRIPT = "job.sh"
_DRIVER = "driver.pyz"
_EXECUTABLE = 0o700
_PRIVATE = 0o600
CAMPAIGN = ("fixed", "values", "shake")
"""What an element of a campaign has, and no other."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """All that decides what one attempt does."""

    id: str
    attempt: int
    owner: str
    correlation_id: str
    kind: str
    title: str
    mode: str
    problem: Document
    """``problem`` of job.json: type, entry, args, python."""

    files: Mapping[str, str]
    """Name below ``data/`` -> digest."""

    options: Document
    seed: int
    resources: Resources
    expert: Expert = NOTHING
    """What its owner adds to the script."""

    shake: bool = False
    simulate: Document | None = None
    start: Sequence[float] = ()
    elements: Sequence[Document] = ()
    """As in the request: label, files by digest, args, start."""

    pack: int = 1
    throttle: int | None = None
    """So many tasks at once, at most."""

    resume: Mapping[str, str] | None = None
    """Name below ``resume/`` -> digest; None when it starts afresh."""

    done: Mapping[str, str] = field(default_factory=dict)
    """Name below ``out/`` -> digest: results of elements that are done and do not run again."""

    indices: tuple[int, ...] = ()
    """The tasks that run; empty: all."""

    kept: tuple[FileRef, ...] = ()
    """What those left that do not."""

    resumable: bool = False

    @property
    def tasks(self) -> int:
        """How many array tasks there are; 1 for a single job."""
        return max(1, -(-len(self.elements) // self.pack))


def make_plan(wanted: Wanted, cluster: ClusterSettings, blobs: BlobStore) -> Plan:
    """Write script and job.json, and list the files that go with them."""
    resources = with_defaults(wanted.resources, cluster)
    files = {f"data/{name}": digest for name, digest in wanted.files.items()}
    elements = [_element(index, row, files) for index, row in enumerate(wanted.elements)]
    for name, digest in (wanted.resume or {}).items():
        files[f"resume/{name}"] = digest
    for name, digest in wanted.done.items():
        files[f"out/{name}"] = digest
    files[_DRIVER] = _kept_driver(blobs)
    job = _job_document(wanted, cluster, resources, elements)
    script = make_script(wanted, cluster)
    table = tuple(PlannedFile(path=path, digest=digest) for path, digest in sorted(files.items()))
    return Plan(script=script, job=job, files=table, kept=wanted.kept)


def make_script(wanted: Wanted, cluster: ClusterSettings) -> str:
    """Write the batch script alone."""
    resources = with_defaults(wanted.resources, cluster)
    return render_script(
        resources.to_directives(),
        marker=marker(wanted.id, wanted.attempt),
        comment=f"gw:{wanted.owner}:{wanted.correlation_id}",
        workdir=str(directory(cluster, wanted.owner, wanted.id, wanted.attempt)),
        python=python_of(cluster),
        environment=cluster.environment,
        tasks=wanted.tasks,
        indices=wanted.indices,
        throttle=_throttle(wanted),
        signal_lead_s=signal_lead(
            resources.time or parse_time(cluster.default_time),
            timedelta(seconds=cluster.checkpoint_s),
        ),
        resumable=wanted.resumable,
        prolog=cluster.prolog,
        launcher=launcher(resources, cluster),
        expert=wanted.expert,
    )


def _throttle(wanted: Wanted) -> int | None:
    """Say how many tasks may run at once; None where no more run in any case."""
    most = wanted.throttle
    few = most is not None and wanted.indices and len(wanted.indices) <= most
    return None if few else most


def with_defaults(resources: Resources, cluster: ClusterSettings) -> Resources:
    """Fill in what the site decides when nobody says otherwise."""
    return altered(
        resources,
        time=resources.time or parse_time(cluster.default_time),
        cpus_per_task=resources.cpus_per_task or (None if resources.cpus_per_gpu else 1),
    )


def directory(cluster: ClusterSettings, owner: str, id: str, attempt: int) -> PurePosixPath:
    """Say where an attempt runs, on the machine that runs it."""
    return PurePosixPath(cluster.base) / owner / id / str(attempt)


def launcher(resources: Resources, cluster: ClusterSettings) -> tuple[str, ...]:
    """Say what starts the ranks of a job; empty without MPI."""
    if not resources.mpi:
        return ()
    return (*cluster.mpi.split(), "-n", str(resources.ranks))


def python_of(cluster: ClusterSettings) -> str:
    """Say which Python runs the driver there."""
    return cluster.python or sys.executable


@cache
def driver() -> bytes:
    """Build the driver once a process: gateway and driver never differ in version."""
    return build_driver()


@cache
def _driver_digest() -> str:
    return hashlib.sha256(driver()).hexdigest()


def _kept_driver(blobs: BlobStore) -> str:
    """Keep the driver; where it is already, as for all jobs but the first, nothing is read."""
    return _driver_digest() if blobs.keep(_driver_digest()) else blobs.put(driver()).digest


def keep_plan(plan: Plan, blobs: BlobStore) -> str:
    """Keep a plan as one content; answer its digest."""
    text = json.dumps(to_document(plan), sort_keys=True, separators=(",", ":"))
    return blobs.put(text.encode()).digest


def load_plan(digest: str, blobs: BlobStore) -> Plan:
    """Read a plan."""
    return from_document(Plan, json.loads(blobs.read(digest)))


def job_bytes(plan: Plan) -> bytes:
    """Write job.json as it is staged."""
    # A line for each part, for people; json indents in Python, which takes long for a campaign.
    parts = [
        f"{json.dumps(name)}: {json.dumps(value, sort_keys=True, allow_nan=False)}"
        for name, value in sorted(plan.job.items())
    ]
    return ("{\n" + ",\n".join(parts) + "\n}\n").encode()


def script_sha256(plan: Plan) -> str:
    """Digest the script as it is staged."""
    return hashlib.sha256(plan.script.encode()).hexdigest()


def staged_job(job: Job, blobs: BlobStore) -> StagedJob:
    """Turn the plan of a job's current attempt into a directory to be made."""
    return staged_plan(job.attempt.directory, load_plan(job.attempt.plan, blobs), blobs)


def staged_plan(directory: str, plan: Plan, blobs: BlobStore) -> StagedJob:
    """Turn a plan into a directory to be made."""
    own = ((_JOB, job_bytes(plan), _PRIVATE), (_SCRIPT, plan.script.encode(), _EXECUTABLE))
    return StagedJob(
        directory=PurePosixPath(directory),
        files=(
            *(_staged_bytes(name, content, mode) for name, content, mode in own),
            *(
                StagedFile(
                    path=PurePosixPath(file.path),
                    source=PurePosixPath(blobs.path(file.digest)),
                    sha256=file.digest,
                )
                for file in plan.files
            ),
        ),
    )


def _staged_bytes(name: str, content: bytes, mode: int) -> StagedFile:
    return StagedFile(
        path=PurePosixPath(name),
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        mode=mode,
    )


def _element(index: int, row: Document, files: dict[str, str]) -> Document:
    """Write one element of job.json, and put its own files into the table."""
    replaced: dict[str, str] = {}
    for name, digest in row.get("files", {}).items():
        place = f"elements/{index}/{name}"
        files[f"data/{place}"] = digest
        replaced[name] = place
    return {
        "label": row.get("label") or str(index),
        "files": replaced,
        "args": row.get("args"),
        "start": list(row.get("start") or ()),
        **{name: row[name] for name in CAMPAIGN if name in row},
    }


def _job_document(
    wanted: Wanted, cluster: ClusterSettings, resources: Resources, elements: list[Document]
) -> Document:
    limit = resources.time
    run: dict[str, Any] = {
        "mode": wanted.mode,
        "seed": wanted.seed,
        "cpus": resources.cpus,
        "checkpoint_s": cluster.checkpoint_s,
        "time_limit_s": limit.total_seconds() if limit else None,
        "resume": wanted.resume is not None,
        "shake": wanted.shake,
        "simulate": wanted.simulate,
    }
    if resources.ranks > 1:
        run["ranks"] = resources.ranks
    return {
        "format": _FORMAT,
        "id": wanted.id,
        "attempt": wanted.attempt,
        "kind": wanted.kind,
        "title": wanted.title,
        "problem": wanted.problem,
        "options": wanted.options,
        "run": run,
        "start": list(wanted.start),
        "elements": elements,
        "pack": wanted.pack,
    }
