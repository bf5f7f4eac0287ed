"""Small least squares in plain Python: only to find start values, never to give results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Vector = list[float]
_TINY = 1e-12


def solve(matrix: Sequence[Sequence[float]], right: Sequence[float]) -> Vector | None:
    """Solve a few linear equations by elimination with pivoting; None where they are singular."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    size = len(rows)
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(rows[row][column]))
        # Not "< _TINY": a nan must be refused as well.
        if not abs(rows[pivot][column]) > _TINY:
            return None
        rows[column], rows[pivot] = rows[pivot], rows[column]
        for row in range(column + 1, size):
            factor = rows[row][column] / rows[column][column]
            for k in range(column, size + 1):
                rows[row][k] -= factor * rows[column][k]
    result = [0.0] * size
    for row in reversed(range(size)):
        known = sum(rows[row][k] * result[k] for k in range(row + 1, size))
        result[row] = (rows[row][size] - known) / rows[row][row]
    return result


def fit_linear(basis: Sequence[Vector], target: Vector, ridge: float = 0.0) -> Vector | None:
    """Find the coefficients with which the *basis* columns come nearest to the *target*."""
    norms = [math.sqrt(_dot(column, column)) for column in basis]
    if not all(math.isfinite(norm) and norm > 0 for norm in norms):
        return None
    scaled = [[value / norm for value in c] for c, norm in zip(basis, norms, strict=True)]
    matrix = [[_dot(a, b) for b in scaled] for a in scaled]
    for index in range(len(matrix)):
        matrix[index][index] *= 1 + ridge
    coefficients = solve(matrix, [_dot(column, target) for column in scaled])
    if coefficients is None:
        return None
    return [value / norm for value, norm in zip(coefficients, norms, strict=True)]


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(map(float.__mul__, a, b))


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Residuals as a function of some free parameters inside limits."""

    residuals: Callable[[Vector], Vector]
    limits: Sequence[tuple[float, float]]


def sum_of_squares(residuals: Sequence[float]) -> float:
    """Add the squares; infinite where one is not a number."""
    total = math.fsum(value * value for value in residuals if math.isfinite(value))
    return total if all(map(math.isfinite, residuals)) else math.inf


def improve(problem: Problem, start: Vector, rounds: int) -> tuple[Vector, float]:
    """Walk downhill from *start* by Levenberg and Marquardt's method, at most some rounds."""
    point = list(start)
    residuals = problem.residuals(point)
    best = sum_of_squares(residuals)
    damping = 1e-3
    for _ in range(rounds):
        if not math.isfinite(best):
            break
        basis = _derivatives(problem, point, residuals)
        step = fit_linear(basis, [-value for value in residuals], ridge=damping)
        trial = _inside(point, step, problem.limits) if step else point
        fresh = problem.residuals(trial)
        value = sum_of_squares(fresh)
        if value < best:
            done = best - value < 1e-9 * best
            point, residuals, best, damping = trial, fresh, value, damping / 5
            if done:
                break
        elif damping > 1e6:
            break
        else:
            damping *= 8
    return point, best


def _derivatives(problem: Problem, point: Vector, residuals: Vector) -> list[Vector]:
    columns = []
    for index, value in enumerate(point):
        step = 1e-6 * (abs(value) or 1.0)
        if value + step > problem.limits[index][1]:
            step = -step
        moved = [*point[:index], value + step, *point[index + 1 :]]
        columns.append(
            [(a - b) / step for a, b in zip(problem.residuals(moved), residuals, strict=True)]
        )
    return columns


def _inside(point: Vector, step: Vector, limits: Sequence[tuple[float, float]]) -> Vector:
    return [
        min(max(value + change, low), high)
        for value, change, (low, high) in zip(point, step, limits, strict=True)
    ]
