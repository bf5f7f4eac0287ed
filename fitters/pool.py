"""Evaluations side by side, in processes that were forked with the problem in them.

Nothing of the problem is pickled, so a model that cannot be pickled (a script in several modules,
a closure) runs on every CPU all the same; only numbers go through the pipes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, Pipe, wait

import numpy as np
from numpy.typing import NDArray

from .base import FitError
from .memory import forked
from .stopping import ignore_signals

POLL_S = 0.2
Evaluate = Callable[[NDArray[np.float64]], float]


class Pool:
    """A number of processes that evaluate points.

    Parameters
    ----------
    evaluate
        Called in the processes.
    check
        Called often while waiting; may raise to give up.
    """

    def __init__(self, evaluate: Evaluate, cpus: int, check: Callable[[], None]) -> None:
        self._check = check
        self._pipes: list[Connection] = []
        self._processes: list[int] = []
        for _ in range(cpus):
            self._start(evaluate)

    def _start(self, evaluate: Evaluate) -> None:
        ours, theirs = Pipe()
        process = os.fork()
        if process == 0:
            for pipe in [*self._pipes, ours]:
                pipe.close()
            _serve(evaluate, theirs)
        theirs.close()
        self._pipes.append(ours)
        self._processes.append(process)

    def map(self, points: Sequence[NDArray[np.float64]]) -> list[float]:
        """Evaluate points; the order of the answers is that of the points.

        Raises
        ------
        FitError
            If a process died, as when the model crashed the interpreter.
        """
        answers = [float("inf")] * len(points)
        waiting = list(range(len(points)))[::-1]
        busy: dict[int, int] = {}
        idle = list(range(len(self._pipes)))
        while waiting or busy:
            while waiting and idle:
                worker, index = idle.pop(), waiting.pop()
                self._pipes[worker].send_bytes(np.asarray(points[index], "d").tobytes())
                busy[worker] = index
            for worker in self._ready(busy):
                answers[busy.pop(worker)] = self._receive(worker)
                idle.append(worker)
        return answers

    def _ready(self, busy: dict[int, int]) -> list[int]:
        self._check()
        forked.look(self._processes)
        ready = wait([self._pipes[worker] for worker in busy], POLL_S)
        return [worker for worker in busy if self._pipes[worker] in ready]

    def _receive(self, worker: int) -> float:
        try:
            (answer,) = struct.unpack("d", self._pipes[worker].recv_bytes())
        except (EOFError, ConnectionError) as error:
            raise FitError(
                "A process that evaluated the model died: the model crashed the interpreter, or "
                "the job ran out of memory. Ask for more memory, or try with one CPU.",
                code="model_error",
            ) from error
        return float(answer)

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        forked.look(self._processes, now=True)
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            os.kill(process, 9)
            os.waitpid(process, 0)
        self._pipes, self._processes = [], []


def _serve(evaluate: Evaluate, pipe: Connection) -> None:
    """Evaluate until the other end is closed; never return."""
    ignore_signals()
    try:
        while True:
            point = np.frombuffer(pipe.recv_bytes(), "d").copy()
            pipe.send_bytes(struct.pack("d", float(evaluate(point))))
    except (EOFError, ConnectionError):
        os._exit(0)
    finally:
        # Whatever else happened: the process must not go on as a second driver.
        os._exit(1)
