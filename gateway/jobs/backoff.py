"""Work on one job that failed is tried again after a while, and each time after a longer one.

Kept in the worker's memory: a worker that was started again tries at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_FIRST_S = 1.0
_LONGEST_S = 60.0


@dataclass(frozen=True, kw_only=True)
class _Failure:
    until: float
    pause_s: float


class Backoff:
    """Says what is not to be tried yet."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, _Failure] = {}

    def waits(self, name: str) -> bool:
        """Whether it failed so lately that it is not to be tried now."""
        failure = self._failures.get(name)
        return failure is not None and self._clock() < failure.until

    @contextmanager
    def trying(self, name: str, *blameless: type[Exception]) -> Iterator[None]:
        """Count it as failed when what is done inside raises anything but the blameless."""
        failed = True
        try:
            yield
            failed = False
            self._failures.pop(name, None)
        except blameless:
            failed = False
            raise
        finally:
            if failed:
                self._fail(name)

    def _fail(self, name: str) -> None:
        before = self._failures.get(name)
        pause_s = min(2 * before.pause_s, _LONGEST_S) if before else _FIRST_S
        self._failures[name] = _Failure(until=self._clock() + pause_s, pause_s=pause_s)
