"""Fetch what a job left: checked against its manifest, visible in one step.

All of it was written by a user's code. Files are read beneath their directory without following
links; sizes and digests are measured here; a manifest only says what ought to be there.
"""

from __future__ import annotations

import math
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from gateway.clusters.libraries import read_versions
from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import FileRef
from gateway.errors import TooLargeError
from gateway.jobs.documents import (
    DOCUMENT_BYTES,
    DOCUMENTS_BYTES,
    read_document,
    task_results,
)
from gateway.jobs.efficiency import figures_of
from gateway.jobs.forecast import SPEEDS
from gateway.jobs.manifests import MOST_FAULTS, vouch
from gateway.jobs.models import Job, Verdict
from gateway.jobs.outcome import ExitRecord, read_exit
from gateway.jobs.plan import load_plan
from gateway.records import Document, is_number
from gateway.settings import LimitSettings
from scheduler.base import FileEntry, Scheduler

_CHUNK_BYTES = 4 << 20
_EXIT_BYTES = 4096
_STAGED = "job.sh"
_WORD = 40
_TASK_FILE = re.compile(r"(result|manifest)\.(0|[1-9]\d{0,6})\.json")
_KEPT = re.compile(r"result\.\d{1,7}\.json|out/.+")
_LISTED = r"out|(result|manifest)\.\d{1,7}\.json"
_PATH_BYTES = 400
_SMALL = 256 << 10
_WRITERS = 8
_AHEAD = 4
"""So many times as many small files are held in memory as are being written."""


_Keeping = tuple[FileEntry, Future[FileRef | None]]


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What was found in the directory of an attempt that has ended."""

    files: tuple[FileRef, ...]
    complete: bool
    """Whether every task left a manifest and every file on them is as it says."""

    results: tuple[Document, ...]
    """What matters for the end from the result of each task, in their order.

    Tasks without a readable one are left out.
    """

    faults: tuple[str, ...]

    vouched: bool = True
    """Whether the result of every task is as the manifest says that was written after it."""

    gone: bool = False
    """Whether the directory was looked for in vain."""

    @property
    def has_session(self) -> bool:
        """Whether a fit could be continued from what is here."""
        return any(ref.path.endswith("session.h5") for ref in self.files)


class UnfinishedError(Exception):
    """The turn is over before all files are here; the next one goes on from there."""


@dataclass(kw_only=True)
class Fetched:
    """What earlier turns have brought of one attempt."""

    files: dict[FileEntry, FileRef | None] = field(default_factory=dict)
    """None: one that could not be kept."""

    faults: list[str] = field(default_factory=list)


class Collector:
    """Brings files home."""

    def __init__(self, blobs: BlobStore, limits: LimitSettings) -> None:
        self._blobs = blobs
        self._limits = limits

    def collect(
        self,
        scheduler: Scheduler,
        job: Job,
        fetched: Fetched | None = None,
        turn_s: float = math.inf,
    ) -> Collected:
        """Fetch the results of a job that has ended; a second time finds the same.

        Parameters
        ----------
        fetched
            What earlier turns have brought, to which this one adds.
        turn_s
            How long files may be fetched now; at least one is.

        Raises
        ------
        UnfinishedError
            When that was too short.
        """
        fetched = Fetched() if fetched is None else fetched
        directory = PurePosixPath(job.attempt.directory)
        faults: list[str] = []
        stays = load_plan(job.attempt.plan, self._blobs).kept if job.attempt.indices else ()
        listing = self._listing(scheduler, job, faults)
        kept = sorted(self._wanted(job, listing, faults), key=lambda entry: entry.path)
        self._fetch_missing(scheduler, directory, kept, fetched, turn_s)
        faults += dict.fromkeys(fetched.faults)  # some were fetched twice, at the end of a turn
        found = [ref for entry in kept if (ref := fetched.files[entry]) is not None]
        refs = {ref.path: ref for ref in (*found, *stays)}
        files = sorted(refs.values(), key=lambda ref: ref.path)
        manifests = self._manifests(scheduler, job, listing, faults)
        vouched = vouch(manifests, job.attempt, refs, faults)
        results = tuple(self._results(job, files, faults))
        return Collected(
            files=tuple(files),
            complete=not faults,
            results=results,
            faults=tuple(faults[:MOST_FAULTS]),
            vouched=vouched,
        )

    def finds_directory(self, scheduler: Scheduler, job: Job) -> bool:
        """Whether what was staged there can be read: else it may lie on a disk that is away."""
        directory = PurePosixPath(job.attempt.directory)
        return scheduler.read(directory, _STAGED, 0, 1) is not None

    def exits(self, scheduler: Scheduler, job: Job) -> list[ExitRecord]:
        """Read the exit files of all tasks; those that are missing or damaged are left out."""
        directory = PurePosixPath(job.attempt.directory)
        documents = (
            (task, read_document(scheduler.read(directory, f"exit.{task}.json", 0, _EXIT_BYTES)))
            for task in job.attempt.numbers
        )
        return [
            replace(record, task=task)
            for task, document in documents
            if (record := read_exit(document))
        ]

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

    def _wanted(self, job: Job, listing: list[FileEntry], faults: list[str]) -> Iterator[FileEntry]:
        budget, numbers = self._limits.result_bytes, frozenset(job.attempt.numbers)
        for entry in listing:
            if not _KEPT.fullmatch(entry.path) or entry.path.endswith(".part"):
                continue
            if not entry.regular or len(entry.path.encode()) > _PATH_BYTES:
                faults.append(
                    f"{entry.path[:80]!r} is not a plain file, has too long a name, or is too much "
                    "to list: it was left behind"
                )
                continue
            if (task := _task_of(entry.path)) is not None and task not in numbers:
                faults.append(f"{entry.path} is of no task of this job, so it was left behind")
                continue
            budget -= entry.size
            if budget < 0:
                faults.append(f"more than {self._limits.result_bytes} bytes of results")
                return
            yield entry

    def _fetch_missing(
        self,
        scheduler: Scheduler,
        directory: PurePosixPath,
        entries: Sequence[FileEntry],
        fetched: Fetched,
        turn_s: float,
    ) -> None:
        """Fetch what earlier turns have not; UnfinishedError when the turn is over before."""
        missing = [entry for entry in entries if entry not in fetched.files]
        until = time.monotonic() + turn_s
        for entry, found in self._fetch_all(scheduler, directory, missing, fetched.faults):
            fetched.files[entry] = found
            if time.monotonic() > until and entry is not missing[-1]:
                raise UnfinishedError

    def _fetch_all(
        self,
        scheduler: Scheduler,
        directory: PurePosixPath,
        entries: Sequence[FileEntry],
        faults: list[str],
    ) -> Iterator[tuple[FileEntry, FileRef | None]]:
        """Fetch files, one after the other, and keep small ones side by side.

        A disk is waited for twice with each file, and takes many of them in the time of one: a
        campaign has thousands.
        """
        waiting: deque[_Keeping] = deque()
        with ThreadPoolExecutor(_WRITERS) as pool:
            for entry in entries:
                pieces: Iterable[bytes] = _pieces(scheduler, directory, entry)
                if entry.size <= _SMALL:
                    content = scheduler.read(directory, entry.path, 0, _SMALL + 1) or b""
                    # One that grows meanwhile is read like a large one.
                    pieces = [content] if len(content) <= _SMALL else pieces
                if isinstance(pieces, list):
                    waiting.append((entry, pool.submit(self._keep, entry, pieces, faults)))
                else:
                    yield from _results_of(waiting)
                    yield entry, self._keep(entry, pieces, faults)
                if len(waiting) > _AHEAD * _WRITERS:
                    first, kept = waiting.popleft()
                    yield first, kept.result()
            yield from _results_of(waiting)

    def _keep(self, entry: FileEntry, pieces: Iterable[bytes], faults: list[str]) -> FileRef | None:
        try:
            blob = self._blobs.add(pieces, limit_bytes=self._limits.result_bytes)
        except TooLargeError as error:
            faults.append(f"{entry.path}: {error}")
            return None
        return FileRef(path=entry.path, digest=blob.digest, size=blob.size)

    def _manifests(
        self, scheduler: Scheduler, job: Job, listing: list[FileEntry], faults: list[str]
    ) -> Iterator[tuple[int, Document | None]]:
        """Read manifests, one after the other: what all of them hold may be very much.

        With each the number of its task; None for one that is too long.
        """
        directory, room = PurePosixPath(job.attempt.directory), DOCUMENTS_BYTES
        numbers = frozenset(job.attempt.numbers)
        for entry in listing:
            task = _task_of(entry.path, "manifest")
            if task is None or task not in numbers or not entry.regular:
                continue
            if entry.size > min(room, DOCUMENT_BYTES):
                faults.append(f"{entry.path} was not read: that are too many bytes of manifests")
                yield task, None
                continue
            room -= entry.size
            document = read_document(scheduler.read(directory, entry.path, 0, entry.size))
            if isinstance(document, dict) and isinstance(document.get("files"), list):
                yield task, document

    def _results(self, job: Job, files: Sequence[FileRef], faults: list[str]) -> Iterator[Document]:
        room, numbers = job.elements, frozenset(job.attempt.numbers)
        for ref, document in task_results(self._blobs, files):
            if document is None:
                faults.append(
                    f"{ref.path} is kept, but not read: it is no JSON object, or the results of "
                    "this job are too large"
                )
                continue
            essence = _essence(document, room)
            room -= len(essence.get("elements", ()))
            if _task_of(ref.path) not in numbers:  # what it took was an earlier attempt's
                essence.pop("usage", None)
            yield essence


def _results_of(waiting: deque[_Keeping]) -> Iterator[tuple[FileEntry, FileRef | None]]:
    while waiting:
        entry, kept = waiting.popleft()
        yield entry, kept.result()


def _task_of(path: str, kind: str = "result") -> int | None:
    match = _TASK_FILE.fullmatch(path)
    return int(match[2]) if match is not None and match[1] == kind else None


def _essence(result: Document, most_elements: int) -> Document:
    """Keep of a result what its job's end is judged by: the rest may be very much."""
    found = {name: result[name] for name in ("chisq", "resumable") if _is_small(result, name)}
    if isinstance(result.get("status"), str):
        found["status"] = result["status"][:_WORD]
    if (verdict := read_verdict(result)) is not None:
        found["verdict"] = {"code": verdict.code, "text": verdict.text}
    found |= {name: result[name] for name in SPEEDS if _is_small(result, name)}
    found |= figures_of(result)
    if versions := read_versions(result.get("versions")):
        found["versions"] = versions
    if isinstance(result.get("parameters"), list):
        found["n_parameters"] = len(result["parameters"])
    if isinstance(result.get("elements"), list):
        rows = [row for row in result["elements"] if isinstance(row, dict)]
        found["elements"] = [_essence_of_row(row) for row in rows[:most_elements]]
    return found


def _is_small(result: Mapping[str, Any], name: str) -> bool:
    return isinstance(result.get(name), bool | int | float)


def _essence_of_row(row: Mapping[str, Any]) -> Document:
    status = row.get("status")
    found: Document = {"status": status[:_WORD] if isinstance(status, str) else None}
    if row.get("parameters") == []:
        found["parameters"] = []
    found |= {name: row[name] for name in ("index", "chisq") if _is_small(row, name)}
    if isinstance(row.get("label"), str):
        found["label"] = row["label"][:_WORD]
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
