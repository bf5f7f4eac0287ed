"""The verbs in one line, at the server of the last login."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bumps_remote.connection import Connection, Model
from bumps_remote.job import Job


def submit(model: Model, **wanted: Any) -> Job:
    """Submit to the server of the last login: see `Connection.submit`."""
    return Connection().submit(model, **wanted)


def fit(problem: Model, method: str = "amoeba", **wanted: Any) -> Any:
    """Fit at the server of the last login, and wait: see `like_bumps.fit`."""
    return Connection().fit(problem, method, **wanted)


def map(  # noqa: A001 - as Connection.map, and as executors have it
    model: Model, files: Sequence[str | Path], **wanted: Any
) -> Job:
    """Fit one model to many files, at the server of the last login: see `Connection.map`."""
    return Connection().map(model, files, **wanted)
