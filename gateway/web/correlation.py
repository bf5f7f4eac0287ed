"""The id that follows a request through answers, errors, log lines and jobs."""

from __future__ import annotations

import re

from flask import Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars

from gateway.ids import new_id

HEADERS = ("X-Correlation-ID", "X-Request-ID")
_PATTERN = re.compile(r"[A-Za-z0-9._-]{8,64}")


def begin() -> None:
    """Take the caller's id if it is well formed, else make one; put it on every log line."""
    given = (request.headers.get(name, "") for name in HEADERS)
    g.request_id = next((text for text in given if _PATTERN.fullmatch(text)), None) or new_id()
    clear_contextvars()
    bind_contextvars(request_id=g.request_id, address=request.remote_addr or "local")


def request_id() -> str:
    """Answer the id of this request."""
    found: str = g.get("request_id") or new_id()
    return found


def send(response: Response) -> Response:
    """Say the id in the answer."""
    for name in HEADERS:
        response.headers[name] = request_id()
    return response
