"""Follow running jobs: only the new bytes of their events and logs, each time.

Event files are written by jobs and so by strangers: a line that is too long, is no JSON or has a
number where none belongs is left out, never trusted and never an error.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gateway.jobs.documents import read_document
from gateway.jobs.live_store import LiveStore
from gateway.jobs.models import Job, Progress
from gateway.records import Document, is_number
from scheduler.base import Scheduler
from scheduler.files import remove_tree

_CHUNK_BYTES = 256 * 1024
_LINE_BYTES = 128 * 1024
_TASKS_AT_ONCE = 64
_EVENTS_KEPT = 1_000
EVENT_BYTES = 32 << 20
"""Followed of one task; a fit that reports every second for a day writes less."""

_TAIL_BYTES = 1 << 20
_LEAST_TAIL_BYTES = 64 << 10
_TAILS_BYTES = 16 << 20
"""Of all tasks of a job that has ended, unless they are very many."""

_FINISH_LOG_BYTES = 64 << 20
_VALUES = 1_000
_WORDS = 2_000
STREAMS = ("stdout", "stderr")
_EVENTS = frozenset({"start", "step", "curve", "checkpoint", "message", "end"})


class LogFolder:
    """Where the gateway keeps what jobs printed: the web process reads here, the worker writes."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self.limit_bytes = limit_bytes

    def path(self, id: str, attempt: int, stream: str, task: int) -> Path:
        """Say where one log lies."""
        return self._root / id[-2:] / id / str(attempt) / f"{stream}.{task}.txt"

    def append(self, path: Path, offset: int, content: bytes) -> None:
        """Add bytes that belong at an offset; the same bytes again change nothing."""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(handle, content, offset)
        finally:
            os.close(handle)

    def mark_cut(self, path: Path, size: int) -> None:
        """Say at the end of a log, once, that there is more of it."""
        line = f"\n[cut here: {size} bytes of this log are kept; print less]\n"
        self.append(path, size, line.encode())

    def remove(self, id: str) -> None:
        """Remove all logs of a job; no logs are no error."""
        remove_tree(self._root / id[-2:] / id)

    def read(self, path: Path, offset: int, limit_bytes: int) -> tuple[int, bytes, int]:
        """Read from an offset, negative from the end; answer (offset, bytes, size of the log)."""
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = max(0, size + offset) if offset < 0 else min(offset, size)
                file.seek(start)
                return start, file.read(limit_bytes), size
        except FileNotFoundError:
            return 0, b"", 0


@dataclass(frozen=True, kw_only=True)
class _News:
    """What one task has newly reported."""

    events: list[Document]
    read: dict[str, int]


class Follower:
    """Brings the news of running jobs into the store, and their logs into the log folder."""

    def __init__(self, live: LiveStore, logs: LogFolder) -> None:
        self._live = live
        self._logs = logs

    def follow(self, scheduler: Scheduler, job: Job, tasks: Sequence[int]) -> bool:
        """Read what is new of some tasks of a job; say whether one of them has come to its end."""
        directory = PurePosixPath(job.attempt.directory)
        followed = self._live.followed(job.id)
        events: list[Document] = []
        read: dict[str, int] = {}
        for task in tasks[:_TASKS_AT_ONCE]:
            news = self._events(scheduler, directory, job, task, followed)
            events.extend(news.events)
            read.update(news.read)
            read.update(self._copy_logs(scheduler, directory, job, task, followed))
        self._show(job, events, read)
        return any(event["event"] == "end" for event in events)

    def _events(
        self,
        scheduler: Scheduler,
        directory: PurePosixPath,
        job: Job,
        task: int,
        followed: dict[str, int],
    ) -> _News:
        path = f"events.{task}.jsonl"
        name = f"{job.attempt.number}/{path}"
        offset = followed.get(name, 0)
        if offset >= EVENT_BYTES:
            return _News(events=[], read={})
        content = scheduler.read(directory, path, offset, _CHUNK_BYTES)
        if not content:
            return _News(events=[], read={})
        whole = content.rfind(b"\n") + 1
        if not whole and len(content) >= _LINE_BYTES:
            whole = len(content)  # a line without an end: step over it
        events = _read_events(content[:whole])
        if offset + whole >= EVENT_BYTES:
            events.append(_cut(task, EVENT_BYTES))
        return _News(events=events, read={name: offset + whole} if whole else {})

    def _copy_logs(
        self,
        scheduler: Scheduler,
        directory: PurePosixPath,
        job: Job,
        task: int,
        followed: dict[str, int],
        most: int = 2 * _CHUNK_BYTES,
    ) -> dict[str, int]:
        read: dict[str, int] = {}
        for stream in STREAMS:
            path = f"{stream}.{task}.txt"
            name = f"{job.attempt.number}/{path}"
            offset = followed.get(name, 0)
            room = min(_CHUNK_BYTES, self._logs.limit_bytes - offset, most)
            content = scheduler.read(directory, path, offset, max(room, 1))
            place = self._logs.path(job.id, job.attempt.number, stream, task)
            if content and room <= 0:
                self._logs.mark_cut(place, offset)
            elif content:
                self._logs.append(place, offset, content)
                read[name] = offset + len(content)
                most -= len(content)
        return read

    def finish(self, scheduler: Scheduler, job: Job) -> None:
        """Read what is left of a job that has ended; of what is too long, the start and the end.

        It is one job's turn in a round for all: whatever a job wrote, the work with it is bounded.
        """
        tasks = range(job.attempt.tasks)
        tail = max(_LEAST_TAIL_BYTES, min(_TAIL_BYTES, _TAILS_BYTES // len(tasks)))
        log_budget = max(_FINISH_LOG_BYTES, 2 * self._logs.limit_bytes)
        for first in range(0, len(tasks), _TASKS_AT_ONCE):
            group = tasks[first : first + _TASKS_AT_ONCE]
            self._finish_events(scheduler, job, group, tail)
            log_budget -= self._finish_logs(scheduler, job, group, log_budget)

    def _finish_events(
        self, scheduler: Scheduler, job: Job, tasks: Sequence[int], tail: int
    ) -> None:
        followed = self._live.followed(job.id)
        events: list[Document] = []
        read: dict[str, int] = {}
        for task in tasks:
            news = self._last_events(scheduler, job, task, followed, tail)
            events.extend(news.events)
            read.update(news.read)
        self._show(job, events, read)

    def _last_events(
        self, scheduler: Scheduler, job: Job, task: int, followed: dict[str, int], tail: int
    ) -> _News:
        directory, path = PurePosixPath(job.attempt.directory), f"events.{task}.jsonl"
        name = f"{job.attempt.number}/{path}"
        offset = followed.get(name, 0)
        if offset >= EVENT_BYTES:
            return _News(events=[], read={})
        content = scheduler.read(directory, path, offset, 2 * tail + 1) or b""
        if len(content) <= 2 * tail:
            return _News(
                events=_read_events(content),
                read={name: offset + len(content)} if content else {},
            )
        last = scheduler.read(directory, path, -tail, tail) or b""
        events = [
            *_read_events(content[:tail]),
            _cut(task, offset + tail),
            *_read_events(last[last.find(b"\n") + 1 :]),
        ]
        # Not how far it was read, but that nothing more of it will be.
        return _News(events=events, read={name: EVENT_BYTES})

    def _finish_logs(
        self, scheduler: Scheduler, job: Job, tasks: Sequence[int], budget: int
    ) -> int:
        """Copy the rest of some logs while the budget lasts; answer how much that was."""
        directory, spent = PurePosixPath(job.attempt.directory), 0
        while True:
            followed = self._live.followed(job.id)
            read: dict[str, int] = {}
            for task in tasks:
                left = budget - spent
                copied = self._copy_logs(scheduler, directory, job, task, followed, left)
                spent += sum(copied[name] - followed.get(name, 0) for name in copied)
                read.update(copied)
            if not read:
                return spent
            self._show(job, [], read)

    def _show(self, job: Job, events: Sequence[Document], read: dict[str, int]) -> None:
        if events or read:
            self._live.add_events(
                job.id,
                events[-_EVENTS_KEPT:],
                progress=_progress(events, self._live.progress(job.id)),
                curve=_last_curve(events),
                followed=read,
            )


def _read_events(content: bytes) -> list[Document]:
    return [event for line in content.splitlines() if (event := read_event(line))]


def _cut(task: int, size: int) -> Document:
    """Say that more of a task's events is not shown."""
    text = f"of the events of task {task}, those after the first {size} bytes are not all shown"
    return {"event": "message", "t": time.time(), "level": "warning", "text": text}


def read_event(line: bytes) -> Document | None:
    """Read one event line; None for what is no event.

    >>> read_event(b'{"event": "step", "t": 1, "step": 3, "chisq": NaN}')["chisq"] is None
    True
    >>> read_event(b'{"event": "rm -rf"}') is None, read_event(b"[" * 200) is None
    (True, True)
    """
    if len(line) > _LINE_BYTES:
        return None
    document = read_document(line)
    if not isinstance(document, dict) or document.get("event") not in _EVENTS:
        return None
    if not is_number(document.get("t")):
        return None
    return {str(key)[:64]: _bounded(value) for key, value in list(document.items())[:40]}


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return value[:_WORDS]
    if isinstance(value, list):
        return [_bounded(item) for item in value[:_VALUES]]
    if isinstance(value, dict):
        return {str(key)[:64]: _bounded(item) for key, item in list(value.items())[:100]}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _progress(events: Sequence[Document], before: Progress | None) -> Progress | None:
    """Fold new events into the last known step; None when nothing about it is new."""
    state = before
    for event in events:
        if event["event"] == "start":
            state = Progress(
                t=event["t"],
                step=0,
                steps=_int(event.get("steps")),
                chisq=_float(event.get("chisq")),
                start_chisq=_float(event.get("chisq")),
                labels=tuple(str(label) for label in _list(event.get("labels"))),
                method=str(event.get("method", ""))[:40],
            )
        elif event["event"] == "step":
            state = Progress(
                t=event["t"],
                step=_int(event.get("step")) or 0,
                steps=_int(event.get("steps")),
                chisq=_float(event.get("chisq")),
                best=tuple(_float(value) for value in _list(event.get("best"))),
                quantiles=tuple(_float(value) for value in _list(event.get("quantiles"))),
                phase=str(event["phase"])[:40] if event.get("phase") else None,
                labels=state.labels if state else (),
                start_chisq=state.start_chisq if state else None,
                method=state.method if state else "",
            )
    return state if state is not before else None


def _last_curve(events: Sequence[Document]) -> Document | None:
    curves = [event for event in events if event["event"] == "curve"]
    return curves[-1] if curves else None


def _int(value: object) -> int | None:
    return int(value) if is_number(value) else None


def _float(value: object) -> float | None:
    return float(value) if is_number(value) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
