"""The gateway, or a part of it, is stopped or killed while jobs run: they are found again."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.jobs.nudge import QUEUE
from scheduler.processes import having
from tests.faults.rig import Rig
from tests.helpers import eventually
from tests.live import Api, LiveGateway, live_gateway

pytestmark = pytest.mark.slow
DUMMY: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0, "steps": 1}}
LONG: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 8, "steps": 8}}
FIT: dict[str, Any] = {
    "name": "line",
    "type": "curve",
    "curve": {
        "data": {"text": "".join(f"{x} {2 * x + 1} 0.1\n" for x in range(12))},
        "columns": {"x": 0, "y": 1, "dy": {"from": "column", "column": 2}},
        "expression": "a*x+b",
        "parameters": [{"name": "a", "value": 1, "bounds": [0, 9]},
                       {"name": "b", "value": 0, "bounds": [-9, 9]}],
    },
}  # fmt: skip


def test_a_job_whose_messages_are_deleted_ends_all_the_same(rig: Rig) -> None:
    api = rig.user()
    ids = []
    for _ in range(10):
        ids.append(api.submit(**DUMMY)["id"])
        rig.gateway.redis.delete(f"rq:queue:{QUEUE}", "jobs:wake")
    for job_id in ids:
        assert api.wait(job_id)["state"] == "COMPLETED"


def test_a_killed_queue_worker_is_replaced_and_leaves_nothing(rig: Rig) -> None:
    api = rig.user()
    first = eventually(lambda: rig.pids("queue"), what="a queue worker")[0]
    os.kill(first, signal.SIGKILL)

    assert api.wait(api.submit(**DUMMY)["id"])["state"] == "COMPLETED"
    assert eventually(lambda: set(rig.pids("queue")) - {first}, what="another queue worker")


def test_a_killed_worker_takes_its_queue_worker_along(rig: Rig) -> None:
    queue = eventually(lambda: rig.pids("queue"), what="a queue worker")[0]
    rig.kill("worker")

    eventually(lambda: not Path(f"/proc/{queue}").exists(), what="the end of the queue worker")


def test_the_jobs_of_a_killed_worker_do_not_wait_for_its_leases(rig: Rig) -> None:
    api = rig.user()
    job = api.submit(**LONG)["id"]
    eventually(lambda: rig.gateway.redis.exists(f"job:{job}:lease"), every_s=0.001, what="a lease")
    rig.kill("worker")

    assert api.wait(job, within_s=60)["state"] == "COMPLETED"


def test_a_fit_that_runs_while_the_gateway_is_stopped_is_found_and_not_started_again() -> None:
    with live_gateway() as live:
        api = live.user()
        problem = api.problem(FIT)
        options = {"fit": "dream", "samples": 2_000_000, "burn": 10}
        fit = api.submit(problem={"id": problem["id"]}, options=options)["id"]
        dummy = api.submit(**LONG)["id"]
        for job_id in (fit, dummy):
            api.wait_for_state(job_id, "RUNNING")
        before = api.job(fit)
        eventually(lambda: api.job(fit)["progress"], what="the fit's first step")
        live.stop()
        live.start()
        api = Api(live, api.name)
        after = api.wait_for_state(fit, "RUNNING")

        assert after["native_id"] == before["native_id"]
        assert api.wait(dummy)["state"] == "COMPLETED"
        step = api.job(fit)["progress"]["step"]
        eventually(lambda: api.job(fit)["progress"]["step"] > step, what="the fit to go on")
        assert api.http.post(f"/jobs/{fit}/stop").status_code == 202
        assert api.wait(fit)["state"] == "COMPLETED"
        assert [_begun(live, job_id) for job_id in (fit, dummy)] == [1, 1]


def test_killing_everything_at_once_loses_nothing_and_starts_nothing_twice() -> None:
    with live_gateway() as live:
        api = live.user()
        ids = [api.submit(**(LONG if number % 4 == 0 else DUMMY))["id"] for number in range(8)]
        api.wait_for_state(ids[0], "RUNNING")
        for pid in having([f"GATEWAY_STATE={live.state}"]):
            os.kill(pid, signal.SIGKILL)
        assert live.process is not None
        live.process.wait()
        live.start()
        api = Api(live, api.name)

        assert [api.wait(job_id)["state"] for job_id in ids] == ["COMPLETED"] * len(ids)
        assert [_begun(live, job_id) for job_id in ids] == [1] * len(ids)
        assert api.http.get("/jobs").json()["total"] == len(ids)


def test_a_killed_run_leaves_no_part_behind_and_starts_again_at_once() -> None:
    with live_gateway() as live:
        api = live.user()
        job_id = api.submit(**LONG)["id"]
        parts = set(
            having(
                [
                    f"GATEWAY_STATE={live.state}",
                    f"GATEWAY_REDIS_URL=unix://{live.state}/store/redis.sock",
                ]
            )
        )
        assert live.process is not None
        live.process.kill()
        live.process.wait()

        eventually(
            lambda: not parts & set(having([f"GATEWAY_STATE={live.state}"])),
            what="the end of its parts",
        )
        live.start()
        api = Api(live, api.name)
        assert api.wait(job_id)["state"] == "COMPLETED"
        assert _begun(live, job_id) == 1


def _begun(live: LiveGateway, job_id: str) -> int:
    """Count the starts of a job in the events of its directory."""
    lines = [
        line
        for path in live.state.glob(f"jobs/**/{job_id}/*/events.*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    return sum('"event": "start"' in line or '"event":"start"' in line for line in lines)
