"""Killed between the tasks of a campaign: each of its elements is done once, and all are there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.faults.checks import runs_of
from tests.faults.events import starts_of
from tests.faults.rig import Rig
from tests.helpers import eventually
from tests.live import Api

pytestmark = pytest.mark.slow
COUNT, PACK = 7, 2
MOST = 12
CAMPAIGN: dict[str, Any] = {
    "kind": "dummy",
    "options": {"seconds": 0.4, "steps": 2},
    "elements": [{"label": f"e{number}"} for number in range(COUNT)],
    "pack": PACK,
}


def check(rig: Rig, api: Api, id: str) -> None:
    """See that it ended with all that it is made of, and began nothing twice."""
    ended = api.wait(id, within_s=60)
    rows = [row for result in api.results(id)["results"] for row in result["elements"]]
    job = rig.gateway.job_store.get(id)
    assert ended["state"] == "COMPLETED", ended["reason_text"]
    assert sorted((row["index"], row["status"]) for row in rows) == [
        (number, "done") for number in range(COUNT)
    ]
    assert starts_of(job) == COUNT
    assert runs_of(job, COUNT) == []
    assert len({path.name for path in Path(job.attempt.directory).glob("exit.*.json")}) == 4


def test_a_worker_killed_while_it_hands_over_and_between_tasks_repeats_no_element(
    rig: Rig,
) -> None:
    api = rig.user()
    rig.plan({"worker": {"submit-after": 0.5}})
    rig.renew()
    handed: list[str] = []
    while not rig.hits()["submit-after"]:
        assert len(handed) < MOST
        handed.append(str(api.submit(**CAMPAIGN)["id"]))
        api.wait(handed[-1])
    rig.plan({})
    rig.renew()

    last = str(api.submit(**CAMPAIGN)["id"])
    directory = Path(rig.gateway.job_store.get(last).attempt.directory)
    eventually(lambda: list(directory.glob("exit.*.json")), what="the end of a first task")
    assert not api.job(last)["final"]
    assert rig.kill("worker")

    for one in (*handed, last):
        check(rig, api, one)
    assert api.http.get("/jobs").json()["total"] == len(handed) + 1
