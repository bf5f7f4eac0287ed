"""The ranks of one fit: processes on one or several machines, started together by a launcher.

Rank 0 is the driver, and does all that a driver does; the others only evaluate points for it. Each
loads the problem from the job's directory, so nothing of it is pickled, and evaluates in processes
forked with it: a model that crashes its interpreter is an answer, not the end of a rank. bumps has
a mapper of its own for this; while it waits, nobody can stop the fit, and it cannot say why a rank
is gone.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import FitError
from .pool import Pool

END_S = 5.0
"""How long rank 0 waits for the others at the end, before the launcher may end them."""

CLOSE = 1e-6
"""Machines of one site may differ in the last digits of a value, and in no more."""

LONGEST_WAIT_S = 0.005


class RanksError(Exception):
    """The ranks of a job did not come together; the message is for its user and administrator."""


class LeftError(BaseException):
    """Rank 0 needs no more of this rank."""


def join(expected: int) -> Any:
    """Meet the other ranks; answer mpi4py's communicator.

    Raises
    ------
    RanksError
        If this environment has no MPI, or its MPI is not the launcher's.
    """
    try:
        import mpi4py

        mpi4py.rc.threads = False
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise RanksError(
            f"mpi4py cannot be loaded by {sys.executable} ({error}): MPI needs it in the compute "
            "environment, built for the site's MPI. Run the job without mpi meanwhile."
        ) from error
    comm = MPI.COMM_WORLD
    if comm.size != expected:
        raise RanksError(
            f"{comm.size} of {expected} ranks met each other: the site's launcher does not fit the "
            f"MPI of {sys.executable} ({MPI.Get_library_version().splitlines()[0]}). Another "
            "--mpi of srun, or the mpirun of that MPI, may. Run the job without mpi meanwhile."
        )
    return comm


class Team:
    """The other ranks, as rank 0 sees them."""

    def __init__(self, comm: Any) -> None:
        self._comm = comm
        self._number = 0
        self._others = range(1, comm.size)

    @property
    def size(self) -> int:
        """How many ranks there are, with rank 0."""
        return int(self._comm.size)

    def await_loaded(self, nllf: float, check: Callable[[], None]) -> None:
        """Wait until all have loaded the problem.

        Raises
        ------
        FitError
            If one cannot, or has another problem than rank 0.
        """
        for rank in self._others:
            there = float(self._answer(rank, check))
            if not np.isclose(there, nllf, rtol=CLOSE, atol=0, equal_nan=True):
                raise FitError(
                    f"Rank {rank} has another problem: its cost at the start is {there:.9g}, and "
                    f"{nllf:.9g} at rank 0. The model may draw random numbers by itself, or read "
                    "what differs from machine to machine."
                )

    def map(
        self, points: Sequence[NDArray[np.float64]], own: Pool, check: Callable[[], None]
    ) -> list[float]:
        """Evaluate points, each rank its share; the order of the answers is that of the points."""
        self._number += 1
        shares = np.array_split(np.asarray(points, "d"), self.size)
        for rank in self._others:
            self._comm.send((self._number, shares[rank]), dest=rank)
        values = own.map(list(shares[0]))
        for rank in self._others:
            values.extend(self._answer(rank, check))
        return values

    def _answer(self, rank: int, check: Callable[[], None]) -> Any:
        """Wait for what a rank says to the question asked last; older answers nobody needs."""
        while True:
            wait_for(self._comm, rank, check)
            number, answer, error = self._comm.recv(source=rank)
            if error is not None:
                text, code, details = error
                raise FitError(f"Rank {rank}: {text}", code=code, error=details)
            if number == self._number:
                return answer

    def end(self) -> None:
        """Tell the others that all is done, and take leave."""
        requests = [self._comm.isend(None, dest=rank) for rank in self._others]
        left, deadline = set(self._others), time.monotonic() + END_S
        while left and time.monotonic() < deadline:
            for rank in tuple(left):
                if self._comm.iprobe(source=rank) and self._comm.recv(source=rank) is None:
                    left.discard(rank)
            time.sleep(LONGEST_WAIT_S)
        if left:
            # They hang in an evaluation; all results are written, and MPI would wait for them.
            self._comm.Abort(0)
        for request in requests:
            request.wait()


class Spread:
    """Evaluations on all ranks, with what `Pool` offers for those of one machine."""

    def __init__(self, team: Team, own: Pool, nllf: float, check: Callable[[], None]) -> None:
        self._team, self._own, self._check = team, own, check
        self._nllf: float | None = nllf

    def map(self, points: Sequence[NDArray[np.float64]]) -> list[float]:
        """Evaluate points; the order of the answers is that of the points."""
        if self._nllf is not None:
            self._team.await_loaded(self._nllf, self._check)
            self._nllf = None
        return self._team.map(points, self._own, self._check)

    def close(self) -> None:
        """End the processes here; the other ranks are told when the driver ends."""
        self._own.close()


def serve(comm: Any, prepare: Callable[[Callable[[], None]], tuple[float, Pool]]) -> None:
    """Evaluate for rank 0 until it has enough.

    Parameters
    ----------
    prepare
        Loads the problem; answers its cost at the start, and what evaluates. It is given what is
        to be called often while waiting.
    """

    def check() -> None:
        # While this rank works, rank 0 says nothing unless the fit ends.
        if comm.iprobe(source=0) and comm.recv(source=0) is None:
            raise LeftError

    pool: Pool | None = None
    number: int = 0
    answer: object = None
    try:
        try:
            answer, pool = prepare(check)
            while True:
                comm.send((number, answer, None), dest=0)
                number, points = _question(comm)
                answer = pool.map(list(points))
        except FitError as error:
            comm.send((number, None, (str(error), error.code, error.error)), dest=0)
            _question(comm)
    except LeftError:
        pass
    finally:
        if pool is not None:
            pool.close()
    comm.send(None, dest=0)


def _question(comm: Any) -> Any:
    wait_for(comm, 0, lambda: None)
    question = comm.recv(source=0)
    if question is None:
        raise LeftError
    return question


def wait_for(comm: Any, rank: int, check: Callable[[], None]) -> None:
    """Wait for a message without taking the processor: MPI's own waiting spins."""
    begun = time.monotonic()
    while not comm.iprobe(source=rank):
        check()
        # Short waits are watched closely, and long ones cost little.
        time.sleep(min(max(5e-5, (time.monotonic() - begun) / 20), LONGEST_WAIT_S))
