"""Places where a test lets the client die, as a laptop does whose battery is empty."""

from __future__ import annotations

import os
import signal
from typing import Any

POINTS = ("journaled", "uploaded", "problem", "sent", "answered")
_VARIABLE = "BUMPS_REMOTE_CRASH_AT"


def crash_point(name: str) -> None:
    """Die here, at once and without a trace, if the environment says so."""
    if os.environ.get(_VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)


def crash_when_sent(event: str, _info: dict[str, Any]) -> None:
    """Die between the last byte of a request and the first of its answer (httpx's trace hook)."""
    if event.endswith("send_request_body.complete"):
        crash_point("sent")
