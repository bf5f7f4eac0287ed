"""Records of jobs as they are read: each text is made into a job once while it stays the same."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.jobs.models import Job
from gateway.records import from_document

Row = tuple[str, str | None]
"""The record of a job, and when it was last seen as it is written."""


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

    def job(self, id: str, text: str, observed: str | None) -> Job:
        """Read a job."""
        return self._read(id, text, observed).job

    def keep(self, rows: Sequence[tuple[str, Row]]) -> list[Job]:
        """Read jobs and remember them, and no others."""
        self._known = {job_id: self._read(job_id, *row) for job_id, row in rows}
        return [known.job for known in self._known.values()]

    def _read(self, id: str, text: str, observed: str | None) -> _Known:
        known = self._known.get(id)
        same = known is not None and known.text == text
        if known is not None and same and known.observed == observed:
            return known
        written = known.written if known is not None and same else _parsed(text)
        return _Known(text=text, written=written, observed=observed, job=_seen(written, observed))


def read_job(text: str, observed: str | None) -> Job:
    """Read a job whose record nobody keeps."""
    return _seen(_parsed(text), observed)


def _parsed(text: str) -> Job:
    return from_document(Job, json.loads(text))


def _seen(job: Job, observed: str | None) -> Job:
    """Let a look count that found it unchanged, if it was at this attempt."""
    written = job.attempt.observed
    if observed is None or written is None or job.final:
        return job
    return job.with_attempt(observed=max(written, datetime.fromisoformat(observed)))
