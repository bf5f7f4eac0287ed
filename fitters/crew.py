"""The workers of a task: forked processes that do one element after the other.

If an element kills its worker, that element alone has failed, and a fresh worker is forked for the
rest. A worker says when it begins an element: one whose worker died before that has done nothing
wrong, and is handed out once more. An element that takes far longer than the others is overtaken:
another worker goes on beside it.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait

from .memory import forked

POLL_S = 0.1
PATIENCE_S = 10.0
"""An element is overtaken after this long, or ten times what the others took."""

BEGUN, DONE = b"begun", b"done"

MOST_OVERTAKEN = 4
GRACE_S = 20.0
"""After a stop, a worker that does not end for so long is killed: Slurm would soon kill all."""


@dataclass(kw_only=True)
class Worker:
    """A forked process that does elements."""

    process: int
    pipe: Connection
    element: int | None = None
    begun: bool = False
    since: float = 0.0


class Crew:
    """The workers of a task, and the elements that wait for one.

    Parameters
    ----------
    do
        Does an element and writes its result; called in a worker.
    failed
        Writes down that an element ended its worker, and how.
    """

    def __init__(
        self,
        do: Callable[[int], None],
        failed: Callable[[int, str], None],
        indices: list[int],
        *,
        cpus: int,
        stopping: Callable[[], bool],
    ) -> None:
        self._do = do
        self._failed = failed
        self._waiting = deque(indices)
        self._again: set[int] = set()
        self.workers: list[Worker] = []
        """Those that live, as far as is known."""

        self._durations: list[float] = []
        self._wanted = min(cpus, len(indices))
        self._stopping = stopping
        self._stopped_at: float | None = None

    def run(self) -> None:
        """Do every element; after a stop, those not begun are written down as stopped."""
        try:
            while self._waiting or any(worker.element is not None for worker in self.workers):
                if self._stopping():
                    self._stop()
                self._hire()
                self._hand_out()
                self._listen()
        finally:
            self._look(now=True)
            for worker in self.workers:
                worker.pipe.close()
                os.waitpid(worker.process, 0)

    def _hire(self) -> None:
        slow = sum(1 for worker in self.workers if self._is_slow(worker))
        room = self._wanted + min(slow, MOST_OVERTAKEN) - len(self.workers)
        for _ in range(min(room, len(self._waiting))):
            self._fork()

    def _is_slow(self, worker: Worker) -> bool:
        usual = statistics.median(self._durations) if self._durations else 0.0
        patience = max(PATIENCE_S, 10 * usual)
        return worker.element is not None and time.monotonic() - worker.since > patience

    def _fork(self) -> None:
        ours, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process == 0:
            for pipe in [ours, *(worker.pipe for worker in self.workers)]:
                pipe.close()
            _work(self._do, theirs)
        theirs.close()
        self.workers.append(Worker(process=process, pipe=ours))

    def _hand_out(self) -> None:
        for worker in self.workers:
            if worker.element is None and self._waiting:
                worker.element, worker.begun = self._waiting.popleft(), False
                worker.since = time.monotonic()
                try:
                    worker.pipe.send_bytes(str(worker.element).encode())
                except OSError:
                    continue  # it died while idle; _listen finds it

    def _listen(self) -> None:
        wait([worker.pipe for worker in self.workers], POLL_S)
        self._look()
        for worker in list(self.workers):
            # Asked first: what a dead worker has said is then all there.
            ended = _exit_code(worker.process)
            self._hear(worker)
            if ended is not None:
                # Not by the end of its pipe: a child of the model may hold that open.
                self._bury(worker, ended)

    def _look(self, *, now: bool = False) -> None:
        forked.look([worker.process for worker in self.workers], now=now)

    def _hear(self, worker: Worker) -> None:
        while (word := _word(worker.pipe)) is not None:
            if word == BEGUN:
                worker.begun = True
            else:
                self._durations.append(time.monotonic() - worker.since)
                worker.element = None

    def _bury(self, worker: Worker, ended: int) -> None:
        self.workers.remove(worker)
        worker.pipe.close()
        if worker.element is None:
            return
        if not worker.begun and worker.element not in self._again:
            self._again.add(worker.element)
            self._waiting.appendleft(worker.element)
            return
        self._failed(worker.element, self._cause(worker, ended))

    def _cause(self, worker: Worker, ended: int) -> str:
        if self._stopped_at is not None and ended == -signal.SIGKILL:
            return f"The element did not end within {GRACE_S:g} s of the stop and was killed."
        if not worker.begun:
            return (
                f"The process that was to do the element died twice before it began, the last "
                f"time by {_how(ended)}. Ask for more memory, or run the element again."
            )
        return f"The element ended its process: {_how(ended)}. The model crashed the interpreter."

    def _stop(self) -> None:
        """Pass the stop on, and later kill who does not hear it."""
        now = time.monotonic()
        if self._stopped_at is None:
            self._stopped_at = now
            self._signal_all(signal.SIGTERM)
        elif now - self._stopped_at > GRACE_S:
            self._signal_all(signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for worker in self.workers:
            if worker.element is not None:
                os.kill(worker.process, number)


def _word(pipe: Connection) -> bytes | None:
    """Give the next word of a worker; None when it says nothing more for now."""
    try:
        return pipe.recv_bytes() if pipe.poll() else None
    except (EOFError, OSError):
        return None


def _exit_code(process: int) -> int | None:
    """Give the exit code of a child, negative for a signal; None while it runs."""
    found, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _how(ended: int) -> str:
    return f"signal {signal.Signals(-ended).name}" if ended < 0 else f"exit code {ended}"


def _work(do: Callable[[int], None], pipe: Connection) -> None:
    """Do elements until the other end is closed; never return."""
    code = 1
    try:
        while (index := _next(pipe)) is not None:
            pipe.send_bytes(BEGUN)
            do(index)
            sys.stdout.flush()
            sys.stderr.flush()
            pipe.send_bytes(DONE)
        code = 0
    except BaseException:  # noqa: BLE001 - a forked process must not go on as a second driver
        traceback.print_exc()
    finally:
        os._exit(code)


def _next(pipe: Connection) -> int | None:
    try:
        return int(pipe.recv_bytes())
    except (EOFError, OSError):
        return None
