"""The real nginx with the file from ``config/deploy`` in front of a real gateway."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.end_to_end.test_backup import CURVE
from tests.helpers import eventually, free_port, started
from tests.live import PASSWORD, Api, LiveGateway, live_gateway

CONF = Path(__file__).resolve().parents[2] / "config" / "deploy" / "nginx.conf"
pytestmark = pytest.mark.slow

FORGED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "evil.example",
    "Forwarded": "for=203.0.113.9;host=evil.example",
}


@dataclass
class Front:
    """An nginx that has TLS, with the gateway behind it."""

    live: LiveGateway
    api: Api
    port: int
    plain: int
    certificate: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def client(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.certificate))
        return httpx.Client(base_url=self.url, verify=context, timeout=20)

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.live.tokens[self.api.name]}"}

    def address_of(self, path: str) -> str:
        """Say from where the gateway thinks that the last request for a path came."""
        lines = [json.loads(line) for line in self.live.log.splitlines() if line.startswith("{")]
        return str([one for one in lines if one.get("path") == path][-1]["address"])


def certificate(folder: Path) -> Path:
    """Make one for ``localhost`` that lives for a day."""
    subprocess.run(
        ["/usr/bin/openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
         "-keyout", folder / "privkey.pem", "-out", folder / "fullchain.pem"],
        capture_output=True, check=True,
    )  # fmt: skip
    return folder / "fullchain.pem"


def configuration(folder: Path, *, port: int, plain: int, behind: int, blobs: Path) -> Path:
    """Write the file as it is, but for names, ports and places, into a configuration of its own."""
    text = CONF.read_text()
    for old, new in (
        ("127.0.0.1:8080", f"127.0.0.1:{behind}"),
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("    listen [::]:443 ssl http2;\n", ""),
        ("    listen [::]:80;\n", ""),
        ("fits.example.org;", "localhost;"),
        ("/etc/letsencrypt/live/fits.example.org", str(folder)),
        ("/var/lib/bumps-gateway/blobs", str(blobs)),
    ):
        assert old in text, old
        text = text.replace(old, new)
    (folder / "site.conf").write_text(text)
    user = "user root;\n" if os.getuid() == 0 else ""
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "main.conf"
    main.write_text(
        f"{user}daemon off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off;\n{paths}include {folder}/site.conf;\n}}\n"
    )
    return main


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    assert nginx, "apt-get install nginx-light"
    folder = tmp_path_factory.mktemp("nginx")
    port, plain = free_port(), free_port()
    url = f"https://localhost:{port}"
    server = {"GATEWAY_SERVER__TRUSTED_PROXIES": "1", "GATEWAY_SERVER__ACCEL_REDIRECT": "/_files/"}
    with live_gateway(GATEWAY_URL=url, **server) as live:
        main = configuration(
            folder, port=port, plain=plain, behind=live.port, blobs=live.state / "blobs"
        )
        own = certificate(folder)
        checked = subprocess.run(
            [nginx, "-t", "-c", main, "-e", folder / "error.log"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert checked.returncode == 0, checked.stderr
        assert "warn" not in checked.stderr
        with started([nginx, "-c", str(main), "-e", str(folder / "error.log")]) as process:
            front = Front(live, live.user(), port, plain, own)
            with front.client() as client:
                eventually(lambda: reached(client), what="nginx")
            yield front
            process.terminate()  # before it is killed: its own processes end with it
            process.wait(timeout=10)


def reached(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def test_signing_in_over_tls_sets_cookies_of_this_host_alone(front: Front) -> None:
    with front.client() as client:
        who = {"name": front.api.name, "password": PASSWORD}
        answer = client.post("/api/v1/auth/login", json=who, headers={"Origin": front.url})
        assert answer.status_code == 200, answer.text
        cookies = answer.headers.get_list("set-cookie")
        assert len(cookies) >= 2
        for cookie in cookies:
            assert re.match(r"__Host-bgw-\w+=", cookie)
            words = {word.strip() for word in cookie.split(";")}
            assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= words
        assert "Strict-Transport-Security" in answer.headers
        assert client.get("/jobs").status_code == 200
        # A write by cookie from another site's page is refused, and from this one's taken.
        token = answer.json()["csrf_token"]
        for origin, status in (("https://evil.example", 403), (front.url, 202)):
            sent = client.post(
                "/api/v1/jobs",
                json={"kind": "dummy", "options": {"seconds": 0}},
                headers={"Origin": origin, "X-CSRF-Token": token},
            )
            assert sent.status_code == status, sent.text


def test_plain_http_leads_to_tls(front: Front) -> None:
    answer = httpx.get(f"http://localhost:{front.plain}/jobs?x=1")
    assert answer.status_code == 308
    assert answer.headers["Location"] == "https://localhost/jobs?x=1"


def test_events_come_while_the_job_runs(front: Front) -> None:
    job = front.api.submit(kind="dummy", options={"seconds": 60})["id"]
    address = f"/api/v1/jobs/{job}/events"
    with front.client() as client, client.stream("GET", address, headers=front.bearer) as stream:
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        first = next(line for line in lines if line.startswith("data: "))
        assert json.loads(first.removeprefix("data: "))
        assert not front.api.job(job)["final"]
    front.api.cancel_all()


def test_a_part_of_a_file_is_sent_and_gone_on_with(front: Front) -> None:
    problem = front.api.problem(CURVE)
    job = front.api.submit(problem={"id": problem["id"]}, options={"fit": "lm"})["id"]
    assert front.api.wait(job)["state"] == "COMPLETED"
    ref = max(front.api.results(job)["files"], key=lambda ref: int(ref["size"]))
    with front.client() as client:
        whole = client.get(ref["href"], headers=front.bearer)
        assert whole.status_code == 200
        assert whole.headers["Accept-Ranges"] == "bytes"
        for asked, start in (("bytes=0-99", 0), (f"bytes={ref['size'] - 100}-", ref["size"] - 100)):
            headers = {**front.bearer, "Range": asked, "If-Range": whole.headers["ETag"]}
            part = client.get(ref["href"], headers=headers)
            assert part.status_code == 206
            end = start + 99
            assert part.headers["Content-Range"] == f"bytes {start}-{end}/{ref['size']}"
            assert part.content == whole.content[start : end + 1]
        beyond = client.get(ref["href"], headers={**front.bearer, "Range": f"bytes={ref['size']}-"})
        assert beyond.status_code == 416


def test_nginx_reads_a_file_from_the_disk_and_answers_as_the_gateway_would(front: Front) -> None:
    made = front.api.problem(CURVE)
    job = front.api.submit(problem={"id": made["id"]}, options={"fit": "lm"})["id"]
    assert front.api.wait(job)["state"] == "COMPLETED"
    file = max(front.api.results(job)["files"], key=lambda one: int(one["size"]))
    address, able = file["href"], {"X-Sendfile-Type": "X-Accel-Redirect"}
    own = httpx.get(f"{front.live.url}{address}", headers=front.bearer)
    assert len(own.content) == file["size"], "who asks the gateway itself gets it from there"
    told = httpx.get(f"{front.live.url}{address}", headers={**front.bearer, **able})
    place = told.headers["X-Accel-Redirect"]
    assert re.fullmatch(r"/_files/([0-9a-f]{2})/\1[0-9a-f]{62}", place)
    assert told.content == b""
    with front.client() as client:
        sent = client.get(address, headers=front.bearer)
        assert sent.content == own.content
        assert "X-Accel-Redirect" not in sent.headers
        passing = {"server", "date", "connection", "content-length", "last-modified",
                   "x-request-id", "x-correlation-id"}  # fmt: skip
        missing = {name for name in own.headers if name not in passing and name != "keep-alive"}
        for name in missing:
            assert sent.headers.get(name) == own.headers[name], name
        assert client.get(place, headers=front.bearer).status_code == 404, "nobody asks for it"
        for asked in ("bytes=0-99", "bytes=-7"):
            part = client.get(address, headers={**front.bearer, "Range": asked})
            same = httpx.get(f"{front.live.url}{address}", headers={**front.bearer, "Range": asked})
            assert (part.status_code, part.content) == (206, same.content)
            assert part.headers["Content-Range"] == same.headers["Content-Range"]
        assert client.get(address).status_code == 401
        unchanged = {**front.bearer, "If-None-Match": own.headers["ETag"]}
        assert client.get(address, headers=unchanged).status_code == 304


def head_only(front: Front, size: int) -> bytes:
    """Announce a body, send none of it, and read the answer."""
    context = ssl.create_default_context(cafile=str(front.certificate))
    with (
        socket.create_connection(("127.0.0.1", front.port), timeout=10) as line,
        context.wrap_socket(line, server_hostname="localhost") as tls,
    ):
        tls.sendall(
            f"POST /api/v1/files?name=x HTTP/1.1\r\nHost: localhost:{front.port}\r\n"
            f"Authorization: {front.bearer['Authorization']}\r\n"
            f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n"
            "Connection: close\r\n\r\n".encode()
        )
        return b"".join(iter(lambda: tls.recv(65536), b""))


def test_a_body_over_the_limit_is_refused_before_it_is_sent(front: Front) -> None:
    head, _, body = head_only(front, 200_000_000).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in head
    problem = json.loads(body)
    assert (problem["status"], problem["type"]) == (413, "/errors/too-large")
    with front.client() as client:  # what nginx lets pass, and the gateway does not
        answer = client.post("/api/v1/jobs", headers=front.bearer, json={"x": "y" * 1_100_000})
        assert answer.status_code == 413
        assert answer.json()["type"] == problem["type"]
        taken = client.post("/api/v1/files?name=x", headers=front.bearer, content=b"z" * 3_000_000)
        assert taken.status_code == 201


def test_what_a_stranger_says_of_the_way_is_not_believed(front: Front) -> None:
    with front.client() as client:
        answer = client.get("/sign-in", headers=FORGED)
        assert answer.status_code == 200
        assert "Strict-Transport-Security" in answer.headers
        assert "evil.example" not in answer.text
        assert front.address_of("/sign-in") == "127.0.0.1"
        assert client.get("/sign-in", headers={"Host": "evil.example"}).status_code == 400


def test_numbers_for_prometheus_are_not_for_the_internet(front: Front) -> None:
    front.live.add_user("watch", admin=True)
    headers = {"Authorization": f"Bearer {front.live.tokens['watch']}"}
    assert httpx.get(f"{front.live.url}/metrics", headers=headers).status_code == 200
    with front.client() as client:
        assert client.get("/metrics", headers=headers).status_code == 404
