"""The store is killed or away: what was acknowledged stays, and nobody waits for an answer."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.database import find_server
from tests.faults.campaign import settle
from tests.faults.checks import judge
from tests.faults.crowd import Crowd
from tests.faults.events import starts_of
from tests.faults.rig import Rig
from tests.faults.watcher import Watcher
from tests.helpers import eventually, processes
from tests.live import Api, live_gateway

pytestmark = pytest.mark.slow
DUMMY: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0, "steps": 1}}


def test_a_store_killed_under_submitting_clients_loses_nothing(rig: Rig) -> None:
    api = rig.user()
    with Watcher(rig, api.name) as watcher, Crowd(api, watcher, clients=6) as crowd:
        for kill in range(1, 21):
            eventually(partial(_more_than, crowd, len(crowd.history.answers)), what="a submission")
            assert eventually(lambda: rig.kill("redis"), what=f"a store to kill, time {kill}")
        crowd.leave()
        settle(watcher, crowd.history.ids)
        verdict = judge(rig, api, crowd.history, watcher)

    assert verdict.faults == []
    assert verdict.jobs >= 20


def test_without_a_store_each_answer_is_503_within_three_seconds_and_comes_back() -> None:
    with (
        _own_store() as (store, folder),
        live_gateway(GATEWAY_REDIS_URL=f"unix://{folder}/s") as live,
    ):
        api = live.user()
        done = api.wait(api.submit(**DUMMY)["id"])
        web = _web_processes(live.state)
        for number in (signal.SIGSTOP, signal.SIGKILL):  # silent, then gone
            store[-1].send_signal(number)
            for answer, took_s in _answers(api):
                assert answer.status_code == 503, answer.text
                assert int(answer.headers["Retry-After"]) > 0
                assert answer.headers["Content-Type"] == "application/problem+json"
                assert took_s < 3.0, f"{answer.request.url} took {took_s:.1f} s"
            assert httpx.get(f"{live.url}/healthz").status_code == 200
            assert httpx.get(f"{live.url}/readyz", timeout=10).status_code == 503
        store[-1].wait()
        store.append(_start_store(folder))

        eventually(live.ready, within_s=10, what="the gateway to be ready again")
        assert api.job(done["id"])["state"] == "COMPLETED"
        assert api.wait(api.submit(**DUMMY)["id"])["state"] == "COMPLETED"
        assert _web_processes(live.state) == web


def test_a_store_that_was_emptied_is_rebuilt_and_nothing_is_submitted_again(rig: Rig) -> None:
    api = rig.user()
    keys = [uuid.uuid4().hex for _ in range(12)]
    made = {key: api.submit(key, **DUMMY)["id"] for key in keys[:8]}
    for job_id in made.values():
        api.wait(job_id)
    deleted = api.wait(api.submit(gone := uuid.uuid4().hex, **DUMMY)["id"])["id"]
    assert api.http.delete(f"/jobs/{deleted}").status_code == 204
    long: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 3, "steps": 3}}
    made |= {key: api.submit(key, **long)["id"] for key in keys[8:]}
    for key in keys[8:]:
        eventually(partial(_native_id, api, made[key]), what="its submission")
    before = {job_id: rig.gateway.job_store.get(job_id) for job_id in made.values()}

    rig.gateway.redis.flushall()
    rig.kill("worker")  # it must not go on from what it had in mind
    rig.live.command("rebuild")
    rig.live.add_user(api.name)
    again = Api(rig.live, api.name)

    assert again.http.get("/jobs").json()["total"] == len(made)
    assert {
        key: again.submit(key, **(DUMMY if key in keys[:8] else long))["id"] for key in keys
    } == made
    late = again.http.post("/jobs", json=DUMMY, headers={"Idempotency-Key": gone})
    assert (late.status_code, again.http.get(f"/jobs/{deleted}").status_code) == (409, 404)
    for job_id, job in before.items():
        ended = again.wait(job_id)
        assert (ended["state"], ended["native_id"]) == ("COMPLETED", job.attempt.native_id)
        assert starts_of(rig.gateway.job_store.get(job_id)) == 1
    assert again.http.get("/jobs").json()["total"] == len(made)


def _more_than(crowd: Crowd, count: int) -> bool:
    return len(crowd.history.answers) > count


def _native_id(api: Api, job_id: str) -> Any:
    return api.job(job_id)["native_id"]


def _answers(api: Api) -> list[tuple[httpx.Response, float]]:
    """Ask for several things at once, as clients do."""

    def ask(number: int) -> tuple[httpx.Response, float]:
        begun = time.monotonic()
        if number % 2:
            answer = api.http.get("/jobs")
        else:
            key = {"Idempotency-Key": uuid.uuid4().hex}
            answer = api.http.post("/jobs", json=DUMMY, headers=key)
        return answer, time.monotonic() - begun

    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(ask, range(4)))


def _web_processes(state: Path) -> set[int]:
    """Find the processes of the web server that belongs to a state directory."""
    found = processes("gunicorn", environment=f"GATEWAY_STATE={state}")
    return {process.pid for process in found}


@contextmanager
def _own_store() -> Iterator[tuple[list[subprocess.Popen[bytes]], Path]]:
    """Run a store that is not the gateway's, so that nobody starts it again."""
    with tempfile.TemporaryDirectory(prefix="gw-redis-") as name:
        folder = Path(name)
        store = [_start_store(folder)]
        try:
            yield store, folder
        finally:
            if store[-1].poll() is None:
                store[-1].send_signal(signal.SIGCONT)
                store[-1].kill()
            store[-1].wait()


def _start_store(folder: Path) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [str(find_server().path), "--port", "0", "--unixsocket", str(folder / "s"),
         "--dir", str(folder),
         "--save", "", "--appendonly", "yes", "--appendfsync", "always",
         "--maxmemory-policy", "noeviction"],
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    eventually(lambda: (folder / "s").exists(), what="the store's socket")
    return process
