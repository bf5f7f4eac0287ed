"""A real HTTPS server on the loopback, with a throw-away authority, that takes webhooks."""

from __future__ import annotations

import ipaddress
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


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
    certificate, key = make_certificate(folder, names or ("localhost",))
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    state = Receiver(port=server.server_address[1], ca_file=certificate)
    server.state = state  # type: ignore[attr-defined]  # read by the handler
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.drips = False
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()


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


def make_certificate(folder: Path, names: tuple[str, ...]) -> tuple[Path, Path]:
    """Make a certificate that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "throw-away")])
    moment = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(days=1))
        .not_valid_after(moment + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_san(text) for text in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "ca.pem", folder / "key.pem"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private


def _san(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
