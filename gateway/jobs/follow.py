"""Follow running jobs: only the new bytes of their events and logs, each time.

`gateway.jobs.reported` says what the events mean, and trusts none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from gateway.errors import NoSpaceError
from gateway.jobs.live_store import LiveStore
from gateway.jobs.log_folder import LogFolder
from gateway.jobs.models import ElementProgress, Job, Progress
from gateway.jobs.reported import (
    LINE_BYTES,
    cut_event,
    elements_told_of,
    fold_elements,
    fold_progress,
    last_curves,
    read_events,
)
from gateway.records import Document
from scheduler.base import Reading, Scheduler

_CHUNK_BYTES = 256 * 1024
_TASKS_AT_ONCE = 64
_EVENTS_KEPT = 1_000
EVENT_BYTES = 32 << 20
"""Followed of one task; a fit that reports every second for a day writes less."""

_TAIL_BYTES = 1 << 20
_LEAST_TAIL_BYTES = 64 << 10
_TAILS_BYTES = 16 << 20
"""Of all tasks of a job that has ended, unless they are very many."""

_LINES_AT_ONCE = 1_000
"""Of one task; a driver reports a few a second, and reading very short ones takes its time."""

_LINES_AT_END = 50_000
"""From the starts, and from the ends, of all tasks of a job that has ended, unless they are very
many."""

_LEAST_LINES = 100
LOGS_BYTES = 64 << 20
"""Kept of all logs of an attempt, unless two whole ones are more."""

STREAMS = ("stdout", "stderr")


@dataclass(frozen=True, kw_only=True)
class _News:
    """What one task has newly reported."""

    events: list[Document]
    read: dict[str, int]


class Files(Protocol):
    """Where parts of files come from: a scheduler, or what it gave in one go."""

    def read(
        self, directory: PurePosixPath, path: str, offset: int, limit_bytes: int
    ) -> bytes | None:
        """Read a part of a file."""


@dataclass(frozen=True, kw_only=True)
class ReadAlready:
    """Parts of files that were read in one go; what is not among them is read now."""

    found: Mapping[Reading, bytes | None]
    rest: Files

    def read(
        self, directory: PurePosixPath, path: str, offset: int, limit_bytes: int
    ) -> bytes | None:
        """Read a part of a file."""
        wanted = Reading(directory=directory, path=path, offset=offset, limit_bytes=limit_bytes)
        if wanted in self.found:
            return self.found[wanted]
        return self.rest.read(directory, path, offset, limit_bytes)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A job that runs: which of its tasks do, and which have ended before the others."""

    job: Job
    running: Sequence[int]
    ended: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Look:
    """What to read of a job this time."""

    job: Job
    tasks: tuple[int, ...]
    ended: frozenset[int]
    followed: dict[str, int]
    log_bytes: int
    logs_left: int
    """How much more is kept of all its logs."""

    def readings(self) -> Iterator[Reading]:
        """List the parts of its files that are likely to be asked for."""
        number, directory = self.job.attempt.number, PurePosixPath(self.job.attempt.directory)
        for task in self.tasks:
            offset = self.followed.get(_events_name(self.job, task), 0)
            yield Reading(
                directory=directory,
                path=f"events.{task}.jsonl",
                offset=offset,
                limit_bytes=_CHUNK_BYTES,
            )
            for stream in STREAMS:
                path = f"{stream}.{task}.txt"
                offset = self.followed.get(f"{number}/{path}", 0)
                room = max(min(_log_room(self.log_bytes, offset), self.logs_left), 1)
                yield Reading(directory=directory, path=path, offset=offset, limit_bytes=room)


class Follower:
    """Brings the news of running jobs into the store, and their logs into the log folder."""

    def __init__(self, live: LiveStore, logs: LogFolder) -> None:
        self._live = live
        self._logs = logs
        self._first: dict[str, int] = {}

    def look(self, asked: Sequence[Running]) -> list[Look]:
        """Say what to read of jobs this time, of each at most so many tasks."""
        followed = self._live.followed_many([one.job.id for one in asked])
        return [self._look(one, followed[one.job.id]) for one in asked]

    def _look(self, asked: Running, followed: dict[str, int]) -> Look:
        job = asked.job
        rest = [task for task in asked.ended if not _is_read(job, task, followed)]
        return Look(
            job=job,
            tasks=tuple(self._turn(job, asked.running, rest)),
            ended=frozenset(rest),
            followed=followed,
            log_bytes=self._logs.limit_bytes,
            logs_left=self._logs_left(job, followed),
        )

    def follow(self, files: Files, look: Look) -> bool:
        """Read what is new of a job; say whether it may have come to its end."""
        job, followed = look.job, look.followed
        directory = PurePosixPath(job.attempt.directory)
        events: list[Document] = []
        read: dict[str, int] = {}
        left = look.logs_left
        for task in look.tasks:
            news = self._events(files, directory, job, task, followed)
            events.extend(news.events)
            read.update(news.read)
            if task in look.ended and not news.read:
                read[_end_mark(job, task)] = followed.get(_events_name(job, task), 0)
            with suppress(NoSpaceError):  # the log waits for room; how the job is does not
                copied = self._copy_logs(files, directory, job, task, followed, left)
                left -= _growth(copied, followed)
                read.update(copied)
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
        files: Files,
        directory: PurePosixPath,
        job: Job,
        task: int,
        followed: dict[str, int],
    ) -> _News:
        name = _events_name(job, task)
        offset = followed.get(name, 0)
        if offset >= EVENT_BYTES:
            return _News(events=[], read={})
        content = files.read(directory, f"events.{task}.jsonl", offset, _CHUNK_BYTES)
        if not content:
            return _News(events=[], read={})
        whole = len(content) - len(content.split(b"\n", _LINES_AT_ONCE)[-1])
        if not whole and len(content) >= LINE_BYTES:
            whole = len(content)  # a line without an end: step over it
        events = read_events(content[:whole])
        if offset + whole >= EVENT_BYTES:
            events.append(cut_event(task, EVENT_BYTES))
        return _News(events=events, read={name: offset + whole} if whole else {})

    def _copy_logs(
        self,
        files: Files,
        directory: PurePosixPath,
        job: Job,
        task: int,
        followed: dict[str, int],
        most: int,
    ) -> dict[str, int]:
        read: dict[str, int] = {}
        for stream in STREAMS:
            path = f"{stream}.{task}.txt"
            name = f"{job.attempt.number}/{path}"
            offset = followed.get(name, 0)
            room = min(_log_room(self._logs.limit_bytes, offset), most)
            content = files.read(directory, path, offset, max(room, 1))
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
        tasks = job.attempt.numbers
        tail = max(_LEAST_TAIL_BYTES, min(_TAIL_BYTES, _TAILS_BYTES // len(tasks)))
        log_budget = self._logs_left(job, self._live.followed(job.id))
        for first in range(0, len(tasks), _TASKS_AT_ONCE):
            group = tasks[first : first + _TASKS_AT_ONCE]
            self._finish_events(scheduler, job, group, tail)
            log_budget -= self._finish_logs(scheduler, job, group, log_budget)

    def _logs_left(self, job: Job, followed: Mapping[str, int]) -> int:
        """Say how much more is kept of the logs of an attempt: they count for nobody's quota."""
        own = tuple(f"{job.attempt.number}/{stream}." for stream in STREAMS)
        kept = sum(size for name, size in followed.items() if name.startswith(own))
        return max(LOGS_BYTES, 2 * self._logs.limit_bytes) - kept

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
        most = max(_LEAST_LINES, _LINES_AT_END // job.attempt.tasks)
        is_short = len(content) <= 2 * tail
        if is_short and content.count(b"\n") <= 2 * most:
            return _News(
                events=read_events(content),
                read={name: offset + len(content)} if content else {},
            )
        first, last = content, content
        if not is_short:
            last = scheduler.read(directory, path, -tail, tail) or b""
            first, last = content[:tail], last[last.find(b"\n") + 1 :]
        first = b"".join(first.splitlines(keepends=True)[:most])
        events = [
            *read_events(first),
            cut_event(task, offset + len(first)),
            *read_events(b"\n".join(last.splitlines()[-most:])),
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
                spent += _growth(copied, followed)
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
        after = fold_elements(events, before, job.elements)
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


def _log_room(log_bytes: int, offset: int) -> int:
    return min(_CHUNK_BYTES, log_bytes - offset)


def _growth(read: Mapping[str, int], before: Mapping[str, int]) -> int:
    return sum(size - before.get(name, 0) for name, size in read.items())


def _events_name(job: Job, task: int) -> str:
    return f"{job.attempt.number}/events.{task}.jsonl"


def _end_mark(job: Job, task: int) -> str:
    return f"{job.attempt.number}/ended.{task}"


def _is_read(job: Job, task: int, followed: Mapping[str, int]) -> bool:
    """Whether all that a task told before it ended was read; it may be begun once more."""
    return followed.get(_end_mark(job, task)) == followed.get(_events_name(job, task), 0)
