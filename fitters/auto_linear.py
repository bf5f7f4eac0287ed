"""Find the parameters in which a model is linear, and solve for them at each step.

With the linear parameters always at their best (variable projection), a search has fewer
dimensions, and the far start of an amplitude or a background no longer matters. What is linear is
found by trying: the second difference of the residuals is zero.

Imported by `fitters.auto.run_auto` alone, because it needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .auto_meter import Array, Meter

TOLERANCE = 1e-8
EFFECT = 1e-10
"""A parameter that changes the residuals by less than this part is not judged."""


def find_linear(meter: Meter, point: Array) -> list[int]:
    """List parameters in which the residuals are linear, jointly, near a point."""
    base = meter.residuals(point)
    if base is None:
        return []
    trial = _Trial(meter, point, base)
    candidates = [j for j in range(meter.size) if trial.is_linear(j)]
    crossed = {
        (j, k) for j in candidates for k in candidates if j < k and not trial.is_separate(j, k)
    }
    while crossed:
        # Of a product such as b1*b2 only one factor can be solved for: drop the busiest.
        busy = max(candidates, key=lambda j: (sum(j in pair for pair in crossed), j))
        candidates.remove(busy)
        crossed = {pair for pair in crossed if busy not in pair}
    return candidates


class _Trial:
    """Residuals at large steps from one point."""

    def __init__(self, meter: Meter, point: Array, base: Array) -> None:
        self.meter, self.point, self.base = meter, point, base
        size = np.where(point == 0, 1.0, np.abs(point))
        self.steps = [self._inside(j, size[j]) for j in range(meter.size)]
        self.moved: dict[int, Array] = {}

    def _inside(self, j: int, size: float) -> float:
        low, high = self.meter.low[j] - self.point[j], self.meter.high[j] - self.point[j]
        ahead, back = min(size, high / 2), max(-size, low / 2)
        return float(ahead if ahead >= -back else back)

    def change(self, *moves: tuple[int, float]) -> Array | None:
        """Measure the change of the residuals when parameters move by multiples of their step."""
        point = self.point.copy()
        for j, multiple in moves:
            point[j] += multiple * self.steps[j]
        found = self.meter.residuals(point)
        return None if found is None else found - self.base

    def is_linear(self, j: int) -> bool:
        once = self.change((j, 1.0))
        if once is None or not self._matters(once):
            return False
        self.moved[j] = once
        return all(self._same(self.change((j, m)), m * once) for m in (2.0, 0.3))

    def is_separate(self, j: int, k: int) -> bool:
        return self._same(self.change((j, 1.0), (k, 1.0)), self.moved[j] + self.moved[k])

    def _matters(self, change: Array) -> bool:
        return _norm(change) > EFFECT * _norm(self.base)

    def _same(self, change: Array | None, expected: Array) -> bool:
        if change is None:
            return False
        rounding = 1e-13 * (_norm(self.base) + _norm(expected))
        return _norm(change - expected) <= TOLERANCE * _norm(expected) + rounding


def _norm(vector: Array) -> float:
    return float(np.linalg.norm(vector))


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """The problem over its nonlinear parameters only."""

    meter: Meter
    linear: tuple[int, ...]
    nonlinear: tuple[int, ...]
    base: Array
    """Values of the linear parameters that their columns are measured from: 0 where allowed."""

    steps: Array

    @property
    def low(self) -> Array:
        """Lower bounds of the nonlinear parameters."""
        return self.meter.low[list(self.nonlinear)]

    @property
    def high(self) -> Array:
        """Upper bounds of the nonlinear parameters."""
        return self.meter.high[list(self.nonlinear)]

    def part(self, x: Array) -> Array:
        """Take the nonlinear parameters out of a whole point."""
        return x[list(self.nonlinear)]

    def residuals(self, part: Array) -> Array | None:
        """Evaluate the residuals with the linear parameters at their best."""
        solved = self.solve(part)
        return None if solved is None else solved[1]

    def cost(self, part: Array) -> float:
        """Evaluate the cost with the linear parameters at their best."""
        found = self.residuals(part)
        return float("inf") if found is None else 0.5 * float(found @ found)

    def whole(self, part: Array) -> Array | None:
        """Give the whole point for a nonlinear part."""
        solved = self.solve(part)
        return None if solved is None else solved[0]

    def solve(self, part: Array) -> tuple[Array, Array] | None:
        """Solve for the linear parameters: whole point and residuals, None without a value."""
        x = np.empty(self.meter.size)
        x[list(self.nonlinear)] = part
        x[list(self.linear)] = self.base
        origin = self.meter.residuals(x)
        if origin is None or not self.linear:
            return None if origin is None else (x, origin)
        columns = []
        for j, value, step in zip(self.linear, self.base, self.steps, strict=True):
            x[j] = value + step
            moved = self.meter.residuals(x)
            x[j] = value
            if moved is None:
                return None
            columns.append((moved - origin) / step)
        matrix = np.column_stack(columns)
        change = self._least_squares(matrix, origin)
        if change is None:
            return None
        x[list(self.linear)] = self.base + change
        found = origin + matrix @ change
        cost = 0.5 * float(found @ found) + self.meter.offset
        if self.meter.squares and cost < self.meter.best:
            self.meter.residuals(x)  # so that the best point is known when the work is ended
        return x, found

    def _least_squares(self, matrix: Array, origin: Array) -> Array | None:
        norms = np.linalg.norm(matrix, axis=0)
        norms[norms == 0] = 1.0
        if not np.isfinite(norms).all():
            return None
        try:
            change = np.linalg.lstsq(matrix / norms, -origin, rcond=1e-14)[0] / norms
        except np.linalg.LinAlgError:
            return None
        low = self.meter.low[list(self.linear)] - self.base
        high = self.meter.high[list(self.linear)] - self.base
        if np.all(change >= low) and np.all(change <= high):
            return np.asarray(change, float)
        return _bounded_least_squares(matrix, origin, low, high, norms)


def _bounded_least_squares(
    matrix: Array, origin: Array, low: Array, high: Array, norms: Array
) -> Array | None:
    from scipy.optimize import lsq_linear

    bounds = (low * norms, high * norms)
    try:
        found = lsq_linear(matrix / norms, -origin, bounds=bounds, method="bvls").x
    except np.linalg.LinAlgError:
        return None
    return np.asarray(np.clip(found / norms, low, high), float)


def reduce_problem(meter: Meter, point: Array) -> Reduction:
    """Split the parameters of a problem with residuals into linear ones and the others."""
    linear = find_linear(meter, point)
    if linear:
        # A second point: what only looked linear at the first is not solved for.
        other = np.clip(point * 1.3 + 0.1 * (point == 0), meter.low, meter.high)
        again = find_linear(meter, other)
        linear = [j for j in linear if j in again]
    low, high = meter.low[linear], meter.high[linear]
    base = np.where((low <= 0) & (high >= 0), 0.0, np.clip(point[linear], low, high))
    size = np.where(point[linear] == 0, 1.0, np.abs(point[linear]))
    steps = np.where(base + size <= high, size, np.where(base - size >= low, -size, 0.0))
    room = np.where(high - base >= base - low, (high - base) / 2, (low - base) / 2)
    steps = np.where(steps == 0.0, np.where(np.isfinite(room), room, size), steps)
    return Reduction(
        meter=meter,
        linear=tuple(linear),
        nonlinear=tuple(j for j in range(meter.size) if j not in linear),
        base=base,
        steps=steps,
    )
