"""The row of steps of the ``auto`` method.

Imported by `fitters.auto.run_auto` alone, because it needs numpy and bumps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from .auto import AutoResult, Stage
from .auto_meter import Array, Meter, StopWorkError, recognise_squares
from .auto_polish import Minimum, Spread, measure_spread, polish_likelihood, polish_squares
from .auto_search import Search
from .auto_starts import distance, draw_points
from .auto_steps import run_amoeba, run_lm
from .auto_verdict import Findings, judge

POLISHED = 4
IMAGES = 2
APART = 1e-2
EQUAL = 1e-7
"""Costs that differ by less than this part are equally good."""


class Pipeline:
    """One run of ``auto`` on one problem."""

    def __init__(
        self,
        problem: Any,
        settings: Mapping[str, float],
        progress: Callable[..., None],
        stopping: Callable[[], bool],
        seed: int,
    ) -> None:
        self.problem = problem
        self.meter = Meter(problem, progress, stopping, settings["time"] * 3600)
        self.starts, self.steps = int(settings["starts"]), int(settings["steps"])
        self.xtol = settings["xtol"]
        self.seed = seed
        self.search = Search(self.meter, self.starts, self.steps, seed, self._stage)
        self.stages: list[Stage] = []
        self.minima: list[Minimum] = []

    def run(self) -> AutoResult:
        """Do all steps, or as many as there is time for."""
        spread: Spread | None = None
        np.random.seed(self.seed % 2**32)  # bumps's own fitters draw from numpy's global state
        with np.errstate(all="ignore"):
            try:
                self._search()
                self._polish()
                spread = self._measure()
            except StopWorkError:
                pass
            return self._result(spread)

    @contextmanager
    def _stage(self, name: str, phase: str, step: int) -> Iterator[None]:
        meter = self.meter
        before, count, began = meter.best, meter.evaluations, time.monotonic()
        meter.enter(phase, step, self.starts + 6)
        meter.report()
        try:
            yield
        finally:
            self.stages.append(
                Stage(
                    name=name,
                    evaluations=meter.evaluations - count,
                    nllf_before=before,
                    nllf_after=meter.best,
                    seconds=time.monotonic() - began,
                )
            )

    def _search(self) -> None:
        meter = self.meter
        with self._stage("start", "search", 0):
            reference = meter.nllf(meter.start)
            points = [np.clip(meter.start * f, meter.low, meter.high) for f in (1.0, 1.001, 0.97)]
            recognise_squares(meter, points)
            if not np.isfinite(reference):
                self._find_start()
                reference = meter.best
        if np.isfinite(reference):
            self.search.found.floor = 1e-24 * abs(reference)
            self.search.run()

    def _find_start(self) -> None:
        """Look for a point where the model has a value, when it has none at the start."""
        search = self.search
        points = draw_points(search.whole_space(), self.meter.start, 200, search.random, near=True)
        recognise_squares(self.meter, points)
        self.meter.start = self.meter.best_x.copy()

    def _polish(self) -> None:
        meter = self.meter
        with self._stage("polish", "polish", self.starts + 4):
            groups = self.search.found.groups(meter.start)
            for point in [group[0] for group in groups[:POLISHED]] + _images(groups[:1]):
                self._polish_from(point)
            if self._is_missed():
                self._polish_from(meter.best_x)

    def _polish_from(self, point: Array) -> None:
        minimum = self._polish_one(point)
        if minimum is not None:
            self.minima.append(minimum)

    def _is_missed(self) -> bool:
        """Say whether a better point was met than any that was polished."""
        chosen = self._chosen()
        if chosen is None:
            return bool(np.isfinite(self.meter.best))
        room = EQUAL * abs(chosen.nllf) + self.search.found.floor
        return self.meter.best < chosen.nllf - room

    def _polish_one(self, point: Array) -> Minimum | None:
        meter, space = self.meter, self.search.whole_space()
        if meter.squares:
            return polish_squares(meter, run_lm(space, point, self.steps, careful=True), self.xtol)
        for radius in (0.02, 0.005):
            point = run_amoeba(space, point, self.steps * (meter.size + 1), radius)
        return polish_likelihood(meter, point)

    def _chosen(self) -> Minimum | None:
        """Take the lowest minimum; of equally good ones the one nearest to the start."""
        if not self.minima:
            return None
        lowest = min(self.minima, key=lambda minimum: minimum.nllf)
        limit = lowest.nllf + EQUAL * abs(lowest.nllf) + self.search.found.floor
        apart = APART * self.meter.size
        # A worse polished neighbour of the lowest is no other minimum, however near to the start.
        images = [m for m in self.minima if distance(m.x, lowest.x) > apart and m.nllf <= limit]
        return min([lowest, *images], key=lambda minimum: distance(minimum.x, self.meter.start))

    def _measure(self) -> Spread | None:
        with self._stage("covariance", "covariance", self.starts + 5):
            chosen = self._chosen()
            return None if chosen is None else measure_spread(chosen)

    def _result(self, spread: Spread | None) -> AutoResult:
        meter = self.meter
        chosen = None if self._is_missed() else self._chosen()
        if chosen is None:
            spread = None
        x, nllf = (meter.best_x, meter.best) if chosen is None else (chosen.x, chosen.nllf)
        self.problem.setp(x)
        verdict = judge(
            Findings(
                meter=meter,
                minimum=chosen,
                spread=spread,
                others=[m for m in self.minima if m is not chosen],
                agreement=self.search.found.hits,
                tried=len(self.search.found.alone),
                floor=self.search.found.floor,
            )
        )
        return AutoResult(
            x=[float(value) for value in x],
            nllf=float(nllf),
            dx=None if spread is None else spread.dx,
            covariance=None if spread is None else spread.covariance,
            converged=verdict.converged,
            code=verdict.code,
            text=verdict.text,
            evaluations=meter.evaluations,
            stages=tuple(self.stages),
        )


def _images(groups: list[list[Array]]) -> list[Array]:
    """Give the next points of equal cost that are not the nearest one again."""
    found: list[Array] = []
    for point in [point for group in groups for point in group]:
        known = [groups[0][0], *found]
        if all(distance(point, other) > APART * len(point) for other in known):
            found.append(point)
    return found[:IMAGES]
