"""A whole gateway removes what nobody needs, and what somebody needs is there."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.database import connect
from gateway.settings import load_settings
from tests.helpers import eventually
from tests.live import LiveGateway, live_gateway

DUMMY: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0, "steps": 1}}
OLD = time.time() - 30 * 24 * 3600


@pytest.fixture(scope="module")
def sweeping() -> Iterator[LiveGateway]:
    """Run a gateway that looks for unused files all the time."""
    with live_gateway(GATEWAY_WORKER__SWEEP_S="0.1", GATEWAY_WORKER__IDLE_TICK_S="0.2") as live:
        yield live


def make_all_old(live: LiveGateway, owner: str) -> None:
    """Let a month go by for all contents and uploads."""
    for path in (live.state / "blobs").glob("??/*"):
        os.utime(path, (OLD, OLD))
    client = connect(load_settings(live.environment))
    for digest, text in client.hgetall(f"file:{owner}").items():
        client.hset(f"file:{owner}", digest, json.dumps({**json.loads(text), "t": OLD}))
    client.close()


def passes(live: LiveGateway) -> float:
    """Say when the last look ended."""
    path = live.state / "swept.json"
    return float(json.loads(path.read_text())["ended"]) if path.exists() else 0.0


def wait_for_looks(live: LiveGateway, times: int) -> None:
    for _ in range(times):
        eventually(partial(_later_than, live, passes(live)), what="another look")


def _later_than(live: LiveGateway, last: float) -> bool:
    return passes(live) > last


def blob(live: LiveGateway, digest: str) -> Path:
    return live.state / "blobs" / digest[:2] / digest


def test_what_nobody_uses_goes_and_jobs_problems_and_results_stay_whole(
    sweeping: LiveGateway,
) -> None:
    api = sweeping.user()
    unused = api.upload("unused.dat", b"nobody wants this")
    problem = api.script_problem("import numpy\nproblem = None\n", data_dat=b"1 2 3\n")["id"]
    job = api.wait(api.submit(**DUMMY)["id"])
    results = api.results(job["id"])
    assert results["files"]
    make_all_old(sweeping, api.name)

    eventually(lambda: not blob(sweeping, unused).exists(), what="the unused file to go")

    assert api.http.get(f"/problems/{problem}/export.zip").status_code == 200
    for file in results["files"]:
        assert api.http.get(file["href"].removeprefix("/api/v1")).status_code == 200
    assert api.http.get(f"/jobs/{job['id']}/bundle.zip").status_code == 200
    again = api.http.post(f"/jobs/{job['id']}/rerun", json={}, headers={"Idempotency-Key": "k"})
    assert again.status_code == 202, again.text
    assert api.wait(job["id"])["state"] == "COMPLETED"
    assert api.job(job["id"])["attempt"] == 2
    told = sweeping.command("doctor")
    assert "that nothing names" in told


def test_the_results_of_a_deleted_job_go(sweeping: LiveGateway) -> None:
    api = sweeping.user()
    job = api.wait(api.submit(**DUMMY)["id"])["id"]
    named = {ref["path"]: ref["digest"] for ref in api.results(job)["files"]}
    result = blob(sweeping, named["result.0.json"])  # no other job's has these bytes
    assert result.exists()
    assert api.http.delete(f"/jobs/{job}").status_code == 204
    make_all_old(sweeping, api.name)
    eventually(lambda: not result.exists(), what="its results to go")


def test_an_upload_that_was_swept_away_is_asked_for_again(sweeping: LiveGateway) -> None:
    api = sweeping.user()
    digest = api.upload("model.py", b"problem = None\n")
    make_all_old(sweeping, api.name)
    eventually(lambda: not blob(sweeping, digest).exists(), what="the unused file to go")
    body = {
        "name": "late", "type": "script",
        "script": {"entry": "model.py", "files": [{"digest": digest, "name": "model.py"}]},
    }  # fmt: skip
    answer = api.http.post("/problems", json=body)
    assert answer.status_code == 422
    assert "upload it first" in answer.json()["errors"][0]["detail"]
    assert api.upload("model.py", b"problem = None\n") == digest
    assert api.http.post("/problems", json=body).status_code == 201
    wait_for_looks(sweeping, 3)
    assert blob(sweeping, digest).exists()
