"""Gunicorn's threaded worker, for clients that send or read slowly or do not hang up.

What gunicorn 27 does and we rely on: `handle` serves one request in a thread, with the framing of
HTTP and all reading in it; `handle_request` is called when the head is read; `finish_request` is
told the end in the main thread, which calls `murder_pending` every second. None of them is
rewritten: a late client's socket is shut from outside, and reading finds it ended.
"""

from __future__ import annotations

import errno
import json
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from gunicorn import util
from gunicorn.workers.gthread import TConn, ThreadWorker

from gateway.ids import new_id
from gateway.web.arrival import Arrival, arrival_here, set_arrival

LINGER_S = 2.0
LINGER_BYTES = 16_000_000
"""So much of an unwanted body is taken after the answer, or the client might not see that."""

_NOTIFY_S = 1.0


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn carries no types
    """Gives up on late clients, and hangs up in the thread that served."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arrivals: set[Arrival] = set()
        self._parted: set[TConn] = set()
        self._notified = float("-inf")

    def notify(self) -> None:
        """Show that this process lives, at most once a second.

        gunicorn does it with each event, and each time that is a write to the disk's journal.
        """
        if (moment := time.monotonic()) - self._notified >= _NOTIFY_S:
            self._notified = moment
            super().notify()

    def handle(self, conn: TConn) -> Any:
        """Serve one request in a thread; answer whether the connection may bring another."""
        arrival = Arrival(conn.sock)
        self._arrivals.add(arrival)
        set_arrival(arrival)
        try:
            again = super().handle(conn)
        finally:
            arrival.stop()
            self._arrivals.discard(arrival)
            set_arrival(None)
        if again and not arrival.late:
            return again
        # Not in the main thread, as gunicorn does: it would wait for one client after the other.
        util.close_graceful(conn.sock, timeout=LINGER_S, max_drain=LINGER_BYTES)
        self._parted.add(conn)
        return False

    def handle_request(self, req: Any, conn: TConn) -> Any:
        """Answer a request whose head is here."""
        if (arrival := arrival_here()) is not None:
            arrival.has_head(req)
        try:
            return super().handle_request(req, conn)
        except TimeoutError as error:  # sending took too long: as if the client had left
            raise ConnectionResetError(errno.ECONNRESET, "it reads too slowly") from error

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Refuse what is no request, or one too long to be read, in the form of all our errors."""
        said = _Said()
        super().handle_error(req, said, addr, exc)
        if said.status is not None:
            with suppress(OSError):
                util.write_nonblock(client, _problem(said.status, str(exc)))

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """Take note of an end, in the main thread."""
        if conn in self._parted:
            self._parted.discard(conn)
            self.nr_conns -= 1
        else:
            super().finish_request(conn, fs)

    def murder_pending(self) -> None:
        """Give up on clients that are late; gunicorn's main loop calls this every second."""
        super().murder_pending()
        now = time.monotonic()
        for arrival in tuple(self._arrivals):
            arrival.look(now)


class _Said:
    """Stands for the client while gunicorn logs an error, and notes which status it chose."""

    status: HTTPStatus | None = None

    def gettimeout(self) -> float:
        """Say that nobody need wait for it."""
        return 0.0

    def sendall(self, answer: bytes) -> None:
        """Take gunicorn's own page."""
        self.status = HTTPStatus(int(answer.split(b" ", 2)[1]))


def _problem(status: HTTPStatus, why: str) -> bytes:
    """Write a whole answer."""
    # Not at the top: gunicorn's first process, which never answers, would load Flask with it.
    from gateway.web.errors import PROBLEM, status_slug

    request_id = new_id()
    own = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    body = json.dumps(
        {
            "type": f"/errors/{status_slug(status)}",
            "title": status.phrase,
            "status": int(status),
            "detail": "something went wrong here" if own else f"the request cannot be read: {why}",
            "request_id": request_id,
        }
    ).encode()
    headers = {
        "Connection": "close",
        "Content-Type": PROBLEM,
        "Content-Length": len(body),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Correlation-ID": request_id,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {int(status)} {status.phrase}\r\n{head}\r\n".encode() + body
