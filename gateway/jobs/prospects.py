"""When a job that waits may start, as its scheduler believes, and how long it may take then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from gateway.jobs.models import Attempt, Job, Tracking
from gateway.records import now
from gateway.texts import duration
from scheduler.base import JobReport, JobState

_SAME, _PART = timedelta(seconds=60), 0.1
"""A belief that moves by less than both, the part being of the wait that is left, is not written
down again: it moves with every look."""


def expected_start(attempt: Attempt, reports: Sequence[JobReport]) -> datetime | None:
    """Say when the first of what waits is believed to start; None when nobody says."""
    starts = [report.expected for report in reports if report.expected]
    if not starts:
        return None
    first, before = min(starts), attempt.expected_start
    near = max(_SAME, _PART * (first - now()))
    return before if before is not None and abs(first - before) < near else first


def prospect(job: Job) -> str:
    """Say what is ahead of a job that waits; empty when nobody knows, or when that is over.

    The scheduler's belief is a bound only as long as no other job ends early or comes before.
    """
    attempt = job.attempt
    if attempt.state is not JobState.PENDING or attempt.tracking is not Tracking.FRESH:
        return ""
    said = []
    moment = now()
    if attempt.expected_start is not None and attempt.expected_start > moment:
        said.append(f"may start at {instant_text(attempt.expected_start, moment)}")
    if attempt.forecast is not None:
        said.append(f"{'then ' if said else ''}about {duration(attempt.forecast.seconds)}")
    return ", ".join(said)


def instant_text(instant: datetime, moment: datetime) -> str:
    """Write an instant in UTC, without the date where it is today.

    >>> from datetime import UTC
    >>> today = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
    >>> instant_text(today + timedelta(hours=11), today), instant_text(today, today.replace(day=1))
    ('14:04 UTC', '2026-01-02 03:04 UTC')
    """
    same = instant.date() == moment.date()
    return instant.strftime("%H:%M UTC" if same else "%Y-%m-%d %H:%M UTC")
