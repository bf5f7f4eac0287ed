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

ROUNDS = ((10, 1), (100, 2), (200, 3))
"""Draws and fits of each round of starts, as multiples of ``starts``; a round is skipped when those
before it agree."""

TRIALS = 10
"""Changes looked at for each hop."""

AGREE = 4
"""The search ends when the best minimum was met from so many starts ..."""

FEWEST = 16
"""... and so many were tried ..."""

POOR = 4.0
"""... or, with a reduced chi-square above this, as many as a whole round: the data, if their
uncertainties are right, say themselves that a better fit must exist."""


UNSEEN = 0.25
"""... and the minima not met yet are estimated to draw less than this part of the starts (Boender
and Rinnooy Kan 1987, from the number of different minima among the fits)."""

HOPS = 1.0
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

    poor: float = float("inf")
    """A cost that tells of a poor fit."""

    round: int = 0
    """Fits in a whole round of starts."""

    alone: list[float] = field(default_factory=list)
    """Costs of the fits that did not start from where another one ended."""

    def add(self, x: Array, cost: float, *, alone: bool = True) -> None:
        """Remember where a fit ended."""
        if np.isfinite(cost):
            self.points.append(x)
            self.costs.append(cost)
            self.alone += [cost] if alone else []

    @property
    def best(self) -> float:
        """The lowest cost."""
        return min(self.costs, default=float("inf"))

    @property
    def hits(self) -> int:
        """How many fits ended at the lowest cost, each from a start of its own."""
        return sum(self._same(cost, self.best) for cost in self.alone)

    @property
    def is_sure(self) -> bool:
        """Whether enough fits ended at the lowest cost."""
        tried = len(self.alone)
        fewest = FEWEST if self.best < self.poor else self.round
        if tried < fewest or self.hits < AGREE:
            return False
        costs = sorted(self.alone)
        pairs = zip(costs[1:], costs, strict=False)
        different = 1 + sum(not self._same(cost, lower) for cost, lower in pairs)
        return different * (different + 1) <= UNSEEN * tried * (tried - 1)

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
        self.found = Candidates(round=starts)

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
        if meter.squares:
            self.found.poor = meter.offset + 0.5 * POOR * max(meter.points - meter.size, 1)
        with self.stage("lm", "search", 1):
            self._keep(run_lm(self.whole_space(), meter.start, self.steps))
        with self.stage("linear parameters", "search", 2):
            reduction = reduce_problem(meter, meter.start)
            fit = _Squares(self, reduction)
            fit.run(reduction.part(meter.start))
        if not reduction.nonlinear or not self.starts:
            return
        for draws, fits in ROUNDS if meter.squares else ROUNDS[:1]:
            with self.stage("starts", "search", 3):
                self._from_points(fit.space, reduction.part(meter.start), draws, fits, fit.run)
            if self.found.is_sure:
                break
            with self.stage("hops", "search", self.starts + 3):
                self._hop(fit)

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
            self._from_points(space, meter.start, *ROUNDS[0], self._simplex)

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

    def _from_points(
        self, space: Space, start: Array, draws: int, fits: int, fit: Callable[[Array], None]
    ) -> None:
        """Draw many points, and fit from the promising ones until they agree."""
        count, near = draws * self.starts, fits == 1
        points = draw_points(space, start, count, self.random, near=near)
        costs = [space.cost(point) for point in points]
        chosen = choose(points, costs, fits * self.starts, best=1 - 0.5 / fits)
        for done, point in enumerate(chosen, start=3):
            self.meter.enter("search", done, len(chosen) + 6)
            fit(point)
            if self.found.is_sure:
                return

    def _hop(self, fit: _Squares) -> None:
        """Change some parameters of the best point, and fit the best of such changes.

        The new values are another minimum's (which may have right what the best one has wrong), or
        random ones, in turn.
        """
        idle, turn = 0, 0
        while idle < HOPS * self.starts:
            turn += 1
            best, before = fit.best(), self.found.best
            others = draw_points(fit.space, best, TRIALS, self.random, near=True)
            if turn % 2:
                ends = [
                    fit.reduction.part(group[0]) for group in self.found.groups(self.meter.start)
                ]
                others = [ends[self.random.integers(len(ends))] for _ in others]
            trials = [mix(best, point, self.random) for point in others]
            fit.run(min(trials, key=fit.space.cost), alone=False)
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

    def run(self, point: Array, *, alone: bool = True) -> None:
        """Fit from a point, and keep where it ended."""
        meter = self.search.meter
        if len(point):
            point = run_lm(self.space, point, self.search.steps)
        whole = self.reduction.whole(point)
        if whole is not None:
            x = np.clip(whole, meter.low, meter.high)
            self.search.found.add(x, meter.cost(x), alone=alone)

    def best(self) -> Array:
        """Give the nonlinear part of the best end so far."""
        found = self.search.found.best_point()
        return self.reduction.part(self.search.meter.start if found is None else found)
