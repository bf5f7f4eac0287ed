"""Points at which a test may kill what runs jobs, to show that nothing is lost or run twice.

``GATEWAY_CRASH_AT=name`` ends the process there as ``kill -9`` would; ``name:0.3`` does so in three
of ten passes, and several are separated by commas. ``GATEWAY_CRASH_LOG`` is a file that gets a line
for each such end. The executor and the shepherds start again and come to the same point with the
same job, so there a point without a probability kills once for a job: a mark in the state
directory says that it did.
"""

from __future__ import annotations

import os
import random
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
SLURM_POINTS = (
    "slurm-submit-locked",
    "slurm-submit-called",
    "slurm-submit-claimed",
    "slurm-submit-named",
)
"""On the login node, between two steps of a submission; the gateway itself goes on."""

AGENT_POINTS = (
    "slurm-agent-staged",
    "slurm-agent-asked",
    "slurm-agent-begun",
    "slurm-agent-told",
    "slurm-agent-done",
)
"""In the agent on the login node: what submits goes on, and nobody hears of it."""

CRASH_POINTS = SUBMIT_POINTS + EXECUTOR_POINTS + SHEPHERD_POINTS
"""Every point of local execution, in the order in which a job passes them."""

CRASH_VARIABLES = ("GATEWAY_CRASH_AT", "GATEWAY_CRASH_LOG")
"""What a process hands on to those that it starts with an environment of their own."""

_CRASH_STATUS = 137


def crash_point(name: str, state_directory: Path | None = None, native_id: str = "") -> None:
    """End the process here if a test asks for it; with a state directory once for a job."""
    asked = os.environ.get("GATEWAY_CRASH_AT")
    if not asked:
        return
    chance = _chance(asked, name)
    if chance is None:
        if state_directory is not None and not _is_first(state_directory, name, native_id):
            return
    elif random.random() >= chance:  # noqa: S311 - no secret
        return
    _write_down(name)
    os._exit(_CRASH_STATUS)


def _chance(asked: str, name: str) -> float | None:
    """Read how likely an end here is: 0 when nobody asks for it, None when it is sure."""
    for item in asked.split(","):
        point, _, chance = item.partition(":")
        if point == name:
            return float(chance) if chance else None
    return 0.0


def _is_first(state_directory: Path, name: str, native_id: str) -> bool:
    try:
        mark = state_directory / f"crashed.{name}.{native_id}"
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def _write_down(name: str) -> None:
    """Count the end, in one write, since several processes may end at once."""
    path = os.environ.get("GATEWAY_CRASH_LOG")
    if not path:
        return
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(handle, f"{name} {os.getpid()}\n".encode())
