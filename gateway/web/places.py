"""Who is worked for: many clients may send and read, a few requests at once are worked on.

The web server has a thread for each client (``server.connections``), and as many places for work
as ``server.threads`` says. A request gets a place when its body is here and leaves it before its
answer is sent: so a slow client costs a thread that sleeps, and nobody waits for it.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from gateway.errors import UnavailableError
from gateway.web.arrival import Arrival, Incoming, Refusing, arrival_here, shortage

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SHORT_BYTES = 256 * 1024
"""A body up to this is taken whole before any work; longer ones are read by who wants them."""

MOVE_S = 1.0
SEND_S = 30.0
PIECE_BYTES = 256 * 1024
"""An answer is sent in such pieces, each within `SEND_S`."""


class Places:
    """A WSGI application that is entered by a few requests at once, each with its body.

    Long bodies and long answers have places of their own, as many again: who sends or reads much
    and slowly stands only in the way of others who do.
    """

    def __init__(self, application: WSGIApplication, places: int) -> None:
        self._application = application
        self._short = threading.BoundedSemaphore(places)
        self._long = threading.BoundedSemaphore(places)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        if (arrival := arrival_here()) is None:
            return self._application(environ, start_response)
        length = _length(environ)
        if length is not None and length <= SHORT_BYTES:
            return self._work(environ, start_response, arrival, _fetched(environ, arrival, length))
        body = Incoming(environ["wsgi.input"], length, arrival)
        return self._work(environ, start_response, arrival, body)

    def _work(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        arrival: Arrival,
        body: io.IOBase,
    ) -> Iterable[bytes]:
        environ["wsgi.input"] = body
        place = _Place(self._long if isinstance(body, Incoming) else self._short)
        if not isinstance(body, Incoming):
            place.enter(None)
        elif not place.enter(SEND_S):
            body.refused = UnavailableError("too many long bodies come at once: try again")
        long_answer = False

        def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            nonlocal long_answer
            long_answer = _is_long(status, dict(headers))
            return start_response(status, headers, *more)

        answer: Iterable[bytes] | None = None
        try:
            answer = self._application(environ, begin)
        finally:
            if answer is None:
                place.leave()
        if isinstance(body, Refusing) or (isinstance(body, Incoming) and not body.whole):
            arrival.close_after()
        arrival.send_within(SEND_S)
        is_file = isinstance(answer, environ["wsgi.file_wrapper"])
        if long_answer and not is_file:  # the kernel sends a file, from the disk
            place.move(self._long)
        else:
            place.leave()
        return answer if is_file else _Pieces(answer, place)


class _Place:
    """A place that a request holds, if it got one."""

    def __init__(self, places: threading.BoundedSemaphore) -> None:
        self._places: threading.BoundedSemaphore = places
        self._held = False

    def enter(self, timeout_s: float | None) -> bool:
        self._held = self._places.acquire(timeout=timeout_s)
        return self._held

    def leave(self) -> None:
        if self._held:
            self._held = False
            self._places.release()

    def move(self, places: threading.BoundedSemaphore) -> None:
        """Take another one and leave this; keep it where all others are taken.

        So there are never more long answers in memory than both kinds of places.
        """
        if places is not self._places and places.acquire(timeout=MOVE_S):
            self.leave()
            self._places, self._held = places, True


class _Pieces:
    """An answer in pieces; its place is free when it is closed."""

    def __init__(self, answer: Iterable[bytes], place: _Place) -> None:
        self._answer = answer
        self._place = place

    def __iter__(self) -> Iterator[bytes]:
        for part in self._answer:
            for start in range(0, len(part), PIECE_BYTES):
                yield part[start : start + PIECE_BYTES]

    def close(self) -> None:
        """Let go of the answer, whether or not it was sent."""
        close: Callable[[], None] | None = getattr(self._answer, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._place.leave()


def _length(environ: WSGIEnvironment) -> int | None:
    """Read how long the body is; None when nobody knows. The server has checked the number."""
    if environ.get("HTTP_TRANSFER_ENCODING"):
        return None
    return int(environ.get("CONTENT_LENGTH") or 0)


def _fetched(environ: WSGIEnvironment, arrival: Arrival, length: int) -> io.IOBase:
    """Take a body whole, or say what is wrong with it to who will read it."""
    if not length:
        return io.BytesIO()
    arrival.expect(length)
    body: bytes = environ["wsgi.input"].read(length)
    arrival.stop()
    fault = shortage(arrival, len(body), length) if len(body) < length else None
    return io.BytesIO(body) if fault is None else Refusing(fault)


def _is_long(status: str, headers: dict[str, str]) -> bool:
    """Say whether an answer takes memory or work while it is sent; events take none."""
    if headers.get("Content-Type", "").startswith("text/event-stream"):
        return False
    if (length := headers.get("Content-Length")) is None:
        return not status.startswith(("204", "304"))
    return int(length) > SHORT_BYTES
