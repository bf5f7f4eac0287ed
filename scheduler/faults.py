"""Points at which a test may kill local execution, to show that nothing is lost or run twice.

``GATEWAY_CRASH_AT=name`` ends the process there as ``kill -9`` would. The executor and the
shepherds start again and come to the same point with the same job, so there a point kills once for
a job: a mark in the state directory says that it did.
"""

from __future__ import annotations

import os
from pathlib import Path

SUBMIT_POINTS = (
    "local-submit-locked",
    "local-submit-numbered",
    "local-submit-marked",
    "local-submit-entered",
    "local-submit-claimed",
    "local-submit-named",
)
EXECUTOR_POINTS = (
    "local-executor-started",
    "local-executor-before-fork",
    "local-executor-after-fork",
    "local-executor-before-state",
    "local-executor-after-state",
    "local-executor-after-removal",
)
SHEPHERD_POINTS = (
    "local-shepherd-before-marker",
    "local-shepherd-after-marker",
    "local-shepherd-after-start",
    "local-shepherd-before-end",
    "local-shepherd-after-end",
)
CRASH_POINTS = SUBMIT_POINTS + EXECUTOR_POINTS + SHEPHERD_POINTS
"""Every point, in the order in which a job passes them."""

_CRASH_STATUS = 137


def crash_point(name: str, state_directory: Path | None = None, native_id: str = "") -> None:
    """End the process here if a test asks for it; with a state directory once for a job."""
    if os.environ.get("GATEWAY_CRASH_AT") != name:
        return
    if state_directory is not None:
        mark = state_directory / f"crashed.{name}.{native_id}"
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return
    os._exit(_CRASH_STATUS)
