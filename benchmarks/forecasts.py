"""Hold forecasts against real fits: ``python -m benchmarks.forecasts``.

Two models, each checked once, then ten fits of each with five methods: what an evaluation takes is
all that is known of a model before. The fits wait while they evaluate, so that a busy computer
hardly changes what they take.
"""

from __future__ import annotations

from tests.jobs.making_pages import Fits
from tests.jobs.test_forecast import FITS, preview, sleeping
from tests.live import live_gateway

EVALUATIONS_S = (0.0005, 0.003)


def main() -> None:
    """Print each forecast with what the job took, and the median error."""
    with live_gateway() as live:
        fits = Fits(live.user())
        problems = [fits.problem(sleeping(each)) for each in EVALUATIONS_S]
        for problem in problems:
            fits.fitted(problem, mode="check", options={"fit": "lm"})
        jobs = [fits.fit(problem, options=options) for problem in problems for options in FITS]
        with live.services() as services:
            for job in jobs:
                fits.api.wait(job, within_s=300)
                attempt = services.job_store.get(job).attempt
                times = attempt.started, attempt.ended
                took = times[1] - times[0] if times[0] and times[1] else None
                said = attempt.forecast.text if attempt.forecast else "no forecast"
                print(f"{attempt.method:8} {said:60} took {took}")  # noqa: T201 - what it is for
        print(preview(fits, problems[0], FITS[0])["accuracy"])  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()
