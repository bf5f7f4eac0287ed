"""Everything that is needed to do a job again, as one zip file; the same bytes each time."""

from __future__ import annotations

import json
from collections.abc import Iterator

from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import Dataset
from gateway.datasets.zipped import write_zip
from gateway.jobs.models import Job, Plan
from gateway.jobs.plan import job_bytes, script_sha256
from gateway.records import Document, time_text

_README = """\
A fit of bumps-gateway, whole.

job.json, data/, driver.pyz  what ran; do it again with: python driver.pyz .
job.sh                       the batch script, as it was submitted
out/, result.0.json          what came out
bundle.json                  who, when, versions, digests of all files

bumps-remote rerun THIS.zip --local does it again and compares.
"""


def write_bundle(blobs: BlobStore, job: Job, plan: Plan, dataset: Dataset) -> Iterator[bytes]:
    """Write the zip piece by piece."""
    texts = {
        "README.txt": _README.encode(),
        "bundle.json": _json(_description(job, plan, dataset)),
        "job.json": job_bytes(plan),
        "job.sh": plan.script.encode(),
    }
    contents = {file.path: file.digest for file in plan.files}
    contents |= {ref.path: ref.digest for ref in dataset.files}
    return write_zip(blobs, contents, texts)


def _description(job: Job, plan: Plan, dataset: Dataset) -> Document:
    attempt = job.attempt
    return {
        "format": 1,
        "job": job.id,
        "attempt": attempt.number,
        "owner": job.owner,
        "title": job.title,
        "created": time_text(job.created),
        "state": attempt.state.value,
        "chisq": attempt.chisq,
        "seed": job.seed,
        "options": job.options,
        "problem": dict(dataset.provenance).get("problem"),
        "script_sha256": script_sha256(plan),
        "complete": dataset.complete,
        "files": {
            **{file.path: file.digest for file in plan.files},
            **{ref.path: ref.digest for ref in dataset.files},
        },
    }


def _json(document: Document) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"
