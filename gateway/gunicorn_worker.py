"""The web server's threads, which wait only so long for a client that sends slowly.

Gunicorn's own threads wait for ever for the rest of a head or a body, so a few dozen clients that
send one byte and then nothing would hold all of them. What is sent to a client is not touched:
streams of events live as long as they like.
"""

from __future__ import annotations

import select
import socket
import time
from typing import Any

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import TConn, ThreadWorker

PATIENCE_S = 10.0
"""How long the server waits for a client in one request, before what the bytes earn."""

LEAST_S = 2.0
"""So long it waits even for one that has stood in line for a thread all that time."""

BYTES_PER_S = 8192
"""So many bytes earn the client another second."""


class PatientReader(SocketUnreader):  # type: ignore[misc]  # gunicorn carries no types
    """Reads from a client until its time is up; from then on, it reads as if the client had left.

    Counted is only the time that the server waits, not that in which it works.
    """

    def __init__(self, sock: socket.socket, queued_s: float) -> None:
        super().__init__(sock)
        self.begin(queued_s)

    def begin(self, queued_s: float) -> None:
        """Start the count for a request that has stood in line, where its bytes could arrive."""
        self._left = max(LEAST_S, PATIENCE_S - queued_s)
        self.over = False

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Read what there is, or nothing when the time is up."""
        if self.over or not self._arrives():
            self.over = True
            return b""
        data: bytes = super().chunk(size_hint)
        self._left += len(data) / BYTES_PER_S
        return data

    def _arrives(self) -> bool:
        """Wait until there is something to read, never longer than gunicorn itself would."""
        limits = (PATIENCE_S, self._left, self.sock.gettimeout())
        poll = select.poll()  # select.select takes no descriptor above 1023
        poll.register(self.sock, select.POLLIN)
        began = time.monotonic()
        ready = bool(poll.poll(max(0.0, min(s for s in limits if s is not None)) * 1000))
        self._left -= time.monotonic() - began
        return ready


class PatientWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn carries no types
    """Gunicorn's threaded worker with our reader on each connection."""

    def enqueue_req(self, conn: TConn) -> None:
        """Let a connection stand in line for a thread."""
        conn.queued = time.monotonic()
        super().enqueue_req(conn)

    def handle(self, conn: TConn) -> Any:
        """Handle one request, in a thread; answer whether the connection may serve another."""
        if conn.parser is None:
            conn.init = lambda: _init(conn)
        elif isinstance(conn.parser.unreader, PatientReader):
            conn.parser.unreader.begin(time.monotonic() - conn.queued)
        again = super().handle(conn)
        # Where the next request begins is unknown when the end of this one never came.
        given_up = conn.parser is not None and getattr(conn.parser.unreader, "over", False)
        return False if given_up else again


def _init(conn: TConn) -> None:
    """Make the parser as gunicorn does, and give it our reader before it has read anything."""
    TConn.init(conn)
    # Of TLS, which the proxy does, the socket alone cannot say whether there is something to read.
    if not conn.cfg.is_ssl:
        conn.parser.unreader = PatientReader(conn.sock, time.monotonic() - conn.queued)
