"""What jobs have used, as short lines: a report over many reads them in place of their records.

==============  ====  ==========================================================================
key             type  holds
==============  ====  ==========================================================================
``used:{part}`` hash  by id a line: the mark of the record that it was made of, ``|``, and JSON;
                      of jobs whose ids begin with *part*, which is of 12 days; goes 40 days after
                      the last one was made
==============  ====  ==========================================================================

A line is believed while its job has that record. It is made again from the record where it is not
there, so nothing is lost with it. Of 50,000 jobs the records are 165 MB, and the lines 6.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

import redis

from gateway.jobs import efficiency, gone, ran
from gateway.jobs.line import cpus_of_task
from gateway.jobs.models import Attempt, Job
from gateway.records import time_text
from scheduler.base import JobState

_HOUR = 3600.0
_PART = 4
_AT_ONCE = 1000
_KEPT_S = 40 * 24 * 3600
# ARGV: ids. Answers for each its mark, and its line where that is of this record. What stays of a
# deleted job changes no more.
_READ = """
local rows = {}
for i = 1, #ARGV do
  local id, line = ARGV[i], false
  local mark = redis.call('HGET', 'job:' .. id, 'mark')
  if not mark and redis.call('HEXISTS', 'gone', id) == 1 then mark = 'gone' end
  if mark then
    line = redis.call('HGET', 'used:' .. string.sub(id, 1, 4), id)
    if line and string.sub(line, 1, #mark + 1) ~= mark .. '|' then line = false end
  end
  rows[i] = {mark or '', line}
end
return rows
"""


class Used(NamedTuple):
    """What an attempt that has ended has used, and what came of it."""

    proposal: str
    state: str
    core_hours: float
    estimated: bool
    continued: bool
    """Whether another attempt went on from it."""

    began: bool
    idle: float = 0.0
    """The part of its processors that did not compute, where that was more than half."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one job has used."""

    owner: str
    cluster: str
    kind: str
    created: datetime
    used: Sequence[Used]


def core_hours(attempt: Attempt) -> float:
    """Say what an attempt took: the time of all its tasks, times the processors of each.

    Those that its scheduler gave it where that is known, else those that it asked for.
    """
    cpus = attempt.cpus_given or cpus_of_task(attempt.resources)
    return ran.in_all_s(attempt) * cpus / _HOUR


def newest(client: redis.Redis, low: str, high: str, most: int) -> Iterator[Line]:
    """Give the lines of jobs between two bounds, deleted ones too, from the newest."""
    ids = islice(gone.newest_ids(client, low=low, high=high), most)
    while some := list(islice(ids, _AT_ONCE)):
        yield from _lines(client, some)


def _lines(client: redis.Redis, ids: Sequence[str]) -> Iterator[Line]:
    store: Any = client
    rows = dict(zip(ids, store.eval(_READ, 0, *ids), strict=True))
    missing = [one for one, (_, line) in rows.items() if line is None]
    made = {found.job.id: _line_of(found.job) for found in gone.read(client, missing)}
    # A record that changed meanwhile was asked for its mark before, so its line is made again.
    _keep(store, [(one, rows[one][0], line) for one, line in made.items() if rows[one][0]])
    for one, (_, line) in rows.items():
        if line is not None:
            yield _read(json.loads(line.partition("|")[2]))
        elif one in made:
            yield made[one]


def _keep(store: Any, made: Iterable[tuple[str, str, Line]]) -> None:
    with store.pipeline(transaction=False) as pipe:
        parts = set()
        for job_id, mark, line in made:
            parts.add(job_id[:_PART])
            pipe.hset(f"used:{job_id[:_PART]}", job_id, f"{mark}|{_written(line)}")
        for part in parts:
            pipe.expire(f"used:{part}", _KEPT_S)
        pipe.execute()


def _line_of(job: Job) -> Line:
    continued = {attempt.resumed_from for attempt in job.attempts}
    return Line(
        owner=job.owner,
        cluster=job.cluster,
        kind=job.kind,
        created=job.created,
        used=[
            _used(attempt, continued=attempt.number in continued)
            for attempt in job.attempts
            if attempt.final
        ],
    )


def _used(attempt: Attempt, *, continued: bool) -> Used:
    hours = core_hours(attempt)
    return Used(
        proposal=attempt.proposal,
        state=attempt.state.value,
        core_hours=hours,
        estimated=bool(hours) and attempt.tasks > 1 and attempt.elapsed_s is None,
        continued=continued,
        began=attempt.state is not JobState.CANCELLED or attempt.started is not None,
        idle=efficiency.idle(attempt),
    )


def _written(line: Line) -> str:
    head = [line.owner, line.cluster, line.kind, time_text(line.created)]
    return json.dumps([*head, line.used], separators=(",", ":"))


def _read(row: Any) -> Line:
    owner, cluster, kind, created, used = row
    return Line(
        owner=owner,
        cluster=cluster,
        kind=kind,
        created=datetime.fromisoformat(created),
        used=[Used(*one) for one in used],
    )
