"""Sees that jobs have ended, and tells each end once, whatever dies in between.

The reconciler shows all live jobs at the beginning of each round, before it does anything with
them. So whatever can end was written down first. What was written down and lives no longer has
ended: it is told after the round, and struck out in the same step. A kill at any point leaves it
written down for the next process; a second look finds that it was told.

A job that will not start by itself is told in the same way, once for each reason that it has, and
with the others of its owner that do not start for the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.errors import NotFoundError
from gateway.jobs.alarm import Alarm, alarm_of
from gateway.jobs.models import Job
from gateway.jobs.parsed import UnreadableError, Views
from gateway.notifications.models import Delivery, Notification, end_of, stuck
from gateway.notifications.store import NotificationStore


class ReadsJobs(Protocol):
    """What reads jobs."""

    def get_many(self, ids: Sequence[str]) -> list[Job]:
        """Read jobs; those that are gone or damaged are left out."""

    def get(self, id: str) -> Job:
        """Read a job; NotFoundError when it is gone, UnreadableError when it is damaged."""


@dataclass(frozen=True, kw_only=True)
class _View:
    """What is told of a live job."""

    member: str
    final: bool
    alarm: Alarm | None


def _view(job: Job) -> _View:
    return _View(member=_member(job, job.attempt.number), final=job.final, alarm=alarm_of(job))


class Ends:
    """Tells owners of the ends of their jobs.

    Parameters
    ----------
    messages
        Writes what is to be sent of an end besides.
    """

    def __init__(
        self,
        store: NotificationStore,
        jobs: ReadsJobs,
        messages: Callable[[Notification], Sequence[Delivery]] = lambda _: (),
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._messages = messages
        self._watched: set[str] | None = None
        """What this process knows to be written down; None before it has looked."""

        self._views = Views(_view)
        self._ended: set[str] = set()
        self._stuck: dict[str, tuple[Job, Alarm]] = {}
        self._known_stuck: set[str] = set()

    def see(self, active: Sequence[Job]) -> None:
        """Write down what lives, and find what does not live any more."""
        if self._watched is None:
            self._watched = self._store.watched()
        views = self._views.of(active)
        alive = {view.member for view in views}
        if new := alive - self._watched:
            self._store.watch(new)
            self._watched |= new
        # One that has ended and is not let go of yet was written down before it is.
        going_on = {view.member for view in views if not view.final}
        self._ended = self._watched - going_on
        self._stuck = {
            f"{view.member}:{_word(view.alarm)}": (job, view.alarm)
            for job, view in zip(active, views, strict=True)
            if view.alarm
        }

    def tell(self) -> None:
        """Tell what has ended: apart, so that no fault here keeps a job from its next step."""
        self._tell_stuck()
        known = self._watched or set()
        ids = sorted({member.partition(":")[0] for member in self._ended})
        jobs = {job.id: job for job in self._jobs.get_many(ids)} if ids else {}
        for member in sorted(self._ended):
            job_id, _, number = member.partition(":")
            if self._told(member, jobs.get(job_id), int(number)):
                known.discard(member)

    def _tell_stuck(self) -> None:
        """Tell what will not start, once: the store knows what was told by another process.

        A partition that is closed keeps a thousand jobs at once: that is one message to each user.
        """
        bundles = defaultdict[tuple[str, str], list[str]](list)
        for member in self._store.untold(sorted(self._stuck.keys() - self._known_stuck)):
            job, alarm = self._stuck[member]
            bundles[job.owner, _word(alarm)].append(member)
        late: set[str] = set()
        for first, *others in bundles.values():
            told = stuck([self._stuck[one][0] for one in (first, *others)], self._stuck[first][1])
            if not self._store.tell(first, told, self._messages(told), others):
                late.update((first, *others))  # another process told of some: the rest comes next
        self._known_stuck = self._stuck.keys() - late

    def _told(self, member: str, job: Job | None, number: int) -> bool:
        """Tell of an attempt; False when it has not ended after all."""
        attempts = () if job is None else job.attempts
        attempt = next((attempt for attempt in attempts if attempt.number == number), None)
        if job is None and self._is_damaged(member.partition(":")[0]):
            return False  # it is told when somebody has mended its record
        if job is None or attempt is None:
            self._store.forget(member)  # deleted: there is nothing to go and see
            return True
        if not attempt.final:
            return False
        told = end_of(job, attempt)
        self._store.tell(member, told, self._messages(told))
        return True

    def _is_damaged(self, id: str) -> bool:
        try:
            self._jobs.get(id)
        except UnreadableError:
            return True
        except NotFoundError:
            return False
        return False


def _member(job: Job, number: int) -> str:
    return f"{job.id}:{number}"


def _word(alarm: Alarm) -> str:
    """Give the reason without what follows it: which machines it names changes all the time."""
    return alarm.reason.partition(",")[0].strip()
