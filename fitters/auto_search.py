"""Find the minima of a problem with bumps's fitters: from its start, from many others, by hops.

Imported by `fitters.auto.run_auto` alone, because it needs numpy and bumps.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import numpy as np

from .auto_linear import Reduction, reduce_problem
from .auto_meter import Array, Meter
from .auto_starts import choose, distance, draw_points, mix
from .auto_steps import Space, run_amoeba, run_de, run_lm

DRAWS = 10
"""Points looked at for each one that a fit is started from."""

AGREE = 3
"""The search ends when the best minimum was met from so many starts ..."""

FEWEST = 8
"""... and so many were tried."""

HOPS = 0.5
"""Hops without a gain that end the hopping, as a part of ``starts``."""

SAME = 1e-4

Stages = Callable[[str, str, int], AbstractContextManager[None]]


@dataclass
class Candidates:
    """Ends of local fits."""

    points: list[Array] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    floor: float = 0.0
    """Costs this close are the same, however small they are."""

    def add(self, x: Array, cost: float) -> None:
        """Remember where a fit ended."""
        if np.isfinite(cost):
            self.points.append(x)
            self.costs.append(cost)

    @property
    def best(self) -> float:
        """The lowest cost."""
        return min(self.costs, default=float("inf"))

    @property
    def hits(self) -> int:
        """How many fits ended at the lowest cost."""
        return sum(self._same(cost, self.best) for cost in self.costs)

    @property
    def is_sure(self) -> bool:
        """Whether enough fits ended at the lowest cost."""
        return len(self.costs) >= FEWEST and self.hits >= AGREE

    def best_point(self) -> Array | None:
        """Give the lowest end."""
        return self.points[int(np.argmin(self.costs))] if self.costs else None

    def groups(self, start: Array) -> list[list[Array]]:
        """Gather ends of equal cost, the best first, and in each the nearest to the start first."""
        found: list[tuple[float, list[Array]]] = []
        for i in np.argsort(self.costs, kind="stable"):
            if found and self._same(self.costs[i], found[-1][0]):
                found[-1][1].append(self.points[i])
            else:
                found.append((self.costs[i], [self.points[i]]))
        return [sorted(points, key=lambda x: distance(x, start)) for _, points in found]

    def _same(self, cost: float, other: float) -> bool:
        return cost <= other + SAME * abs(other) + self.floor


class Search:
    """The searching half of a run."""

    def __init__(self, meter: Meter, starts: int, steps: int, seed: int, stage: Stages) -> None:
        self.meter, self.starts, self.steps, self.stage = meter, starts, steps, stage
        self.random = np.random.default_rng(seed)
        self.found = Candidates()

    def whole_space(self) -> Space:
        """All parameters as they are."""
        meter = self.meter
        return Space(
            meter=meter,
            low=meter.low,
            high=meter.high,
            residuals=meter.residuals if meter.guided else None,
            cost=meter.cost,
        )

    def run(self) -> None:
        """Search."""
        if self.meter.guided:
            self._run_squares()
        if not self.meter.squares:
            self._run_likelihood()

    def _run_squares(self) -> None:
        """Fit the residuals; where they are not the likelihood, they are a guide to it."""
        meter = self.meter
        with self.stage("lm", "search", 1):
            self._keep(run_lm(self.whole_space(), meter.start, self.steps))
        with self.stage("linear parameters", "search", 2):
            reduction = reduce_problem(meter, meter.start)
            fit = _Squares(self, reduction)
            fit.run(reduction.part(meter.start))
        if not reduction.nonlinear or not self.starts:
            return
        with self.stage("starts", "search", 3):
            self._from_points(fit.space, reduction.part(meter.start), fit.run)
        if not self.found.is_sure and meter.squares:
            with self.stage("hops", "search", self.starts + 3):
                self._hop(fit)
            if np.isfinite(fit.space.high - fit.space.low).all():
                with self.stage("de", "search", self.starts + 4):
                    fit.run(run_de(fit.space, fit.best(), 5 * self.steps))

    def _run_likelihood(self) -> None:
        meter, space = self.meter, self.whole_space()
        self.found.floor = 1e-3
        with self.stage("amoeba", "search", 1):
            self._simplex(meter.start)
            for group in self.found.groups(meter.start)[:3]:
                self._simplex(group[0])
        if not self.starts:
            return
        if np.isfinite(meter.high - meter.low).all():
            with self.stage("de", "search", 2):
                self._simplex(run_de(space, meter.start, self.steps))
        with self.stage("starts", "search", 3):
            self._from_points(space, meter.start, self._simplex)

    def _simplex(self, point: Array) -> None:
        """Run the simplex until another one from where it ended brings little."""
        space, steps = self.whole_space(), self.steps * (self.meter.size + 1)
        cost = float("inf")
        for radius in (0.15, 0.05, 0.05, 0.05):
            before = cost
            point = run_amoeba(space, point, steps, radius)
            cost = self.meter.cost(point)
            if before - cost < self.found.floor / 10:
                break
        self._keep(point)

    def _from_points(self, space: Space, start: Array, fit: Callable[[Array], None]) -> None:
        points = draw_points(space, start, DRAWS * self.starts, self.random)
        costs = [space.cost(point) for point in points]
        for k, point in enumerate(choose(points, costs, self.starts)):
            self.meter.enter("search", 3 + k, self.starts + 6)
            fit(point)
            if self.found.is_sure:
                break

    def _hop(self, fit: _Squares) -> None:
        """Change some parameters of the best point at random, and fit the best of such changes."""
        idle = 0
        while idle < HOPS * self.starts and not self.found.is_sure:
            best, before = fit.best(), self.found.best
            drawn = draw_points(fit.space, best, DRAWS, self.random)
            trials = [mix(best, point, self.random) for point in drawn]
            fit.run(min(trials, key=fit.space.cost))
            idle = 0 if self.found.best < before * (1 - SAME) - self.found.floor else idle + 1

    def _keep(self, x: Array) -> None:
        self.found.add(x, self.meter.cost(x))


class _Squares:
    """A local fit over the nonlinear parameters."""

    def __init__(self, search: Search, reduction: Reduction) -> None:
        self.search, self.reduction = search, reduction
        self.space = Space(
            meter=search.meter,
            low=reduction.low,
            high=reduction.high,
            residuals=reduction.residuals,
            cost=reduction.cost,
        )

    def run(self, point: Array) -> None:
        """Fit from a point, and keep where it ended."""
        meter = self.search.meter
        if len(point):
            point = run_lm(self.space, point, self.search.steps)
        whole = self.reduction.whole(point)
        if whole is not None:
            x = np.clip(whole, meter.low, meter.high)
            self.search.found.add(x, meter.cost(x))

    def best(self) -> Array:
        """Give the nonlinear part of the best end so far."""
        found = self.search.found.best_point()
        return self.reduction.part(self.search.meter.start if found is None else found)
