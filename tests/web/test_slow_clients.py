"""Clients that send slowly, read slowly or stop half way: nobody else waits for them."""

from __future__ import annotations

import http.client
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from secrets import token_hex
from typing import Any

import httpx
import pytest

from gateway.web.arrival import PATIENCE_S
from gateway.web.places import SHORT_BYTES
from tests.helpers import eventually
from tests.live import Api, LiveGateway, live_gateway

SLOW = 100
PLACES = 4
HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half"


def beginning(length: str) -> bytes:
    """Write a request up to the first byte of its body."""
    return (
        b"POST /api/v1/auth/tokens HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        b"Content-Type: application/json\r\n%b\r\n\r\n" % length.encode()
    )


SHORT = beginning("Content-Length: 500") + b"{"
LONG = beginning(f"Content-Length: {2 * SHORT_BYTES}") + b"{"
CHUNKED = beginning("Transfer-Encoding: chunked") + b"4\r\n{"
HALVES = {"head": HEAD, "short body": SHORT, "long body": LONG, "chunked body": CHUNKED}


@pytest.fixture(scope="module")
def gateway() -> Iterator[LiveGateway]:
    """Run a gateway with few places, all in one process, where clients could hold every one."""
    wanted = {"WORKERS": 1, "THREADS": PLACES, "CONNECTIONS": 200}
    settings = {f"GATEWAY_SERVER__{name}": str(value) for name, value in wanted.items()}
    with live_gateway(**settings) as live:
        yield live


@pytest.fixture
def api(gateway: LiveGateway) -> Api:
    return gateway.user()


@contextmanager
def clients(
    live: LiveGateway, sent: bytes, count: int = SLOW, receive_bytes: int = 0
) -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        opened = []
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            if receive_bytes:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
            client.settimeout(60)
            client.connect(("127.0.0.1", live.port))
            client.sendall(sent)
            opened.append(client)
        yield opened


def slowest_of(api: Api, times: int = 40) -> float:
    """Ask as other people do, each on a new connection, and say what most of them waited."""
    headers = {"Authorization": api.http.headers["Authorization"]}
    took = []
    for _ in range(times):
        began = time.monotonic()
        answer = httpx.get(f"{api.live.url}/api/v1/me", headers=headers, timeout=20)
        took.append(time.monotonic() - began)
        assert answer.status_code == 200
    return sorted(took)[int(0.95 * times)]


@pytest.mark.parametrize("sent", HALVES.values(), ids=HALVES)
def test_a_hundred_clients_that_stop_sending_hold_up_nobody(api: Api, sent: bytes) -> None:
    with clients(api.live, sent):
        assert slowest_of(api) < 1


def test_a_hundred_clients_that_do_not_hang_up_hold_up_nobody(api: Api) -> None:
    last = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    with clients(api.live, last) as opened:
        assert all(client.recv(4096).startswith(b"HTTP/1.1 200") for client in opened)
        assert slowest_of(api) < 1


def answer_to_drops(client: socket.socket, drop: bytes) -> tuple[bytes, float]:
    """Send a drop now and then until an answer and the end come; say how long that took."""
    client.settimeout(0.5)
    began, answer = time.monotonic(), b""
    while time.monotonic() - began < 3 * PATIENCE_S:
        try:
            client.sendall(drop)
            if not (part := client.recv(65536)):
                break
            answer += part
        except TimeoutError:
            continue
        except OSError:  # it does not even listen any more
            break
    return answer, time.monotonic() - began


@pytest.mark.slow  # it is as patient as the server
def test_who_sends_a_byte_now_and_then_is_answered_408_and_given_up(api: Api) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(len(HALVES)) as pool:
        waiting = {
            name: pool.submit(
                answer_to_drops, stack.enter_context(clients(api.live, sent, 1))[0], b" "
            )
            for name, sent in HALVES.items()
            if name != "chunked body"  # a drop would end its chunk with a mistake
        }
        for name, found in waiting.items():
            answer, took = found.result()
            assert answer.startswith(b"HTTP/1.1 408 "), (name, answer)
            assert b"\r\nConnection: close\r\n" in answer, name
            assert b"too slowly" in answer or name == "head", answer
            assert PATIENCE_S - 1 < took < 3 * PATIENCE_S, name


def test_a_body_that_is_cut_off_is_refused_and_says_where(api: Api) -> None:
    for sent, length in ((SHORT, 500), (LONG, 2 * SHORT_BYTES)):
        with clients(api.live, sent, 1) as (client,):
            client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(partial(client.recv, 65536), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert f"ended after 1 bytes of {length}".encode() in answer


def test_half_of_a_file_is_never_kept(api: Api) -> None:
    length = 3 * SHORT_BYTES
    head = (
        f"POST /api/v1/files?name=half HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: {api.http.headers['Authorization']}\r\nContent-Length: {length}\r\n\r\n"
    )
    blobs = api.live.state / "blobs"
    before = {path for path in blobs.rglob("*") if path.is_file()}
    with clients(api.live, head.encode() + b"x" * (length // 2), 1) as (client,):
        client.shutdown(socket.SHUT_WR)
        assert client.recv(65536).startswith(b"HTTP/1.1 400 ")
    assert {path for path in blobs.rglob("*") if path.is_file()} == before


def test_event_streams_take_no_place_of_others(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 600})
    get = (
        f"GET /api/v1/jobs/{job['id']}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: {api.http.headers['Authorization']}\r\n\r\n"
    )
    with clients(api.live, get.encode(), PLACES + 2) as opened:
        assert all(b"text/event-stream" in client.recv(4096) for client in opened)
        assert slowest_of(api) < 1
    api.http.post(f"/jobs/{job['id']}/cancel")


@pytest.fixture
def long_answer(api: Api) -> str:
    """Make something that takes long to read: a zip of some megabytes; answer its address."""
    noise = token_hex(4_000_000).encode()
    problem = api.script_problem("problem = 1\n", data_dat=noise)
    return f"/api/v1/problems/{problem['id']}/export.zip"


def test_clients_that_do_not_read_hold_up_nobody(api: Api, long_answer: str) -> None:
    get = (
        f"GET {long_answer} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: {api.http.headers['Authorization']}\r\n\r\n"
    )
    with clients(api.live, get.encode(), 2 * PLACES - 1, receive_bytes=4096) as opened:
        assert all(client.recv(12) == b"HTTP/1.1 200" for client in opened)
        assert slowest_of(api) < 1
    # When they hang up, their places are free again.
    whole = eventually(lambda: api.http.get(long_answer.removeprefix("/api/v1")), within_s=60)
    assert whole.status_code == 200
    assert len(whole.content) > 4_000_000


def requests_of(token: str) -> list[tuple[bytes, dict[str, str], int]]:
    """List (body, headers, status) of requests that are refused before or after they are read."""
    json = {"Content-Type": "application/json"}
    signed = {"Authorization": f"Bearer {token}"}
    return [
        (b"x" * 2_000, json, 401),
        (b"x" * 100_000, json, 401),
        (b"x" * 2 * SHORT_BYTES, json, 401),
        (b"x" * 20_000, signed | {"Content-Type": "text/plain"}, 415),
        (b"{" + b" " * 200_000, signed | json, 400),
        (b'{"kind": "nobody knows"}', signed | json, 422),
        (b'{"kind": "dummy"}', signed | json, 200),
    ]


def post_many(live: LiveGateway, token: str, number: int, times: int) -> Counter[Any]:
    """Post again and again on one connection; a connection that ends unsaid is counted as lost."""
    found: Counter[Any] = Counter()
    line = http.client.HTTPConnection("127.0.0.1", live.port, timeout=30)
    wanted = requests_of(token)
    for turn in range(times):
        body, headers, status = wanted[(3 * turn + number) % len(wanted)]
        line.request("POST", "/api/v1/jobs/preview", body, headers)
        answer = line.getresponse()
        answer.read()
        found[answer.status == status] += 1
    line.close()
    return found


def test_no_request_is_lost_on_kept_connections_whose_bodies_were_not_read(
    live: LiveGateway,
) -> None:
    token = live.add_user("keeps")
    with ThreadPoolExecutor(8) as pool:
        clients_ = [partial(post_many, live, token, number, 250) for number in range(8)]
        found = sum((answer.result() for answer in map(pool.submit, clients_)), Counter())
    assert found == {True: 2000}
