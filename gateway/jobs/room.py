"""Room at a cluster, as far as its refusals tell: who is turned away for now tries again, seldom.

A site limits how many jobs an account, a QOS or the whole cluster may have at once, and says so
only when one too many is submitted. Then one job goes ahead, after pauses that grow; once it is
taken, two more go, then four: what waits costs the controller one call a pause however many there
are.

Kept in the worker's memory: one that was started again lets one job try at once.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.jobs.models import Job
from gateway.jobs.places import Place, place_of
from scheduler.base import Refused, Submission, Submitted, Uncertain

_GROWTH = 2.0
_LONGEST = 16
"""Times the first pause."""

_MANY = 256

Share = tuple[Place, str, str, str]
"""Whose jobs are counted together, as far as can be told: account, QOS and partition of a place."""


@dataclass(kw_only=True)
class _Room:
    first_s: float
    pause_s: float
    until: float
    allowed: int = 1


class Rooms:
    """Which jobs may be submitted now, by what became of those before.

    Parameters
    ----------
    first_s
        The first pause of a job's cluster.
    jitter
        Draws numbers between 0 and 1, which spread the pauses of many gateways.
    """

    def __init__(
        self,
        first_s: Callable[[Job], float],
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._first_s = first_s
        self._clock = clock
        self._jitter = jitter
        self._rooms: dict[Share, _Room] = {}

    def admit(self, jobs: Sequence[Job]) -> set[str]:
        """Say whose turn it is, by their ids: the first of those that share a limit."""
        going: set[str] = set()
        for share, some in _by_share(jobs).items():
            if any(job.attempt.turned_away for job in some):
                self._rooms.setdefault(share, self._new(some[0], until=0.0))
            room = self._rooms.get(share)
            most = len(some) if room is None else room.allowed
            if room is None or self._clock() >= room.until:
                going |= {job.id for job in some[:most]}
        return going

    def learn(self, jobs: Sequence[Job], results: Mapping[str, Submission]) -> None:
        """Take note of what came of those that went."""
        for share, some in _by_share(jobs).items():
            outcomes = [results[job.id] for job in some]
            taken = any(isinstance(outcome, Submitted) for outcome in outcomes)
            if any(is_for_now(outcome) for outcome in outcomes):
                self._shut(share, some[0], taken=taken)
            elif taken and share in self._rooms:
                self._open(share)

    def _shut(self, share: Share, job: Job, *, taken: bool) -> None:
        before = self._rooms.get(share)
        room = self._new(job, until=0.0)
        if before is not None and before.pause_s and not taken and before.allowed == 1:
            room.pause_s = min(before.pause_s * _GROWTH, _LONGEST * before.first_s)
        else:
            room.pause_s = room.first_s
        room.until = self._clock() + room.pause_s * (0.75 + self._jitter() / 2)
        self._rooms[share] = room

    def _open(self, share: Share) -> None:
        room = self._rooms[share]
        room.allowed, room.pause_s = 2 * room.allowed, 0.0
        if room.allowed > _MANY:
            del self._rooms[share]

    def _new(self, job: Job, until: float) -> _Room:
        return _Room(first_s=self._first_s(job), pause_s=0.0, until=until)


def is_for_now(outcome: Submission) -> bool:
    """Whether a cluster took a job not now, and may take it later."""
    return isinstance(outcome, Refused | Uncertain) and outcome.for_now


def _by_share(jobs: Sequence[Job]) -> Mapping[Share, list[Job]]:
    shares: dict[Share, list[Job]] = defaultdict(list)
    for job in jobs:
        asked = job.attempt.resources
        words = (str(asked.get(name) or "") for name in ("account", "qos", "partition"))
        account, qos, partition = words
        shares[place_of(job), account, qos, partition].append(job)
    return shares
