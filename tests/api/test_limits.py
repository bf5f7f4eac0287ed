"""S4-14: each route refuses what it cannot read, by the status and the words that fit."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.routes import Route, api_routes
from tests.api.wrong import pointers
from tests.live import Api, LiveGateway, live_gateway

LIMIT = 20_000
MISSING = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
ROUTES = api_routes()
# Pieces of an upload are bytes, of announced length and with tus's own words: tests/datasets.
PIECES = [route for route in ROUTES if "/uploads" in route.template]
BODIES = [route for route in ROUTES if route.method in {"POST", "PUT", "PATCH"}]
WHOLE = [route for route in BODIES if route not in PIECES]
JSON = "application/json"
RAW = "application/octet-stream"
READ = [route for route in BODIES if route.reads == JSON]


def names(routes: list[Route]) -> list[str]:
    return [route.name for route in routes]


@pytest.fixture(scope="module")
def gateway() -> Iterator[LiveGateway]:
    """Run a gateway that takes little."""
    limits = {"JSON_BYTES": LIMIT, "FILE_BYTES": LIMIT, "MODEL_BYTES": LIMIT}
    with live_gateway(**{f"GATEWAY_LIMITS__{key}": str(n) for key, n in limits.items()}) as live:
        yield live


@pytest.fixture(scope="module")
def boss(gateway: LiveGateway) -> Api:
    gateway.add_user("boss", admin=True)
    return Api(gateway, "boss")


def path_of(route: Route) -> str:
    path = re.sub(r"\{(\w+)\}", MISSING, route.template)
    return path + ("?name=x" if route.reads == RAW else "")


def send(boss: Api, route: Route, body: Any, **headers: str) -> httpx.Response:
    """Send a body; the headers' names have _ for -."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    if route.template.endswith("/logout"):  # it ends the token that it is called with
        token = boss.http.post("/tokens", json={"label": "to be revoked"}).json()["token"]
        named["Authorization"] = f"Bearer {token}"
    return boss.http.request(
        route.method, boss.live.url + path_of(route), content=body, headers=named
    )


def ask_raw(live: LiveGateway, head: str, body: bytes = b"") -> tuple[int, dict[str, Any]]:
    """Send bytes as they are; answer status and problem."""
    with socket.create_connection(("127.0.0.1", live.port), timeout=20) as line:
        line.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        line.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    top, _, content = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/problem+json" in top, answer[:500]
    return int(top.split(b" ", 2)[1]), json.loads(content)


@pytest.mark.parametrize("route", BODIES, ids=names(BODIES))
def test_a_body_announced_as_too_long_is_413_before_it_is_sent(boss: Api, route: Route) -> None:
    token = boss.live.tokens["boss"]
    head = (
        f"{route.method} {path_of(route)} HTTP/1.1\nHost: 127.0.0.1\nContent-Type: {JSON}\n"
        f"Authorization: Bearer {token}\nIf-Match: *\nConnection: close\n"
    )
    status, problem = ask_raw(boss.live, f"{head}Content-Length: {LIMIT + 1}")
    assert (status, problem["type"]) == (413, "/errors/too-large"), problem
    assert str(LIMIT) in problem["detail"]


@pytest.mark.parametrize("route", [route for route in WHOLE if route.reads])
def test_a_body_of_untold_length_is_413_when_it_gets_too_long(boss: Api, route: Route) -> None:
    pieces = iter([b"{", *[b" " * 5_000] * 5, b"}"])
    answer = send(boss, route, pieces, content_type=JSON, if_match="*")
    pointers(answer, 413)
    assert f"more than {LIMIT} bytes" in answer.json()["detail"]


@pytest.mark.parametrize("route", [route for route in BODIES if not route.reads])
def test_a_route_that_reads_no_body_does_not_wait_for_one(boss: Api, route: Route) -> None:
    head = f"{route.method} {path_of(route)} HTTP/1.1\nHost: 127.0.0.1\nContent-Type: {JSON}\n"
    status, _ = ask_raw(boss.live, f"{head}Transfer-Encoding: chunked", b"5\r\n{")
    assert status in (401, 403)  # strangers may not register here


def test_a_body_of_untold_length_within_the_limit_is_read(boss: Api) -> None:
    pieces = iter([b'{"kind": ', b'"dummy"', b"}"])
    answer = boss.http.post("/jobs/preview", content=pieces, headers={"Content-Type": JSON})
    assert answer.status_code == 200, answer.text
    made = boss.http.post("/files?name=x", content=iter([b"1", b"2"]))
    assert made.json()["size"] == 2


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
def test_a_body_may_be_as_long_as_the_limit_and_no_longer(boss: Api, told: bool) -> None:
    for size, kept, previewed in ((LIMIT, 201, 200), (LIMIT + 1, 413, 413)):
        body = b"1" * size
        text = b'{"kind": "dummy"}'.ljust(size)
        answer = boss.http.post("/files?name=x", content=body if told else iter([body]))
        assert answer.status_code == kept, answer.text
        answer = boss.http.post(
            "/jobs/preview",
            content=text if told else iter([text]),
            headers={"Content-Type": JSON},
        )
        assert answer.status_code == previewed, answer.text


@pytest.mark.parametrize("route", WHOLE, ids=names(WHOLE))
def test_another_kind_of_body_is_415(boss: Api, route: Route) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = send(boss, route, b"{}", content_type=kind, if_match="*")
        if route.reads == RAW:
            assert answer.status_code == 201, answer.text
        else:
            pointers(answer, 415)
            assert kind in answer.json()["detail"]
    pointers(send(boss, route, b"{}", content_type=JSON, content_encoding="gzip"), 415)
    untold = send(boss, route, iter([b"{}"]), content_type="text/plain")
    assert untold.status_code == (201 if route.reads == RAW else 415)


@pytest.mark.parametrize("route", READ, ids=names(READ))
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": 1,', "line 1, column 9"),
        (b"{'a': 1}", "line 1, column 2"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"\xff{}", "UTF-8"),
        (b"[" * 70 + b"]" * 70, "deeper than 64"),
    ],
    ids=["cut", "quotes", "NaN", "bytes", "deep"],
)
def test_what_is_no_json_is_400_and_says_where(
    boss: Api, route: Route, body: bytes, words: str
) -> None:
    found = pointers(send(boss, route, body, content_type=JSON, if_match="*"), 400)
    assert list(found) == [""]
    assert words in found[""]


@pytest.mark.parametrize("route", ROUTES, ids=[route.name for route in ROUTES])
def test_an_address_or_a_head_beyond_measure_is_414_or_431(boss: Api, route: Route) -> None:
    path = path_of(route).partition("?")[0]
    line = f"{route.method} {path}?x={'x' * 9_000} HTTP/1.1\nHost: 127.0.0.1"
    status, problem = ask_raw(boss.live, line)
    assert (status, problem["type"]) == (414, "/errors/uri-too-long")
    many = "".join(f"\nX-Header-{n}: x" for n in range(100))
    long = f"\nX-Long: {'x' * 9_000}"
    for more in (many, long):
        status, problem = ask_raw(
            boss.live, f"{route.method} {path} HTTP/1.1\nHost: 127.0.0.1{more}"
        )
        assert (status, problem["type"]) == (431, "/errors/headers-too-large")
        assert problem["request_id"]


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /healthz HTTP/9.9\nHost: 127.0.0.1", 400),
        ("GET /healthz\nHost: 127.0.0.1", 400),
        ("GET /healthz HTTP/1.1\nHost: 127.0.0.1\nBad Header: x", 400),
        ("POST /api/v1/files HTTP/1.1\nHost: 127.0.0.1\nTransfer-Encoding: chunked, x", 501),
        ("POST /api/v1/files HTTP/1.1\nHost: 127.0.0.1\nContent-Length: 1\nContent-Length: 2", 400),
        ("POST /api/v1/files HTTP/1.1\nHost: 127.0.0.1\nContent-Length: -1", 400),
    ],
)
def test_what_is_no_http_is_a_problem_too(boss: Api, head: str, status: int) -> None:
    answered, problem = ask_raw(boss.live, head)
    assert answered == problem["status"] == status
    assert boss.http.get("/me").status_code == 200
