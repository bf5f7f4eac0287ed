"""Everything that is needed to do a job again, as one zip file; the same bytes each time."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator

from gateway.datasets.blobs import BlobStore, read_chunks
from gateway.datasets.models import Dataset
from gateway.jobs.models import Job, Plan
from gateway.jobs.plan import job_bytes, script_sha256
from gateway.records import Document, time_text

_EPOCH = (1980, 1, 1, 0, 0, 0)
_README = """\
A fit of bumps-gateway, whole.

job.json, data/, driver.pyz  what ran; do it again with: python driver.pyz .
job.sh                       the batch script, as it was submitted
out/, result.0.json          what came out
bundle.json                  who, when, versions, digests of all files

bumps-remote rerun THIS.zip --local does it again and compares.
"""


class _Pipe(io.RawIOBase):
    """Collects what a zip writer writes, to be sent piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def write(self, data: object) -> int:
        """Keep a piece."""
        piece = bytes(data)  # type: ignore[call-overload]  # a buffer of some kind
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> bytes:
        """Hand out what came since the last time."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def write_bundle(blobs: BlobStore, job: Job, plan: Plan, dataset: Dataset) -> Iterator[bytes]:
    """Write the zip piece by piece, so that a large one needs no memory."""
    pipe = _Pipe()
    texts = {
        "README.txt": _README.encode(),
        "bundle.json": _json(_description(job, plan, dataset)),
        "job.json": job_bytes(plan),
        "job.sh": plan.script.encode(),
    }
    contents = {file.path: file.digest for file in plan.files}
    contents |= {ref.path: ref.digest for ref in dataset.files}
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sorted(texts.items()):
            archive.writestr(_entry(name), text)
            yield pipe.take()
        for name, digest in sorted(contents.items()):
            with (
                archive.open(_entry(name), "w", force_zip64=True) as target,
                blobs.open(digest) as source,
            ):
                for chunk in read_chunks(source):
                    target.write(chunk)
                    yield pipe.take()
    yield pipe.take()


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


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    return entry


def _json(document: Document) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"
