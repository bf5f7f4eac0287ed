"""How long the tasks of an attempt ran: each only as long as it did, whoever told of its end.

Most schedulers forget a task minutes after its end. So what is known of those that have ended is
added up as it is seen, and its own exit file tells of one whose end nobody saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.jobs.models import Attempt
from gateway.records import now
from scheduler.base import JobReport, JobState

_RUNS = (JobState.RUNNING, JobState.SUSPENDED)


def seen(attempt: Attempt, reports: Sequence[JobReport]) -> dict[str, Any]:
    """Say what changes of an array's record by what its scheduler tells of its tasks."""
    if attempt.tasks == 1:
        return {}
    mask, total_s = _mask(attempt), attempt.tasks_s
    for one in reports:
        if one.task is not None and one.state.final and not mask >> one.task & 1:
            mask |= 1 << one.task
            total_s += _length_s(one.started, one.ended)
    if any(one.task is None and one.state.final for one in reports):
        # A rest that was cancelled: none of those without a row of their own ever began.
        own = sum(1 << task for task in {one.task for one in reports if one.task is not None})
        mask |= _all(attempt) & ~own
    begun = [one.started for one in reports if one.state in _RUNS and one.started]
    return {"tasks_s": total_s, "tasks_ended": _text(mask), "running_since": _mean(begun)}


def told(
    attempt: Attempt, files: Iterable[tuple[int, datetime | None, datetime | None]]
) -> dict[str, Any]:
    """Say what changes of an array's record by the exit files of tasks whose end nobody saw.

    Parameters
    ----------
    files
        Of each task its number, start and end. Its user can write there: they shorten nothing that
        the scheduler told.
    """
    if attempt.tasks == 1 or attempt.elapsed_s is not None:
        return {}
    mask, total_s, all_s = _mask(attempt), attempt.tasks_s, 0.0
    for task, started, ended in files:
        if started is None or ended is None:
            continue
        own_s = _length_s(max(started, attempt.started or started), min(ended, now()))
        all_s += own_s
        if not mask >> task & 1:
            mask |= 1 << task
            total_s += own_s
    total_s = max(total_s, all_s)
    whole = mask == _all(attempt)
    return {
        "tasks_s": total_s,
        "tasks_ended": _text(mask),
        "elapsed_s": total_s if whole else None,
    }


def in_all_s(attempt: Attempt) -> float:
    """Say how long all tasks of an attempt that has ended ran, together.

    One of an array of which nobody knows counts as if it had run from its first start to its end.
    """
    if attempt.elapsed_s is not None:
        return max(0.0, attempt.elapsed_s)
    unknown = attempt.tasks - _mask(attempt).bit_count()
    return attempt.tasks_s + unknown * _length_s(attempt.started, attempt.ended)


def until_now_s(attempt: Attempt, since: datetime | None, moment: datetime) -> float:
    """Say how long the tasks of an attempt have run until now, together.

    Parameters
    ----------
    since
        Only what ran after this counts; of tasks that have ended, as if they had run evenly.
    """
    if attempt.started is None:
        return 0.0
    since = max(attempt.started, since or attempt.started)
    if attempt.tasks == 1:
        return _length_s(since, attempt.ended or moment)
    running = sum(attempt.task_states.get(state.value, 0) for state in _RUNS)
    running_s = running * _length_s(max(since, attempt.running_since or since), moment)
    length_s = _length_s(attempt.started, moment)
    share = _length_s(since, moment) / length_s if length_s else 0.0
    return attempt.tasks_s * share + running_s


def _mask(attempt: Attempt) -> int:
    return int(attempt.tasks_ended or "0", 16)


def _text(mask: int) -> str:
    return f"{mask:x}" if mask else ""


def _all(attempt: Attempt) -> int:
    if not attempt.indices:
        return (1 << attempt.tasks) - 1
    return sum(1 << task for task in attempt.numbers)


def _length_s(started: datetime | None, ended: datetime | None) -> float:
    if started is None or ended is None:
        return 0.0
    return max(0.0, (ended - started).total_seconds())


def _mean(instants: Sequence[datetime]) -> datetime | None:
    """Say since when they all would run, were it the same time for each."""
    if not instants:
        return None
    first = min(instants)
    return first + sum((one - first for one in instants), timedelta()) / len(instants)
