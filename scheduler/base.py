"""Somewhere a batch script can run: the verbs, the words, and what a submission can come to.

Paths are absolute paths on the machine that runs the script. The states are Slurm's own twelve,
because users and administrators know them; a word that nobody listed is `UNKNOWN` with its raw
text kept: never an exception, and never final.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from pathlib import PurePosixPath
from typing import Protocol

VOID = "void"
"""The owner of a claim that nobody may run under any more."""


class SchedulerError(Exception):
    """A scheduler or the way to it did not do what was asked."""


class SchedulerUnavailableError(SchedulerError):
    """The scheduler cannot be reached now; asking again later makes sense."""


class JobState(Enum):
    """Slurm's base states, and one for the words nobody listed."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    NODE_FAIL = "NODE_FAIL"
    PREEMPTED = "PREEMPTED"
    BOOT_FAIL = "BOOT_FAIL"
    DEADLINE = "DEADLINE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    UNKNOWN = "UNKNOWN"

    @property
    def final(self) -> bool:
        """Whether the scheduler will never report another state for this run."""
        return self not in _LIVE


_LIVE = frozenset({JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED, JobState.UNKNOWN})


@dataclass(frozen=True, kw_only=True)
class StagedFile:
    """A file to put into a job directory: from a local path, or from bytes."""

    path: PurePosixPath
    """Relative to the job directory."""

    source: PurePosixPath | None = None
    """Where it lies on the gateway's own disk; None when *content* has it."""

    content: bytes = b""
    sha256: str
    mode: int = 0o600


@dataclass(frozen=True, kw_only=True)
class StagedJob:
    """A job directory to be made, whole or not at all."""

    directory: PurePosixPath
    files: tuple[StagedFile, ...]


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One try to submit the script of one attempt."""

    directory: PurePosixPath
    marker: str
    """The job name, ``gw-<id>-<attempt>``: how the scheduler can be asked for it later."""

    try_number: int


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """The scheduler took it and named it."""

    native_id: str


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The scheduler said no, and why."""

    text: str
    for_now: bool = False
    """True when there are too many jobs for one more: it may be taken later, as another try."""


@dataclass(frozen=True, kw_only=True)
class Uncertain:
    """Nobody knows whether the scheduler took it: look before trying again."""

    text: str
    begun: bool = True
    """False when it is known that the try was not even locked: it may be submitted again."""

    for_now: bool = False
    """True when there was no room at last word: if nothing came of it, it may be taken later."""


Submission = Submitted | Refused | Uncertain


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """What a scheduler says of one job, or of one element of an array."""

    native_id: str
    """The scheduler's id of the whole job, the array's for its elements."""

    task: int | None
    """Array index; None for a job that is no array, or for an array's still folded rest.

    Slurm forgets the indices of a rest that is cancelled: then that row has no index at its end,
    and stands for all elements without a row of their own.
    """

    marker: str
    """The job name as the scheduler has it."""

    state: JobState
    raw_state: str
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    started: datetime | None = None
    expected: datetime | None = None
    """When the scheduler believes that what waits will start; None where it does not say."""

    ended: datetime | None = None
    restarts: int = 0
    max_rss_bytes: int | None = None
    cpu_s: float | None = None
    """Memory and processor time that its processes took; None where nobody measured."""

    cpus: int | None = None
    """Processors that it was given, maybe more than it asked for; None where nobody told."""

    tasks_waiting: tuple[int, ...] = ()
    """The indices that a folded row of pending array elements stands for."""

    source: str = ""
    """Which question was answered: ``local``, ``squeue``, ``sacct``."""


@dataclass(frozen=True, kw_only=True)
class FileEntry:
    """A file of a job directory, seen without following links."""

    path: str
    """Relative to the directory that was listed, with ``/``."""

    size: int
    regular: bool
    """False for a link, a pipe, a device or a hard-linked file: never opened."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What a try left in its job directory."""

    claim: str | None
    """Who has ``claim.<try>``; None when nobody has."""

    native_id: str | None
    """What ``submit.<try>/native_id`` says; None when it is not there."""


READ_MANY_BYTES = 8 << 20
"""How much one exchange brings of many files."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A part of a file that is asked for."""

    directory: PurePosixPath
    path: str
    offset: int
    limit_bytes: int


@dataclass(frozen=True, kw_only=True)
class Check:
    """What the scheduler thinks of a script that was not submitted."""

    accepted: bool
    text: str
    start: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Partition:
    """Nodes with limits of their own, in Slurm's words; an empty text is one nobody told."""

    name: str
    default: bool = False
    up: bool = True
    max_time: str = ""
    default_time: str = ""
    nodes: int = 0
    job_nodes: str = ""
    """How many nodes one job may have, such as ``1-4``."""

    cpus: int = 0
    """Of all its nodes."""

    node_cpus: int = 0
    """Of its largest node."""

    memory_mb: int = 0
    """Of its largest node."""

    gres: str = ""


@dataclass(frozen=True, kw_only=True)
class Qos:
    """A quality of service with its limits, in Slurm's words; an empty text: none."""

    name: str
    max_wall: str = ""
    max_jobs_per_user: str = ""
    max_submit_per_user: str = ""
    max_tres_per_user: str = ""


@dataclass(frozen=True, kw_only=True)
class Association:
    """What an account of Slurm gives whom the gateway is there, as `Qos`; groups have all of it."""

    account: str
    partition: str = ""
    qos: str = ""
    max_jobs: str = ""
    max_submit: str = ""
    max_wall: str = ""
    max_tres: str = ""
    grp_jobs: str = ""
    grp_submit: str = ""
    grp_tres: str = ""


@dataclass(frozen=True, kw_only=True)
class Manners:
    """How a site's Slurm goes about jobs; None or empty where nobody told."""

    min_job_age_s: int | None = None
    """How long it remembers a job that has ended."""

    accounting: bool | None = None
    """Whether it keeps accounts of ended jobs."""

    enforced: tuple[str, ...] = ()
    """Which limits of accounts and QOS it holds jobs to: ``limits``, ``qos``, ``associations``."""

    part_limits: str = ""
    """``EnforcePartLimits``: whether a job over a partition's limits is refused, or waits."""

    private: tuple[str, ...] = ()
    """What of others it shows nobody."""

    max_jobs: int | None = None
    """How many jobs it holds at once, all users together."""

    requeues: bool | None = None
    """Whether it begins a job again whose node was lost."""

    kill_wait_s: int | None = None
    message_timeout_s: int | None = None
    """How long its commands wait for an answer of the controller."""

    offers_json: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What a site can do, as found."""

    name: str
    version: str
    cpus: int
    memory_bytes: int | None = None
    max_time: timedelta | None = None
    max_array: int = 1001
    manners: Manners = Manners()
    partitions: tuple[Partition, ...] = ()
    qos: tuple[Qos, ...] | None = None
    """None where it could not be asked for."""

    associations: tuple[Association, ...] = ()
    notes: tuple[str, ...] = field(default=())


class Scheduler(Protocol):
    """Somewhere a batch script can run.

    Every verb may raise `SchedulerUnavailableError`; `submit` never does: it answers `Uncertain`.
    """

    @property
    def calls(self) -> int:
        """How many commands of the scheduler this object has run; 0 where it needs none."""

    @property
    def questions(self) -> int:
        """How many of them submitted nothing."""

    def stage(self, jobs: Sequence[StagedJob]) -> None:
        """Make job directories: each whole, checked against its digests, or not there at all.

        A directory that is already there is left as it is: a second stage finds it done.
        """

    def submit(self, launches: Sequence[Launch]) -> list[Submission]:
        """Submit ``job.sh <try>`` of each directory, at most once a try, ever.

        Makes ``submit.<try>/`` first and never removes it; if it was there, answers `Submitted`
        from its ``native_id``, else `Uncertain`, and submits nothing. `Uncertain` as well when
        somebody else has the claim by then: the job that was made exits as a twin.
        """

    def find(self, markers: Sequence[str]) -> dict[str, list[JobReport]]:
        """List all that it has, or had, under each of some job names: many cost as one does."""

    def states(self, native_ids: Sequence[str]) -> dict[str, list[JobReport]]:
        """Say how jobs are, with one question; an id that is unknown is missing from the answer.

        An id with an empty list could not be asked for this time, though others could.
        """

    def keeps_accounts(self) -> bool:
        """Whether an accounting may tell of jobs later that it does not tell of now."""

    def cancel(self, native_ids: Sequence[str]) -> None:
        """End jobs, waiting or running; ids that have ended are no error."""

    def signal(self, native_ids: Sequence[str], name: str) -> None:
        """Send a signal to the scripts of running jobs.

        ``USR1``, the wish to stop, also ends what has not started: a waiting job or element ends
        as `CANCELLED` and never runs. It is not lost on a script that is only beginning, and
        however often it is sent, a script gets it at least once.
        """

    def claim(self, directory: PurePosixPath, try_number: int, owner: str) -> str:
        """Take ``claim.<try>`` for an owner; answer who has it: that owner, or an earlier one."""

    def traces(self, launches: Sequence[Launch]) -> list[Trace]:
        """Say what the tries of some launches left in their directories."""

    def read(
        self, directory: PurePosixPath, path: str, offset: int, limit_bytes: int
    ) -> bytes | None:
        """Read bytes of a regular file beneath a directory, following no link.

        None when there is no such regular file. A negative *offset* counts from the end.
        """

    def read_many(self, wanted: Sequence[Reading]) -> dict[Reading, bytes | None]:
        """Read parts of many files in one exchange, each as `read` does.

        What is missing from the answer was too much for it, or cannot be read: read it alone.
        """

    def listing(
        self, directory: PurePosixPath, limit: int = 10_000, keep: str = ""
    ) -> list[FileEntry]:
        """List the files beneath a directory, sorted by path, without following links.

        At most *limit* of them; those at the top come first when there are more. With *keep*, a
        regular expression, all that lies at the top under another name is neither entered nor
        counted. What would take too long or too much to say is one more entry, ``FOLDER/...``, and
        no regular file.
        """

    def remove(self, directory: PurePosixPath) -> None:
        """Remove a job directory; one that is not there is no error."""

    def check(self, directory: PurePosixPath) -> Check:
        """Ask whether the staged script would be taken, and when it could start."""

    def probe(self) -> Probe:
        """Find out what the site can do."""
