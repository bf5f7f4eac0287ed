"""Where a job runs: on a cluster, as one account there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from gateway.jobs.models import Job
from scheduler.base import Launch, Scheduler, SchedulerUnavailableError


@dataclass(frozen=True, kw_only=True)
class Place:
    """One account on one cluster: what is asked together, and at a pace of its own."""

    cluster: str
    owner: str = ""
    """Whose account it is; empty for the one that all share."""

    login: str = ""
    """Its name over there, as it was when the directories were planned: nobody else has them."""


class Schedulers(Protocol):
    """The way to all places."""

    def get(self, place: Place) -> Scheduler:
        """Give the scheduler of a place.

        Raises
        ------
        SchedulerUnavailableError
            If there is no way there now: not configured, no account, another account by now.
        """


class FixedSchedulers:
    """Schedulers that are there from the start, each shared by all of its cluster."""

    def __init__(self, schedulers: Mapping[str, Scheduler]) -> None:
        self._schedulers = schedulers

    def get(self, place: Place) -> Scheduler:
        """Give the scheduler of a cluster."""
        try:
            return self._schedulers[place.cluster]
        except KeyError:
            raise not_configured(place) from None


def not_configured(place: Place) -> SchedulerUnavailableError:
    """Say that a site has dropped a cluster which still has jobs."""
    return SchedulerUnavailableError(f"the cluster {place.cluster!r} is no longer configured")


def place_of(job: Job) -> Place:
    """Say where the current attempt of a job runs."""
    return make_place(job.cluster, job.owner, job.attempt.login)


def make_place(cluster: str, owner: str, login: str) -> Place:
    """Say where jobs of an owner run that were planned for a login, empty where all share one.

    >>> make_place("hpc", "ada", "")
    Place(cluster='hpc', owner='', login='')
    """
    return Place(cluster=cluster, owner=owner if login else "", login=login)


def launch_of(job: Job) -> Launch:
    """Say what is submitted of a job: its attempt's directory, and the try."""
    return Launch(
        directory=PurePosixPath(job.attempt.directory),
        marker=job.marker,
        try_number=job.attempt.try_number,
    )
