"""Where the jobs of a campaign run: what of that can be hurt, and what it says of them itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from gateway.jobs.models import Job
from scheduler.faults import EXECUTOR_POINTS, SHEPHERD_POINTS, SUBMIT_POINTS
from scheduler.spool import Spool
from tests.helpers import processes

ENDS_A_JOB = 1.5
"""High enough for hundreds of ends a minute, low enough that jobs still get somewhere."""


@dataclass(kw_only=True)
class Comparison:
    """What a scheduler's own list says of jobs, beside what the gateway says."""

    lost: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)
    """Jobs that the scheduler took and knows no more: no fault of the gateway."""

    launches: dict[str, int] = field(default_factory=dict)
    """How often the scheduler itself began a job, where it was more than once."""

    notes: list[str] = field(default_factory=list)
    """What is worth telling and no fault, such as how many twins there were."""


@dataclass(frozen=True, kw_only=True)
class Site:
    """A place for jobs, seen by those who attack it."""

    environment: Mapping[str, str]
    """The gateway's settings that make it known."""

    points: tuple[tuple[str, ...], ...]
    """The crash points in its own processes; those of one group are in the same process."""

    worker_points: tuple[str, ...] = ()
    """Those in the worker of the gateway."""

    victims: Mapping[str, Callable[[Path], list[int]]]
    """Its own processes, found by the gateway's state directory."""

    blows: Mapping[str, Callable[[], bool]] = field(default_factory=dict)
    """What is done otherwise than by killing one process; False when it could not be done now."""

    renewed: tuple[str, ...] = ()
    """Victims that must start again to hear of another plan."""

    ends_a_job: float = ENDS_A_JOB
    """How many ends the processes of one group of its points may expect on the way of a job."""

    compare: Callable[[Sequence[Job]], Comparison] = lambda _jobs: Comparison()


SiteMaker = Callable[[], AbstractContextManager[Site]]


@contextmanager
def local_site() -> Iterator[Site]:
    """Run jobs on this host, without Slurm."""
    yield Site(
        environment={
            "GATEWAY_CLUSTERS__LOCAL__LOOK_AGAIN_S": "0.2",
            "GATEWAY_CLUSTERS__LOCAL__CPUS": "4",
        },
        worker_points=SUBMIT_POINTS,
        points=(EXECUTOR_POINTS, SHEPHERD_POINTS),
        victims={"executor": _executors, "shepherd": _shepherds},
        renewed=("executor",),
    )


def _spool(state: Path) -> Spool:
    return Spool(state / "local" / "local")


def _executors(state: Path) -> list[int]:
    """Find the executor of a state directory."""
    with suppress(OSError):
        if (pid := _spool(state).executor()) is not None:
            return [pid]
    return []


def _shepherds(state: Path) -> list[int]:
    """Find the processes that look after running tasks."""
    found = processes("scheduler.executor", str(_spool(state).directory))
    return [process.pid for process in found if process.pid not in _executors(state)]
