"""Wrong on purpose: bodies that are too long, too deep, packed or of another kind."""

from __future__ import annotations

import gzip
import json
import socket
import time
import zlib
from pathlib import Path

import httpx
import pytest

from tests.api.wrong import CURVE, kept, pointers
from tests.helpers import processes
from tests.live import Api, LiveGateway

_GIGABYTE = 1 << 30


def web_memory(live: LiveGateway) -> int:
    """Add up what the web processes hold in memory, in bytes."""
    total = 0
    for process in processes("gunicorn", f":{live.port}"):
        text = Path(f"/proc/{process.pid}/status").read_text()
        total += int(text.partition("VmRSS:")[2].split()[0]) * 1024
    return total


def send_body(live: LiveGateway, path: str, length: str, token: str) -> tuple[int, int, float]:
    """Send a body of a gigabyte until it is refused: (status, bytes that were taken, seconds)."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\n{length}\r\n\r\n"
    )
    chunked = "chunked" in length
    began, sent, answer = time.monotonic(), 0, b""
    with socket.create_connection(("127.0.0.1", live.port), timeout=10) as line:
        line.sendall(head.encode())
        line.settimeout(0.02)
        piece = b" " * 0x100000
        framed = b"100000\r\n" + piece + b"\r\n" if chunked else piece
        place = 0
        while sent < _GIGABYTE and not answer:
            try:
                took = line.send(framed[place:])
                sent, place = sent + took, (place + took) % len(framed)
            except TimeoutError:
                pass
            except OSError:
                break
            try:
                answer = line.recv(4096)
            except TimeoutError:
                continue
            except OSError:
                break
    status = int(answer.split(b" ", 2)[1]) if answer else 0
    return status, sent, time.monotonic() - began


@pytest.mark.parametrize(
    "length", [f"Content-Length: {_GIGABYTE}", "Transfer-Encoding: chunked"], ids=["told", "untold"]
)
@pytest.mark.parametrize("path", ["/api/v1/jobs", "/api/v1/problems", "/api/v1/files?name=big"])
def test_a_body_of_a_gigabyte_is_refused_early(api: Api, path: str, length: str) -> None:
    before, memory = kept(api), web_memory(api.live)
    assert memory > 0
    status, sent, seconds = send_body(api.live, path, length, api.live.tokens[api.name])
    limit = 200_000_000 if "files" in path else 50_000_000
    assert status in (413, 0), "refused, or cut off after the refusal"
    assert sent < limit
    assert seconds < 60
    assert web_memory(api.live) - memory < 100_000_000
    assert kept(api) == before
    assert api.http.get("/me").elapsed.total_seconds() < 2


def test_what_is_too_large_is_said_by_a_problem(api: Api) -> None:
    answer = api.http.post("/problems", json={**CURVE, "notes": "x" * 1_200_000})
    pointers(answer, 413)


@pytest.mark.parametrize("depth", [65, 100_000])
def test_json_that_is_too_deep_is_refused(api: Api, depth: int) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        body = '{"options": ' + opening * depth + "1" + closing * depth + "}"
        answer = api.http.post("/jobs", content=body, headers={"Content-Type": "application/json"})
        pointers(answer, 400)
        assert answer.elapsed.total_seconds() < 2
    assert kept(api)[0] == 0


@pytest.mark.parametrize(
    "body", [b"", b"{", b"nonsense", b"[NaN]", b'{"seed": Infinity}', b"\xff\xfe{}",
             b"\x80\x04\x95",
             b'{"title": "\\ud800"}', b'{"seed": 1' + b"0" * 5000 + b"}"],
)  # fmt: skip
def test_a_body_that_is_no_json_is_refused(api: Api, body: bytes) -> None:
    answer = api.http.post("/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text
    pointers(answer, answer.status_code)
    assert kept(api)[0] == 0


@pytest.mark.parametrize("body", [b"null", b"[]", b'"x"', b"1", b"true"])
def test_json_of_another_shape_is_refused(api: Api, body: bytes) -> None:
    for path in ("/jobs", "/problems", "/jobs/preview", "/tokens"):
        answer = api.http.post(path, content=body, headers={"Content-Type": "application/json"})
        pointers(answer)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP, gzip"])
def test_a_packed_body_is_refused(api: Api, coding: str) -> None:
    text = json.dumps({"kind": "dummy"}).encode()
    body = zlib.compress(text) if coding == "deflate" else gzip.compress(text)
    for path in ("/jobs", "/files?name=x"):
        headers = {"Content-Encoding": coding, "Content-Type": "application/json"}
        pointers(api.http.post(path, content=body, headers=headers), 415)
    assert kept(api)[0] == 0


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
     "application/xml", "application/x-python-pickle", ""],
)  # fmt: skip
def test_a_body_of_another_kind_is_refused(api: Api, kind: str) -> None:
    headers = {"Content-Type": kind} if kind else {}
    answer = api.http.post("/jobs", content=b'{"kind": "dummy"}', headers=headers)
    pointers(answer, 415)
    assert kept(api)[0] == 0


def test_headers_beyond_measure_are_refused(api: Api) -> None:
    many = {f"X-Header-{n}": "x" for n in range(200)}
    assert httpx.get(f"{api.live.url}/api/v1/me", headers=many).status_code == 431
    answer = httpx.get(f"{api.live.url}/api/v1/me?{'x' * 20_000}")
    assert answer.status_code == 414
    assert api.http.get("/me").status_code == 200
