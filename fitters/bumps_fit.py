"""The kind ``fit``: a bumps problem, fitted, checked, evaluated or simulated.

Only the declaration stands here, on the standard library alone, so that the gateway can read it;
what needs bumps is imported when the work begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from .base import Document, Job, Option, Report


class BumpsFit:
    """Fits a FitProblem with a method of bumps."""

    name = "fit"
    title = "Fit with bumps"
    shape: Literal["single", "array", "array-reduce"] = "array"
    output_type = "fit-result"
    resources: Mapping[str, str | int] = {}
    """A fit of seconds is as usual as one of days: the site decides."""

    options: tuple[Option, ...] = ()
    """Those of a fit method are in `fitters.bumps_options`."""

    def fit(self, job: Job, report: Report) -> Document:
        """Do what ``run.mode`` says."""
        from .bumps_job import BumpsJob

        return BumpsJob(job, report).run()

    def prepare(self) -> None:
        """Import what every element needs, once for all of them."""
        from . import bumps_job, bumps_session

        bumps_job.warm_up()
        bumps_session.warm_up()
