"""How often a host is asked to let us in: seldom enough that it bans nobody.

Three rules, and a wait is the longest that they ask for:

* After a failure the account waits 1 s, then twice as long each time, up to 60 s.
* After five failures in a row it is taken for gone: one probe every 60 s, until one succeeds.
  After a refused key it is 5 minutes, because that is what intrusion guards count.
* Never more than two attempts a minute: those of an account are all counted; those of all
  accounts at a host are counted until they succeed, so that many users may connect at once.

Each wait is shortened at random by up to a half, so that hosts are not asked all at once.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The numbers of the rules."""

    first_s: float = 1.0
    longest_s: float = 60.0
    failures: int = 5
    refused_s: float = 300.0
    attempts: int = 2
    attempts_s: float = 60.0


class Knocks:
    """The attempts at one door within the last minute."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._times: list[float] = []

    def wait_s(self, now: float) -> float:
        """Say how long until another attempt is in order."""
        self._times = [then for then in self._times if then > now - self._pace.attempts_s]
        if len(self._times) < self._pace.attempts:
            return 0.0
        return self._times[-self._pace.attempts] + self._pace.attempts_s - now

    def add(self, now: float) -> None:
        """Count an attempt."""
        self._times.append(now)

    def forgive(self, then: float) -> None:
        """Count an attempt no more."""
        if then in self._times:
            self._times.remove(then)


class Doors:
    """The hosts of this process, shared by all accounts that connect to them."""

    def __init__(self, pace: Pace | None = None, clock: Clock = time.monotonic) -> None:
        self.pace = pace or Pace()
        self.clock = clock
        self._hosts: dict[str, Knocks] = defaultdict(lambda: Knocks(self.pace))
        self._lock = threading.Lock()

    def knock(self, addresses: Iterable[str]) -> tuple[float, float]:
        """Count an attempt at hosts, all or none: give the wait if one is not in order, and when.

        The wait is 0 if the attempt was counted.
        """
        with self._lock:
            now = self.clock()
            doors = [self._hosts[address] for address in set(addresses)]
            wait_s = max(door.wait_s(now) for door in doors)
            if wait_s <= 0:
                for door in doors:
                    door.add(now)
            return max(0.0, wait_s), now

    def opened(self, addresses: Iterable[str], then: float) -> None:
        """Count an attempt no more, because it succeeded."""
        with self._lock:
            for address in set(addresses):
                self._hosts[address].forgive(then)


class Breaker:
    """One account's patience with its hosts."""

    def __init__(self, doors: Doors, addresses: Iterable[str], jitter: Callable[[], float]) -> None:
        self._doors = doors
        self._addresses = tuple(addresses)
        self._jitter = jitter
        self._own = Knocks(doors.pace)
        self._until = 0.0
        self._knocked = 0.0
        self.failures = 0

    @property
    def state(self) -> str:
        """``closed`` while all is well, ``open`` after failures, ``half-open`` to probe again."""
        if self.failures < self._doors.pace.failures:
            return "closed"
        return "open" if self._doors.clock() < self._until else "half-open"

    def knock(self) -> float:
        """Begin an attempt: 0, or how many seconds too early it is."""
        now = self._doors.clock()
        wait_s = max(self._until - now, self._own.wait_s(now))
        if wait_s > 0:
            return wait_s
        wait_s, self._knocked = self._doors.knock(self._addresses)
        if wait_s == 0:
            self._own.add(self._knocked)
        return wait_s

    def succeeded(self) -> None:
        """End an attempt well."""
        self.failures, self._until = 0, 0.0
        self._doors.opened(self._addresses, self._knocked)

    def failed(self, *, refused: bool = False) -> None:
        """End an attempt badly.

        Parameters
        ----------
        refused
            Whether the host answered, and did not let this account in.
        """
        pace = self._doors.pace
        self.failures += 1
        growing_s = pace.first_s * 2.0 ** min(self.failures - 1, 20)
        wait_s = pace.longest_s if self.failures >= pace.failures else growing_s
        wait_s = pace.refused_s if refused else min(wait_s, pace.longest_s)
        self._until = self._doors.clock() + wait_s * (1 - self._jitter() / 2)


def jitter() -> float:
    """Draw a number between 0 and 1; nobody gains by guessing it."""
    return random.random()  # noqa: S311 - spreads load, guards nothing


DOORS = Doors()
"""The doors of this process."""
