"""What is known of jobs from two sources that forget at different times.

squeue is right about all that it lists and forgets a job some minutes after its end, an element of
an array for itself. sacct remembers for ever and is some seconds late. So squeue wins, sacct fills
the gaps, and what sacct still calls alive though squeue has forgotten it is unknown for a while.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from scheduler.base import JobReport, JobState

_ARRAY_S = 60.0
"""How often the accounting is asked for the ended elements of an array that is alive."""

_LAG_S = 120.0
"""How late the accounting may be; what it calls alive for longer was lost by Slurm itself."""

OUR_PREFIX = "gw-"

_Key = tuple[str, int | None]


def by_id(rows: Iterable[JobReport]) -> dict[str, list[JobReport]]:
    """Group rows by the id of their job."""
    groups: dict[str, list[JobReport]] = defaultdict(list)
    for row in rows:
        groups[row.native_id].append(row)
    return dict(groups)


def is_array(rows: Sequence[JobReport]) -> bool:
    """Whether rows are of an array."""
    return any(row.task is not None or row.tasks_waiting for row in rows)


class Elements:
    """Remembers how elements ended, and whom the accounting must be asked for."""

    def __init__(self) -> None:
        self._ended: dict[str, dict[_Key, JobReport]] = {}
        self._asked: dict[str, float] = {}
        self._late: dict[str, float] = {}

    def questions(self, native_ids: Iterable[str], queued: dict[str, list[JobReport]]) -> list[str]:
        """Say whom squeue did not tell enough about."""
        return [one for one in native_ids if self._is_open(one, queued.get(one, []))]

    def _is_open(self, native_id: str, rows: Sequence[JobReport]) -> bool:
        # An id that Slurm gave away a second time: the accounting knows both jobs.
        if not any(row.marker.startswith(OUR_PREFIX) for row in rows):
            return True
        if not is_array(rows):
            return False
        if all(row.state.final for row in rows):
            return True
        return time.monotonic() - self._asked.get(native_id, -_ARRAY_S) >= _ARRAY_S

    def merge(
        self,
        native_ids: Iterable[str],
        queued: dict[str, list[JobReport]],
        accounted: dict[str, list[JobReport]],
        asked: Iterable[str],
    ) -> dict[str, list[JobReport]]:
        """Say how jobs are, by both sources; ids of which neither knows are missing."""
        ids = set(native_ids)
        self._forget(ids)
        self._asked.update(dict.fromkeys(asked, time.monotonic()))
        merged = {one: self._one(one, queued.get(one, []), accounted.get(one, [])) for one in ids}
        return {one: rows for one, rows in merged.items() if rows}

    def _forget(self, kept: set[str]) -> None:
        """Let go of jobs that nobody asks for any more."""
        self._ended = {one: rows for one, rows in self._ended.items() if one in kept}
        self._asked = {one: when for one, when in self._asked.items() if one in kept}
        self._late = {one: since for one, since in self._late.items() if one in kept}

    def _one(
        self, native_id: str, queued: Sequence[JobReport], accounted: Sequence[JobReport]
    ) -> list[JobReport]:
        listed = {(row.marker, task) for row in queued for task in _tasks(row)}
        rows = dict(self._ended.get(native_id, {}))
        for row in accounted:
            if all((row.marker, task) in listed for task in _tasks(row)):
                continue
            if row.state.final:
                rows[row.marker, row.task] = row
            elif self._may_be_late(native_id):
                rows[row.marker, row.task] = replace(row, state=JobState.UNKNOWN, tasks_waiting=())
        if not any(row.state is JobState.UNKNOWN for row in rows.values()):
            self._late.pop(native_id, None)
        rows = {key: row for key, row in rows.items() if key not in listed}
        rows |= {(row.marker, row.task): row for row in queued}
        if is_array(queued) or is_array(list(rows.values())):
            self._ended[native_id] = {key: row for key, row in rows.items() if row.state.final}
        return list(rows.values())

    def _may_be_late(self, native_id: str) -> bool:
        return time.monotonic() - self._late.setdefault(native_id, time.monotonic()) < _LAG_S


def _tasks(row: JobReport) -> Sequence[int | None]:
    return row.tasks_waiting or (row.task,)
