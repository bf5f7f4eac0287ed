"""More elements than Slurm takes in one array, and more tasks than it takes of an account."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.slurm_site import slurm_gateway
from tests.end_to_end.test_campaign import LINE, run
from tests.helpers import eventually
from tests.live import Api, LiveGateway
from tests.slurm.cluster import Cluster

pytestmark = pytest.mark.slow
TASKS = 3
MAX_ARRAY_SIZE = 1001


@pytest.fixture(scope="module")
def site(slurm_cluster: Cluster) -> Iterator[LiveGateway]:
    with slurm_gateway(slurm_cluster, GATEWAY_CLUSTERS__HPC__MAX_TASKS=str(TASKS)) as live:
        yield live


@pytest.fixture
def api(site: LiveGateway) -> Iterator[Api]:
    user = site.user()
    yield user
    user.cancel_all()


def dummies(count: int, seconds: float = 0) -> dict[str, Any]:
    elements = [{"label": f"e{number}"} for number in range(count)]
    return {"kind": "dummy", "options": {"seconds": seconds, "steps": 1}, "elements": elements}


def test_more_elements_than_an_array_may_have_are_one_job(slurm_cluster: Cluster, api: Api) -> None:
    assert f"MaxArraySize            = {MAX_ARRAY_SIZE}" in slurm_cluster.run(
        "scontrol", "show", "config"
    )
    count = MAX_ARRAY_SIZE + 100
    preview = api.http.post("/jobs/preview", json=dummies(count)).json()
    assert preview["tasks"] == TASKS
    assert "go to each of 3 tasks" in preview["warnings"][0]
    job = api.wait(api.submit(**dummies(count))["id"], within_s=120)

    assert (job["state"], job["verdict"]["code"]) == ("COMPLETED", "elements")
    assert job["pack"] == 367
    rows = [row for result in api.results(job["id"])["results"] for row in result["elements"]]
    assert sorted(row["index"] for row in rows) == list(range(count))
    listed = slurm_cluster.run(
        *("squeue", "-h", "-r", "-t", "all", "-n", f"gw-{job['id']}-1", "-o", "%A")
    ).split()
    assert len(listed) == TASKS


def test_tasks_beyond_what_an_account_may_submit_wait_with_a_reason(api: Api) -> None:
    first = api.submit(**dummies(TASKS, seconds=600))["id"]
    api.wait_for_state(first, "RUNNING")
    second = api.submit(**dummies(2))["id"]
    said = "3 tasks are at hpc, and with this job's 2 they would be more than 3"
    eventually(lambda: said in api.job(second)["reason_text"], what="the reason")
    assert api.job(second)["submission"] == "none"

    assert api.http.post(f"/jobs/{first}/cancel").status_code == 202
    assert api.wait(first)["state"] == "CANCELLED"
    assert api.wait(second)["state"] == "COMPLETED"


def test_a_grid_is_fitted_on_slurm(api: Api) -> None:
    job, rows = run(api, api.problem(LINE)["id"], {"grid": {"m": [2.0, 2.5, 3.0, 3.5]}})
    assert (job["state"], job["pack"]) == ("COMPLETED", 2)
    assert [row["fixed"]["m"] for row in rows] == [2.0, 2.5, 3.0, 3.5]
    assert "of element 1 (m=2.5)" in job["verdict"]["text"]
