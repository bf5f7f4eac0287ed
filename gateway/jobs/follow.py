"""Follow running jobs: only the new bytes of their events and logs, each time.

`gateway.jobs.reported` says what the events mean, and trusts none of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gateway.disk import require_space, told_when_full
from gateway.errors import NoSpaceError
from gateway.jobs.live_store import LiveStore
from gateway.jobs.models import ElementProgress, Job, Progress
from gateway.jobs.reported import (
    LINE_BYTES,
    cut_event,
    elements_told_of,
    fold_element,
    fold_progress,
    last_curves,
    read_events,
)
from gateway.records import Document
from scheduler.base import Scheduler
from scheduler.files import remove_tree

_CHUNK_BYTES = 256 * 1024
_TASKS_AT_ONCE = 64
_EVENTS_KEPT = 1_000
EVENT_BYTES = 32 << 20
"""Followed of one task; a fit that reports every second for a day writes less."""

_TAIL_BYTES = 1 << 20
_LEAST_TAIL_BYTES = 64 << 10
_TAILS_BYTES = 16 << 20
"""Of all tasks of a job that has ended, unless they are very many."""

_FINISH_LOG_BYTES = 64 << 20
STREAMS = ("stdout", "stderr")


class LogFolder:
    """Where the gateway keeps what jobs printed: the web process reads here, the worker writes."""

    def __init__(self, root: Path, limit_bytes: int) -> None:
        self._root = root
        self.limit_bytes = limit_bytes

    def path(self, id: str, attempt: int, stream: str, task: int) -> Path:
        """Say where one log lies."""
        return self._root / id[-2:] / id / str(attempt) / f"{stream}.{task}.txt"

    def append(self, path: Path, offset: int, content: bytes) -> None:
        """Add bytes that belong at an offset; the same bytes again change nothing.

        Raises
        ------
        NoSpaceError
            When the disk is nearly full.
        """
        with told_when_full():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            require_space(path.parent, len(content))
            handle = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.pwrite(handle, content, offset)
            finally:
                os.close(handle)

    def mark_cut(self, path: Path, size: int) -> None:
        """Say at the end of a log, once, that there is more of it."""
        line = f"\n[cut here: {size} bytes of this log are kept; print less]\n"
        self.append(path, size, line.encode())
        _cut_mark(path).touch(mode=0o600)

    def is_cut(self, path: Path) -> bool:
        """Whether a job printed more into this log than is here; its size alone does not say."""
        return _cut_mark(path).exists()

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


def _cut_mark(path: Path) -> Path:
    return path.with_suffix(".cut")


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
        self._first: dict[str, int] = {}

    def follow(
        self,
        scheduler: Scheduler,
        job: Job,
        running: Sequence[int],
        ended: Sequence[int] = (),
    ) -> bool:
        """Read what is new of some tasks of a job; say whether it may have come to its end."""
        directory = PurePosixPath(job.attempt.directory)
        followed = self._live.followed(job.id)
        events: list[Document] = []
        read: dict[str, int] = {}
        rest = [task for task in ended if not _is_read(job, task, followed)]
        for task in self._turn(job, running, rest):
            news = self._events(scheduler, directory, job, task, followed)
            events.extend(news.events)
            read.update(news.read)
            if task in rest and not news.read:
                read[_end_mark(job, task)] = followed.get(_events_name(job, task), 0)
            with suppress(NoSpaceError):  # the log waits for room; how the job is does not
                read.update(self._copy_logs(scheduler, directory, job, task, followed))
        return self._show(job, events, read)

    def _turn(self, job: Job, running: Sequence[int], ended: Sequence[int]) -> list[int]:
        """Choose whose turn it is when there are many: those that run, round and round."""
        some = list(ended[: _TASKS_AT_ONCE // 2])
        room = _TASKS_AT_ONCE - len(some)
        if len(running) <= room:
            return [*running, *some]
        first = self._first.get(job.id, 0) % len(running)
        self._first[job.id] = first + room
        return [*[*running[first:], *running[:first]][:room], *some]

    def _events(
        self,
        scheduler: Scheduler,
        directory: PurePosixPath,
        job: Job,
        task: int,
        followed: dict[str, int],
    ) -> _News:
        name = _events_name(job, task)
        offset = followed.get(name, 0)
        if offset >= EVENT_BYTES:
            return _News(events=[], read={})
        content = scheduler.read(directory, f"events.{task}.jsonl", offset, _CHUNK_BYTES)
        if not content:
            return _News(events=[], read={})
        whole = content.rfind(b"\n") + 1
        if not whole and len(content) >= LINE_BYTES:
            whole = len(content)  # a line without an end: step over it
        events = read_events(content[:whole])
        if offset + whole >= EVENT_BYTES:
            events.append(cut_event(task, EVENT_BYTES))
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
        self._first.pop(job.id, None)
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
        name = _events_name(job, task)
        offset = followed.get(name, 0)
        if offset >= EVENT_BYTES:
            return _News(events=[], read={})
        content = scheduler.read(directory, path, offset, 2 * tail + 1) or b""
        if len(content) <= 2 * tail:
            return _News(
                events=read_events(content),
                read={name: offset + len(content)} if content else {},
            )
        last = scheduler.read(directory, path, -tail, tail) or b""
        events = [
            *read_events(content[:tail]),
            cut_event(task, offset + tail),
            *read_events(last[last.find(b"\n") + 1 :]),
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

    def _show(self, job: Job, events: Sequence[Document], read: dict[str, int]) -> bool:
        """Keep what was read; say whether it may be the end of the job."""
        if not events and not read:
            return False
        if job.elements:
            return self._show_elements(job, events, read)
        self._live.add_events(
            job.id,
            events[-_EVENTS_KEPT:],
            progress=fold_progress(events, self._live.progress(job.id)),
            curves=last_curves(events),
            followed=read,
        )
        return any(event["event"] == "end" for event in events)

    def _show_elements(self, job: Job, events: Sequence[Document], read: dict[str, int]) -> bool:
        told = elements_told_of(events, job.elements)
        before = self._live.elements(job.id, told) if told else {}
        after = {
            index: state
            for index in told
            if (state := fold_element(index, events, before.get(index))) is not None
        }
        progress = _count(job, events, before, after, self._live.progress(job.id))
        # The curves of thousands of elements would drive all else out of the stream.
        shown = [event for event in events if event["event"] != "curve"]
        self._live.add_events(
            job.id, shown[-_EVENTS_KEPT:], progress=progress, elements=after, followed=read
        )
        return progress is not None and progress.step >= job.elements


def _count(
    job: Job,
    events: Sequence[Document],
    before: Mapping[int, ElementProgress],
    after: Mapping[int, ElementProgress],
    progress: Progress | None,
) -> Progress | None:
    """Count the elements that have ended; None when nothing was told."""
    if not after:
        return None
    more = sum(one.ended for one in after.values()) - sum(one.ended for one in before.values())
    step = (progress.step if progress else 0) + more
    newest = max(float(event["t"]) for event in events)
    return Progress(t=newest, step=step, steps=job.elements, chisq=None)


def _events_name(job: Job, task: int) -> str:
    return f"{job.attempt.number}/events.{task}.jsonl"


def _end_mark(job: Job, task: int) -> str:
    return f"{job.attempt.number}/ended.{task}"


def _is_read(job: Job, task: int, followed: Mapping[str, int]) -> bool:
    """Whether all that a task told before it ended was read; it may be begun once more."""
    return followed.get(_end_mark(job, task)) == followed.get(_events_name(job, task), 0)
