"""What stands between bumps's fitters and the problem: counting, stopping, telling."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Document, Report

STEP_EVERY_S = 1.0
CURVE_EVERY_S = 5.0
ROWS_SHOWN = 1000
MOST_ROWS = 5000
"""So many steps of the convergence history are kept; longer ones are thinned evenly."""

Points = NDArray[np.float64]


class StoppedError(BaseException):
    """A stop was asked for before anything was reached; passes through bumps."""


class StoppedBetweenError(KeyboardInterrupt):
    """A stop was asked for between two evaluations; dream and de end their step by it."""


class Watched:
    """A problem as bumps's fitters see it: counts, and stops between two evaluations.

    The user's problem itself is not touched, so it can be saved at any time.
    """

    def __init__(self, problem: Any, stopping: Callable[[], bool]) -> None:
        self._problem = problem
        self._stopping = stopping
        self.moving = False
        """True from the first step on: there is something to keep."""

        self.evaluations = 0
        self.failures = 0
        self.last_failure: Points | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    def check(self) -> None:
        """Raise if somebody asked for a stop."""
        if self._stopping():
            raise StoppedBetweenError if self.moving else StoppedError

    def nllf(self, pvec: Points | None = None) -> float:
        """Evaluate the negative log likelihood."""
        self.check()
        value = self._problem.nllf(pvec)
        self._count(value, pvec)
        return float(value)

    def residuals(self) -> Points:
        """Evaluate the residuals (lm works on these)."""
        self.check()
        self.evaluations += 1
        residuals: Points = self._problem.residuals()
        return residuals

    def count_all(self, points: Sequence[Points], values: Sequence[float]) -> None:
        """Count evaluations that were made elsewhere."""
        for point, value in zip(points, values, strict=True):
            self._count(value, point)

    def _count(self, value: float, point: Points | None) -> None:
        self.evaluations += 1
        if not math.isfinite(value) and point is not None and self._problem.valid(point):
            self.failures += 1
            self.last_failure = np.array(point)


class Progress:
    """A monitor of bumps: step events, the history, checkpoints and live curves."""

    def __init__(
        self, problem: Any, report: Report, *, steps: int, burn: int | None, watched: Watched
    ) -> None:
        self._problem = problem
        self._report = report
        self._watched = watched
        self._burn = burn
        self._counts = [0]
        self._best_start = 0
        self._next_step_event = 0.0
        self._timers: list[Timer] = []
        self.steps = steps
        self.step = 0
        self.best = np.inf
        self.best_point: Points | None = None
        self.rows: list[tuple[float, ...]] = []
        self.said: list[str] = []
        self.fit_state: Any = None
        self.history: Any = None

    def every(self, seconds: float, share: float, action: Callable[[], None]) -> None:
        """Do something regularly, in at most this share of the time."""
        self._timers.append(Timer(seconds, share, action))

    def config_history(self, history: Any) -> None:
        """Say what of the history is needed."""
        history.requires(time=1, value=1, point=1, step=1)
        self.history = history

    def __call__(self, history: Any) -> None:
        """Take note of a step."""
        self._watched.moving = True
        self.history = history
        self.fit_state = getattr(history, "fit_state", None)
        self._count_step(int(history.step[0]))
        value = float(history.value[0])
        if value < self.best or self.best_point is None:
            self.best, self.best_point = value, np.array(history.point[0], "d")
            self._best_start = len(self._counts) - 1
        self.rows.append(_quantiles(value, history))
        if len(self.rows) > 2 * MOST_ROWS:
            del self.rows[1::2]
        now = time.monotonic()
        if now >= self._next_step_event:
            self._next_step_event = now + STEP_EVERY_S
            self.tell()
        for timer in self._timers:
            timer.tick(now)

    def info(self, message: str) -> None:
        """Keep what a fitter says."""
        self.said.append(message)

    def tell(self) -> None:
        """Write a step event."""
        row = self.rows[-1] if self.rows else (self.best,)
        scale = self._problem.chisq
        quantiles = [scale(nllf=row[i]) for i in (0, 2, 3, 4, 5)] if len(row) > 1 else None
        self._report(
            "step",
            step=self.step,
            steps=self.steps,
            chisq=scale(nllf=self.best),
            best=self.best_point,
            quantiles=quantiles,
            phase=self._phase(),
        )

    def _phase(self) -> str:
        if self._burn is None:
            return "search"
        return "burn" if self.step <= self._burn else "sample"

    def _count_step(self, step: int) -> None:
        # amoeba, lm and newton count from the beginning again at each of their starts.
        if step <= self._counts[-1] and self._counts[-1] > 0:
            self._counts.append(step)
        self._counts[-1] = step
        self.step = sum(self._counts)
        self.steps = max(self.steps, self.step)

    @property
    def best_start_steps(self) -> int:
        """How many steps the start took that gave the best point."""
        return self._counts[self._best_start]

    def at_best(self, action: Callable[[], None]) -> None:
        """Do something with the problem at the best point, then put it back."""
        if self.best_point is None:
            return
        here = self._problem.getp()
        self._problem.setp(self.best_point)
        try:
            action()
        finally:
            self._problem.setp(here)

    def convergence(self) -> Document:
        """Give the history as ``convergence.json``: reduced chi-square, quantiles a step."""
        names = ["best", "min", "20%", "50%", "80%", "max"]
        return {
            "columns": names[: len(self.rows[0])] if self.rows else names,
            "rows": to_chisq(self._problem, self.rows),
        }


def to_chisq(problem: Any, rows: list[tuple[float, ...]]) -> list[list[float]]:
    """Turn negative log likelihoods into reduced chi-squares."""
    # bumps's chisq is a mere factor, but takes 50 us to find it each time.
    factor = problem.chisq(nllf=1.0)
    return [[value * factor for value in row] for row in rows[:: _row_step(rows)]]


def _row_step(rows: list[tuple[float, ...]]) -> int:
    """Say which rows of the history are shown: every one, every second ..."""
    return max(1, -(-len(rows) // ROWS_SHOWN))


class Timer:
    """Does something every so often, and less often if it takes long."""

    def __init__(self, seconds: float, share: float, action: Callable[[], None]) -> None:
        self._seconds = seconds
        self._share = share
        self._action = action
        self._next = time.monotonic() + seconds

    def tick(self, now: float) -> None:
        """Do it, if it is time."""
        if now < self._next:
            return
        self._action()
        took = time.monotonic() - now
        self._next = time.monotonic() + max(self._seconds, took / self._share)


def _quantiles(best: float, history: Any) -> tuple[float, ...]:
    """Give best, min, 20 %, 50 %, 80 %, max of the population, as bumps's sessions hold it."""
    values = history.population_values
    values = values[0] if len(values) else None
    if values is None:
        return (best,)
    ordered = np.sort(values)
    low, middle = int(0.2 * len(ordered)), int(0.5 * len(ordered))
    picked = (0, low, middle, -(low + 1), -1)
    return (best, *(float(ordered[index]) for index in picked))
