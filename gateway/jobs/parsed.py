"""Records of jobs as they are read: each text is made into a job once while it stays the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Generic, TypeVar

import structlog

from gateway.errors import UnavailableError
from gateway.jobs.models import Job
from gateway.recent import Recent
from gateway.records import from_document

_log = structlog.get_logger("records")
FAULTS = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What comes of a text that is no record: no JSON, of another shape, or of another job."""

_SMALL = 16_384
"""Records of more signs are read anew each time: a request may have a million."""

Row = tuple[int, str | None, str | None, str]
"""What the store says of a job of which it knows more than was known: its place in the question,
from 1; its record, None when it is the known one or none is there; when it was last seen as it is
written; the mark of its record, empty when none is there."""


class UnreadableError(UnavailableError):
    """The record of a job is damaged; it is set apart, and nothing is done with the job."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    mark: str
    written: Job
    observed: str | None
    job: Job


_View = TypeVar("_View")
_again: Recent[_Known] = Recent(256)
"""What was read last of some jobs; their marks are the texts themselves."""


class Parsed:
    """The jobs that live: each round reads them twice, and few of them have changed.

    Parameters
    ----------
    ask
        Asks the store, with what is known as JSON: of each job its id, the mark of its record, and
        when it was last seen; the two last empty where nothing is known.
    """

    def __init__(self, ask: Callable[[str], Sequence[Row]]) -> None:
        self._ask = ask
        self._known: Mapping[str, _Known] = {}
        self._told: dict[str, str] = {}
        """Marks of what was said to be no record, by the id of its job."""

    def jobs(self, ids: Sequence[str]) -> list[Job]:
        """Read jobs; those that are gone, or whose records are damaged, are left out."""
        return [known.job for _, known in self._readable(ids)]

    def keep(self, ids: Sequence[str]) -> list[Job]:
        """Read jobs as `jobs` does and remember them, and no others."""
        self._known = dict(self._readable(ids))
        return [known.job for known in self._known.values()]

    def _readable(self, ids: Sequence[str]) -> Iterator[tuple[str, _Known]]:
        if not ids:
            return
        found = [self._known.get(job_id) for job_id in ids]
        asked = [
            (job_id, known.mark, known.observed or "") if known else (job_id, "", "")
            for job_id, known in zip(ids, found, strict=True)
        ]
        news = {row[0]: row for row in self._ask(json.dumps(asked))}
        for number, (job_id, known) in enumerate(zip(ids, found, strict=True), start=1):
            row = news.get(number)
            if row is None and known is not None:
                yield job_id, known
            elif row is not None and row[3] and (read := self._read(job_id, known, row)):
                yield job_id, read

    def _read(self, id: str, known: _Known | None, row: Row) -> _Known | None:
        """Read what is new of a job; say once of a damaged record that it is one."""
        _, text, observed, mark = row
        try:
            return _read(id, known, text, observed, mark)
        except UnreadableError as error:
            if self._told.get(id) != mark:
                self._told[id] = mark
                _log.error("a record cannot be read", job=id, error=str(error))
        return None


class Views(Generic[_View]):
    """What was worked out of the jobs that live, once for each while it is the same one.

    Parameters
    ----------
    make
        Works it out, from nothing but the job.
    """

    def __init__(self, make: Callable[[Job], _View]) -> None:
        self._make = make
        self._known: dict[str, tuple[Job, _View]] = {}

    def of(self, jobs: Sequence[Job]) -> list[_View]:
        """Give it for these jobs, and remember it of no others."""
        known, make = self._known, self._make
        self._known = {
            job.id: old if (old := known.get(job.id)) and old[0] is job else (job, make(job))
            for job in jobs
        }
        return [view for _, view in self._known.values()]


def _read(
    id: str, known: _Known | None, text: str | None, observed: str | None, mark: str
) -> _Known:
    if text is not None or known is None:
        written, job = _parsed(id, text or "", observed)
        return _Known(mark=mark, written=written, observed=observed, job=job)
    if known.observed == observed:
        return known
    return replace(known, observed=observed, job=_seen(known.written, observed))


def read_job(id: str, text: str, observed: str | None = None) -> Job:
    """Read a job; one that is asked for again and again is the same one while nothing changes.

    Raises
    ------
    UnreadableError
        If that is no record of this job.
    """
    known = _again.get(id)
    same = known if known is not None and known.mark == text else None
    read = _read(id, same, None if same else text, observed, text)
    if read is not known and len(text) <= _SMALL:
        _again.put(id, read)
    return read.job


def _parsed(id: str, text: str, observed: str | None) -> tuple[Job, Job]:
    """Read a record: the job as it is written, and as it was last seen."""
    try:
        written = from_document(Job, json.loads(text))
        if written.id != id:
            raise ValueError(f"it says that it is of job {written.id!r}")
        return written, _seen(written, observed)
    except FAULTS as error:
        why = f"{type(error).__name__}: {str(error)[:200]}"
        raise UnreadableError(f"the record of job {id} cannot be read ({why})") from error


def _seen(job: Job, observed: str | None) -> Job:
    """Let a look count that found it unchanged, if it was at this attempt."""
    written = job.attempt.observed
    if observed is None or written is None or job.final:
        return job
    return job.with_attempt(observed=max(written, datetime.fromisoformat(observed)))
