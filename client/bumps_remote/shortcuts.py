"""The verbs in one line, at the server of the last login."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bumps_remote.connection import Connection
from bumps_remote.job import Job


def submit(model: str | Path, **wanted: Any) -> Job:
    """Submit to the server of the last login: see `Connection.submit`."""
    return Connection().submit(model, **wanted)


def map(  # noqa: A001 - as Connection.map, and as executors have it
    model: str | Path, files: Sequence[str | Path], **wanted: Any
) -> Job:
    """Fit one model to many files, at the server of the last login: see `Connection.map`."""
    return Connection().map(model, files, **wanted)
