"""Requests that come slowly: how long is waited for them, and what is said when that is over."""

from __future__ import annotations

import io
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Protocol

from gateway.errors import BadRequestError, RequestTimeoutError

PATIENCE_S = 10.0
"""So long is waited for a head, and for each part of a body, beyond what its bytes take."""

BYTES_PER_S = 16_384
"""The slowest line on which the bytes of a body may come."""

_LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Message(Protocol):
    """A request as the server has parsed it."""

    def force_close(self) -> None:
        """Say in the answer that the connection ends with it."""


class Arrival:
    """How long a thread still waits for what a client sends.

    The thread says what it waits for, another one looks at the clock and shuts the socket for
    reading: to the thread it looks as if the client had left, in the middle of any read.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._lock = threading.Lock()
        self._due: float | None = time.monotonic() + PATIENCE_S
        self._message: Message | None = None
        self.late = False

    def has_head(self, message: Message) -> None:
        """Note that the head is here; what follows is the body."""
        with self._lock:
            self._message = message
            self._due = None

    def expect(self, size: int) -> None:
        """Give the client the time that so many bytes may take."""
        with self._lock:
            self._due = time.monotonic() + PATIENCE_S + size / BYTES_PER_S

    def stop(self) -> None:
        """Wait no longer: all is here, or nobody wants the rest."""
        with self._lock:
            self._due = None

    def close_after(self) -> None:
        """End the connection with this answer, and say so in it."""
        if self._message is not None:
            self._message.force_close()

    def send_within(self, seconds: float) -> None:
        """Bound how long one piece of the answer may take."""
        self._sock.settimeout(seconds)

    def look(self, now: float) -> None:
        """Give the client up if its time is over."""
        with self._lock:
            if self._due is None or now < self._due:
                return
            self._due, self.late = None, True
            with suppress(OSError):
                if self._message is None:  # nobody else will answer half a head
                    self._sock.send(_LATE, socket.MSG_DONTWAIT)
                self._sock.shutdown(socket.SHUT_RD)


_here = threading.local()


def set_arrival(arrival: Arrival | None) -> None:
    """Say what arrives for this thread."""
    _here.arrival = arrival


def arrival_here() -> Arrival | None:
    """Say what arrives for this thread; None where another server than ours runs."""
    found: Arrival | None = getattr(_here, "arrival", None)
    return found


class Incoming(io.RawIOBase):
    """A long body, read by who wants it and with limited patience."""

    def __init__(self, source: Any, length: int | None, arrival: Arrival) -> None:
        self._source = source
        self._length = length
        self._arrival = arrival
        self._read = 0
        self.whole = False
        self.refused: Exception | None = None

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read a part, none at the end.

        Raises
        ------
        RequestTimeoutError
            When the client sends too slowly.
        BadRequestError
            When it ends before all is sent that was announced.
        """
        if self.refused is not None:
            raise self.refused
        self._arrival.expect(len(buffer))
        data = self._source.read(len(buffer))
        self._arrival.stop()
        self._read += len(data)
        buffer[: len(data)] = data
        if len(data) < len(buffer):
            self.refused = shortage(self._arrival, self._read, self._length)
            if self.refused is not None:
                raise self.refused
        self.whole = self._read == self._length or (not data and self._length is None)
        return len(data)


def shortage(arrival: Arrival, read: int, length: int | None) -> Exception | None:
    """Say what is wrong with a body that has ended after so many bytes; None: nothing."""
    if arrival.late:
        return RequestTimeoutError(
            f"the body came too slowly: {read} bytes, and then nothing for {PATIENCE_S:.0f} s"
        )
    if length is not None and read < length:
        return BadRequestError(f"the body ended after {read} bytes of {length}: send it again")
    return None


class Refusing(io.RawIOBase):
    """A body that cannot be read, and says why to who tries."""

    def __init__(self, fault: Exception) -> None:
        self._fault = fault

    def readable(self) -> bool:
        """Say that it may be tried."""
        return True

    def readinto(self, _buffer: Any) -> int:
        """Say why not."""
        raise self._fault
