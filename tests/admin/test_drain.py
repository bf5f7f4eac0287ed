"""The switch with which an administrator keeps new jobs from a cluster, on a real gateway."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.jobs.line import LineLimits, in_line
from gateway.jobs.models import Stage, Wish
from tests.helpers import eventually, processes
from tests.jobs.making import make_job
from tests.live import Api, LiveGateway

SWITCH = "/admin/clusters/local/drain"
WHY = "takes no new jobs now (the cooling is mended)"
DUMMY: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0}}


@pytest.fixture
def boss(live: LiveGateway) -> Iterator[Api]:
    boss = Api(live, "boss")
    yield boss
    boss.http.delete("/admin/drain")


def kill_worker(live: LiveGateway) -> None:
    for one in processes("gateway.cli worker", environment=f"GATEWAY_STATE={live.state}"):
        os.kill(one.pid, signal.SIGKILL)


def test_what_is_accepted_waits_with_the_reason_and_runs_once_when_resumed(
    live: LiveGateway, api: Api, boss: Api
) -> None:
    before = api.submit(kind="dummy", options={"seconds": 3})
    api.wait_for_state(before["id"], "RUNNING")
    made = boss.http.put(SWITCH, json={"reason": " the cooling is mended "})
    assert (made.status_code, made.json()["by"]) == (200, "boss")
    assert WHY in api.http.post("/jobs/preview", json=DUMMY).json()["warnings"][0]
    assert WHY in api.http.get("/clusters").json()["items"][0]["drained"]

    job, unwanted = api.submit(**DUMMY), api.submit(**DUMMY)
    assert WHY in job["reason_text"], "it is told at once"
    eventually(lambda: "Place 1 in line" in api.job(job["id"])["reason_text"])
    kill_worker(live)
    assert api.wait(before["id"])["state"] == "COMPLETED", "what runs is followed to its end"
    kept = api.job(job["id"])
    assert (kept["state"], kept["submission"], kept["reason"]) == ("PENDING", "none", "InLine")
    api.http.post(f"/jobs/{unwanted['id']}/cancel")
    assert api.wait(unwanted["id"])["state"] == "CANCELLED", "who gives up waits for nothing"

    assert boss.http.delete(SWITCH).status_code == 204
    assert api.wait(job["id"])["state"] == "COMPLETED"
    with live.services() as services:
        attempts = services.job_store.get(job["id"]).attempts
        trail = services.accounts.audit.read("boss")
    assert [(one.try_number, one.twins) for one in attempts] == [(1, 0)]
    actions = [(row.action, row.subject) for _, row in trail]
    assert actions[:2] == [
        ("cluster.resume", "local"),
        ("cluster.drain", "local: the cooling is mended"),
    ]


@pytest.mark.usefixtures("boss")
def test_the_command_drains_and_resumes(live: LiveGateway, api: Api) -> None:
    live.command("cluster", "drain", "--all", "--reason", "the cooling is mended")
    job = api.submit(**DUMMY)
    assert WHY in job["reason_text"]
    assert "local takes jobs again" in live.command("cluster", "resume", "local")
    assert "local was not drained" in live.command("cluster", "resume", "local")
    assert api.wait(job["id"])["state"] == "COMPLETED"
    with pytest.raises(AssertionError, match="there is no cluster 'lokal'; known: local"):
        live.command("cluster", "drain", "lokal")
    with pytest.raises(AssertionError, match="either the name of a cluster or --all"):
        live.command("cluster", "drain")


def test_who_may_not_or_says_nothing_is_refused(api: Api, boss: Api) -> None:
    assert api.http.put(SWITCH, json={"reason": "x"}).status_code == 403
    assert boss.http.put("/admin/clusters/none/drain", json={"reason": "x"}).status_code == 404
    for reason in ("", "two\nlines", "x" * 201):
        answer = boss.http.put(SWITCH, json={"reason": reason})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/reason")
    assert api.http.get("/clusters").json()["items"][0]["drained"] == ""


@pytest.mark.parametrize("stage", list(Stage)[:4])
def test_a_closed_place_keeps_all_that_is_no_job_yet(stage: Stage) -> None:
    job, unwanted = make_job(stage=stage), make_job(stage=stage, wish=Wish.CANCEL)
    waiting = in_line([job, unwanted], LineLimits(closed="closed"))
    no_job_yet = stage in (Stage.NONE, Stage.STAGED)
    assert set(waiting) == ({job.id} if no_job_yet else set())
