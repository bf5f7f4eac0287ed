"""Forecasts for requests, from what earlier jobs told."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass

from gateway.jobs.asked_once import asked_once
from gateway.jobs.earliest import Earliest, Starts
from gateway.jobs.forecast import Forecast, Planned, forecast, warnings
from gateway.jobs.forecast_store import ForecastStore
from gateway.jobs.part import busiest
from gateway.jobs.plan import with_defaults
from gateway.jobs.prepare import Prepared
from gateway.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What can be said of a request before it is queued."""

    forecast: Forecast | None = None
    warnings: tuple[str, ...] = ()
    accuracy: tuple[int, float] | None = None
    """Of how many jobs, and by which factor their forecasts were off in the median."""

    earliest: Earliest | None = None
    """When it could start; None where only its own host decides that."""


class Forecaster:
    """Says how long jobs are likely to run."""

    def __init__(self, store: ForecastStore, settings: Settings, starts: Starts) -> None:
        self._store = store
        self._starts = starts
        self._settings = settings

    def of_one_request(self) -> Forecaster:
        """Give the same for many jobs of one request: what is known is read once."""
        own = copy(self)
        own._store = asked_once(self._store)
        return own

    def forecast(self, prepared: Prepared, made: int = 0, ran_s: float = 0.0) -> Forecast | None:
        """Say how long a job, or a task of it, will run; None where nobody can say.

        Parameters
        ----------
        made
            How many evaluations those attempts made that this one goes on from.
        ran_s
            How long a task of them ran. Of an array nobody counted its evaluations: as much of
            them is done as of the time that they would have taken.
        """
        wanted = prepared.wanted
        if wanted.mode != "fit":
            return None
        known, besides_s = self._store.known_and_besides(
            wanted.owner, prepared.problem.digest, prepared.cluster
        )
        if known is None:
            return None
        found = forecast(_planned(prepared, made), known, besides_s)
        if found is None or wanted.resume is None or not wanted.elements:
            return found
        made = round(found.evaluations * min(1.0, ran_s / found.seconds))
        return forecast(_planned(prepared, made), known, besides_s)

    def outlook(self, prepared: Prepared) -> Outlook:
        """Say all that can be said of a request."""
        found, earliest = self.forecast(prepared), self._starts.of(prepared)
        if found is None:
            return Outlook(earliest=earliest)
        cluster = self._settings.clusters[prepared.cluster]
        limit = with_defaults(prepared.wanted.resources, cluster).time
        limit_s = limit.total_seconds() if limit else None
        return Outlook(
            forecast=found,
            warnings=tuple(warnings(found, _planned(prepared), limit_s)),
            accuracy=self._store.accuracy(),
            earliest=earliest,
        )


def _planned(prepared: Prepared, made: int = 0) -> Planned:
    wanted = prepared.wanted
    return Planned(
        method=str(wanted.options.get("fit", "")),
        options=wanted.options,
        cpus=wanted.resources.cpus,
        elements=len(wanted.elements),
        pack=busiest(wanted.done, wanted.indices, len(wanted.elements), wanted.pack)
        if wanted.done or wanted.indices
        else wanted.pack,
        made=made,
    )
