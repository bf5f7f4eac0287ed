"""Log lines: JSON, one line for each event, and one access line for each request.

Newlines in values are escaped by JSON; long values are cut; nothing here logs a header, a cookie,
a query string or a body, which is where secrets travel.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

import structlog
from flask import Response, g, request
from structlog.typing import EventDict, Processor, WrappedLogger

from gateway.web.context import identity_or_none

LONGEST = 1000
_SECRET = "/shared/"  # noqa: S105 - how the addresses begin that are secrets themselves
_access = structlog.get_logger("gateway.access")


def configure_logs(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send all lines, also those of libraries, to one stream as JSON."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        shorten,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # its access lines have the query


def shorten(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Cut long values, tracebacks from their beginning: their end says what happened."""
    for key, value in event.items():
        if isinstance(value, str) and len(value) > LONGEST and key != "exception":
            event[key] = value[:LONGEST] + "..."
        elif key == "exception" and isinstance(value, str):
            event[key] = value[-8 * LONGEST :]
    return event


def start_clock() -> None:
    """Note when the request began."""
    g.began = time.perf_counter()


def log_access(response: Response) -> Response:
    """Write the one line of a request."""
    asks = identity_or_none()
    _access.info(
        "request",
        method=request.method,
        path=_path(),
        route=str(request.url_rule) if request.url_rule else None,
        status=response.status_code,
        duration_ms=round((time.perf_counter() - g.get("began", time.perf_counter())) * 1000, 2),
        user=asks.user if asks else None,
        token=asks.token_id if asks else None,
        verifications=g.get("verifications", 0),
    )
    return response


def _path() -> str:
    """Say what was asked for; of a link that opens something, only which one it was."""
    path = request.path
    return path.partition("-")[0] if path.startswith(_SECRET) else path
