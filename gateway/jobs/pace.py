"""When to ask a cluster how its jobs are: seldom, and sooner where something is about to change.

A question costs a site's controller the same whoever asks, so there is one for all jobs of a
cluster, and a ceiling for each minute. Between two questions the jobs' own files tell what a fit
does; an end seen there pulls the next question forward.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_MINUTE_S = 60.0
_GROWTH = 1.5
_HURRY_S = (0.3, 1.0, 3.0)
"""After an end was seen in a job's files: its scheduler needs a moment to know of it, too."""

_APART_S = 5.0
"""Between two questions past the ceiling: a wish of another user waits no longer than that."""

_SPARE = 6
"""A beginning may pull a question forward while no more than this part of a minute's calls is
spent: the others are for ends."""


@dataclass(frozen=True, kw_only=True)
class PaceLimits:
    """How often a cluster may be asked."""

    least_s: float
    """Between two questions while something changes; 0: each round, as on one's own host."""

    most_s: float
    """Between two questions while nothing does."""

    calls_per_minute: int
    """Commands of the scheduler that questions may take in any minute, but for urgent ones; 0: as
    many as it takes."""


class Pace:
    """The pace of questions to one cluster.

    `due` says whether to ask now; `asked` notes that it was done and what it came to; `hurry`
    asks for questions soon, of which the limits decide how soon, until `settle` says that what
    they were for is known.
    """

    def __init__(self, limits: PaceLimits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._pause_s = limits.least_s
        self._last = self._next = clock()
        self._hurried = len(_HURRY_S)
        self._calls: deque[float] = deque()
        self._passed = -math.inf
        """When a question was last asked past the ceiling."""

    def due(self, *, urgent: bool = False) -> bool:
        """Whether to ask now; what is urgent may go past the ceiling, now and then."""
        moment = self._clock()
        may_pass = urgent and moment - self._passed >= _APART_S
        return moment >= self._next and (may_pass or not self._spent())

    def asked(self, *, changed: bool, calls: int = 1) -> None:
        """Note a question, what it cost, and whether the answer said anything new."""
        moment = self._clock()
        if self._spent():
            self._passed = moment
        self.spend(calls)
        grown = self._pause_s * _GROWTH
        self._pause_s = self._limits.least_s if changed else min(grown, self._limits.most_s)
        self._last, self._next = moment, moment + self._pause_s
        self._hurried = min(self._hurried + 1, len(_HURRY_S))
        for pause_s in _HURRY_S[self._hurried : self._hurried + 1]:
            self._next = min(self._next, moment + pause_s)

    def spend(self, calls: int) -> None:
        """Note calls, whatever they were for."""
        self._calls.extend([self._clock()] * calls)

    def hurry(self) -> None:
        """Ask soon, and a few times more in case the scheduler does not know yet."""
        self._hurried = 0
        self._pause_s = self._limits.least_s
        self._next = min(self._next, self._clock() + _HURRY_S[0])

    def sooner(self) -> None:
        """Ask once soon, if that leaves enough calls for what is more urgent."""
        most = self._limits.calls_per_minute
        if not most or _SPARE * self._calls_within_a_minute() <= most:
            self._next = min(self._next, self._clock() + _HURRY_S[0])

    def settle(self) -> None:
        """Ask no more in a hurry: what was expected has come."""
        self._hurried = len(_HURRY_S)
        self._next = self._last + self._pause_s

    def _spent(self) -> bool:
        """Whether the calls of the last minute are all that there may be."""
        most = self._limits.calls_per_minute
        return bool(most) and self._calls_within_a_minute() >= most

    def _calls_within_a_minute(self) -> int:
        since = self._clock() - _MINUTE_S
        while self._calls and self._calls[0] <= since:
            self._calls.popleft()
        return len(self._calls)
