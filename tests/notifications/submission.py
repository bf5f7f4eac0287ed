"""A mail server as sites have it: it takes mail only after STARTTLS and a sign-in."""

from __future__ import annotations

import base64
import contextlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.notifications.tls import make_certificate

USER, WORD = "gateway", "a calm otter"


@dataclass
class Desk:
    """What it takes and what it has seen."""

    port: int
    ca_file: Path
    password_file: Path
    tls: ssl.SSLContext
    offers_tls: bool = True
    in_clear: list[bytes] = field(default_factory=list)
    """Every line that came before the line was safe."""

    signed_in: list[bool] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """Settings of a site that sends through it."""
        return {
            "GATEWAY_MAIL__HOST": "localhost",
            "GATEWAY_MAIL__PORT": str(self.port),
            "GATEWAY_MAIL__TLS": "starttls",
            "GATEWAY_MAIL__USER": USER,
            "GATEWAY_MAIL__PASSWORD_FILE": str(self.password_file),
            "GATEWAY_MAIL__SENDER": "gateway@site.example",
            "GATEWAY_NOTIFICATIONS__CA_FILE": str(self.ca_file),
            "GATEWAY_NOTIFICATIONS__RETRY_S": "0.01",
        }


class _Handler(socketserver.BaseRequestHandler):
    def setup(self) -> None:
        self.line: socket.socket = self.request
        self.desk: Desk = self.server.desk  # type: ignore[attr-defined]  # set below
        self.safe = self.known = False
        self.rest = b""

    def handle(self) -> None:
        self.say("220 desk")
        with contextlib.suppress(ConnectionError, ssl.SSLError):  # who does not trust us goes away
            while (line := self.read()) and self.answer(line.strip()):
                pass

    def finish(self) -> None:
        self.line.close()

    def answer(self, line: bytes) -> bool:
        """Answer a line; False when it was the last."""
        verb, _, rest = line.partition(b" ")
        match verb.upper():
            case b"EHLO":
                tls = "250-STARTTLS\r\n" if self.desk.offers_tls and not self.safe else ""
                self.say(f"250-desk\r\n{tls}{'250-AUTH PLAIN LOGIN' if self.safe else '250-X'}")
                self.say("250 SIZE 1000000")
            case b"STARTTLS":
                self.say("220 go on")
                self.line = self.desk.tls.wrap_socket(self.line, server_side=True)
                self.safe, self.rest = True, b""
            case b"AUTH":
                self.sign_in(rest)
            case b"MAIL" if not self.known:
                self.say("530 sign in first")
            case b"DATA":
                self.say("354 go on")
                self.take()
            case b"QUIT":
                self.say("221 bye")
                return False
            case _:
                self.say("250 ok")
        return True

    def sign_in(self, rest: bytes) -> None:
        words = base64.b64decode(rest.rpartition(b" ")[2]).split(b"\0")
        self.known = self.safe and words[1:] == [USER.encode(), WORD.encode()]
        self.desk.signed_in.append(self.known)
        self.say("235 welcome" if self.known else "535 no")

    def take(self) -> None:
        lines = []
        while (line := self.read()) not in (b".\r\n", b""):
            lines.append(line)
        mail = message_from_bytes(b"".join(lines), policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.desk.mails.append(mail)
        self.say("250 ok")

    def read(self) -> bytes:
        while b"\n" not in self.rest:
            piece = self.line.recv(65_536)
            if not piece:
                return b""
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        if not self.safe:
            self.desk.in_clear.append(line)
        return line + b"\n"

    def say(self, text: str) -> None:
        self.line.sendall(f"{text}\r\n".encode())


@contextmanager
def submission_desk(folder: Path, name: str = "localhost") -> Iterator[Desk]:
    """Run one."""
    certificate, key = make_certificate(folder, (name,))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    password = folder / "password"
    password.write_text(f"{WORD}\n")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        desk = Desk(server.server_address[1], certificate, password, tls)
        server.desk = desk  # type: ignore[attr-defined]  # read by the handler
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield desk
        finally:
            server.shutdown()
            thread.join(timeout=10)
