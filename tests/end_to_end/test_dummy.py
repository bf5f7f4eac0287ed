"""A job that only waits, through the front door."""

from __future__ import annotations

import os
import uuid
from typing import Any

from tests.helpers import eventually, processes
from tests.live import Api


def test_a_dummy_job_ends_as_completed_with_its_verdict(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 0.3, "steps": 3})

    ended = api.wait(job["id"])

    assert ended["state"] == "COMPLETED"
    assert ended["verdict"]["code"] == "evaluated"
    assert ended["progress"]["step"] == 3


def test_results_of_a_job_that_runs_are_the_job_as_it_is(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 60})

    answer = api.http.get(f"/jobs/{job['id']}/results")

    assert (answer.status_code, answer.json()["id"]) == (202, job["id"])
    assert answer.headers["location"].endswith(f"/jobs/{job['id']}")
    api.http.post(f"/jobs/{job['id']}/cancel")
    assert api.wait(job["id"])["state"] == "CANCELLED"


def test_the_same_key_makes_the_same_job(api: Api) -> None:
    key = uuid.uuid4().hex
    request = {"kind": "dummy", "options": {"seconds": 0.1}}

    first = api.submit(key=key, **request)
    again = api.http.post("/jobs", json=request, headers={"Idempotency-Key": key})

    assert again.status_code == 202
    assert again.json()["id"] == first["id"]
    assert again.headers["Idempotent-Replayed"] == "true"
    assert api.http.get("/jobs").json()["total"] == 1


def test_the_same_key_with_another_request_is_refused(api: Api) -> None:
    key = uuid.uuid4().hex
    api.submit(key=key, kind="dummy", options={"seconds": 0.1})

    other = api.http.post(
        "/jobs", json={"kind": "dummy", "options": {"seconds": 9}}, headers={"Idempotency-Key": key}
    )

    assert other.status_code == 422
    assert other.json()["errors"][0]["pointer"] == "/Idempotency-Key"


def test_a_cancelled_job_ends_as_cancelled(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 60})
    api.wait_for_state(job["id"], "RUNNING")

    assert api.http.post(f"/jobs/{job['id']}/cancel").status_code == 202

    assert api.wait(job["id"])["state"] == "CANCELLED"


def test_a_job_on_this_host_gives_way_to_requests(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 60})
    api.wait_for_state(job["id"], "RUNNING")

    running = processes("driver.pyz", environment=job["id"])
    web = processes("gunicorn", environment=f"GATEWAY_STATE={api.live.state}")

    assert running
    assert web
    assert {os.getpriority(os.PRIO_PROCESS, one.pid) for one in web} == {0}
    assert {os.getpriority(os.PRIO_PROCESS, one.pid) for one in running} == {5}


def test_a_stopped_array_says_how_many_results_it_kept(api: Api) -> None:
    elements = [{"label": f"s{number}"} for number in range(40)]
    job = api.submit(
        kind="dummy", options={"seconds": 60, "steps": 600}, elements=elements, pack=1
    )["id"]
    api.wait_for_state(job, "RUNNING")
    eventually(lambda: api.job(job)["progress"], what="an element that tells something")

    assert api.http.post(f"/jobs/{job}/stop").status_code == 202

    ended = api.wait(job)
    assert ended["state"] == "COMPLETED"
    assert ended["raw_state"] == "CANCELLED"
    rows = [row for result in api.results(job)["results"] for row in result["elements"]]
    assert 0 < len(rows) < len(elements)
    assert ended["reason"] == "Stopped"
    assert f"{len(rows)} of 40 elements have a result" in ended["reason_text"]


def test_a_stopped_job_keeps_what_it_has(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 60, "steps": 600})
    api.wait_for_state(job["id"], "RUNNING")
    eventually(lambda: (api.job(job["id"])["progress"] or {}).get("step"), what="a step")

    assert api.http.post(f"/jobs/{job['id']}/stop").status_code == 202

    ended = api.wait(job["id"])
    assert ended["state"] == "COMPLETED"
    assert ended["verdict"]["code"] == "stopped"
    assert ended["dataset"]


def test_a_job_of_another_user_is_not_there(api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 0.1})
    stranger = api.live.user()

    for method, path in (
        ("GET", ""),
        ("GET", "/results"),
        ("GET", "/log"),
        ("GET", "/script"),
        ("GET", "/events"),
        ("GET", "/bundle.zip"),
        ("GET", "/files/result.0.json"),
        ("POST", "/cancel"),
        ("POST", "/stop"),
        ("DELETE", ""),
    ):
        answer = stranger.http.request(method, f"/jobs/{job['id']}{path}")
        assert answer.status_code == 404, (method, path, answer.text)
    api.wait(job["id"])


def test_a_preview_is_byte_for_byte_what_runs(api: Api) -> None:
    request: dict[str, Any] = {
        "kind": "dummy",
        "options": {"seconds": 0.1},
        "title": "x\u00fc; $(id)",
    }
    preview = api.http.post("/jobs/preview", json=request).json()

    job = api.submit(**request, draft=preview["draft"])
    api.wait(job["id"])

    script = api.http.get(f"/jobs/{job['id']}/script").json()
    staged = api.live.state / "jobs" / "local" / api.name / job["id"] / "1" / "job.sh"
    assert script["script"] == preview["script"] == staged.read_text(encoding="utf-8")
    assert job["script_sha256"] == preview["sha256"] == script["sha256"]
