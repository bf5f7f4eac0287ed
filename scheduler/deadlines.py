"""Deadlines that are kept from outside, whatever a library makes of its own.

A server that stops answering between two messages holds up a call that has no time limit, or
forgets to look at it. So a call that may take long is either left to a thread that nobody waits
for when it is late, or watched by a thread that closes what it uses.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, work: Callable[[], T], name: str) -> T:
    """Wait for work that is done in a thread of its own.

    Raises
    ------
    TimeoutError
        If it is late. The thread goes on: close what it uses, so that it ends.
    """
    answers: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            answers.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the one who waits
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name=name, daemon=True).start()
    if not done.wait(seconds):
        raise TimeoutError(f"{name}: not within {seconds:g} s")
    if errors:
        raise errors[0]
    return answers[0]


class Watchdog:
    """Closes what takes too long; one thread for all, started when it is first needed."""

    def __init__(self) -> None:
        self._watched: dict[int, tuple[float, Callable[[], None]]] = {}
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._next = 0.0

    @contextmanager
    def watch(self, seconds: float, shut: Callable[[], None]) -> Iterator[None]:
        """Call *shut*, from another thread, if the block takes longer than this."""
        deadline = time.monotonic() + seconds
        with self._changed:
            number = next(self._numbers)
            self._watched[number] = (deadline, shut)
            # A forked process has the object and not the thread.
            if self._thread is None or not self._thread.is_alive():
                self._next = deadline
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            elif deadline < self._next:
                self._changed.notify()
        try:
            yield
        finally:
            with self._changed:
                self._watched.pop(number, None)

    def _run(self) -> None:
        while True:
            for shut in self._wait():
                # Not here: what hangs may hang whoever closes it, and others are watched too.
                threading.Thread(target=shut, name="watchdog-shut", daemon=True).start()

    def _wait(self) -> list[Callable[[], None]]:
        with self._changed:
            now = time.monotonic()
            first = min((deadline for deadline, _ in self._watched.values()), default=now + 60)
            self._next = first
            if first > now:
                self._changed.wait(first - now)
                return []
            late = [number for number, (when, _) in self._watched.items() if when <= now]
            return [self._watched.pop(number)[1] for number in late]


WATCHDOG = Watchdog()
"""The watchdog of this process."""
