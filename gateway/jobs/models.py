"""What the gateway knows of a job.

A job belongs to a user and holds one or more attempts; the last one is current. An attempt is a
run that the user asked for (first run, rerun, resume) and has a directory of its own; a *try* is
one submission of it. Terminal states of an attempt never change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Any

from gateway.datasets.models import FileRef
from gateway.jobs.forecast import Forecast, Measured
from gateway.records import Document, altered
from scheduler.base import JobState
from scheduler.directives import read_indices

_numbers = lru_cache(maxsize=256)(read_indices)


class Stage(Enum):
    """How far an attempt got towards its scheduler (API: ``submission``)."""

    NONE = "none"
    STAGED = "staged"
    UNCERTAIN = "uncertain"
    SUBMITTED = "submitted"
    REFUSED = "refused"


class Tracking(Enum):
    """How much the last word about a job is worth."""

    FRESH = "fresh"
    STALE = "stale"
    UNCONFIRMED = "unconfirmed"
    LOST = "lost"


class Wish(Enum):
    """What the user wants of the current attempt."""

    RUN = "run"
    STOP = "stop"
    CANCEL = "cancel"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the fit says of itself."""

    code: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ProblemRef:
    """The problem of a job, as it was when the job was made."""

    id: str | None
    version: int
    name: str
    type: str
    digest: str
    """SHA-256 of the canonical problem document."""


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One run that the user asked for."""

    number: int
    plan: str
    """Digest of the plan: script, job.json and the table of staged files."""

    directory: str
    script_sha256: str
    asked: datetime
    login: str = ""
    """The owner's own account on the cluster, which has the directory; empty: all share one."""

    proposal: str = ""
    """What it was submitted under, of the site's policy; empty: under none."""

    tasks: int = 1
    """How many run."""

    indices: str = ""
    """Which of an array these are, as ``--array`` has it; empty where it has no others."""

    method: str = ""
    time_limit_s: float | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    """What it asks of the machine, as directives; empty in records that are older than this."""

    ranks: int = 1
    """So many ranks of MPI work on one fit, of which *resources* say nothing; 1 without."""

    expert: Mapping[str, Any] = field(default_factory=dict)
    """What its owner added to the script: directives, and the digest of shell lines."""

    template: str = ""
    """Version of the gateway and of the templates that made its script; empty in older records."""

    kept_from: int | None = None
    """Number of the attempt whose finished elements it has; None when all run."""

    resumed_from: int | None = None
    """Number of the attempt that this one continues; None when it starts afresh."""

    waits_for: tuple[str, ...] = ()
    """Ids of the jobs that must end before it is handed over, of which it is not known yet."""

    restored: bool = False
    """Brought back from a sidecar file: looked for, and never submitted again unasked."""

    stage: Stage = Stage.NONE
    try_number: int = 0
    looks: int = 0
    """How often we looked in vain for a try whose outcome is not known."""

    looked: datetime | None = None
    unanswered: tuple[str, ...] = ()
    """What was said of each try whose outcome was not known: all that there is when none is."""

    turned_away: int = 0
    """How many of its tries the cluster had no room for: they are none of the few that may fail."""

    turned_try: int = 0
    """The last try of which it said so while its outcome is not known; 0: none."""

    native_id: str | None = None
    stop_sent: datetime | None = None
    twins: int = 0
    """Further jobs of this attempt that the scheduler made, and that exited or were cancelled."""

    state: JobState = JobState.PENDING
    raw_state: str = ""
    reason: str = ""
    reason_text: str = "Accepted; waiting for the gateway to hand it over."
    source: str = "accepted"
    observed: datetime | None = None
    tracking: Tracking = Tracking.FRESH
    tracking_since: datetime | None = None
    missing_polls: int = 0
    task_states: Mapping[str, int] = field(default_factory=dict)
    expected_start: datetime | None = None
    """When its scheduler believes that it will start; None where it does not say, or has."""

    started: datetime | None = None
    ended: datetime | None = None
    exit_code: int | None = None
    signal: int | None = None
    restarts: int = 0
    elapsed_s: float | None = None
    """How long all its tasks ran, together; None until that is known of each."""

    tasks_s: float = 0.0
    """Of an array: how long those tasks ran, together, whose end is known."""

    tasks_ended: str = ""
    """Which these are: a bit each, in hexadecimal."""

    running_since: datetime | None = None
    """When the tasks of an array that run began, on average."""

    max_rss_bytes: int | None = None
    """The most memory that it was seen to take; None where nobody measured."""

    cpu_s: float | None = None
    """Processor time of its tasks, together; None where nobody measured."""

    cpu_over_s: float = 0.0
    """How long those tasks ran, together, that *cpu_s* is of."""

    cpus_given: int | None = None
    """Processors of each task as its scheduler gave them: a whole core or node may be more than was
    asked for. None where nobody told."""

    forecast: Forecast | None = None
    """How long it was likely to run when it was asked for; None when nobody could say."""

    measured: Measured | None = None
    """What its result tells of its speed."""

    results_wait_since: datetime | None = None
    """Since when its results wait: it has ended, and its directory cannot be read."""

    results_wait_state: JobState | None = None
    """What its scheduler called its end then, which those results may yet make another."""

    collected: bool = False
    dataset: str | None = None
    """Id of the dataset of results; None while there is none."""

    verdict: Verdict | None = None
    chisq: float | None = None
    resumable: bool = False
    error: str = ""

    @property
    def numbers(self) -> Sequence[int]:
        """The tasks that run, by the number that each has in its files' names."""
        return _numbers(self.indices) if self.indices else range(self.tasks)

    @property
    def waits_for_results(self) -> bool:
        """Whether it has ended, and only its directory is away."""
        return self.results_wait_since is not None and self.stage is Stage.SUBMITTED

    @property
    def final(self) -> bool:
        """Whether nothing about this attempt will change by itself."""
        return self.state.final and (self.collected or self.stage is not Stage.SUBMITTED)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as it is stored."""

    id: str
    owner: str
    kind: str
    title: str
    cluster: str
    created: datetime
    updated: datetime
    correlation_id: str
    request: Document
    """The validated request, whole: what "run again with changes" fills the form with."""

    problem: ProblemRef
    options: Document
    seed: int
    attempts: tuple[Attempt, ...]
    mode: str = "fit"
    notes: str = ""
    tags: tuple[str, ...] = ()
    archived: bool = False
    """Left out of the list, and found when asked for."""

    kept: bool = False
    """Not to be deleted until its owner lets it go."""

    elements: int = 0
    pack: int = 1
    wish: Wish = Wish.RUN
    wish_by: str = ""
    version: int = 0
    """Raised by each change; compare-and-set goes by it."""

    parent: str | None = None
    """Id of the job that this one was cloned from."""

    after: tuple[str, ...] = ()
    """Ids of the jobs that its first attempt runs after."""

    after_kind: str = "afterok"

    keys: Mapping[str, str] = field(default_factory=dict)
    """Idempotency keys of the requests that made it and its attempts, with those requests' hashes:
    a store that is built again from the sidecars knows them, too."""

    history: tuple[Document, ...] = ()
    """What happened to it: `gateway.jobs.history` writes and reads it."""

    told: Document = field(default_factory=dict)
    """What the history has said of the current attempt."""

    @property
    def attempt(self) -> Attempt:
        """The current attempt."""
        return self.attempts[-1]

    @property
    def stamp(self) -> tuple[int, datetime | None]:
        """What changes whenever it is written, or seen again as it is."""
        return self.version, self.attempt.observed

    @property
    def marker(self) -> str:
        """The name of the current attempt at its scheduler."""
        return marker(self.id, self.attempt.number)

    @property
    def final(self) -> bool:
        """Whether the current attempt has ended for good."""
        return self.attempt.final

    def with_attempt(self, **changes: Any) -> Job:
        """Change the current attempt."""
        return altered(self, attempts=(*self.attempts[:-1], altered(self.attempt, **changes)))


def marker(id: str, attempt: int) -> str:
    """Name an attempt at its scheduler: the only thing that is ever put into a job name.

    >>> marker("01J", 2)
    'gw-01J-2'
    """
    return f"gw-{id}-{attempt}"


def dataset_id(job: Job, attempt: Attempt) -> str:
    """Name the results of an attempt: a second collection makes the same dataset, not another."""
    return f"{job.id}-{attempt.number}"


@dataclass(frozen=True, kw_only=True)
class PlannedFile:
    """A file of an attempt's directory, kept by its content."""

    path: str
    digest: str


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that an attempt's directory is made of; immutable, kept as one content."""

    script: str
    job: Document
    files: tuple[PlannedFile, ...]
    kept: tuple[FileRef, ...] = ()
    """Results of tasks that do not run again: they stay here, and are this attempt's, too."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The last step that a running fit reported; of an array, how many elements have ended."""

    t: float
    step: int
    steps: int | None
    chisq: float | None
    best: tuple[float | None, ...] = ()
    labels: tuple[str, ...] = ()
    quantiles: tuple[float | None, ...] = ()
    phase: str | None = None
    start_chisq: float | None = None
    method: str = ""
    max_rss_bytes: int | None = None
    """The most memory that its process said to have taken."""


@dataclass(frozen=True, kw_only=True)
class ElementProgress:
    """How far one element of an array has got, as it told itself."""

    t: float
    status: str = "running"
    """``running``, or as in its result: ``done``, ``stopped``, ``failed``."""

    step: int = 0
    steps: int | None = None
    chisq: float | None = None
    text: str = ""
    """What went wrong."""

    @property
    def ended(self) -> bool:
        """Whether it has come to its end."""
        return self.status != "running"
