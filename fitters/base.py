"""What a kind of job declares, and what it gets to work with.

A kind says its options, its shape and its defaults as data: from that one declaration come the
form, the validation, the OpenAPI entry, the command line and the script. It imports its own
library inside `fit`, so that the gateway can read the declaration without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

Document = dict[str, Any]
"""A JSON object."""


class FitError(Exception):
    """A job cannot be done as it is; the message is for its user.

    Parameters
    ----------
    code
        The verdict code of the failed result (docs/contracts.rst).
    error
        The user's own error: its type, message, file, line and traceback.
    """

    def __init__(
        self, message: str, *, code: str = "fit_error", error: Document | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.error = error


@dataclass(frozen=True, kw_only=True)
class Option:
    """One setting of a kind or of a fit method."""

    name: str
    type: Literal["int", "float", "bool", "enum", "str"]
    default: int | float | bool | str
    label: str
    help: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    """The value must be greater than this (an exclusive minimum)."""

    choices: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What the driver hands to a kind: ``job.json`` and where its files lie."""

    document: Document
    directory: Path
    task: int
    out: Path
    """Where result files go; made already."""

    data: Path
    """Where the files of the problem lie; an element may have a folder of its own."""

    resume: Path
    """Where an earlier attempt's files lie, if ``run.resume``."""

    started: float
    """When the driver began (Unix time): the wall time counts from here."""

    ended_before: bool
    """The task ran through once already: it is run again by hand, and does everything anew."""

    stopping: Callable[[], bool]
    """True once somebody asked for a graceful stop."""

    team: Any = None
    """The other ranks (`fitters.ranks.Team`); None without MPI."""


class Report(Protocol):
    """Write one event line; ``t`` and ``element`` are added."""

    def __call__(self, event: str, **members: object) -> None:
        """Write ``{"event": event, **members}``."""


class Fitter(Protocol):
    """A kind of job."""

    @property
    def name(self) -> str:
        """The word for it in ``job.json`` and the API."""

    @property
    def title(self) -> str:
        """The word for it on a page."""

    @property
    def options(self) -> tuple[Option, ...]:
        """Its settings; those of a fit method are in `fitters.bumps_options`."""

    @property
    def shape(self) -> Literal["single", "array", "array-reduce"]:
        """Whether it can be split over array tasks; elements of any other are refused."""

    @property
    def resources(self) -> Mapping[str, str | int]:
        """What its jobs get where they say nothing, by Slurm's names; goes before the site's."""

    @property
    def output_type(self) -> str:
        """The type of dataset that comes out."""

    def fit(self, job: Job, report: Report) -> Document:
        """Do it, and return the result document (docs/contracts.rst); raise `FitError` to fail."""
