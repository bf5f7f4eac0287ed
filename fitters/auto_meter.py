"""Evaluate a problem for the ``auto`` method: count, remember the best, report, and end when asked.

Imported by `fitters.auto.run_auto` alone, because it needs numpy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

REPORT_S = 0.5
ENOUGH = 3
"""Points that tell whether the residuals are the likelihood."""

LARGEST = 1e140
"""Residuals beyond this have no square that could be added up."""

BAD_POINT = (ArithmeticError, ValueError, np.linalg.LinAlgError, NotImplementedError)
"""What a model may raise at a point where it has no value: overflow, root of a negative, ..."""


class StopWorkError(Exception):
    """Somebody asked to stop, or the time is up."""


class Meter:
    """A problem whose evaluations are counted, and the best point that they met."""

    def __init__(
        self,
        problem: Any,
        progress: Callable[..., None],
        stopping: Callable[[], bool],
        limit_s: float,
    ) -> None:
        self._problem = problem
        self._progress = progress
        self._stopping = stopping
        self._deadline = time.monotonic() + limit_s if limit_s > 0 else float("inf")
        self._reported = 0.0
        self.low, self.high = (np.array(side, float) for side in problem.bounds())
        self.labels: list[str] = list(problem.labels())
        self.start: Array = np.clip(np.array(problem.getp(), float), self.low, self.high)
        self.size = len(self.start)
        self.best_x = self.start.copy()
        self.best = float("inf")
        self.squares = False
        """True when the cost is half the sum of the squared residuals."""

        self.guided = False
        """True when there are residuals enough to fit them, be they the likelihood or near it."""

        self.points = 0
        """Residuals that are not always zero."""

        self.offset = 0.0
        """What nllf is above half that sum: a constant."""

        self.evaluations = 0
        self.error = ""
        self.why_stopped = ""
        self.step, self.steps, self.phase = 0, 1, "search"

    def enter(self, phase: str, step: int, steps: int) -> None:
        """Say what is being done, for the progress bar."""
        self.phase, self.step, self.steps = phase, step, steps

    def residuals(self, x: Array) -> Array | None:
        """Evaluate the residuals, priors among them; None where the model has no value."""
        self._tick()
        try:
            found = self._residuals(x)
        except BAD_POINT as error:
            self.error = f"{type(error).__name__}: {error}"
            return None
        if found is None or not np.all(np.abs(found) < LARGEST):
            return None
        if self.squares:
            self._note(x, 0.5 * float(found @ found) + self.offset)
        return found

    def nllf(self, x: Array) -> float:
        """Evaluate the cost; infinite where the model has no value."""
        self._tick()
        if np.any(x < self.low) or np.any(x > self.high):
            return float("inf")
        value = float(self._problem.nllf(x))
        if np.isnan(value):
            return float("inf")
        self._note(x, value)
        return value

    def cost(self, x: Array) -> float:
        """Evaluate nllf the cheaper way: from the residuals where they stand for it."""
        if not self.squares:
            return self.nllf(x)
        found = self.residuals(x)
        return float("inf") if found is None else 0.5 * float(found @ found) + self.offset

    @property
    def has_residuals(self) -> bool:
        """Whether the problem has residuals at all."""
        return bool(self._problem.has_residuals)

    def report(self) -> None:
        """Tell the progress now."""
        self._reported = time.monotonic()
        self._progress(
            step=self.step,
            steps=max(self.steps, self.step),
            nllf=self.best,
            best=[float(value) for value in self.best_x],
            phase=self.phase,
        )

    def check(self) -> None:
        """End the work by `StopWorkError` when somebody asked for it or the time is up."""
        if self._stopping():
            self.why_stopped = "stopped"
        elif time.monotonic() > self._deadline:
            self.why_stopped = "time_limit"
        else:
            return
        raise StopWorkError(self.why_stopped)

    def _residuals(self, x: Array) -> Array | None:
        self._problem.setp(x)
        _, failing = self._problem.constraints_nllf()
        if failing:
            return None
        parts = (np.ravel(self._problem.residuals()), self._problem.parameter_residuals())
        found: Array = np.hstack(parts).astype(float)
        return found

    def _note(self, x: Array, value: float) -> None:
        inside = bool(np.all(x >= self.low) and np.all(x <= self.high))
        if inside and value < self.best:
            self.best, self.best_x = value, np.array(x, float)

    def _tick(self) -> None:
        self.evaluations += 1
        if self.evaluations > 1:  # the start always gets its cost, so that there is a result
            self.check()
        if time.monotonic() - self._reported > REPORT_S:
            self.report()


def recognise_squares(meter: Meter, points: Iterable[Array]) -> None:
    """Find whether nllf is half the sum of the squared residuals, but for a constant.

    A likelihood of another form (counts, a PDF) has no residuals, or some that only come near it.
    """
    known: list[tuple[Array, float]] = []
    for point in points:
        found = meter.residuals(point) if meter.has_residuals else np.zeros(0)
        value = float("inf") if found is None else meter.nllf(point)
        if found is not None and np.isfinite(value):
            known.append((found, value))
        if len(known) == ENOUGH:
            break
    if not known:
        return
    # bumps gives each bounded parameter a residual of its own that is always zero.
    alive = np.any([found != 0 for found, _ in known], axis=0)
    meter.points = int(np.sum(alive))
    meter.guided = meter.points >= meter.size
    offsets = np.array([value - 0.5 * float(found @ found) for found, value in known])
    size = max(abs(value) for _, value in known)
    if meter.guided and len(known) > 1 and np.ptp(offsets) <= 1e-9 * size:
        meter.squares = True
        meter.offset = 0.0 if abs(offsets[0]) <= 1e-9 * size else float(offsets[0])
