"""Watch what running jobs print: it costs their scheduler nothing, and tells of their ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from gateway.jobs.care import Care
from gateway.jobs.follow import Follower, Look, ReadAlready, Running
from gateway.jobs.inquiry import Inquiry, take_turn
from gateway.jobs.models import Job
from gateway.jobs.places import Place
from gateway.settings import Settings
from scheduler.base import Scheduler

_AT_ONCE = 200
"""Jobs whose files are read in one exchange."""


class Watch:
    """Reads the files of running jobs, each place at its pace."""

    def __init__(
        self, settings: Settings, inquiry: Inquiry, follower: Follower, care: Care
    ) -> None:
        self._settings = settings
        self._inquiry = inquiry
        self._follower = follower
        self._care = care
        self._next: dict[Place, float] = {}
        self._unbegun_next: dict[Place, int] = {}

    def is_due(self, place: Place) -> bool:
        """Whether it is time to read what jobs of a place print."""
        return time.monotonic() >= self._next.get(place, 0.0)

    def look(self, place: Place, scheduler: Scheduler, jobs: Sequence[Job]) -> None:
        """Read what is new of running jobs, and of some that may have begun."""
        if not self.is_due(place):
            return
        self._next[place] = time.monotonic() + self._settings.clusters[place.cluster].follow_s
        asked = [
            Running(job=job, running=running, ended=ended)
            for job in jobs
            if (running := self._inquiry.running(job)) + (ended := self._inquiry.ended(job))
        ]
        asked += [
            Running(job=job, running=[job.attempt.numbers[0]], ended=[])
            for job in self._unbegun(place, jobs)
        ]
        for first in range(0, len(asked), _AT_ONCE):
            self._follow(scheduler, asked[first : first + _AT_ONCE])

    def _follow(self, scheduler: Scheduler, asked: Sequence[Running]) -> None:
        by_id = {one.job.id: one for one in asked}
        read = self._care.apart(
            [one.job for one in asked],
            lambda some: self._read(scheduler, [by_id[job.id] for job in some]),
        )
        for look, files in read:
            if self._care.safely(look.job, partial(self._follower.follow, files, look)):
                self._inquiry.expect_an_end(look.job)
            elif self._inquiry.may_have_begun(look.job) and any(
                files.found.get(reading) for reading in look.readings()
            ):
                self._inquiry.has_begun(look.job)

    def _read(
        self, scheduler: Scheduler, asked: Sequence[Running]
    ) -> list[tuple[Look, ReadAlready]]:
        looks = self._follower.look(asked)
        wanted = [reading for look in looks for reading in look.readings()]
        files = ReadAlready(found=scheduler.read_many(wanted), rest=scheduler)
        return [(look, files) for look in looks]

    def _unbegun(self, place: Place, jobs: Sequence[Job]) -> list[Job]:
        """Choose whose turn it is of those that waited: one may begin and end between questions."""
        waiting = [job for job in jobs if self._inquiry.may_have_begun(job)]
        turn, self._unbegun_next[place] = take_turn(waiting, self._unbegun_next.get(place, 0))
        return turn
