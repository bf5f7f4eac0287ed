"""A disk that fills up under a gateway: what it cannot keep is refused, and nothing is lost."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.doctor import examine
from gateway.findings import Finding
from gateway.settings import load_settings
from tests.helpers import eventually, processes
from tests.live import Api, LiveGateway, live_gateway

pytestmark = pytest.mark.slow
DUMMY: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0, "steps": 1}}
LONG: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 3, "steps": 3}}
LINE: dict[str, Any] = {
    "name": "line",
    "type": "curve",
    "curve": {
        "data": {"text": "1 2 0.1\n2 4 0.1\n3 6 0.1\n"},
        "columns": {"x": 0, "y": 1, "dy": {"from": "column", "column": 2}},
        "expression": "a*x",
        "parameters": [{"name": "a", "value": 1, "bounds": [0, 9]}],
    },
}
_DISK_BYTES = 64 << 20


@pytest.fixture
def small_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Let everything temporary lie on a disk of its own."""
    with tempfile.TemporaryDirectory(prefix="bgw-disk-") as place:
        options = f"size={_DISK_BYTES},mode=0700"
        mount = ["/usr/bin/env", "mount", "-t", "tmpfs", "-o", options, "tmpfs", place]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no disk can be mounted here: {done.stderr}")
        try:
            monkeypatch.setattr(tempfile, "tempdir", place)
            yield Path(place)
        finally:
            subprocess.run(["/usr/bin/env", "umount", place], check=True)


def fill(junk: Path, left: float) -> None:
    """Fill the disk until a part of it is left, while others write, too."""
    with junk.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            disk = os.statvfs(junk.parent)
            if 0 < disk.f_bavail <= left * disk.f_blocks:
                return
            rest = disk.f_bavail - int(left * disk.f_blocks)
            file.write(bytes(max(1, min(rest, 256)) * disk.f_frsize))


def refused(answer: httpx.Response) -> None:
    """See that an answer says that the disk is full, in our form."""
    assert answer.status_code == 507, answer.text
    problem = answer.json()
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert problem["type"] == "/errors/no-space"
    assert "disk" in problem["detail"]
    assert "administrator" in problem["detail"]


def doctor_on_disk(live: LiveGateway) -> Finding:
    found = islice(examine(load_settings(live.environment)), 6)
    return next(finding for finding in found if finding.what == "disk")


def post_job(api: Api, key: str) -> httpx.Response:
    return api.http.post("/jobs", json=DUMMY, headers={"Idempotency-Key": key})


def assert_all_is_whole(live: LiveGateway) -> None:
    """See that every file that is seen is what it says that it is, and nothing is half."""
    for path in (live.state / "blobs").glob("??/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    assert list((live.state / "blobs").glob(".*.part")) == []
    for path in (live.state / "sidecars").glob("*/*/*"):
        assert json.loads(path.read_text())


def test_a_nearly_full_disk_refuses_what_is_new_and_goes_on_with_the_rest(
    small_disk: Path,
) -> None:
    with live_gateway() as live:
        api = live.user()
        done = api.wait(api.submit(**DUMMY)["id"])["id"]
        gone = api.wait(api.submit(**DUMMY)["id"])["id"]
        running = api.submit(**LONG)["id"]
        api.wait_for_state(running, "RUNNING")
        web = live.process
        assert doctor_on_disk(live).good
        fill(small_disk / "junk", 0.01)

        assert "make room" in doctor_on_disk(live).text
        refused(api.http.post("/files", params={"name": "a.dat"}, content=b"new"))
        refused(api.http.post("/problems", json=LINE))
        key = uuid.uuid4().hex
        refused(post_job(api, key))
        refused(api.http.post(f"/jobs/{done}/rerun", json={}, headers={"Idempotency-Key": "r"}))
        assert api.http.get("/jobs").json()["total"] == 3
        assert api.http.get("/problems").json()["items"] == []
        assert api.results(done)["files"]
        assert api.http.patch(f"/jobs/{done}", json={"title": "kept"}).status_code == 200
        assert api.http.delete(f"/jobs/{gone}").status_code == 204
        eventually(
            lambda: "disk" in (api.job(running)["reason_text"] or ""),
            what="the job that ended to say what holds it up",
        )
        assert not api.job(running)["final"]
        (small_disk / "junk").unlink()

        assert api.wait(running)["state"] == "COMPLETED"
        assert api.results(running)["complete"]
        made = post_job(api, key)
        assert made.status_code == 202
        assert "Idempotent-Replayed" not in made.headers
        assert api.wait(made.json()["id"])["state"] == "COMPLETED"
        assert api.http.get("/jobs").json()["total"] == 3
        assert live.process is web
        assert_all_is_whole(live)


def test_a_disk_without_a_single_byte_loses_nothing_and_all_goes_on_when_there_is_room(
    small_disk: Path,
) -> None:
    with live_gateway() as live:
        api = live.user()
        done = api.wait(api.submit(**DUMMY)["id"])["id"]
        running = api.submit(**LONG)["id"]
        api.wait_for_state(running, "RUNNING")
        run = live.process
        fill(small_disk / "junk", 0)
        answers: set[int] = set()

        stores: set[int] = set()

        def look() -> int:
            answers.add(post_job(api, uuid.uuid4().hex).status_code)
            stores.update(found.pid for found in processes(str(live.state / "store")))
            return len(stores)

        eventually(lambda: look() >= 2, within_s=60, what="the store to end again and again")
        assert answers <= {503, 507}
        (small_disk / "junk").unlink()

        eventually(live.ready, what="the gateway to be ready again")
        assert live.process is run
        assert live.process is not None
        assert live.process.poll() is None
        assert api.wait(running)["final"]  # whatever it could write itself on such a disk
        assert api.results(done)["complete"]
        assert api.http.get("/jobs").json()["total"] == 2
        assert api.wait(api.submit(**DUMMY)["id"])["state"] == "COMPLETED"
        assert_all_is_whole(live)


def test_an_upload_that_does_not_fit_leaves_nothing_behind(small_disk: Path) -> None:
    with live_gateway() as live:
        api = live.user()
        kept = api.upload("small.dat", b"small")
        before = os.statvfs(small_disk).f_bavail
        answer = api.http.post("/files", params={"name": "big.dat"}, content=bytes(_DISK_BYTES))
        refused(answer)
        after = os.statvfs(small_disk).f_bavail
        assert before - after < 256, "pages of it are still there"
        assert api.upload("again.dat", b"small") == kept
        assert_all_is_whole(live)


def test_one_users_share_is_refused_with_the_numbers_and_what_to_do() -> None:
    with live_gateway(
        GATEWAY_LIMITS__BYTES_PER_USER="100000", GATEWAY_LIMITS__FILE_BYTES="80000"
    ) as live:
        api, other = live.user(), live.user()
        job = api.wait(api.submit(**DUMMY)["id"])["id"]
        results = sum(file["size"] for file in api.results(job)["files"])
        api.upload("most.dat", bytes(79_000))
        too_large = api.http.post("/files", params={"name": "a"}, content=bytes(81_000))
        assert too_large.status_code == 413
        assert too_large.json()["type"] == "/errors/too-large"
        answer = api.http.post("/files", params={"name": "b.dat"}, content=b"b" * 30_000)
        assert answer.status_code == 507
        problem = answer.json()
        assert problem["type"] == "/errors/quota"
        assert "100 kB that this site allows" in problem["detail"]
        assert "your files 79 kB" in problem["detail"]
        assert "Delete jobs" in problem["detail"]
        assert api.upload("again.dat", bytes(79_000))
        assert other.upload("b.dat", b"b" * 30_000)

        rest = 100_000 - 79_000 - results
        api.upload("rest.dat", b"r" * rest)
        full = post_job(api, "a-new-key")
        assert (full.status_code, full.json()["type"]) == (507, "/errors/quota")
        again = api.http.post(f"/jobs/{job}/rerun", json={}, headers={"Idempotency-Key": "r"})
        assert again.status_code == 507
        assert api.http.get("/jobs").json()["total"] == 1
        assert api.http.delete(f"/jobs/{job}").status_code == 204
        assert api.wait(post_job(api, "a-new-key").json()["id"])["state"] == "COMPLETED"
