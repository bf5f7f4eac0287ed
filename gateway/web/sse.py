"""Live events for browsers and clients (Server-Sent Events, WHATWG HTML).

A stream asks its source for what is new since an id, waits a little when there is nothing, and
says so by a comment, so that proxies keep the line open and a closed line is noticed.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Response, request

from gateway.errors import TooManyRequestsError
from gateway.web.context import gateway, identity

PING_S = 15.0
LOOK_S = 4.0
"""How long a source may wait: so often is looked whether the reader may still read."""

LONGEST_S = 3600.0
RETRY_MS = 3000
PER_USER = 6
_ID = re.compile(r"[0-9]{1,19}(-[0-9]{1,19})?")
"""What the store's streams take: two numbers of 64 bits, or the first alone."""


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of a stream."""

    data: Any
    """Anything that JSON knows."""

    id: str | None = None
    event: str | None = None
    last: bool = False
    """Nothing comes after it: the reader need not come again."""


Read = Callable[[str | None, float], Sequence[Event]]
"""What is new since an id (None: all), waiting at most so many seconds."""


def last_event_id() -> str | None:
    """Say up to where this reader has read: by header, or by ``?last_event_id=`` at first."""
    text = request.headers.get("Last-Event-ID") or request.args.get("last_event_id")
    return text if text and _ID.fullmatch(text) else None


class Streams:
    """Bounds how many streams this process serves at once: each holds a thread."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    def open(self, reader: str) -> None:
        """Count one in.

        Raises
        ------
        TooManyRequestsError
            When there are too many: the reader should poll instead.
        """
        with self._lock:
            if self._open[reader] >= PER_USER or self._open.total() >= self._most:
                raise TooManyRequestsError(
                    "too many live streams are open: close one, or ask again and again", 10
                )
            self._open[reader] += 1

    def close(self, reader: str) -> None:
        """Count one out."""
        with self._lock:
            self._open[reader] -= 1


def event_stream(
    streams: Streams, reader: str, read: Read, may_read: Callable[[], bool]
) -> Response:
    """Answer with a stream of events.

    Parameters
    ----------
    reader
        The user, for the count of streams.
    may_read
        Asked every few seconds; the stream ends when the answer is no, and also when the session
        or token that asked for it has ended.
    """
    accounts, who = gateway().accounts, identity()
    streams.open(reader)
    lines = _lines(
        read, lambda: bool(who.link or accounts.stands(who)) and may_read(), last_event_id()
    )
    response = Response(lines, mimetype="text/event-stream")
    response.call_on_close(lambda: streams.close(reader))
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # or nginx keeps events until its buffer is full
    return response


def _lines(read: Read, may_read: Callable[[], bool], position: str | None) -> Iterator[str]:
    yield f"retry: {RETRY_MS}\n\n"
    began = spoke = time.monotonic()
    while time.monotonic() - began < LONGEST_S and may_read():
        events = read(position, LOOK_S)
        for event in events:
            position = event.id or position
            yield format_event(event)
            if event.last:
                return
        if events:
            spoke = time.monotonic()
        elif time.monotonic() - spoke >= PING_S - LOOK_S:
            spoke = time.monotonic()
            yield ": ping\n\n"


def format_event(event: Event) -> str:
    r"""Write an event; JSON has no bare newline, so its data are one line.

    >>> format_event(Event(data={"a": 1}, id="7", event="step"))
    'id: 7\nevent: step\ndata: {"a": 1}\n\n'
    """
    lines = [f"id: {event.id}"] if event.id is not None else []
    lines += [f"event: {event.event}"] if event.event is not None else []
    return "\n".join([*lines, f"data: {json.dumps(event.data)}", "", ""])
