"""A line to a gateway that is cut on purpose, or falls silent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_BLOCK = 1 << 16


@dataclass
class Line:
    """Hands on what clients send to a port, and counts it."""

    port: int
    target: int
    cuts: list[int] = field(default_factory=list)
    """After so many bytes in all the connection ends, once each; in ascending order."""

    silent_after: int | None = None
    """After so many nothing is handed on any more, though the connection stays."""

    sent: int = 0
    fell_silent: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hand_on(self, here: socket.socket) -> None:
        """Serve one connection."""
        with here, socket.create_connection(("127.0.0.1", self.target)) as there:
            back = threading.Thread(target=_copy, args=(there, here), daemon=True)
            back.start()
            with suppress(OSError):
                while block := here.recv(_BLOCK):
                    self.sent += len(block)
                    if self.silent_after is not None and self.sent > self.silent_after:
                        self.fell_silent.set()
                        continue
                    there.sendall(block)
                    if self.cuts and self.sent >= self.cuts[0]:
                        self.cuts.pop(0)
                        break
            for side in (here, there):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(_BLOCK):
            target.sendall(block)
        target.shutdown(socket.SHUT_RDWR)


@contextmanager
def line_to(target: int) -> Iterator[Line]:
    """Run a line to a port of this computer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        line = Line(port=server.getsockname()[1], target=target)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    here, _ = server.accept()
                    threading.Thread(target=line.hand_on, args=(here,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield line
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
