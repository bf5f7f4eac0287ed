"""The store goes away and comes back: 503 with a time to come again, and nothing is lost."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from tests.helpers import eventually
from tests.live import live_gateway


@contextmanager
def serving(folder: Path) -> Iterator[None]:
    """Run a store on a directory, and end it."""
    program = shutil.which("redis-server")
    assert program
    arguments = ["--port", "0", "--unixsocket", f"{folder}/s", "--dir", str(folder), "--save", "",
                 "--appendonly", "yes", "--appendfsync", "always",
                 "--maxmemory-policy", "noeviction"]  # fmt: skip
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: Path(folder, "s").exists(), what="the store")
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_without_its_store_the_gateway_says_503_and_goes_on_afterwards() -> None:
    with TemporaryDirectory(prefix="bgw-store-") as name:
        folder = Path(name)
        first = serving(folder)
        first.__enter__()
        down = False
        try:
            with live_gateway(GATEWAY_REDIS_URL=f"unix://{folder}/s") as live:
                api = live.user()
                job = api.submit(kind="dummy", options={"seconds": 0})
                api.wait(job["id"])
                first.__exit__(None, None, None)
                down = True
                key = {"Idempotency-Key": uuid.uuid4().hex}
                headers = {
                    "Authorization": api.http.headers["Authorization"],
                    "Content-Type": "application/json",
                }
                for method, path in (
                    ("POST", "/api/v1/jobs"),
                    ("GET", f"/api/v1/jobs/{job['id']}"),
                    ("GET", "/api/v1/me"),
                    ("GET", "/readyz"),
                ):
                    body = b'{"kind": "dummy"}' if method == "POST" else b""
                    answer = httpx.request(
                        method,
                        live.url + path,
                        headers={**headers, **key},
                        timeout=10,
                        content=body,
                    )
                    assert answer.status_code == 503, answer.text
                    assert answer.elapsed.total_seconds() < 3
                    if answer.request.url.path != "/readyz":
                        assert int(answer.headers["Retry-After"]) > 0
                        assert answer.json()["type"] == "/errors/unavailable"
                        assert "Traceback" not in answer.text
                assert httpx.get(f"{live.url}/healthz").status_code == 200
                with serving(folder):
                    eventually(lambda: api.http.get("/me").status_code == 200, what="the way back")
                    assert api.job(job["id"])["state"] == "COMPLETED"
                    made = api.http.post("/jobs", json={"kind": "dummy"}, headers=key)
                    assert made.status_code == 202
                    assert api.wait(made.json()["id"])["state"] == "COMPLETED"
                    assert api.http.get("/jobs").json()["total"] == 2
        finally:
            if not down:
                first.__exit__(None, None, None)
