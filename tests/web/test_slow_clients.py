"""Clients that send slowly, or never: they hold no thread for long."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from gateway.gunicorn_worker import PATIENCE_S, PatientReader
from tests.live import LiveGateway, live_gateway

BODY = (
    b"POST /api/v1/auth/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 500\r\n\r\n{"
)
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half"
MANY = 70
"""More than twice the threads there are."""


@pytest.fixture(scope="module")
def one_process() -> Iterator[LiveGateway]:
    """Run a gateway whose threads are in one process, where all of them can be held."""
    with live_gateway(GATEWAY_SERVER__WORKERS="1", GATEWAY_SERVER__THREADS="32") as gateway:
        yield gateway


@contextmanager
def clients(live: LiveGateway, sent: bytes, count: int = MANY) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", live.port), 60))
            client.sendall(sent)
            opened.append(client)
        yield opened


@pytest.mark.slow
@pytest.mark.parametrize("sent", [BODY, HEAD], ids=["body", "head"])
def test_seventy_clients_that_stop_sending_are_given_up(
    one_process: LiveGateway, sent: bytes
) -> None:
    health = f"{one_process.url}/healthz"
    with clients(one_process, sent):
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(health, timeout=1)
        assert httpx.get(health, timeout=2 * PATIENCE_S).status_code == 200


@pytest.mark.slow
def test_a_client_that_sends_a_byte_now_and_then_is_given_up(
    one_process: LiveGateway,
) -> None:
    with clients(one_process, BODY, 1) as (client,):
        client.settimeout(1)
        began = time.monotonic()
        deadline = began + PATIENCE_S + 10
        answer = b""
        while not answer and time.monotonic() < deadline:
            client.sendall(b" ")
            try:
                answer = client.recv(4096)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 400")
        assert time.monotonic() - began > PATIENCE_S / 2


def test_a_reader_that_gave_up_reads_nothing_more() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = PatientReader(ours, queued_s=PATIENCE_S)
        theirs.sendall(b"x" * 10)
        assert reader.chunk() == b"x" * 10
        ours.settimeout(0.05)
        assert reader.chunk() == b""
        theirs.sendall(b"GET / HTTP/1.1\r\n")
        assert (reader.over, reader.chunk()) == (True, b"")
        reader.begin(queued_s=0)
        assert reader.chunk().startswith(b"GET")


def test_a_connection_still_serves_many_requests(one_process: LiveGateway) -> None:
    with clients(one_process, b"", 1) as (client,):
        for _ in range(3):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
