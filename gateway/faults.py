"""Points at which a test may kill the process, to show that nothing is lost or done twice.

``GATEWAY_CRASH_AT=name`` ends the process there as ``kill -9`` would. The names are the steps of a
submission in their order; a test runs through all of them.
"""

from __future__ import annotations

import os

CRASH_POINTS = (
    "accept-before-store",
    "accept-after-store",
    "accept-after-sidecar",
    "stage-before",
    "stage-after",
    "stage-stored",
    "try-written",
    "submit-after",
    "submit-stored",
    "collect-before",
    "collect-after-files",
    "collect-after-dataset",
    "collect-stored",
)

_CRASH_STATUS = 137


def crash_point(name: str) -> None:
    """End the process here if a test asks for it."""
    if os.environ.get("GATEWAY_CRASH_AT") == name:
        os._exit(_CRASH_STATUS)
