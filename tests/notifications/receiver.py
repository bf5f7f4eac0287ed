"""A real HTTPS server on the loopback, with a throw-away authority, that takes webhooks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.notifications.tls import serving


@dataclass(frozen=True, kw_only=True)
class Message:
    """What came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Receiver:
    """What it was sent, and what it answers: each status once, the last one for ever."""

    port: int
    ca_file: Path
    statuses: list[int] = field(default_factory=lambda: [200])
    messages: list[Message] = field(default_factory=list)
    drips: bool = False
    """Whether it answers a byte at a time, without an end."""

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/hook?x=1"

    @property
    def environment(self) -> dict[str, str]:
        """Settings of a site that may reach it."""
        return {
            "GATEWAY_NOTIFICATIONS__NETWORKS": '["127.0.0.0/8", "::1/128"]',
            "GATEWAY_NOTIFICATIONS__PORTS": f"[443, {self.port}]",
            "GATEWAY_NOTIFICATIONS__CA_FILE": str(self.ca_file),
            "GATEWAY_NOTIFICATIONS__RETRY_S": "0.01",
            "GATEWAY_NOTIFICATIONS__DEADLINE_S": "5",
        }


@contextmanager
def receiver(folder: Path, *names: str) -> Iterator[Receiver]:
    """Run a server whose certificate is for these names."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    with serving(server, folder, *names) as ca_file:
        state = Receiver(port=server.server_address[1], ca_file=ca_file)
        server.state = state  # type: ignore[attr-defined]  # read by the handler
        try:
            yield state
        finally:
            state.drips = False


class Handler(BaseHTTPRequestHandler):
    """Takes what is posted."""

    def do_POST(self) -> None:
        state: Receiver = self.server.state  # type: ignore[attr-defined]  # set above
        body = self.rfile.read(int(self.headers["Content-Length"]))
        state.messages.append(
            Message(path=self.path, headers=dict(self.headers.items()), body=body)
        )
        if state.drips:
            self._drip(state)
            return
        status = state.statuses.pop(0) if len(state.statuses) > 1 else state.statuses[0]
        self.send_response(status)
        self.send_header("Location", f"https://localhost:{state.port}/elsewhere")
        self.end_headers()

    def _drip(self, state: Receiver) -> None:
        try:
            while state.drips:
                self.wfile.write(b"H")
                self.wfile.flush()
                time.sleep(0.05)  # the pace of a slow server
        except OSError:
            return  # the other side has had enough

    def log_message(self, *_: object) -> None:
        """Say nothing."""
