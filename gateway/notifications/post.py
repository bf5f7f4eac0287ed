"""Sends one message to one address, and believes nothing that comes back but its status."""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from gateway.notifications.addresses import Address, Target, look_up, may_reach, parse_target
from scheduler.deadlines import WATCHDOG, within

ANSWER_BYTES = 4096
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)[ \r\n]")


class SendError(Exception):
    """It was not taken; the text tells the user why, and nothing of what was answered."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Where to one may send, and how long it may take as a whole."""

    ports: Sequence[int]
    networks: Sequence[str]
    deadline_s: float
    tls: ssl.SSLContext


def post(url: str, body: bytes, headers: Mapping[str, str], rules: Rules) -> None:
    """Send a message.

    Raises
    ------
    SendError
        When it was not answered with 2xx in time.
    """
    end = time.monotonic() + rules.deadline_s
    try:
        target = parse_target(url, rules.ports)
        addresses = within(rules.deadline_s, partial(look_up, target), "look-up of a webhook")
        if not addresses or not all(may_reach(found, rules.networks) for found in addresses):
            raise SendError("its address is not public, and this site does not allow it")
        status = _exchange(target, addresses, _request(target, body, headers), rules, end)
    except ssl.SSLCertVerificationError as error:  # a ValueError, too
        raise SendError("its certificate is not valid for this name") from error
    except (socket.gaierror, UnicodeError) as error:  # the latter of names that can be none
        raise SendError("its name is not known") from error
    except ValueError as error:
        raise SendError(f"its URL is not allowed any more: {error}") from error
    except OSError as error:  # time-outs among them
        raise SendError(_late(end, rules) or "it could not be connected to") from error
    if status is None:
        raise SendError(_late(end, rules) or "its answer is not one of HTTP")
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        moved = " and redirects are not followed" if 300 <= status < 400 else ""
        raise SendError(f"it answered {status}{moved}")


def _request(target: Target, body: bytes, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        "User-Agent: bumps-gateway",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {text}" for name, text in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _exchange(
    target: Target, addresses: Sequence[Address], request: bytes, rules: Rules, end: float
) -> int | None:
    """Send a request and read its status; None when there is none to be read."""
    with _connect(addresses, target.port, end) as plain:
        line = rules.tls.wrap_socket(
            plain, server_hostname=target.name, do_handshake_on_connect=False
        )
    # Time-outs of a socket count anew with each byte: who sends one a second would never be late.
    with line, WATCHDOG.watch(_left(end), partial(_shut, line)):
        line.settimeout(_left(end))
        line.do_handshake()
        line.sendall(request)
        return _status(line)


def _connect(addresses: Sequence[Address], port: int, end: float) -> socket.socket:
    """Connect to the first address that answers; each gets its share of the time."""
    for tried, address in enumerate(addresses):
        share = _left(end) / (len(addresses) - tried)
        try:
            return socket.create_connection((str(address), port), timeout=share)
        except OSError:
            if tried == len(addresses) - 1:
                raise
    raise OSError("no address")


def _status(line: socket.socket) -> int | None:
    read = b""
    while len(read) < ANSWER_BYTES and (more := line.recv(ANSWER_BYTES - len(read))):
        read += more
        if found := _STATUS.match(read):
            return int(found[1])
    return None


def _shut(line: ssl.SSLSocket) -> None:
    """Wake whoever reads or writes, without touching the TLS that they are in the middle of."""
    try:
        socket.socket.shutdown(line, socket.SHUT_RDWR)
    except OSError:
        return  # it has just ended by itself


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _late(end: float, rules: Rules) -> str:
    return f"no answer within {rules.deadline_s:g} s" if time.monotonic() >= end - 0.01 else ""
