"""What became of something, by any of its ids: from the request over the job to the results.

Three places are asked, and each may be missing: the store, the sidecar files, and the log as JSON
lines. A job's directory is looked at where it lies on this host; it is its user's, so what is read
there is bounded, and no link is followed.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from gateway.errors import NotFoundError
from gateway.jobs.documents import read_document
from gateway.jobs.models import marker
from gateway.records import Document, to_document
from gateway.services import Gateway, open_gateway
from gateway.settings import Settings
from gateway.sidecars import Sidecars
from scheduler.files import list_beneath, read_beneath

_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_WORD = re.compile(r"[\w.-]+")
_TRY = re.compile(r"(?:submit\.(?P<try>\d+)/(?P<what>native_id|refused))|claim\.(?P<claim>\d+)")
_MOST_FILES = 5_000
_SMALL_BYTES = 4_096
_EVENT_BYTES = 4_000_000


@dataclass(frozen=True, kw_only=True)
class Trail:
    """All that was found."""

    id: str
    jobs: list[Document] = field(default_factory=list)
    problems: list[Document] = field(default_factory=list)
    deleted: list[Document] = field(default_factory=list)
    log: list[Document] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be asked, and why."""

    @property
    def found(self) -> bool:
        """Whether anything is known of this id."""
        return bool(self.jobs or self.problems or self.deleted or self.log)


def follow_trail(settings: Settings, id: str, logs: Sequence[Path]) -> Trail:
    """Find what became of a job, a request, a problem, a dataset or a scheduler's job.

    Parameters
    ----------
    logs
        Files with the gateway's log as JSON lines, also packed with gzip; other lines are skipped.
    """
    gateway = open_gateway(settings)
    root = settings.state_directory / "sidecars"
    trail = Trail(id=id)
    wanted = {id} | _named_in_log(id, logs)
    records = {str(job["id"]): job for job in _jobs(gateway, root, wanted, trail.notes)}
    trail.jobs.extend(_job(gateway, root, job, trail.notes) for _, job in sorted(records.items()))
    trail.deleted.extend(
        {"id": name, **document}
        for name, document in Sidecars(root / "jobs").buried()
        if name in wanted
    )
    problems = wanted | {str(job["problem"]["id"]) for job in trail.jobs}
    trail.problems.extend(_problems(root, problems))
    known = wanted | set(records) | {str(job["correlation_id"]) for job in trail.jobs}
    trail.log.extend(line for line in _lines(logs) if _speaks_of(line, known))
    trail.log.sort(key=lambda line: str(line.get("timestamp", "")))
    return trail


def _named_in_log(id: str, logs: Sequence[Path]) -> set[str]:
    """Find the jobs of a request that made none itself: a rerun, a cancel, a look."""
    named: set[str] = set()
    for line in _lines(logs):
        if line.get("request_id") == id or line.get("correlation_id") == id:
            named |= set(_ULID.findall(f"{line.get('job', '')} {line.get('path', '')}"))
    return named


def _jobs(gateway: Gateway, root: Path, wanted: set[str], notes: list[str]) -> Iterator[Document]:
    """Give the jobs with such an id, those of files first and then those of the store."""
    for _, document in Sidecars(root / "jobs"):
        if wanted & _ids(document):
            yield document
    try:
        for text in gateway.job_store.texts():
            document = json.loads(text)
            if wanted & _ids(document):
                yield document
    except redis.RedisError as error:
        notes.append(f"the store does not answer, so this is what the files say: {error}")


def _ids(job: Mapping[str, Any]) -> set[str]:
    """Collect all ids of a job: its own, its request's, its problem's, its attempts'."""
    found = {job.get("id"), job.get("correlation_id"), job.get("problem", {}).get("id")}
    for attempt in job.get("attempts", ()):
        name = marker(str(job.get("id")), int(attempt["number"]))
        found |= {attempt.get("native_id"), attempt.get("dataset"), name}
    return {str(text) for text in found if text}


def _job(gateway: Gateway, root: Path, job: Document, notes: list[str]) -> Document:
    job_id = str(job["id"])
    kept = ("id", "owner", "kind", "title", "cluster", "created", "updated", "correlation_id",
            "problem", "wish")  # fmt: skip
    return {
        **{name: job.get(name) for name in kept},
        "in_store": _in_store(gateway, job_id),
        "in_files": Sidecars(root / "jobs").read(job_id) is not None,
        "attempts": [
            _attempt(gateway, root, job_id, attempt, notes) for attempt in job["attempts"]
        ],
    }


def _in_store(gateway: Gateway, id: str) -> bool | None:
    """Say whether the store has a job; None when nobody knows."""
    try:
        gateway.job_store.get(id)
    except NotFoundError:
        return False
    except redis.RedisError:
        return None
    return True


def _attempt(
    gateway: Gateway, root: Path, id: str, attempt: Document, notes: list[str]
) -> Document:
    kept = ("number", "state", "raw_state", "reason_text", "stage", "native_id", "try_number",
            "directory", "asked", "started", "ended", "exit_code", "signal")  # fmt: skip
    directory = Path(str(attempt["directory"]))
    return {
        **{name: attempt.get(name) for name in kept},
        "marker": marker(id, int(attempt["number"])),
        **(_directory(directory, notes) if directory.is_dir() else {"here": False}),
        "dataset": _dataset(gateway, root, attempt.get("dataset")),
    }


def _directory(directory: Path, notes: list[str]) -> Document:
    """Read what the submission, the script and the driver have left of an attempt."""
    tries: dict[int, Document] = {}
    exits, events, spoken = [], Counter[str](), []
    entries = list_beneath(directory, _MOST_FILES)
    if len(entries) >= _MOST_FILES:
        notes.append(f"{directory} has more than {_MOST_FILES} files: not all were looked at")
    for entry in entries:
        path = str(entry.path)
        if match := _TRY.fullmatch(path):
            number = int(match["try"] or match["claim"])
            tries.setdefault(number, {"try": number})[match["what"] or "claim"] = _small(
                directory, path
            )
        elif re.fullmatch(r"exit\.\d+\.json", path):
            exits.append({"file": path, "content": _small(directory, path)})
        elif re.fullmatch(r"events\.\d+\.jsonl", path):
            for event in _events(directory, path):
                events[str(event.get("event"))] += 1
                if event.get("event") not in {"step", "curve"}:
                    spoken.append(event)
    return {
        "here": True,
        "tries": [tries[number] for number in sorted(tries)],
        "exits": exits,
        "events": dict(events),
        "milestones": spoken[:100],
    }


def _small(directory: Path, path: str) -> str:
    content = read_beneath(directory, path, 0, _SMALL_BYTES) or b""
    return content.decode("utf-8", "replace").strip()


def _events(directory: Path, path: str) -> Iterator[Document]:
    content = read_beneath(directory, path, 0, _EVENT_BYTES) or b""
    for line in content.splitlines():
        event = read_document(line)
        if isinstance(event, dict):
            yield event


def _dataset(gateway: Gateway, root: Path, id: str | None) -> Document | None:
    if id is None:
        return None
    try:
        found: Document = to_document(gateway.datasets.get(id))
    except (NotFoundError, redis.RedisError):
        found = Sidecars(root / "datasets").read(id) or {}
    files = found.get("files", [])
    return {
        "id": id,
        "found": bool(found),
        "complete": found.get("complete"),
        "files": len(files),
        "bytes": sum(int(file["size"]) for file in files),
    }


def _problems(root: Path, wanted: set[str]) -> Iterator[Document]:
    for name in sorted(wanted):
        if not _ULID.fullmatch(name):
            continue
        if (kept := Sidecars(root / "problems").read(name)) is not None:
            problem = kept.get("problem", kept)
            shown = ("owner", "name", "type", "created")
            yield {"id": name, **{key: problem[key] for key in shown if key in problem}}


def _lines(logs: Sequence[Path]) -> Iterator[Document]:
    for path in logs:
        with (
            gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream,
            suppress(EOFError),  # packed, and cut
        ):
            for line in stream:
                if not line.startswith(b"{"):
                    continue
                try:
                    document = json.loads(line)
                except ValueError:
                    continue  # cut by a rotation
                if isinstance(document, dict):
                    yield document


def _speaks_of(line: Mapping[str, Any], ids: set[str]) -> bool:
    """Say whether a log line names an id, as a value of its own or as a word of a path or text.

    >>> _speaks_of({"path": "/api/v1/jobs/01J/log"}, {"01J"}), _speaks_of({"status": 17}, {"17"})
    (True, False)
    """
    texts = (value for value in line.values() if isinstance(value, str))
    return any(word.strip(".") in ids for text in texts for word in _WORD.findall(text))
