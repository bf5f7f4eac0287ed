"""What a user is told: the end of an attempt of a job, that it will not start, or is shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.ids import new_id
from gateway.jobs.alarm import Alarm
from gateway.jobs.models import Attempt, Job, Verdict
from gateway.records import now
from scheduler.base import JobState

_NAMED = 9
"""Jobs that a message names besides its first."""


@dataclass(frozen=True, kw_only=True)
class Notification:
    """One attempt of a job has ended, or will not start by itself; or somebody shares the job."""

    id: str
    """Also the id of the event wherever it is sent."""

    user: str
    job: str
    attempt: int
    title: str
    kind: str
    state: JobState
    text: str
    """How it ended, what keeps it from starting, or who shares it, in plain words."""

    verdict: Verdict | None
    made: datetime
    others: int = 0
    """How many more jobs the same holds for."""

    also: tuple[str, ...] = ()
    """The first of those."""

    by: str = ""
    """Who shares it; empty: it is one's own."""

    @property
    def event(self) -> str:
        """What happened, for programs."""
        if self.by:
            return "job.shared"
        return "job.ended" if self.state.final else "job.stuck"


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A notification as its owner sees it."""

    notification: Notification
    read: bool


def end_of(job: Job, attempt: Attempt) -> Notification:
    """Say that an attempt has ended."""
    return Notification(
        id=new_id(),
        user=job.owner,
        job=job.id,
        attempt=attempt.number,
        title=job.title,
        kind=job.kind,
        state=attempt.state,
        text=attempt.reason_text,
        verdict=attempt.verdict,
        made=now(),
    )


def stuck(jobs: Sequence[Job], alarm: Alarm) -> Notification:
    """Say that jobs of one user will not start by themselves for one reason, and what to do."""
    first, *others = jobs
    text = f"{alarm.text} {alarm.advice}"
    if count := len(others):
        text += f" The same holds for {count} more job{'s' if count > 1 else ''} of yours."
    also = tuple(job.id for job in others[:_NAMED])
    return replace(end_of(first, first.attempt), text=text, others=count, also=also)


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Where a user wants to hear of ends."""

    id: str
    user: str
    label: str
    url: str
    states: tuple[JobState, ...]
    """Of ends in these states; none: of all."""

    sealed_secret: str
    made: datetime

    def wants(self, told: Notification) -> bool:
        """Whether an end is to be sent here."""
        return not self.states or told.state in self.states


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One message to one place: tried until it is taken, or until it is too old."""

    id: str
    user: str
    webhook: str = ""
    """Id of the webhook that it goes to; empty: it is a mail."""

    address: str = ""
    """Where a mail goes to."""

    event: str
    """Id of what it tells; the same in each attempt."""

    kind: str
    """``job.ended``, ``job.stuck``, ``ping``, or ``code`` of a mail."""

    body: str
    made: datetime
    attempts: int = 0
    next_try: datetime | None = None
    delivered: datetime | None = None
    given_up: datetime | None = None
    last: str = ""
    """What became of the last attempt."""


@dataclass(frozen=True, kw_only=True)
class MailAddress:
    """Where a user wants mail of ends."""

    user: str
    address: str
    states: tuple[JobState, ...]
    """Of ends in these states; none: of all."""

    code: str = ""
    """What was sent there, as a digest; empty once it came back."""

    code_sent: datetime
    wrong: int = 0
    """How often another code came back."""

    verified: datetime | None = None

    def wants(self, told: Notification) -> bool:
        """Whether an end is to be sent here."""
        return self.verified is not None and (not self.states or told.state in self.states)
