"""A real mail server on the loopback that takes everything, or nothing."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.notifications.tls import serving


@dataclass
class Sink:
    """What came in."""

    port: int
    ca_file: Path
    refuses: bool = False
    silent: bool = False
    envelopes: list[tuple[str, list[str]]] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    woken: threading.Event = field(default_factory=threading.Event)

    @property
    def environment(self) -> dict[str, str]:
        """Settings of a site that sends through it."""
        return {
            "GATEWAY_MAIL__HOST": "localhost",
            "GATEWAY_MAIL__PORT": str(self.port),
            "GATEWAY_MAIL__TLS": "tls",
            "GATEWAY_MAIL__SENDER": "gateway@site.example",
            "GATEWAY_NOTIFICATIONS__CA_FILE": str(self.ca_file),
            "GATEWAY_NOTIFICATIONS__RETRY_S": "0.01",
        }


class _Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        sink: Sink = self.server.sink  # type: ignore[attr-defined]  # set below
        if sink.silent:
            sink.woken.wait(20)
            return
        self._say("220 sink")
        sender, to = "", list[str]()
        for line in iter(self.rfile.readline, b""):
            verb = line.strip().upper()
            if verb.startswith(b"MAIL FROM:"):
                sender = line.decode()
            elif verb.startswith(b"RCPT TO:"):
                to.append(line.decode())
                if sink.refuses:
                    self._say("451 later")
                    continue
            elif verb == b"DATA":
                self._say("354 go on")
                self._take(sink)
                sink.envelopes.append((sender, to))
            elif verb == b"QUIT":
                self._say("221 bye")
                return
            self._say("250 ok")

    def _take(self, sink: Sink) -> None:
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        sink.mails.append(mail)

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@contextmanager
def mail_sink(folder: Path, name: str = "localhost") -> Iterator[Sink]:
    """Run a mail server with TLS from the first byte on."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler)
    with serving(server, folder, name) as ca_file:
        sink = Sink(port=server.server_address[1], ca_file=ca_file)
        server.sink = sink  # type: ignore[attr-defined]  # read by the handler
        try:
            yield sink
        finally:
            sink.woken.set()
