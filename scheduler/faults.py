"""Points at which a test may kill local execution, to show that nothing is lost or run twice.

``GATEWAY_CRASH_AT=name`` ends the process there as ``kill -9`` would. In the executor and in the
shepherd a point is passed by many jobs, so each kills only once for a state directory: the first to
get there leaves a mark behind.
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


def crash_point(name: str, once_in: Path | None = None) -> None:
    """End the process here if a test asks for it; with *once_in* only the first that comes."""
    if os.environ.get("GATEWAY_CRASH_AT") != name:
        return
    if once_in is not None:
        try:
            os.close(os.open(once_in / f"crashed.{name}", os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return
    os._exit(_CRASH_STATUS)
