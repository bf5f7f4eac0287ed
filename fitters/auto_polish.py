"""Take a minimum to its last digits, and measure how well it determines the parameters.

bumps's Levenberg-Marquardt ends when the sum of squares stops falling, which leaves half of the
digits of the parameters; Gauss-Newton steps judged by their own size give the others.

Imported by `fitters.auto.run_auto` alone, because it needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .auto_meter import Array, Meter

Mask = NDArray[np.bool_]

STEP = 6e-6
"""Part of a value to move it by for a derivative: the cube root of the machine's precision."""

OFFSET = 1e-4
"""A point is stationary when its next step is shorter than this, in uncertainties."""

FINE = 1e-10
"""A step shorter than this, in uncertainties, is lost in rounding."""

STEPS = 200
"""The most Gauss-Newton steps: where the residuals are large and bent they shrink slowly."""

SINGULAR = 1e-10
RISE = 1e-3
"""A likelihood without residuals is differentiated over steps that raise nllf by this much."""


@dataclass(frozen=True, kw_only=True)
class Minimum:
    """A point that was polished, with the slope and the curvature there."""

    x: Array
    nllf: float
    root: Array
    """Shape (m, n): its product with itself is the curvature of nllf; for squares the Jacobian."""

    pegged: Mask
    """Parameters that sit at a bound and would go beyond."""

    offset: float
    """Length of the next step, in uncertainties that the scatter of the residuals gives."""

    relative: float
    """The same, as the largest part of a value."""

    scatter: float = 1.0
    """Root of the reduced chi-square: what the uncertainties of the data have to be scaled by."""

    @property
    def stationary(self) -> bool:
        """Whether this is a minimum, as far as derivatives can say."""
        return bool(self.offset < OFFSET or self.relative < 1e-9)


def jacobian(meter: Meter, x: Array, base: Array) -> Array | None:
    """Differentiate the residuals: two-sided, at a bound one-sided to the same order."""
    columns = []
    for j in range(meter.size):
        column = _column(meter, x, base, j)
        if column is None:
            return None
        columns.append(column)
    return np.column_stack(columns)


def _column(meter: Meter, x: Array, base: Array, j: int) -> Array | None:
    size = abs(x[j]) or abs(meter.start[j]) or 1.0
    step = STEP * size
    for sign in (0, 1, -1):
        moves = (-1, 1) if sign == 0 else (sign, 2 * sign)
        found = [_moved(meter, x, j, step * move) for move in moves]
        if found[0] is None or found[1] is None:
            continue
        if sign == 0:
            return (found[1] - found[0]) / (2 * step)
        return sign * (4 * found[0] - found[1] - 3 * base) / (2 * step)
    return None


def _moved(meter: Meter, x: Array, j: int, step: float) -> Array | None:
    point = x.copy()
    point[j] += step
    if not meter.low[j] <= point[j] <= meter.high[j]:
        return None
    return meter.residuals(point)


def polish_squares(meter: Meter, x: Array, xtol: float) -> Minimum | None:
    """Take Gauss-Newton steps from a point until they are as short as rounding allows."""
    best: Minimum | None = None
    idle = 0
    for _ in range(STEPS):
        found = _assess(meter, x)
        if found is None:
            break
        minimum, step = found
        idle = 0 if best is None or minimum.offset < 0.99 * best.offset else idle + 1
        if best is None or _is_better(minimum, best):
            best = minimum
        if minimum.relative <= xtol or minimum.offset < FINE or idle > 4:
            break
        moved = _advance(meter, x, step, minimum.nllf)
        if moved is None:
            break
        x = moved
    return best


def _is_better(one: Minimum, other: Minimum) -> bool:
    """Compare by cost; where that is equal but for rounding, by the length of the next step."""
    if abs(one.nllf - other.nllf) <= 1e-11 * abs(other.nllf):
        return one.offset < other.offset
    return one.nllf < other.nllf


def _assess(meter: Meter, x: Array) -> tuple[Minimum, Array] | None:
    base = meter.residuals(x)
    matrix = None if base is None else jacobian(meter, x, base)
    if base is None or matrix is None:
        return None
    slope = matrix.T @ base
    pegged = ((x <= meter.low) & (slope > 0)) | ((x >= meter.high) & (slope < 0))
    step = np.where(pegged, 0.0, _gauss_newton(np.where(pegged, 0.0, matrix), base))
    free = int(np.sum(~pegged))
    scatter = _norm(base) / np.sqrt(max(len(base) - free, 1))
    length = _norm(matrix @ step) / np.sqrt(max(free, 1))
    minimum = Minimum(
        x=x.copy(),
        nllf=0.5 * float(base @ base) + meter.offset,
        root=matrix,
        pegged=pegged,
        offset=length / scatter if scatter > 0 else 0.0,
        relative=float(np.max(np.abs(step) / np.where(x == 0, 1.0, np.abs(x)), initial=0.0)),
        scatter=scatter,
    )
    return minimum, step


def _gauss_newton(matrix: Array, base: Array) -> Array:
    norms = np.linalg.norm(matrix, axis=0)
    norms[norms == 0] = 1.0
    return np.asarray(np.linalg.lstsq(matrix / norms, -base, rcond=1e-14)[0] / norms, float)


def _advance(meter: Meter, x: Array, step: Array, cost: float) -> Array | None:
    """Go as far along a step as does not raise the cost by more than rounding."""
    for halvings in range(12):
        point = np.clip(x + step * 0.5**halvings, meter.low, meter.high)
        if meter.cost(point) <= cost + 1e-12 * abs(cost):
            return point
    return None


def polish_likelihood(meter: Meter, x: Array) -> Minimum | None:
    """Take Newton steps on nllf, with derivatives over steps that change it enough to be seen."""
    best: Minimum | None = None
    for _ in range(6):
        found = _assess_likelihood(meter, x)
        if found is None:
            break
        minimum, step = found
        if best is None or minimum.nllf <= best.nllf + 1e-9:
            best = minimum
        moved = _advance(meter, x, step, minimum.nllf)
        if minimum.offset < 0.01 * OFFSET or moved is None or np.array_equal(moved, x):
            break
        x = moved
    return best


def _assess_likelihood(meter: Meter, x: Array) -> tuple[Minimum, Array] | None:
    base = meter.nllf(x)
    if not np.isfinite(base):
        return None
    steps = np.array([_rising_step(meter, x, base, j) for j in range(meter.size)])
    if not np.all(steps > 0):
        return None
    slope, pegged = _slope(meter, x, base, steps)
    curvature = _curvature(meter, x, base, steps, pegged)
    values, vectors = np.linalg.eigh(curvature)
    values = np.clip(values, 1e-12 * max(values[-1], 1e-300), None)
    step = -vectors @ ((vectors.T @ np.where(pegged, 0.0, slope)) / values)
    step = np.where(pegged, 0.0, step)
    root = (vectors * np.sqrt(values)).T / steps
    change = step * steps
    minimum = Minimum(
        x=x.copy(),
        nllf=base,
        root=root,
        pegged=pegged,
        offset=max(float(step @ curvature @ step), 0.0) ** 0.5,
        relative=float(np.max(np.abs(change) / np.where(x == 0, 1.0, np.abs(x)), initial=0.0)),
    )
    return minimum, change


def _rising_step(meter: Meter, x: Array, base: float, j: int) -> float:
    """Find a step that raises nllf by about `RISE`, or a thousand times its rounding."""
    target = max(RISE, 1e-10 * abs(base))
    step = STEP * (abs(x[j]) or abs(meter.start[j]) or 1.0)
    width = meter.high[j] - meter.low[j]
    limit = 0.25 * width if np.isfinite(width) else float("inf")
    for _ in range(30):
        point = x.copy()
        rises = []
        for sign in (1, -1):
            point[j] = x[j] + sign * step
            rises.append(meter.nllf(point) - base)
        known = [abs(rise) for rise in rises if np.isfinite(rise)]
        rise = max(known) if known else 100 * target
        if target / 10 <= rise <= 10 * target or (rise < target and step >= limit):
            break
        step = min(step * float(np.clip(np.sqrt(target / max(rise, 1e-300)), 0.02, 50)), limit)
    return float(step)


def _slope(meter: Meter, x: Array, base: float, steps: Array) -> tuple[Array, Mask]:
    slope, pegged = np.zeros(meter.size), np.zeros(meter.size, bool)
    for j, step in enumerate(steps):
        ahead, behind = _cost_at(meter, x, {j: step}), _cost_at(meter, x, {j: -step})
        if np.isfinite(ahead) and np.isfinite(behind):
            # Over twice the step as well, so that a lopsided valley does not tilt the slope.
            wider = _cost_at(meter, x, {j: 2 * step}) - _cost_at(meter, x, {j: -2 * step})
            near = (ahead - behind) / 2
            slope[j] = near + (near - wider / 4) / 3 if np.isfinite(wider) else near
        elif np.isfinite(ahead):
            slope[j] = ahead - base
            pegged[j] = slope[j] > 0
        else:
            slope[j] = base - behind
            pegged[j] = slope[j] < 0
    return slope, pegged


def _curvature(meter: Meter, x: Array, base: float, steps: Array, pegged: Mask) -> Array:
    """Measure second differences, in units of the steps; a pegged parameter stands alone."""
    size = meter.size
    second = np.zeros((size, size))
    for j in range(size):
        ends = [_cost_at(meter, x, {j: sign * steps[j]}) for sign in (1, -1)]
        one_sided = not np.all(np.isfinite(ends))
        second[j, j] = RISE if one_sided or pegged[j] else ends[0] + ends[1] - 2 * base
        for k in range(j):
            if pegged[j] or pegged[k]:
                continue
            corners = [
                a * b * _cost_at(meter, x, {j: a * steps[j], k: b * steps[k]})
                for a in (1, -1)
                for b in (1, -1)
            ]
            cross = float(np.sum(corners)) / 4
            second[j, k] = second[k, j] = cross if np.isfinite(cross) else 0.0
    return second


def _cost_at(meter: Meter, x: Array, moves: dict[int, float]) -> float:
    point = x.copy()
    for j, move in moves.items():
        point[j] += move
    return meter.nllf(point)


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How well a minimum determines the parameters."""

    dx: list[float]
    """Infinite for a parameter that the data say nothing about."""

    covariance: list[list[float]] | None
    undetermined: tuple[int, ...]
    correlated: tuple[tuple[int, int, float], ...]


def measure_spread(minimum: Minimum) -> Spread:
    """Invert the curvature, as bumps does: not scaled by chi-square."""
    norms = np.linalg.norm(minimum.root, axis=0)
    dead = norms == 0
    norms = np.where(dead, 1.0, norms)
    _, values, vectors = np.linalg.svd(minimum.root / norms, full_matrices=False)
    weak = values <= SINGULAR * values[0] if len(values) else np.zeros(0, bool)
    loose = dead | (np.abs(vectors[weak]) > 1e-3).any(axis=0)
    inverse = np.where(weak, 0.0, 1 / np.where(weak, 1.0, values) ** 2)
    covariance = (vectors.T * inverse) @ vectors / np.outer(norms, norms)
    dx = np.where(loose, np.inf, np.sqrt(np.clip(np.diag(covariance), 0, None)))
    whole = not loose.any()
    return Spread(
        dx=[float(value) for value in dx],
        covariance=[[float(v) for v in row] for row in covariance] if whole else None,
        undetermined=tuple(int(j) for j in np.flatnonzero(loose)),
        correlated=_correlated(covariance, dx) if whole else (),
    )


def _correlated(covariance: Array, dx: Array) -> tuple[tuple[int, int, float], ...]:
    size = np.where(dx == 0, 1.0, dx)
    matrix = covariance / np.outer(size, size)
    pairs = [(j, k, float(matrix[j, k])) for j in range(len(dx)) for k in range(j)]
    return tuple(pair for pair in pairs if abs(pair[2]) > 0.999)


def _norm(vector: Array) -> float:
    return float(np.linalg.norm(vector))
