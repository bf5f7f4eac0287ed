"""Run bumps's own fitters as steps of the ``auto`` method, over coordinates of our choice.

Imported by `fitters.auto.run_auto` alone, because it needs numpy and bumps.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from bumps.fitters import DEFit, FitDriver, MPFit, SimplexFit
from bumps.mpfit import mpfit

from .auto_meter import Array, Meter

BAD_FACTOR = 1e3


class StepBudgetError(Exception):
    """A step used up its evaluations."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """Coordinates to search in: the nonlinear parameters, or all of them."""

    meter: Meter
    low: Array
    high: Array
    residuals: Callable[[Array], Array | None] | None
    cost: Callable[[Array], float]


class Face:
    """What bumps's fitters need of a FitProblem, over a space scaled to the start.

    It remembers the best point itself, so that a fitter may fail or be ended at any moment.
    """

    def __init__(self, space: Space, start: Array, budget: int) -> None:
        self.space = space
        self.scale = np.where(start == 0, _width(space), np.abs(start))
        self.best_z = start / self.scale
        self.best = float("inf")
        self.left = budget
        self._z = self.best_z.copy()
        self._bad: Array | None = None

    name = "auto"
    has_residuals = True

    def getp(self) -> Array:
        """Give the present point."""
        return self._z.copy()

    def setp(self, z: Array) -> None:
        """Move."""
        self._z = np.array(z, float)

    def bounds(self) -> Array:
        """Give the bounds in scaled coordinates."""
        return np.array([self.space.low / self.scale, self.space.high / self.scale])

    def randomize(self, n: int) -> Array:
        """Draw a population over the bounds, the present point among it."""
        low, high = self.bounds()
        drawn: Array = low + np.random.random((n, len(low))) * (high - low)
        drawn[0] = self._z
        return drawn

    def labels(self) -> list[str]:
        """Name the coordinates."""
        return [f"z{j}" for j in range(len(self._z))]

    def constraints_nllf(self) -> tuple[float, list[str]]:
        """Say that no constraint is broken: where one is, the model has no value."""
        return 0.0, []

    def parameter_residuals(self) -> list[float]:
        """Say that there are no priors: they are among the residuals."""
        return []

    def residuals(self) -> Array:
        """Evaluate the residuals; far too large ones where the model has no value."""
        if self.space.residuals is None:
            raise TypeError("this problem has no residuals: only its cost can be fitted")
        self._spend()
        found = self.space.residuals(self.point(self._z))
        if found is None:
            if self._bad is None:
                raise StepBudgetError("the model has no value at the start")
            return self._bad
        value = 0.5 * float(found @ found)
        if self._bad is None:
            self._bad = BAD_FACTOR * (np.abs(found) + np.sqrt(2 * value / len(found)) + 1e-300)
        self._note(self._z, value)
        return found

    def nllf(self, z: Array | None = None) -> float:
        """Evaluate the cost."""
        if z is not None:
            self.setp(z)
        self._spend()
        value = self.space.cost(self.point(self._z))
        self._note(self._z, value)
        return value

    def point(self, z: Array) -> Array:
        """Turn scaled coordinates into a point inside the bounds."""
        return np.clip(z * self.scale, self.space.low, self.space.high)

    def _spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise StepBudgetError("the step has used its evaluations")

    def _note(self, z: Array, value: float) -> None:
        if value < self.best:
            self.best, self.best_z = value, z.copy()


class CarefulLM(MPFit):  # type: ignore[misc]
    """bumps's Levenberg-Marquardt engine with two-sided derivatives of a smaller step.

    `bumps.fitters.MPFit` takes one-sided derivatives over 0.03 % of a value: good for a search,
    too coarse for the last digits and for badly conditioned problems.
    """

    name = "Levenberg-Marquardt with two-sided derivatives"
    id = "auto.lm"

    def solve(self, monitors: Any = None, mapper: Any = None, **options: Any) -> tuple[Any, Any]:  # noqa: ARG002
        """Fit from the present point."""
        low, high = self.problem.bounds()
        parameters = [
            {
                "limited": (bool(np.isfinite(a)), bool(np.isfinite(b))),
                "limits": (a, b),
                "relstep": 1e-5,
                "mpside": 2,
            }
            for a, b in zip(low, high, strict=True)
        ]

        def update(_fcn: Any, p: Any, k: int, fnorm: float, **_: object) -> int | None:
            monitors(step=k, point=p, value=fnorm / 2)
            return -1 if monitors.stopping() else None

        found = mpfit(
            fcn=self._residuals,
            xall=self.problem.getp(),
            parinfo=parameters,
            fastnorm=True,
            double=1,
            ftol=options["ftol"],
            xtol=options["xtol"],
            gtol=1e-15,
            maxiter=options["steps"],
            iterfunct=update,
            nprint=1,
            quiet=True,
            nocovar=True,
        )
        return found.params, 0.0


def run_fitter(fitter: type, space: Space, start: Array, budget: int, **options: Any) -> Array:
    """Run one bumps fitter through its FitDriver and give the best point that it met."""
    face = Face(space, start, budget)
    driver = FitDriver(fitter, face, monitors=[], **options)
    # mpfit divides by zero on exact data, and finds no way out of a singular Jacobian.
    with suppress(StepBudgetError, ArithmeticError, ValueError, np.linalg.LinAlgError):
        driver.fit()
    return face.point(face.best_z)


def run_lm(space: Space, start: Array, steps: int, *, careful: bool = False) -> Array:
    """Run bumps's Levenberg-Marquardt."""
    budget = (steps + 10) * ((2 if careful else 1) * (len(start) + 1) + 2)
    fitter = CarefulLM if careful else MPFit
    tolerance = 1e-15 if careful else 1e-10
    settings = {"steps": steps, "ftol": tolerance, "xtol": tolerance}
    padded = run_fitter(fitter, _pad(space), np.append(start, 0.0), budget, **settings)
    return padded[:-1]


def _pad(space: Space) -> Space:
    """Add a coordinate that only wants to be zero.

    In bumps 1.0.5 `mpfit.lmpar` leaves out the division of the Gauss-Newton step (``if nsing > 1``
    for ``>= 1``) when one column of the Jacobian is left, in one dimension or with all others at
    their bounds: the fit then creeps and ends anywhere. With the pad there are always two.
    """
    inner = space.residuals
    if inner is None:
        raise TypeError("this problem has no residuals: Levenberg-Marquardt cannot fit it")
    last: list[tuple[Array, Array | None]] = []

    def residuals(padded: Array) -> Array | None:
        part = padded[:-1]
        if not last or not np.array_equal(last[0][0], part):
            last[:] = [(part.copy(), inner(part))]
        found = last[0][1]
        return None if found is None else np.append(found, padded[-1])

    return replace(
        space,
        low=np.append(space.low, -np.inf),
        high=np.append(space.high, np.inf),
        residuals=residuals,
    )


def run_amoeba(space: Space, start: Array, steps: int, radius: float) -> Array:
    """Run bumps's simplex."""
    budget = steps * (len(start) + 2)
    settings = {"steps": steps, "radius": radius, "xtol": 1e-10, "ftol": 1e-12}
    return run_fitter(SimplexFit, space, start, budget, **settings)


def run_de(space: Space, start: Array, steps: int) -> Array:
    """Run bumps's differential evolution; all bounds must be finite."""
    population = max(10.0, 20.0 / len(start))
    budget = int(population * len(start) * (steps + 1)) + 1
    return run_fitter(DEFit, space, start, budget, steps=steps, pop=population, xtol=1e-7)


def _width(space: Space) -> Array:
    """Guess the size of a parameter that starts at zero: its range, else one."""
    width = space.high - space.low
    return np.where(np.isfinite(width), width, 1.0)
