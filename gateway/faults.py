"""Points at which a test may kill the process, to show that nothing is lost or done twice.

``GATEWAY_CRASH_AT=name`` ends the process there as ``kill -9`` would; see `scheduler.faults` for
probabilities and for the log of such ends. The names are the steps of a submission in their order;
tests run through each list. Around a submission that has several calls the next jobs' tries may
be written, and the outcomes of those before, while one of the calls is out.
"""

from __future__ import annotations

from scheduler.faults import crash_point

WEB_POINTS = (
    "accept-before-store",
    "accept-after-store",
    "accept-after-sidecar",
)
WORKER_POINTS = (
    "stage-before",
    "stage-after",
    "try-written",
    "submit-after",
    "submit-stored",
    "change-after-store",
    "collect-before",
    "collect-after-files",
    "collect-after-dataset",
    "collect-stored",
)
SWEEP_POINTS = (
    "delete-after-store",
    "sweep-after-file",
    "sweep-content-removed",
)

OUTBOX_POINTS = ("outbox-sent",)

__all__ = ["OUTBOX_POINTS", "SWEEP_POINTS", "WEB_POINTS", "WORKER_POINTS", "crash_point"]
