"""Records of jobs as they are read: each text is made into a job once while it stays the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway.errors import UnavailableError
from gateway.jobs.models import Job
from gateway.records import from_document

_log = structlog.get_logger("records")
FAULTS = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What comes of a text that is no record: no JSON, of another shape, or of another job."""

Row = tuple[str, str | None]
"""The record of a job, and when it was last seen as it is written."""


class UnreadableError(UnavailableError):
    """The record of a job is damaged; it is set apart, and nothing is done with the job."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    text: str
    written: Job
    observed: str | None
    job: Job


class Parsed:
    """The jobs that live: each round reads them twice, and few of them have changed."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._told: dict[str, str] = {}
        """Texts that were said to be no records, by the id of their job."""

    def jobs(self, rows: Sequence[tuple[str, Row]]) -> list[Job]:
        """Read jobs; those whose records are damaged are left out."""
        return [known.job for _, known in self._readable(rows)]

    def keep(self, rows: Sequence[tuple[str, Row]]) -> list[Job]:
        """Read jobs as `jobs` does and remember them, and no others."""
        self._known = dict(self._readable(rows))
        return [known.job for known in self._known.values()]

    def _readable(self, rows: Sequence[tuple[str, Row]]) -> Iterator[tuple[str, _Known]]:
        for job_id, row in rows:
            try:
                yield job_id, self._read(job_id, *row)
            except UnreadableError as error:
                if self._told.get(job_id) != row[0]:
                    self._told[job_id] = row[0]
                    _log.error("a record cannot be read", job=job_id, error=str(error))

    def _read(self, id: str, text: str, observed: str | None) -> _Known:
        known = self._known.get(id)
        same = known is not None and known.text == text
        if known is not None and same and known.observed == observed:
            return known
        if known is not None and same:
            written, job = known.written, _seen(known.written, observed)
        else:
            written, job = _parsed(id, text, observed)
        return _Known(text=text, written=written, observed=observed, job=job)


def read_job(id: str, text: str, observed: str | None = None) -> Job:
    """Read a job whose record nobody keeps.

    Raises
    ------
    UnreadableError
        If that is no record of this job.
    """
    return _parsed(id, text, observed)[1]


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
