"""Who goes to a cluster next where a site lets only so many: the others wait here, in line.

What waits here costs the cluster nothing and is not lost with it. Whose jobs are fewest over there
goes first, and of one user's the oldest: who submits a thousand does not stand before who submits
one.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

from gateway.clusters.settings import ClusterSettings
from gateway.jobs.models import Job, Stage, Tracking, Wish
from scheduler.base import JobState
from scheduler.sizes import Size

REASON = "InLine"
_SIZES = tuple(option.name for option in fields(Size))
_EXACT = 20
_NOTHING_YET = frozenset({Stage.NONE})
_NO_JOB_YET = frozenset({Stage.NONE, Stage.STAGED})


class Closings(Protocol):
    """Which clusters are closed to new jobs by their administrators."""

    def why(self, cluster: str, /) -> str:
        """Say why; empty for one that is open."""


class Rations(Protocol):
    """What users, groups and proposals may have over all clusters, as a round goes on."""

    def add(self, job: Job, /) -> None:
        """Count a job that goes."""

    def take_back(self, job: Job, /) -> None:
        """Count a job no more that was to go, and did not."""

    def full(self, job: Job, /) -> str:
        """Say which limit this job would break; empty for none."""


@dataclass(frozen=True, kw_only=True)
class LineLimits:
    """How much may be on a cluster at once, waiting or running there; 0: no limit."""

    jobs: int = 0
    """Of one account: of all users where they share one."""

    jobs_per_user: int = 0
    tasks: int = 0
    """Of one account, jobs and tasks of arrays that have not ended, as Slurm's MaxSubmitJobs."""

    cpus_per_user: int = 0
    """Of all elements of arrays together; who has nothing there may send one job of any size."""

    closed: str = ""
    """Why nobody goes; empty when that is not so."""


def limits_of(cluster: ClusterSettings | None, closed: str) -> LineLimits:
    """Read what a cluster takes off its settings; one that is no more has no limits."""
    if cluster is None:
        return LineLimits()
    return LineLimits(
        jobs=cluster.max_jobs,
        jobs_per_user=cluster.max_jobs_per_user,
        tasks=cluster.max_tasks,
        cpus_per_user=cluster.max_cpus_per_user,
        closed=closed,
    )


@dataclass(frozen=True, kw_only=True)
class InLine:
    """Why a job waits, and how many go before it does."""

    place: int
    why: str

    @property
    def text(self) -> str:
        """Say it to its owner; far places only roughly, or each end would rewrite all behind it."""
        place = self.place
        if place > _EXACT:
            grain = 10 ** (len(str(place)) - 1)
            return f"{waits(self.why)} More than {place // grain * grain} go first."
        return f"{waits(self.why)} Place {place} in line."


def waits(why: str) -> str:
    """Say that a job waits here."""
    return f"Waits in the gateway: {why}."


@dataclass(kw_only=True)
class _Load:
    """What is over there, and what may still come."""

    limits: LineLimits
    rations: Rations | None = None
    jobs: Counter[str] = field(default_factory=Counter)
    cpus: Counter[str] = field(default_factory=Counter)
    tasks: int = 0

    def let_go(self, job: Job) -> None:
        self.add(job)
        if self.rations is not None:
            self.rations.add(job)

    def why_not(self, job: Job) -> str:
        """Say which limit of the cluster, or else of the policy, this job would break."""
        return self.full(job) or (self.rations.full(job) if self.rations is not None else "")

    def add(self, job: Job) -> None:
        self.jobs[job.owner] += 1
        self.cpus[job.owner] += cpus_of(job)
        self.tasks += tasks_left(job)

    def full(self, job: Job) -> str:
        """Say which limit this job would break; empty for none."""
        limits, owner = self.limits, job.owner
        if limits.closed:
            return limits.closed
        there, cpus = self.jobs[owner], self.cpus[owner]
        if limits.jobs_per_user and there >= limits.jobs_per_user:
            return f"{there} of your jobs are at {job.cluster}, as many as may be at once"
        if limits.cpus_per_user and there and cpus + cpus_of(job) > limits.cpus_per_user:
            return (
                f"your jobs at {job.cluster} take {cpus} processors, and with this one's "
                f"{cpus_of(job)} they would take more than {limits.cpus_per_user}"
            )
        if limits.jobs and self.jobs.total() >= limits.jobs:
            return f"{self.jobs.total()} jobs are at {job.cluster}, as many as may be at once"
        return self._too_many_tasks(job)

    def _too_many_tasks(self, job: Job) -> str:
        most, own = self.limits.tasks, tasks_left(job)
        if not most or not self.tasks or self.tasks + own <= most:
            return ""
        return (
            f"{self.tasks} tasks are at {job.cluster}, and with this job's {own} they would be "
            f"more than {most}, as many as it takes at once"
        )


def in_line(
    jobs: Sequence[Job], limits: LineLimits, rations: Rations | None = None
) -> Mapping[str, InLine]:
    """Say which of all live jobs of a place must wait here, and why.

    Parameters
    ----------
    jobs
        All that are not final: those over there count, of the others each goes or waits.
    rations
        What the policy gives; None: anything. It has counted already what is over there.
    """
    if limits == LineLimits() and rations is None:
        return {}
    load = _Load(limits=limits, rations=rations)
    queues: dict[str, deque[Job]] = defaultdict(deque)
    for job in sorted(jobs, key=_first):
        if job.attempt.stage not in _here(limits):
            if holds_a_place(job):
                load.add(job)
        elif job.wish is Wish.RUN:  # who gives up waits for nothing
            queues[job.owner].append(job)
    return _let_go(load, queues)


def let_go(jobs: Sequence[Job], waiting: Mapping[str, InLine]) -> list[str]:
    """Name those of a place that nobody has handed over yet, and that need not wait."""
    return [
        job.id
        for job in jobs
        if job.attempt.stage is Stage.NONE and job.wish is Wish.RUN and job.id not in waiting
    ]


def give_back(jobs: Sequence[Job], rations: Rations) -> None:
    """Give back the room of what was let go and is still here: its cluster did not take it.

    Else a cluster that is down would keep others' jobs from one that is not.
    """
    for job in jobs:
        if job.attempt.stage is Stage.NONE:
            rations.take_back(job)


def _first(job: Job) -> tuple[bool, str, str]:
    """Order a line by age; who was held up when it could go lets the others go before it."""
    return job.attempt.tracking is not Tracking.FRESH, job.attempt.asked.isoformat(), job.id


def holds_a_place(job: Job) -> bool:
    """Whether its cluster may have it: of one that is lost nobody knows that it holds anything."""
    return job.attempt.tracking is not Tracking.LOST and not job.attempt.waits_for_results


def _here(limits: LineLimits) -> frozenset[Stage]:
    """Say what may still be held: a directory over there is begun, but is no job yet."""
    return _NO_JOB_YET if limits.closed else _NOTHING_YET


def _let_go(load: _Load, queues: Mapping[str, deque[Job]]) -> dict[str, InLine]:
    """Go through the line, let go who may, and number those who may not."""
    waiting: dict[str, InLine] = {}
    turns = [_turn(load, queue) for queue in queues.values()]
    heapq.heapify(turns)
    place = 0
    while turns:
        queue = queues[heapq.heappop(turns)[-1]]
        job = queue.popleft()
        if why := load.why_not(job):
            place += 1
            waiting[job.id] = InLine(place=place, why=why)
        else:
            load.let_go(job)
        if queue:
            heapq.heappush(turns, _turn(load, queue))
    return waiting


def _turn(load: _Load, queue: deque[Job]) -> tuple[int, str, str, str]:
    job = queue[0]
    return load.jobs[job.owner], job.attempt.asked.isoformat(), job.id, job.owner


def tasks_left(job: Job) -> int:
    """Say how many tasks of a job are, or will be, at its cluster."""
    counts = job.attempt.task_states.items()
    ended = sum(count for state, count in counts if JobState[state].final)
    return max(1, job.attempt.tasks - ended)


def cpus_of(job: Job) -> int:
    """Say how many processors a job takes at once when all of it runs."""
    return cpus_of_task(job.attempt.resources) * job.attempt.tasks


def cpus_of_task(asked: Mapping[str, Any]) -> int:
    """Say how many processors a job, or one element of an array, asks for."""
    if asked.get("cpus_per_gpu"):
        return Size(**{name: asked[name] for name in _SIZES if asked.get(name)}).cpus
    tasks = asked.get("ntasks") or (asked.get("nodes") or 1) * (asked.get("ntasks_per_node") or 1)
    return int(tasks) * int(asked.get("cpus_per_task") or 1)
