"""Fetch what a job left: checked against its manifest, visible in one step.

All of it was written by a user's code. Files are read beneath their directory without following
links; sizes and digests are measured here; a manifest only says what ought to be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import FileRef
from gateway.errors import TooLargeError
from gateway.jobs.documents import DOCUMENT_BYTES, read_document, result_documents
from gateway.jobs.models import Job, Verdict
from gateway.jobs.outcome import ExitRecord, read_exit
from gateway.records import Document, is_number
from gateway.settings import LimitSettings
from scheduler.base import FileEntry, Scheduler

_CHUNK_BYTES = 4 << 20
_MANIFEST = re.compile(r"manifest\.(\d{1,7})\.json")
_KEPT = re.compile(r"result\.\d{1,7}\.json|out/.+")
_LISTED = r"out|(result|manifest)\.\d{1,7}\.json"
_PATH_BYTES = 400


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What was found in the directory of an attempt that has ended."""

    files: tuple[FileRef, ...]
    complete: bool
    """Whether every task left a manifest and every file on them is as it says."""

    results: tuple[Document, ...]
    """The result document of each task, in their order; tasks without one are left out."""

    faults: tuple[str, ...]

    @property
    def has_session(self) -> bool:
        """Whether a fit could be continued from what is here."""
        return any(ref.path.endswith("session.h5") for ref in self.files)


class Collector:
    """Brings files home."""

    def __init__(self, blobs: BlobStore, limits: LimitSettings) -> None:
        self._blobs = blobs
        self._limits = limits

    def collect(self, scheduler: Scheduler, job: Job) -> Collected:
        """Fetch the results of a job that has ended; a second time finds the same."""
        directory = PurePosixPath(job.attempt.directory)
        faults: list[str] = []
        listing = self._listing(scheduler, job, faults)
        kept = sorted(self._wanted(listing, faults), key=lambda entry: entry.path)
        files = [ref for entry in kept if (ref := self._fetch(scheduler, directory, entry, faults))]
        manifests = self._manifests(scheduler, directory, listing)
        faults.extend(_differences(manifests, {ref.path: ref for ref in files}))
        if len(manifests) < job.attempt.tasks:
            absent = job.attempt.tasks - len(manifests)
            faults.append(f"{absent} of {job.attempt.tasks} tasks left no manifest")
        return Collected(
            files=tuple(files),
            complete=not faults,
            results=tuple(result_documents(self._blobs, files)),
            faults=tuple(faults[:50]),
        )

    def exits(self, scheduler: Scheduler, job: Job) -> list[ExitRecord]:
        """Read the exit files of all tasks; those that are missing or damaged are left out."""
        directory = PurePosixPath(job.attempt.directory)
        documents = (
            read_document(scheduler.read(directory, f"exit.{task}.json", 0, _CHUNK_BYTES))
            for task in range(job.attempt.tasks)
        )
        return [record for document in documents if (record := read_exit(document))]

    def _listing(self, scheduler: Scheduler, job: Job, faults: list[str]) -> list[FileEntry]:
        """List results and manifests, with results first: they are what has to fit."""
        most = self._limits.result_files + job.attempt.tasks  # a manifest is no result
        directory = PurePosixPath(job.attempt.directory)
        listing = scheduler.listing(directory, most + 1, _LISTED)
        if len(listing) > most:
            faults.append(
                f"there are more than {self._limits.result_files} result files: some of them were "
                "left behind; write fewer files into out/"
            )
        return sorted(listing, key=lambda entry: (entry.path.startswith("out/"), entry.path))

    def _wanted(self, listing: list[FileEntry], faults: list[str]) -> Iterator[FileEntry]:
        budget = self._limits.result_bytes
        for entry in listing:
            if not _KEPT.fullmatch(entry.path) or entry.path.endswith(".part"):
                continue
            if not entry.regular or len(entry.path.encode()) > _PATH_BYTES:
                faults.append(
                    f"{entry.path[:80]!r} is not a plain file, has too long a name, or is too much "
                    "to list: it was left behind"
                )
                continue
            budget -= entry.size
            if budget < 0:
                faults.append(f"more than {self._limits.result_bytes} bytes of results")
                return
            yield entry

    def _fetch(
        self, scheduler: Scheduler, directory: PurePosixPath, entry: FileEntry, faults: list[str]
    ) -> FileRef | None:
        try:
            blob = self._blobs.add(
                _pieces(scheduler, directory, entry), limit_bytes=self._limits.result_bytes
            )
        except TooLargeError as error:
            faults.append(f"{entry.path}: {error}")
            return None
        return FileRef(path=entry.path, digest=blob.digest, size=blob.size)

    def _manifests(
        self, scheduler: Scheduler, directory: PurePosixPath, listing: list[FileEntry]
    ) -> list[Document]:
        found = []
        for entry in listing:
            if entry.regular and _MANIFEST.fullmatch(entry.path) and entry.size <= DOCUMENT_BYTES:
                content = scheduler.read(directory, entry.path, 0, DOCUMENT_BYTES)
                document = read_document(content)
                if isinstance(document, dict) and isinstance(document.get("files"), list):
                    found.append(document)
        return found


def read_verdict(result: Document) -> Verdict | None:
    """Read what a result says of itself; None when it says nothing readable."""
    verdict = result.get("verdict")
    if not isinstance(verdict, dict):
        return None
    code, text = verdict.get("code"), verdict.get("text")
    if not isinstance(code, str) or not isinstance(text, str):
        return None
    return Verdict(code=code[:64], text=text[:2000])


def read_chisq(result: Document) -> float | None:
    """Read the reduced chi-square of a result; None when there is none."""
    value = result.get("chisq")
    return float(value) if is_number(value) else None


def _pieces(scheduler: Scheduler, directory: PurePosixPath, entry: FileEntry) -> Iterator[bytes]:
    offset = 0
    while chunk := scheduler.read(directory, entry.path, offset, _CHUNK_BYTES):
        yield chunk
        offset += len(chunk)


def _differences(manifests: list[Document], files: dict[str, FileRef]) -> Iterator[str]:
    for manifest in manifests:
        for row in manifest["files"]:
            path = row.get("path") if isinstance(row, dict) else None
            if not isinstance(path, str):
                yield "a manifest has a row without a path"
                continue
            ref = files.get(path)
            if ref is None:
                yield f"{path[:80]!r} is in the manifest and not there"
            elif ref.digest != row.get("sha256") or ref.size != row.get("size"):
                yield f"{path[:80]!r} is not as its manifest says"
