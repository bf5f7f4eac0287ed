"""Jobs that wait, are cancelled wherever they are, and come in hundreds, on a real Slurm."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from gateway.jobs.models import Job, Stage
from gateway.jobs.places import FixedSchedulers
from gateway.notifications.ends import Ends
from gateway.services import open_gateway
from gateway.settings import load_settings, prepare_state
from gateway.worker import make_reconciler
from scheduler.base import JobState
from tests.end_to_end.slurm_admin import (
    folder_of,
    named,
    raw_state,
    running,
    starts,
    worker_stands_still,
)
from tests.end_to_end.slurm_site import slurm_gateway
from tests.end_to_end.test_failed_elements import MODEL, data, rerun
from tests.helpers import eventually, processes, started
from tests.jobs.making import make_job
from tests.live import Api, LiveGateway
from tests.scheduler.site import slurm_config, slurm_here
from tests.slurm.cluster import Cluster, private_cluster
from tests.slurm.config import ClusterConfig

pytestmark = pytest.mark.slow
LONG: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 600, "steps": 600}}
QUICK: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0, "steps": 1}}
NARROW = {"partition": "small", "cpus_per_task": 2}
"""All of a partition: whoever comes second waits."""

WIDE = {"partition": "wide"}
WIDE_CPUS = 16
"""Of each of its nodes."""

MANY = 1000
TICK_S = 2.0
"""Of a processor, for one round with so many jobs."""


EPILOG = """#!/bin/sh
while [ -e {folder}/completing ]; do sleep 0.1; done
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a file ``completing`` keeps nodes from being done with a job."""
    return tmp_path_factory.mktemp("epilog")


@pytest.fixture(scope="module")
def cluster(folder: Path) -> Iterator[Cluster]:
    epilog = folder / "epilog"
    epilog.write_text(EPILOG.format(folder=folder), encoding="ascii")
    epilog.chmod(0o755)
    with private_cluster(ClusterConfig(extra=(f"Epilog={epilog}",))) as made:
        yield made


@pytest.fixture(scope="module")
def site(cluster: Cluster) -> Iterator[LiveGateway]:
    # A lease is shorter than in life, so that a reconciler that hangs is soon followed by another.
    own = {"GATEWAY_WORKER__LEASE_S": "10", "GATEWAY_CLUSTERS__HPC__EXCLUSIVE": "true"}
    with slurm_gateway(cluster, **own) as live:
        yield live


@pytest.fixture
def api(site: LiveGateway) -> Iterator[Api]:
    user = site.user()
    yield user
    user.cancel_all()


@contextmanager
def drained(site: LiveGateway) -> Iterator[None]:
    """Keep new jobs in the gateway, so that they go together afterwards."""
    with site.services() as services:
        services.drains.drain("hpc", "a test", "boss")
        try:
            yield
        finally:
            services.drains.resume("hpc", "boss")


def cancel(api: Api, *jobs: str) -> None:
    for job in jobs:
        assert api.http.post(f"/jobs/{job}/cancel").status_code == 202


def waiting(api: Api, count: int) -> tuple[str, list[str], list[str]]:
    """Have a job that takes a whole partition and others behind it; answer them and their ids."""
    first = str(api.submit(**LONG, resources=NARROW)["id"])
    running(api, first)  # what is handed over together comes to Slurm in any order
    others = [str(api.submit(**LONG, resources=NARROW)["id"]) for _ in range(count)]
    for job in others:
        api.wait_for_field(job, "native_id")
    return first, others, [str(api.job(job)["native_id"]) for job in others]


def waits_for(api: Api, job: str, reason: str) -> dict[str, Any]:
    """Wait until a job gives a reason to wait; answer it."""
    eventually(lambda: api.job(job)["reason"] == reason, what=lambda: str(api.job(job)))
    return api.job(job)


def submissions(api: Api, jobs: Sequence[str]) -> dict[str, str]:
    return {job: str(api.job(job)["submission"]) for job in jobs}


def test_a_job_is_cancelled_in_line_staged_and_uncertain_and_nothing_of_it_ever_ran(
    cluster: Cluster, site: LiveGateway, api: Api
) -> None:
    with drained(site):
        in_line, *jobs = (str(api.submit(**LONG, resources=WIDE)["id"]) for _ in range(9))
        eventually(lambda: api.job(in_line)["reason"] == "InLine", what="a place in line")
        cancel(api, in_line)
        assert api.wait(in_line)["native_id"] is None
        cluster.freeze()
    try:
        # Four are submitted at once; when no answer comes to those, the others are not begun.
        eventually(lambda: "staged" in submissions(api, jobs).values(), what="one not begun")
        cancel(api, *jobs)
        before = submissions(api, jobs)
        assert set(before.values()) >= {"uncertain"}
    finally:
        cluster.thaw()
    ends = [api.wait(job, within_s=100) for job in jobs]
    assert {end["state"] for end in ends} == {"CANCELLED"}
    assert named(cluster, in_line) == []
    for job in jobs:
        ids = named(cluster, job)
        assert len(ids) <= 1, "at most one job of Slurm"
        assert {raw_state(cluster, one) for one in ids} <= {"CANCELLED", "COMPLETED"}


def test_a_job_is_cancelled_while_it_waits_at_slurm_and_while_it_runs(
    cluster: Cluster, site: LiveGateway, api: Api
) -> None:
    runs, (waits,), (native_id,) = waiting(api, 1)
    cancel(api, waits)
    assert api.wait(waits)["state"] == "CANCELLED"
    assert raw_state(cluster, native_id) == "CANCELLED"
    assert not (folder_of(site, waits) / "events.0.jsonl").exists()
    cancel(api, runs)
    assert api.wait(runs)["state"] == "CANCELLED"
    assert starts(site, runs) == 1


def test_a_job_cancelled_when_it_is_just_completing_has_the_end_that_slurm_gave_it(
    cluster: Cluster, api: Api, folder: Path
) -> None:
    job = str(api.submit(kind="dummy", options={"seconds": 3, "steps": 3}, resources=NARROW)["id"])
    native_id = str(api.wait_for_state(job, "RUNNING")["native_id"])
    (folder / "completing").touch()
    try:
        eventually(lambda: raw_state(cluster, native_id) == "COMPLETING", what="its completing")
        cancel(api, job)
    finally:
        (folder / "completing").unlink()
    end = api.wait(job)
    assert (end["state"], raw_state(cluster, native_id)) == ("COMPLETED", "COMPLETED")
    assert len(api.results(job)["results"]) == 1


def test_jobs_that_are_held_or_can_never_start_say_so_and_go_on_when_that_is_mended(
    cluster: Cluster, site: LiveGateway, api: Api
) -> None:
    failed = cluster.run("sbatch", "--parsable", "-p", "wide", "-o", "/dev/null", "--wrap=false")
    runs, jobs, ids = waiting(api, 3)
    held, orphan, long = jobs
    cluster.run("scontrol", "uhold", ids[0])
    eventually(lambda: raw_state(cluster, failed.strip()) == "FAILED", what="a failed job")
    cluster.run("scontrol", "update", f"JobId={ids[1]}", f"Dependency=afterok:{failed.strip()}")
    cluster.run("scontrol", "update", "PartitionName=small", "MaxTime=1")
    try:
        for job, reason, text in (
            (held, "JobHeldUser", "held"),
            (orphan, "DependencyNeverSatisfied", "it can never start"),
            (long, "PartitionTimeLimit", "it can never start"),
        ):
            told = waits_for(api, job, reason)
            assert text in told["reason_text"].lower()
            assert (told["state"], told["final"]) == ("PENDING", False)
    finally:
        cluster.run("scontrol", "update", "PartitionName=small", "MaxTime=1-0")
    cluster.run("scontrol", "release", ids[0])
    cancel(api, runs, orphan)
    assert api.wait(orphan)["state"] == "CANCELLED"
    for job in (long, held):  # it has been waiting in the queue all the while
        api.wait_for_state(job, "RUNNING")
        cancel(api, job)
        assert api.wait(job)["state"] == "CANCELLED"
    assert not (folder_of(site, orphan) / "events.0.jsonl").exists()


def test_of_elements_that_share_tasks_those_that_failed_run_again_and_no_others(
    cluster: Cluster, api: Api
) -> None:
    count, bad, killed = 30, {3}, 25
    text = MODEL.replace(
        "if first", "if first and y[0] > 900:\n    import os\n    os.kill(os.getpid(), 9)\nif first"
    )
    problem = api.script_problem(text, data_dat=data(0))
    good, wrong, deadly = (api.upload("data.dat", data(row)) for row in (1.0, 100.0, 1000.0))
    files = [wrong if n in bad else deadly if n == killed else good for n in range(count)]
    elements = [{"label": f"s{n}", "files": {"data.dat": one}} for n, one in enumerate(files)]
    wanted: dict[str, Any] = {
        "elements": elements,
        "pack": 10,
        "options": {"fit": "lm"},
        "resources": WIDE,
    }
    job = str(api.submit(problem={"id": problem["id"]}, **wanted)["id"])
    ended = api.wait(job, within_s=100)
    assert ended["verdict"]["text"].startswith("28 of 30 elements have a result"), ended
    assert sum(ended["task_states"].values()) == 3
    before = by_element(api, job)
    assert {n for n, (status, _) in before.items() if status == "failed"} == {*bad, killed}

    answer = rerun(api, job, elements="failed")
    assert answer.status_code == 202, answer.text
    again = api.wait(job, within_s=100)
    assert (again["state"], again["verdict"]["code"]) == ("COMPLETED", "elements")
    after = by_element(api, job)
    assert {status for status, _ in after.values()} == {"done"}
    assert {n for n in after if before[n] != after[n]} == {*bad, killed}
    assert [len(named(cluster, job, number)) for number in (1, 2)] == [1, 1]
    assert "#SBATCH --array=0,2\n" in api.http.get(f"/jobs/{job}/script").json()["script"]


def test_of_two_hundred_tasks_that_ran_those_without_a_result_run_again_and_no_others(
    cluster: Cluster, site: LiveGateway, api: Api
) -> None:
    count, bad, cancelled = 200, {0, 17, 63, 64, 199}, {5, 6, 101}
    elements = [{"label": f"e{number}"} for number in range(count)]
    cluster.run("scontrol", "update", "PartitionName=wide", "State=DOWN")
    try:
        request = {**QUICK, "elements": elements, "pack": 1, "throttle": 8, "resources": WIDE}
        job = str(api.submit(**request)["id"])
        api.wait_for_field(job, "native_id")
        native_id = str(api.job(job)["native_id"])
        for number in bad:  # where the driver puts its results at its end
            (folder_of(site, job) / f"result.{number}.json").mkdir()
        cluster.run("scancel", *(f"{native_id}_{number}" for number in cancelled))
    finally:
        cluster.run("scontrol", "update", "PartitionName=wide", "State=UP")
    end = api.wait(job, within_s=150)
    # Slurm drops an index that is cancelled while its row is folded: no question brings it back.
    assert end["task_states"]["COMPLETED"] == count - len(bad | cancelled), end["task_states"]
    assert end["task_states"]["FAILED"] == len(bad), end["task_states"]
    assert end["verdict"]["text"].startswith("192 of 200 elements have a result"), end["verdict"]
    assert begun(site, job) == {number: 1 for number in range(count) if number not in cancelled}
    assert named(cluster, job) == [native_id], "one array"
    before = by_element(api, job)

    answer = rerun(api, job, elements="failed")
    assert answer.status_code == 202, answer.text
    again = api.wait(job)
    assert (again["state"], again["verdict"]["code"]) == ("COMPLETED", "elements"), again
    assert begun(site, job, attempt=2) == dict.fromkeys(bad | cancelled, 1)
    script = api.http.get(f"/jobs/{job}/script").json()["script"]
    assert "#SBATCH --array=0,5-6,17,63-64,101,199\n" in script, "no more at once in any case"
    after = by_element(api, job)
    assert {status for status, _ in after.values()} == {"done"}
    assert {number for number in after if before.get(number) != after[number]} == bad | cancelled
    assert api.results(job)["complete"]
    assert len(named(cluster, job, 2)) == 1
    with site.services() as services:
        assert services.job_store.get(job).attempt.elapsed_s is not None, "of eight tasks"


def begun(site: LiveGateway, job: str, attempt: int = 1) -> dict[int, int]:
    """Count how often the driver of each task began."""
    texts = {
        int(path.name.split(".")[1]): path.read_text(encoding="utf-8")
        for path in folder_of(site, job, attempt).glob("events.*.jsonl")
    }
    return {
        task: sum(json.loads(line)["event"] == "start" for line in text.splitlines())
        for task, text in texts.items()
    }


def by_element(api: Api, job: str) -> dict[int, tuple[str, str | None]]:
    """Say of each element how it ended, and the digest of its result."""
    found = api.results(job)
    files = {file["path"]: file["digest"] for file in found["files"]}
    rows = [row for result in found["results"] for row in result["elements"]]
    return {
        row["index"]: (row["status"], files.get(f"out/{row['index']}/result.json")) for row in rows
    }


HOSTILE = ("two words", "it's", '"q"', "$(touch x)", "`id`", ";id&", "-n", "--wrap=id", "ü€", "%j",
           "\\", "#SBATCH --array=0-9")  # fmt: skip
BAIT = "x\n#SBATCH --array=0-9\n#SBATCH --partition=wide\n$(id)"
FIELDS = ("account", "qos", "partition", "reservation", "constraint", "gres", "licenses",
          "mail_user", "mail_type", "time", "mem", "gpus_per_node")  # fmt: skip
SAYS = """
import json, sys
print("ARGV", json.dumps(sys.argv[1:]), flush=True)
import numpy as np
from pathlib import Path
from bumps.names import Curve, FitProblem
names = sorted(str(p.name) for p in Path(__file__).parent.iterdir() if p.suffix == ".dat")
print("FILES", json.dumps(names), flush=True)
x = np.arange(5.0)
M = Curve(lambda x, a=1.0: a * x, x, 2 * x, dy=np.ones(5))
M.a.range(0, 5)
problem = FitProblem(M)
"""


@pytest.mark.parametrize("word", [BAIT, "a\nb", "$(id)", "--wrap=id", "a b", "ü€"])
def test_a_hostile_word_in_an_option_is_refused_under_its_name(api: Api, word: str) -> None:
    for field in FIELDS:
        request = {**QUICK, "resources": {field: word}}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        refused = api.http.post("/jobs", json=request, headers=key)
        assert refused.status_code == 422, (field, refused.text)
        assert refused.json()["errors"][0]["pointer"] == f"/resources/{field}"


def test_hostile_words_in_all_other_fields_are_words_and_no_options_of_sbatch(
    cluster: Cluster, site: LiveGateway, api: Api
) -> None:
    names = [f"{word}.dat" for word in HOSTILE if "\\" not in word]
    files = [{"name": "model.py", "digest": api.upload("model.py", SAYS.encode())}]
    files += [{"name": name, "digest": api.upload("x.dat", b"1 2\n")} for name in names]
    script = {"entry": "model.py", "files": files, "args": list(HOSTILE)}
    document = {"name": "x $(id) \"'", "type": "script", "script": script}
    refused = api.http.post("/problems", json={**document, "script": {**script, "args": [BAIT]}})
    assert refused.json()["errors"][0]["pointer"] == "/script/args/0"

    wanted: dict[str, Any] = {
        "problem": {"id": api.problem(document)["id"]},
        "options": {"fit": "lm"},
        "title": "'; $(id) #SBATCH --array=0-9",
        "notes": BAIT,
        "tags": ["it's", "$(id)", "--wrap=id"],
    }
    job = str(api.submit(**wanted)["id"])
    end = api.wait(job)
    text = api.http.get(f"/jobs/{job}/log", params={"stream": "stdout"}).json()["text"]
    assert end["state"] == "COMPLETED", text
    told = [line.partition(" ") for line in text.splitlines() if line[:5] in ("ARGV ", "FILES")]
    assert {name: json.loads(rest) for name, _, rest in told} == {
        "ARGV": list(HOSTILE),
        "FILES": sorted(names),
    }
    shown = cluster.run("scontrol", "--oneliner", "show", "job", end["native_id"])
    assert f" JobName=gw-{job}-1 " in shown
    assert f" Comment=gw:{api.name}:{end['correlation_id']} " in shown
    assert " Partition=small " in shown
    assert "ArrayJobId" not in shown
    head, _, rest = (folder_of(site, job) / "job.sh").read_text(encoding="utf-8").partition("\n\n")
    assert "#SBATCH" not in rest
    assert "array" not in head


def test_two_workers_of_which_one_hangs_hand_each_job_over_once(
    cluster: Cluster, site: LiveGateway, api: Api
) -> None:
    argv = [sys.executable, "-m", "gateway.cli", "worker"]
    with started(argv, env=site.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        count = len(processes("gateway.cli worker", environment=f"GATEWAY_STATE={site.state}"))
        assert count >= 2
        jobs = [str(api.submit(**QUICK, resources=WIDE)["id"]) for _ in range(8)]
        eventually(lambda: any(api.job(job)["submission"] != "none" for job in jobs))
        with worker_stands_still(site):
            # The other one has all that the first did not lease, and the rest when leases end.
            ends = [api.wait(job) for job in jobs]
    assert {end["state"] for end in ends} == {"COMPLETED"}
    assert [named(cluster, job) for job in jobs] == [[end["native_id"]] for end in ends]
    assert [starts(site, job) for job in jobs] == [1] * 8


def test_a_thousand_held_jobs_are_followed_with_one_question(
    cluster: Cluster, site: LiveGateway, redis: redis_client.Redis, redis_server: Path, folder: Path
) -> None:
    jobs = held_jobs(cluster, "ada")
    state = folder / "state"
    prepare_state(state)
    own = {"GATEWAY_STATE": str(state), "GATEWAY_REDIS_URL": f"unix://{redis_server}"}
    config = {"GATEWAY_CONFIG": site.environment["GATEWAY_CONFIG"]}
    services = open_gateway(load_settings({**config, **own}))
    for job in jobs:
        assert services.job_store.restore(job)
    with slurm_here(slurm_config(cluster)) as slurm:
        ends = Ends(services.notification_store, services.job_store, lambda _told: [])
        reconciler = make_reconciler(services, FixedSchedulers({"hpc": slurm}), ends)
        assert reconciler.round() == MANY
        assert slurm.count.total == {"squeue": 1}
        for job in services.job_store.active():
            assert (job.attempt.state, job.attempt.reason) == (JobState.PENDING, "JobHeldUser")
        took = []
        for _ in range(3):
            begun = time.process_time()
            reconciler.round()
            took.append(time.process_time() - begun)
        assert min(took) < TICK_S, took
        assert set(slurm.count.total) == {"squeue"}
        assert slurm.count.total["squeue"] <= 4
    redis.flushall()
    services.redis.close()


def held_jobs(cluster: Cluster, owner: str) -> list[Job]:
    """Hold a thousand jobs at Slurm, and write down that the gateway submitted them."""
    jobs = [make_job(owner=owner, cluster="hpc", stage=Stage.SUBMITTED) for _ in range(MANY)]
    script = cluster.folder / "held.sh"
    script.write_text("#!/bin/sh\n", encoding="ascii")
    argv = ["xargs", "-P4", "-I{}", "/bin/sh", "-c"]
    line = f"echo {{}} $(sbatch --parsable --hold -o /dev/null -J {{}} {script})"
    done = subprocess.run(
        [*argv, line], input="\n".join(job.marker for job in jobs), env=cluster.environment,
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    ids = dict(row.split() for row in done.stdout.splitlines())
    base = cluster.folder / "jobs"
    return [
        job.with_attempt(native_id=ids[job.marker], directory=f"{base}/ada/{job.id}/1")
        for job in jobs
    ]


def earliest(api: Api, **request: Any) -> dict[str, Any]:
    """Preview a job until its cluster has said when it could start."""

    def told() -> dict[str, Any]:
        answer = api.http.post("/jobs/preview", json={**QUICK, **request})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()["earliest"]
        return {} if found["waiting"] else found

    return eventually(told, what="what the cluster says")


def test_before_a_job_is_queued_its_cluster_says_when_it_could_start(
    cluster: Cluster, site: LiveGateway, api: Api
) -> None:
    before = cluster.run("squeue", "--noheader", "-o", "%A")
    free = earliest(api, resources=WIDE)
    assert (free["accepted"], free["source"]) == (True, "sbatch --test-only")
    assert re.fullmatch(
        r"earliest start at once, sbatch --test-only said [0-9.]+ s ago", free["text"]
    )
    first = str(api.submit(**LONG, resources={**NARROW, "time": "0:30:00"})["id"])
    running(api, first)
    full = earliest(api, resources=NARROW, elements=[{"label": "a"}, {"label": "b"}])
    wait = datetime.fromisoformat(full["start"]) - datetime.fromisoformat(full["observed"])
    assert timedelta(minutes=20) < wait < timedelta(minutes=40)
    assert re.match(r"earliest start ([0-9-]+ )?[0-9]{2}:[0-9]{2} UTC, ", full["text"])
    never = earliest(api, resources={**WIDE, "constraint": "no-such-feature"})
    assert (never["accepted"], never["start"]) == (False, None)
    assert "would refuse this" in never["text"]
    assert "feature" in never["text"].lower()
    cancel(api, first)
    api.wait(first)
    assert cluster.run("squeue", "--noheader", "-o", "%A") == before, "nothing was submitted"
    assert not list(folder_of(site, first).parents[1].glob("earliest-*"))


def test_a_job_with_a_node_alone_has_used_all_its_processors(site: LiveGateway, api: Api) -> None:
    job = str(api.submit(**QUICK, resources={**WIDE, "exclusive": True})["id"])
    assert api.wait(job)["state"] == "COMPLETED"
    with site.services() as services:
        attempt = services.job_store.get(job).attempt
    assert attempt.resources["cpus_per_task"] == 1
    assert attempt.cpus_given == WIDE_CPUS, "as Slurm accounts for it"
