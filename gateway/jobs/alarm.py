"""Jobs that will not start by themselves: what is in the way, and what to ask for instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from gateway.clusters.settings import ClusterSettings
from gateway.jobs.models import Job, Stage, Wish
from gateway.jobs.pending import Ends, waiting_for
from gateway.jobs.resources import Resources, parse_time
from gateway.texts import duration
from scheduler.base import JobState
from scheduler.units import format_time

_NAMES = frozenset(field.name for field in fields(Resources))
_OF_PROPOSALS = ("account", "qos", "reservation")
_MEMORY = ("mem", "mem_per_cpu", "mem_per_gpu")


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """A job waits for what waiting does not bring."""

    reason: str
    """The scheduler's own word."""

    text: str
    advice: str
    ends: Ends


@dataclass(frozen=True, kw_only=True)
class Instead:
    """What can be asked for in its place with one click."""

    changes: Mapping[str, str | int | None]
    """Options of the request by name; None leaves one out."""

    button: str


def alarm_of(job: Job) -> Alarm | None:
    """Say what keeps a job from ever starting; None where it starts by itself or has."""
    attempt = job.attempt
    waits = attempt.state is JobState.PENDING and attempt.stage is Stage.SUBMITTED
    if job.final or not waits or job.wish is not Wish.RUN:
        return None
    found = waiting_for(attempt.reason) if attempt.reason else None
    if found is None or found.ends is Ends.BY_ITSELF:
        return None
    return Alarm(reason=attempt.reason, text=found.text, advice=found.advice, ends=found.ends)


def instead_of(job: Job, cluster: ClusterSettings | None) -> Instead | None:
    """Compute what to ask for in the place of a job that can never start; None if nobody can.

    Parameters
    ----------
    cluster
        As configured now; None when it is no more.
    """
    attempt = job.attempt
    if attempt.resumed_from is not None or attempt.kept_from is not None:
        return None  # another job would have nothing of what this one continues
    alarm = alarm_of(job)
    found = waiting_for(attempt.reason) if alarm else None
    if found is None or cluster is None or found.ends is not Ends.BY_CHANGE:
        return None
    asked, about = attempt.resources, found.about
    if attempt.proposal and about in _OF_PROPOSALS:
        return None  # its proposal would give it the same again
    if about == "anew":
        return Instead(changes={}, button="Cancel and ask anew")
    if about == "time":
        return _less_time(job, cluster)
    if about == "cpus_per_task":
        return _fewer_cpus(int(asked.get("cpus_per_task", 1)))
    names = _MEMORY if about == "mem" else (about,)
    if present := [name for name in names if name in asked and name in _NAMES]:
        words = " and ".join(name.replace("_", " ") for name in present)
        return Instead(
            changes=dict.fromkeys(present), button=f"Cancel and ask again without {words}"
        )
    return None


def _less_time(job: Job, cluster: ClusterSettings) -> Instead | None:
    """Ask for what the site gives to those who say nothing."""
    usual, limit_s = parse_time(cluster.default_time), job.attempt.time_limit_s
    if limit_s is None or usual.total_seconds() >= limit_s:
        return None
    return Instead(
        changes={"time": format_time(usual)},
        button=f"Cancel and ask again with {duration(usual.total_seconds())}",
    )


def _fewer_cpus(asked: int) -> Instead | None:
    if asked <= 1:
        return None
    half = asked // 2
    return Instead(
        changes={"cpus_per_task": half},
        button=f"Cancel and ask again with {half} processor{'s' if half > 1 else ''}",
    )
