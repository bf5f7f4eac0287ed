"""Hold forecasts against real fits.

Two models, each checked once, then ten fits of each with five methods: what an evaluation takes is
all that is known of a model before. The fits wait while they evaluate, so that a busy computer
hardly changes what they take.
"""

from __future__ import annotations

from benchmarks.measure import Row
from gateway.jobs.forecast import off_by
from gateway.jobs.models import Attempt
from tests.jobs.making_pages import Fits
from tests.jobs.test_forecast import FITS, sleeping
from tests.live import LiveGateway

_EVALUATIONS_S = (0.0005, 0.003)
_FIT_S = 300.0


def measure_forecasts(live: LiveGateway) -> list[Row]:
    """Fit each model by each method once, and say how far off the forecasts were."""
    fits = Fits(live.user())
    problems = [fits.problem(sleeping(each)) for each in _EVALUATIONS_S]
    for problem in problems:
        fits.fitted(problem, mode="check", options={"fit": "lm"})
    jobs = [fits.fit(problem, options=options) for problem in problems for options in FITS]
    for job in jobs:
        fits.api.wait(job, within_s=_FIT_S)
    with live.services() as services:
        attempts = [services.job_store.get(job).attempt for job in jobs]
    pairs = [_pair(attempt) for attempt in attempts]
    median = off_by(pairs)
    if median is None:
        raise RuntimeError("no forecast could be held against its fit")
    factors = [max(said / took, took / said) for said, took in pairs]
    worst = max(range(len(pairs)), key=factors.__getitem__)
    said, took = pairs[worst]
    note = (
        f"{len(pairs)} fits; the worst by {factors[worst]:.1f}: {attempts[worst].method}, "
        f"{said:.1f} s said and {took:.1f} s taken"
    )
    return [Row(name="forecasts of fits, off by (median)", value=median, unit="x", goal=2,
                note=note)]  # fmt: skip


def _pair(attempt: Attempt) -> tuple[float, float]:
    if attempt.forecast is None or attempt.started is None or attempt.ended is None:
        raise RuntimeError(f"a fit without a forecast or times: {attempt}")
    return attempt.forecast.seconds, (attempt.ended - attempt.started).total_seconds()
