"""What may become of jobs at a real site: nodes die, memory ends, ids are given away again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.end_to_end.slurm_admin import (
    account_as_out_of_memory,
    end_leftovers,
    folder_of,
    give_ids_again,
    lose_node,
    named,
    raw_state,
    running,
    starts,
    worker_stands_still,
)
from tests.end_to_end.slurm_site import slurm_gateway
from tests.end_to_end.test_fits import samples_taken_over
from tests.helpers import eventually
from tests.live import Api, LiveGateway
from tests.slurm.cluster import Cluster, private_cluster
from tests.slurm.config import ClusterConfig

pytestmark = pytest.mark.slow
CONFIG = ClusterConfig(
    nodes=(16, 16),
    min_job_age_s=2,
    slurmd_timeout_s=4,
    requeue_s=5,
    extra=("JobAcctGatherParams=OverMemoryKill",),
)
QUICK: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0, "steps": 1}}
LONG: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 600, "steps": 600}}
ROOM = {"mem": "1G"}
ELSEWHERE = {"partition": "wide", **ROOM}
DREAM = {"fit": "dream", "samples": 5_000_000, "burn": 20}
DEAF = """
import json, time
from pathlib import Path
from bumps.names import *
import numpy as np

folder = next(one for one in Path(__file__).resolve().parents if (one / "job.json").is_file())
first = json.loads((folder / "job.json").read_text())["attempt"] == 1

def line(x, slope=1.0, intercept=0.0):
    while first and (folder / "out" / "session.h5").exists():
        time.sleep(0.1)  # for ever: nothing reaches a fit in the middle of an evaluation
    return slope * x + intercept

x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
M = Curve(line, x, np.array([3.1, 4.9, 7.2, 8.8, 11.1]), dy=0.1 * np.ones(5))
M.slope.range(-10, 10)
M.intercept.range(-10, 10)
problem = FitProblem(M)
"""
FIT = f"print('hello', flush=True)\n{DEAF}".replace("first and", "False and")
GREEDY = """
import time
room = bytearray(400 << 20)
for place in range(0, len(room), 4096):
    room[place] = 1
time.sleep(600)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with private_cluster(CONFIG) as made:
        yield made


@pytest.fixture(scope="module")
def site(cluster: Cluster) -> Iterator[LiveGateway]:
    pace = {"GATEWAY_WORKER__UNCONFIRMED_S": "3", "GATEWAY_CLUSTERS__HPC__CHECKPOINT_S": "1"}
    with slurm_gateway(cluster, **pace) as live:
        yield live


@pytest.fixture(scope="module")
def api(site: LiveGateway) -> Api:
    return site.user()


@dataclass(frozen=True, kw_only=True)
class Fates:
    """Jobs to which something happens that takes Slurm its time."""

    deaf: str
    """Does not hear that its time is over."""

    greedy: str
    """Takes more memory than it asked for."""

    requeued: str
    """Was told by an administrator to begin again."""

    lost: str
    """Ran on a node that has died."""

    again: str
    """The same, and may begin again."""


@pytest.fixture(scope="module", autouse=True)
def fates(cluster: Cluster, site: LiveGateway, api: Api) -> Fates:
    """Let it happen, while the first test passes: Slurm looks at such things now and then.

    The deaf one comes first of the tests: a controller that is restarted between telling the node
    of the end of its time and saving that, as another test does, takes it for FAILED.
    """
    deaf = fit(api, DEAF, time="1", **ROOM)
    fates = Fates(
        deaf=deaf,
        greedy=fit(api, GREEDY, mem="250M"),
        requeued=fit(api, FIT, **ROOM),
        lost=str(api.submit(**LONG, resources=ELSEWHERE)["id"]),
        again=fit(api, FIT, **ELSEWHERE),
    )
    lose_node(cluster, 1, running(api, fates.lost, fates.again))
    cluster.run("scontrol", "requeue", *running(api, fates.requeued))
    (native_id,) = running(api, deaf)
    session = folder_of(site, deaf) / "out" / "session.h5"
    eventually(session.exists, what="a checkpoint")
    cluster.run("scontrol", "update", f"JobId={native_id}", "EndTime=now+1")
    return fates


def fit(api: Api, script: str, **resources: str) -> str:
    """Submit a fit that takes its time."""
    problem = {"id": api.script_problem(script)["id"]}
    return str(api.submit(problem=problem, options=DREAM, resources=resources)["id"])


def test_a_fit_that_did_not_hear_of_the_end_of_its_time_goes_on_from_its_last_checkpoint(
    cluster: Cluster, api: Api, fates: Fates
) -> None:
    end = api.wait(fates.deaf, within_s=100)
    end_leftovers(cluster, end["native_id"])
    assert (end["state"], end["resumable"]) == ("TIMEOUT", True), end
    assert end["reason_text"] == "The time limit ran out."
    assert end["next_request"]["verb"] == "resume"

    change = {"options": {"samples": 1000}, "resources": {"time": "0:05:00"}}
    assert api.http.post(f"/jobs/{fates.deaf}/resume", json=change).status_code == 202
    continued = api.wait(fates.deaf)
    assert continued["state"] == "COMPLETED", continued
    assert [one["state"] for one in continued["attempts"]] == ["TIMEOUT", "COMPLETED"]
    assert samples_taken_over(api, fates.deaf) > 0


def test_what_ended_unseen_is_told_by_its_own_files_or_the_accounting_and_by_no_namesake(
    cluster: Cluster, site: LiveGateway, api: Api
) -> None:
    seconds: dict[str, Any] = {
        "kind": "dummy",
        "options": {"seconds": 4, "steps": 4},
        "resources": ROOM,
    }
    done, unwanted = (str(api.submit(**seconds)["id"]) for _ in range(2))
    eaten = fit(api, GREEDY, mem="250M")
    jobs = (done, unwanted, eaten)
    ids = [str(api.wait_for_state(job, "RUNNING")["native_id"]) for job in jobs]
    with worker_stands_still(site):
        assert api.http.post(f"/jobs/{unwanted}/cancel").status_code == 202
        eventually(lambda: not any(raw_state(cluster, one) for one in ids), what="Slurm to forget")
        account_as_out_of_memory(cluster, ids[2])
        # Slurm kills the script with its program, or a moment later, when it has told of an end.
        (folder_of(site, eaten) / "exit.0.json").write_text('{"rc": 137}')
        first = min(ids, key=int)
        give_ids_again(cluster, int(first))
        eventually(lambda: not raw_state(cluster, first), what="Slurm to forget it again")
        assert stranger(cluster) == first, "ids are given away again"
        cluster.end("slurmdbd")

    ends = [api.wait(job) for job in (done, unwanted)]
    assert [(one["state"], one["source"]) for one in ends] == [("COMPLETED", "exit file")] * 2
    eventually(lambda: "a signal killed it" in api.job(eaten)["reason_text"])
    assert not api.job(eaten)["final"]
    cluster.start_slurmdbd()
    end = api.wait(eaten)
    assert (end["state"], end["source"], end["signal"]) == ("OUT_OF_MEMORY", "sacct", 125)
    assert end["reason_text"] == "It needed more memory than it had asked for."
    assert end["next_request"]["resources"] == {"mem": "512M"}
    assert raw_state(cluster, first) == "PENDING", "nobody cancelled the other one"
    cluster.run("scancel", first)


def stranger(cluster: Cluster) -> str:
    """Have a job of the same account that is none of ours."""
    wanted = ("--hold", "--job-name=stranger", "--output=/dev/null", "--wrap=sleep 600")
    return cluster.run("sbatch", "--parsable", *wanted).strip()


def test_a_job_that_its_memory_ended_where_slurm_has_no_word_for_it_says_so(
    api: Api, fates: Fates
) -> None:
    end = api.wait(fates.greedy)
    assert (end["state"], end["signal"]) == ("FAILED", 9)  # as Slurm without cgroups puts it
    assert "took more memory than it had asked for" in end["reason_text"]


def test_a_job_whose_node_died_says_so_and_runs_again_when_asked(
    cluster: Cluster, api: Api, fates: Fates
) -> None:
    end = api.wait(fates.lost)
    assert (end["state"], end["restarts"]) == ("NODE_FAIL", 0)
    assert end["reason_text"] == "The machine it ran on failed."
    assert (end["next_request"]["verb"], end["next_request"]["resources"]) == ("rerun", {})
    assert end["verdict"] is None
    waits = api.job(fates.again)
    assert (waits["state"], waits["restarts"], waits["final"]) == ("PENDING", 1, False)

    cluster.start_slurmd(1)
    assert api.http.post(f"/jobs/{fates.lost}/rerun", json={}).status_code == 202
    running(api, fates.lost)
    again = api.job(fates.lost)
    assert [one["state"] for one in again["attempts"]] == ["NODE_FAIL", "RUNNING"]
    assert named(cluster, fates.lost, 2) == [again["native_id"]]
    api.http.post(f"/jobs/{fates.lost}/cancel")
    api.wait(fates.lost)


def test_a_fit_whose_node_died_begins_again_as_the_same_job_with_one_result(
    site: LiveGateway, api: Api, fates: Fates
) -> None:
    before = api.job(fates.again)["native_id"]
    running(api, fates.again)
    eventually(lambda: starts(site, fates.again) == 2, what="its second start")
    assert api.http.post(f"/jobs/{fates.again}/stop").status_code == 202
    end = api.wait(fates.again)
    assert (end["state"], end["restarts"], len(end["attempts"])) == ("COMPLETED", 1, 1)
    assert end["native_id"] == before
    assert len(api.results(fates.again)["results"]) == 1


def test_a_fit_that_an_administrator_requeued_is_one_job_and_keeps_its_log(
    cluster: Cluster, site: LiveGateway, api: Api, fates: Fates
) -> None:
    job = fates.requeued
    eventually(lambda: starts(site, job) == 2, what="its second start")
    eventually(lambda: api.job(job)["state"] == "RUNNING")
    assert api.http.post(f"/jobs/{job}/stop").status_code == 202
    end = api.wait(job)
    assert (end["state"], end["restarts"], len(end["attempts"])) == ("COMPLETED", 1, 1)
    log = api.http.get(f"/jobs/{job}/log", params={"stream": "stdout"}).json()["text"]
    assert log.count("hello") == 2
    assert (folder_of(site, job) / "claim.1").read_text() == f"{end['native_id']}\n"
    assert set(named(cluster, job)) <= {end["native_id"]}
