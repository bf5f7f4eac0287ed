"""What to ask for next where what was asked for did not do, computed from what was used.

===========================  =======================================================================
what happened                what is asked for
===========================  =======================================================================
TIMEOUT, or stopped by it    the time that the steps which are left will take at the speed so far,
                             where the method does just what it plans; else half as much time again
OUT_OF_MEMORY, or killed     twice as much, or a third more than was seen, if that is more: what was
                             seen is what it had when it was ended, not what it needs
NODE_FAIL, BOOT_FAIL,        the same
PREEMPTED
===========================  =======================================================================

A fit that left something to go on from is continued, any other runs again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from gateway.clusters.settings import ClusterSettings
from gateway.jobs.models import Attempt, Job, Progress
from gateway.jobs.resource_schema import read_kept
from gateway.jobs.resources import parse_time
from gateway.jobs.script import signal_lead
from gateway.jobs.words import was_killed
from gateway.records import is_number
from gateway.texts import duration
from scheduler.base import JobState
from scheduler.units import GIB, MIB, format_memory, format_time

EXACT_METHODS = frozenset({"dream", ""})
"""Methods whose planned steps are what they do; others may end sooner."""

_SAME = {
    JobState.NODE_FAIL: "The machine failed, not the fit: the same request once more.",
    JobState.BOOT_FAIL: "The machine did not start: the same request once more.",
    JobState.PREEMPTED: "Another job took its place: the same request once more.",
}
_SURE_STEPS = 3
_MORE_TIME = 1.5
_SPARE_TIME = 1.1
_MORE_MEMORY, _SPARE_MEMORY = 2.0, 1.3
_HOUR = 3600
Changes = tuple[dict[str, str], str]


@dataclass(frozen=True, kw_only=True)
class NextRequest:
    """What one click asks for."""

    verb: str
    """``resume`` or ``rerun``."""

    resources: Mapping[str, str | int]
    """What the new attempt must be told; the rest is as in the first one."""

    changed: tuple[str, ...]
    """Which of them differ from the last attempt."""

    why: str


def next_request(
    job: Job, progress: Progress | None, cluster: ClusterSettings | None
) -> NextRequest | None:
    """Say what to ask for next; None when nothing of the kind would help.

    Parameters
    ----------
    progress
        The last step of the current attempt.
    cluster
        As configured now; None when it is no more.
    """
    attempt = job.attempt
    if not job.final or cluster is None:
        return None
    found: Changes | None = None
    if attempt.state in _SAME:
        found = {}, _SAME[attempt.state]
    elif ran_out_of_time(job):
        found = _more_time(job, progress, cluster)
    elif attempt.state is JobState.OUT_OF_MEMORY or _was_killed(attempt):
        found = _more_memory(attempt)
    if found is None:
        return None
    changes, why = found
    return NextRequest(
        verb="resume" if attempt.resumable else "rerun",
        resources=_told(job, changes),
        changed=tuple(changes),
        why=why,
    )


def ran_out_of_time(job: Job) -> bool:
    """Whether the wall time ended it, at once or by a stop that kept what it had."""
    attempt = job.attempt
    if attempt.state is JobState.TIMEOUT:
        return True
    own_limit_h = job.options.get("time")  # the fit's own, in hours
    is_own = is_number(own_limit_h) and own_limit_h > 0
    return attempt.reason == "TimeLimit" and not is_own


def _was_killed(attempt: Attempt) -> bool:
    """Whether it was killed outright: what Slurm without cgroups makes of too much memory."""
    return attempt.state is JobState.FAILED and was_killed(attempt.signal, attempt.exit_code)


def _told(job: Job, changes: Mapping[str, str]) -> dict[str, str | int]:
    """Give all in which the new attempt differs from the first: that is what it is made from."""
    first = job.attempts[0].resources
    wanted = {**job.attempt.resources, **changes}
    return {name: value for name, value in wanted.items() if value != first.get(name)}


def _more_time(job: Job, progress: Progress | None, cluster: ClusterSettings) -> Changes | None:
    limit_s, most_s = job.attempt.time_limit_s, parse_time(cluster.max_time).total_seconds()
    if limit_s is None or (limit_s >= most_s and not job.attempt.resumable):
        return None
    needed_s, why = _by_speed(job, progress)
    if needed_s is None:
        wanted_s, why = limit_s * _MORE_TIME, f"{duration(limit_s)} were not enough: half as much"
        why += " time again."
    else:
        wanted_s = _with_lead(needed_s * _SPARE_TIME, cluster)
    wanted_s = _rounded_s(wanted_s)
    if wanted_s > most_s:
        wanted_s, why = most_s, f"{why} This site gives a job at most {duration(most_s)}."
    return {"time": format_time(timedelta(seconds=wanted_s))}, why


def _by_speed(job: Job, progress: Progress | None) -> tuple[float | None, str]:
    """Say how long the rest takes at the speed so far; None where nobody can say."""
    attempt = job.attempt
    if progress is None or attempt.started is None or job.elements or attempt.resumed_from:
        return None, ""
    steps, took_s = progress.steps or 0, progress.t - attempt.started.timestamp()
    if attempt.method not in EXACT_METHODS or not _SURE_STEPS <= progress.step < steps:
        return None, ""
    if not 0 < took_s < math.inf:
        return None, ""
    left = steps - progress.step if attempt.resumable else steps
    needed_s = took_s / progress.step * left
    if not math.isfinite(needed_s):
        return None, ""
    rest = "the rest takes" if attempt.resumable else "all of them take"
    done = f"{progress.step} of {steps} steps in {duration(took_s)}"
    return needed_s, f"It did {done}: {rest} about {duration(needed_s)}."


def _with_lead(needed_s: float, cluster: ClusterSettings) -> float:
    """Add the time before the limit in which a fit is already asked to stop."""
    lead_s = signal_lead(timedelta(days=366), timedelta(seconds=cluster.checkpoint_s))
    return needed_s + min(lead_s, needed_s / 3)


def _rounded_s(seconds: float) -> float:
    """Round up to what people ask for.

    >>> _rounded_s(4), _rounded_s(3601), _rounded_s(40_000)
    (60, 3900, 41400)
    """
    step = 60 if seconds <= _HOUR else 300 if seconds <= 10 * _HOUR else 1800
    return math.ceil(seconds / step) * step


def _more_memory(attempt: Attempt) -> Changes | None:
    asked, seen = read_kept(attempt.resources), attempt.max_rss_bytes
    if asked is None or (limit := asked.memory_bytes) is None:
        return None
    wanted, why = limit * _MORE_MEMORY, f"{format_memory(limit)} were not enough"
    if seen is not None:
        wanted = max(wanted, seen * _SPARE_MEMORY)
        why += f": it had taken {format_memory(seen)} when it was ended"
    why += "."
    counts = {"mem_per_cpu": asked.cpus, "mem_per_gpu": asked.gpu_count}
    each = wanted / counts.get(asked.memory_field, 1)
    return {asked.memory_field: format_memory(rounded_bytes(each))}, why


def rounded_bytes(size: float) -> int:
    """Round up to what people ask for.

    >>> [format_memory(rounded_bytes(size)) for size in (1, 300 * MIB, 3.1 * GIB, 20.5 * GIB)]
    ['64M', '320M', '3328M', '21504M']
    """
    step = 64 * MIB if size <= GIB else 256 * MIB if size <= 16 * GIB else GIB
    return math.ceil(size / step) * step
