"""The whole way with a real Slurm: a fit, its end, and what a user may wish meanwhile."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.jobs.expert import Expert
from gateway.jobs.script import render_script
from gateway.records import now
from tests.end_to_end.slurm_admin import folder_of, named, running, starts
from tests.end_to_end.slurm_site import slurm_gateway
from tests.fitters.job_folder import slow_line
from tests.helpers import eventually
from tests.jobs.making_pages import Fits
from tests.jobs.test_pages import Plain
from tests.live import Api, LiveGateway
from tests.slurm.cluster import Cluster, private_cluster
from tests.slurm.config import ClusterConfig

pytestmark = pytest.mark.slow
LONG: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 600, "steps": 600}}
LINE: dict[str, Any] = {
    "name": "line",
    "type": "curve",
    "curve": {
        "data": {"text": "".join(f"{x} {2 * x + 1 + 0.1 * (-1) ** x} 0.1\n" for x in range(50))},
        "columns": {"x": 0, "y": 1, "dy": {"from": "column", "column": 2}},
        "expression": "a*x+b",
        "parameters": [{"name": "a", "value": 1}, {"name": "b", "value": 0}],
    },
}

TELLING = slow_line(0.002).replace(
    "    time.sleep",
    "    import os\n\n    node = os.environ['SLURMD_NODENAME']\n"
    "    open('../by', 'a').write(f'{node}\\n')\n    time.sleep",
)
ALLOWED = '[expert.users.{}]\ndirectives = ["hint"]\nlines = true\n'
SPREAD: dict[str, Any] = {"partition": "wide", "mpi": True, "ntasks": 2, "nodes": 2}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with private_cluster(ClusterConfig(gear=True)) as running:
        yield running


@pytest.fixture(scope="module")
def site(cluster: Cluster) -> Iterator[LiveGateway]:
    with slurm_gateway(cluster) as live:
        yield live


@pytest.fixture
def api(site: LiveGateway) -> Api:
    return site.user()


def squeue(cluster: Cluster, native_id: str) -> str:
    """Ask Slurm itself for the state of a job; empty when it has left the queue."""
    return cluster.run(
        "squeue", "-h", "-j", native_id, "-t", "all", "-o", "%T", check=False
    ).strip()


def test_a_fit_runs_on_slurm_and_comes_back_right(cluster: Cluster, api: Api) -> None:
    problem = api.problem(LINE)["id"]
    job = api.wait(api.submit(problem={"id": problem}, options={"fit": "lm"})["id"])

    assert (job["state"], job["source"]) == ("COMPLETED", "squeue")
    result = api.results(job["id"])["results"][0]
    values = {row["label"]: row["value"] for row in result["parameters"]}
    assert values == pytest.approx({"a": 2, "b": 1}, abs=0.02)
    asked = ("sacct", "-n", "-X", "-j", job["native_id"], "-o", "JobName%60")
    # The accounting hears of a job some seconds later, and of its name last.
    eventually(lambda: cluster.run(*asked).strip() == f"gw-{job['id']}-1", what="its name")
    told = {one["name"]: one["libraries"] for one in api.http.get("/clusters").json()["items"]}
    assert told["hpc"]["versions"].items() <= result["versions"].items()
    assert {"python", "bumps", "numpy"} <= told["hpc"]["versions"].keys()


def test_what_sbatch_got_is_what_the_preview_showed(site: LiveGateway, api: Api) -> None:
    expert = {"directives": {"hint": "nomultithread"}, "lines": "export A=1\necho lines: $A"}
    with site.services() as services:
        services.policies.put(Path("own.toml"), ALLOWED.format(api.name), "root")
    wanted = {**LONG, "options": {"seconds": 0, "steps": 1}, "expert": expert}
    preview = api.http.post("/jobs/preview", json=wanted).json()
    job = api.wait(api.submit(**wanted, draft=preview["draft"])["id"])

    base = Path(site.environment["GATEWAY_CONFIG"]).parent / "jobs"
    (script,) = base.glob(f"*/{job['id']}/1/job.sh")
    assert script.read_text(encoding="utf-8") == preview["script"]
    assert job["state"] == "COMPLETED"
    assert "lines: 1" in api.http.get(f"/jobs/{job['id']}/log").json()["text"]
    sent = api.http.post(f"/jobs/{job['id']}/rerun", json={"expert": {"lines": "exit 7"}})
    assert sent.status_code == 202, sent.text
    failed = api.wait(job["id"])
    assert (failed["state"], failed["exit_code"], failed["reason"]) == ("FAILED", 7, "LinesFailed")


def test_no_line_before_the_fit_is_a_directive_to_sbatch(cluster: Cluster, tmp_path: Path) -> None:
    script = render_script(
        {"time": "10"},
        marker="gw-J1-1",
        comment="gw:ada:test",
        workdir=str(tmp_path),
        python="/usr/bin/python3",
        environment={},
        expert=Expert(directives={"begin": "now+1hour"}, lines="echo one\necho two"),
    )
    # What the gateway refuses to write: were it written all the same, nobody would obey it.
    lines = "#SBATCH --nice=7 --job-name=x\n#PBS -N x\n#PBS -l walltime=0:33:00\n#BSUB -J x\n"
    (tmp_path / "job.sh").write_text(script.replace("echo two\n", lines), encoding="utf-8")
    job = cluster.run("sbatch", "--parsable", str(tmp_path / "job.sh"), "1").strip()
    found = cluster.run("scontrol", "show", "job", job)
    cluster.run("scancel", job)
    assert {"JobName=gw-J1-1", "Nice=0", "TimeLimit=00:10:00", "Reason=BeginTime"} < set(
        found.split()
    )


def test_a_job_submitted_by_hand_twice_runs_once_and_is_followed_when_adopted(
    cluster: Cluster, site: LiveGateway, api: Api, tmp_path: Path
) -> None:
    (tmp_path / "line.json").write_text(json.dumps(LINE), encoding="utf-8")
    words = ["--problem", str(tmp_path / "line.json"), "--user", api.name, "--fit", "dream"]
    words += ["--option", "samples=2000", "--option", "burn=50"]
    for name, value in SPREAD.items():  # two ranks, each on a node of its own
        words += ["--resource", f"{name}={value}"]
    script = site.command("script", *words, "--cluster", "hpc")
    base = Path(site.environment["GATEWAY_CONFIG"]).parent / "jobs"
    (place,) = (base / api.name).glob("*/1")
    assert (place / "job.sh").read_text(encoding="utf-8") == script
    twins = {cluster.run("sbatch", "--parsable", str(place / "job.sh")).strip() for _ in range(2)}

    site.command("adopt", str(place))
    job = api.wait(place.parent.name)

    assert (job["state"], job["title"]) == ("COMPLETED", "line")
    asked = job["attempts"][0]["resources"]
    assert (asked["ntasks"], asked["nodes"]) == (2, 2)
    assert job["request"]["resources"]["mpi"] is True, "run again it is what it was"
    assert job["native_id"] in twins
    result = api.results(job["id"])["results"][0]
    values = {row["label"]: row["value"] for row in result["parameters"]}
    assert values == pytest.approx({"a": 2, "b": 1}, abs=0.2)
    starts = (place / "events.0.jsonl").read_text(encoding="utf-8").count('"event": "start"')
    assert starts == 1


def test_a_running_job_is_followed_stopped_and_keeps_its_results(api: Api) -> None:
    job = api.submit(**LONG)["id"]
    api.wait_for_state(job, "RUNNING")
    eventually(lambda: api.job(job)["progress"], what="a step")

    assert api.http.post(f"/jobs/{job}/stop").status_code == 202
    ended = api.wait(job)
    assert ended["state"] == "COMPLETED"
    assert ended["verdict"]["code"] == "stopped"


def test_a_cancelled_job_is_cancelled_in_slurm_too(cluster: Cluster, api: Api) -> None:
    job = api.submit(**LONG)["id"]
    running = api.wait_for_state(job, "RUNNING")

    assert api.http.post(f"/jobs/{job}/cancel").status_code == 202
    assert api.wait(job)["state"] == "CANCELLED"
    assert squeue(cluster, running["native_id"]) in ("", "CANCELLED", "COMPLETING")


def test_a_job_that_slurm_refuses_says_why_in_slurms_words(api: Api) -> None:
    job = api.submit(**LONG, resources={"partition": "nowhere"})["id"]

    ended = api.wait(job)
    assert ended["state"] == "FAILED"
    assert "invalid partition" in ended["reason_text"].lower()


def test_an_administrator_sees_what_slurm_can_do_and_what_follows(site: LiveGateway) -> None:
    site.add_user("boss", admin=True)
    boss = Api(site, "boss")
    path = "/admin/clusters/hpc/probe"
    assert boss.http.post(path).status_code == 202
    eventually(lambda: not boss.http.get(path).json()["wanted"], what="a look")
    answer = boss.http.get(path).json()
    found = answer["found"]
    assert (answer["error"], found["name"], found["min_job_age_s"]) == ("", "test", 300)
    assert (found["accounting"], found["max_array"]) == (True, 1001)
    assert {one["name"] for one in found["partitions"]} >= {"small", "wide"}
    assert "normal" in {one["name"] for one in found["qos"]}
    rules = {rule["found"]: rule for rule in answer["strategy"]}
    follows = rules["ended jobs leave Slurm's memory after 300 s (MinJobAge)"]["follows"]
    assert "at least every 2 s" in follows
    items = boss.http.get("/clusters").json()["items"]
    assert [one["version"] for one in items if one["name"] == "hpc"] == [found["version"]]


GEAR: dict[str, Any] = {
    "partition": "wide", "time": "0:10:00", "qos": "normal", "cpus_per_task": 2, "nice": 7,
    "mem_per_cpu": "50M", "constraint": "fast", "licenses": "bumps:2", "gpus_per_node": "a100:1",
    "mail_type": ["END", "FAIL"], "mail_user": "ada@example.org",
}  # fmt: skip
UNDERSTOOD = (
    "Partition=wide ", "TimeLimit=00:10:00 ", "QOS=normal\n", "CPUs/Task=2 ", "Nice=7 ",
    "MinMemoryCPU=50M ", "Features=fast ", "Licenses=bumps:2 ", "TresPerNode=gres:gpu:a100:1\n",
    "MailUser=ada@example.org ", "MailType=END,FAIL\n",
)  # fmt: skip

BY_GPU: dict[str, Any] = {
    "cpus_per_task": None, "mem_per_cpu": None, "gpus_per_node": None, "nodes": 1,
    "ntasks_per_node": 2, "gpus_per_task": "a100:1", "cpus_per_gpu": 1, "mem_per_gpu": "50M",
}  # fmt: skip
COUNTED = (
    "NumNodes=1", "NumTasks=2", "NtasksPerN:B:S:C=2:", "TresPerTask=gres:gpu:a100:1\n",
    "CpusPerTres=gres:gpu:1\n", "MemPerTres=gres:gpu:50\n",
)  # fmt: skip


def test_what_is_asked_for_by_slurms_names_is_what_slurm_gives(cluster: Cluster, api: Api) -> None:
    one = api.submit(**LONG, resources=GEAR)["id"]
    shown = cluster.run("scontrol", "show", "job", *running(api, one))
    assert [words for words in UNDERSTOOD if words not in shown] == [], shown
    other = api.submit(**LONG, resources={**GEAR, **BY_GPU})["id"]
    eventually(lambda: api.job(other)["reason"] == "Licenses", what="the other to wait")
    shown = cluster.run("scontrol", "show", "job", api.job(other)["native_id"])
    assert [words for words in COUNTED if words not in shown] == [], shown
    assert api.job(other)["reason_text"] == "Waiting for a licence to become free."
    for job in (one, other):
        api.http.post(f"/jobs/{job}/cancel")
    for wrong, said in (
        ({"licenses": "bumps:3"}, "license"),
        ({"constraint": "slow"}, "feature"),
        ({"gpus_per_node": "v100:1"}, "configuration is not available"),
    ):
        end = api.wait(api.submit(**LONG, resources={**GEAR, **wrong})["id"])
        assert (end["state"], end["reason"]) == ("FAILED", "Refused"), end["reason_text"]
        assert said in end["reason_text"]
    assert {api.wait(job)["state"] for job in (one, other)} == {"CANCELLED"}


def test_a_frozen_controller_makes_one_job_not_two(
    cluster: Cluster, site: LiveGateway, api: Api
) -> None:
    cluster.freeze()
    try:
        job = api.submit(kind="dummy", options={"seconds": 0, "steps": 1})["id"]
        eventually(
            lambda: api.job(job)["submission"] == "uncertain",
            within_s=60,
            what="an uncertain outcome",
        )
    finally:
        cluster.thaw()

    ended = api.wait(job, within_s=120)
    assert ended["state"] == "COMPLETED"
    assert named(cluster, job) == [ended["native_id"]]
    assert starts(site, job) == 1


def test_a_job_that_can_never_start_says_so_and_another_is_asked_for(
    cluster: Cluster, api: Api
) -> None:
    """A closed partition first, then one that gives less time than the job asks for."""
    wanted: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0.2, "steps": 2},
              "resources": {"time": "2:00:00", "partition": "wide"}}  # fmt: skip

    def alarm(reason: str) -> Any:
        eventually(lambda: api.job(job)["reason"] == reason, what=reason)
        return api.job(job)["alarm"]

    def update(*settings: str) -> None:
        cluster.run("scontrol", "update", "PartitionName=wide", *settings)

    try:
        update("State=DOWN")
        job = api.submit(**wanted)["id"]
        closed = alarm("PartitionDown")
        assert (closed["ends"], closed["instead"]) == ("administrator", None)
        assert api.http.post(f"/jobs/{job}/instead").status_code == 409
        update("State=UP", "MaxTime=90")
        short = alarm("PartitionTimeLimit")
        assert (short["ends"], short["instead"]) == ("change", {"time": "0-01:00:00"})
        browser = Plain(Fits(api))
        assert "never starts" in browser.get("/jobs").text
        assert "Cancel and ask again with 1 h" in browser.get(f"/jobs/{job}").text
        shown = browser.press(f"/jobs/{job}", f"/jobs/{job}/instead")
        browser.http.close()
        made = [api.http.post(f"/jobs/{job}/instead") for _ in range(2)]
        assert [answer.status_code for answer in made] == [202, 202]
        (new,) = {answer.json()["id"] for answer in made}
        assert (shown.status_code, shown.headers["Location"]) == (303, f"/jobs/{new}")
        done = api.wait(new)
        assert (done["state"], done["parent"]) == ("COMPLETED", job), done
        assert done["after"] == {"kind": "afterany", "jobs": [job]}, "never side by side"
        assert api.job(job)["state"] == "CANCELLED"
    finally:
        update("State=UP", "MaxTime=7-00:00:00")
    told = [one["text"] for one in api.http.get("/notifications").json()["items"]]
    assert sum("more time than the partition allows" in text for text in told) == 1
    refused = api.http.post(f"/jobs/{new}/instead")
    assert refused.status_code == 409


def test_a_job_under_a_proposal_runs_on_its_account_in_its_reservation(
    cluster: Cluster, site: LiveGateway, api: Api
) -> None:
    cluster.run("sacctmgr", "-i", "add", "account", "beam", "cluster=test")
    cluster.run("sacctmgr", "-i", "add", "user", "root", "account=beam", "cluster=test")
    reservation = "reservationname=d17 users=root starttime=now duration=60 nodecnt=1"
    cluster.run("scontrol", "create", *reservation.split(), "flags=ignore_jobs")
    today = now().date()
    grant = f'account = "beam"\nreservation = "d17"\nfirst = {today}\nlast = {today}\n'
    with site.services() as services:
        text = f'[proposals.hp-1]\n{grant}users = ["{api.name}"]\n'
        services.policies.put(Path("policy.toml"), text, "root")
    try:
        job = api.wait_for_state(api.submit(**LONG, proposal="hp-1")["id"], "RUNNING")
        asked = ("squeue", "-h", "-j", job["native_id"], "-o", "%a %v")
        assert cluster.run(*asked).split() == ["beam", "d17"]
    finally:
        api.cancel_all()
        eventually(lambda: all(one["final"] for one in jobs(api)), what="the end of its job")
        cluster.run("scontrol", "delete", "reservationname=d17")
        with site.services() as services:
            services.policies.put(Path("policy.toml"), "", "root")


def jobs(api: Api) -> list[dict[str, Any]]:
    """List the jobs of a user."""
    return list(api.http.get("/jobs").json()["items"])


def spread(api: Api, **options: object) -> str:
    problem = {"id": api.script_problem(TELLING)["id"]}
    job = api.submit(problem=problem, options={"fit": "dream", **options}, resources=SPREAD)
    return str(job["id"])


def test_a_fit_uses_two_nodes_and_one_of_them_writes(site: LiveGateway, api: Api) -> None:
    job = spread(api, samples=200, burn=5)
    ended = api.wait(job)
    assert ended["state"] == "COMPLETED", ended
    folder = folder_of(site, job)
    by = (folder / "by").read_text().split()
    assert set(by) == {"node1", "node2"}
    assert abs(by.count("node1") - by.count("node2")) < len(by) / 5
    assert starts(site, job) == 1


@pytest.mark.parametrize(("verb", "state"), [("stop", "COMPLETED"), ("cancel", "CANCELLED")])
def test_a_stop_and_a_cancellation_reach_rank_0(
    site: LiveGateway, api: Api, verb: str, state: str
) -> None:
    job = spread(api, samples=1_000_000)
    running(api, job)
    api.wait_for_field(job, "progress")  # before its first step there is nothing to go on from
    assert api.http.post(f"/jobs/{job}/{verb}").status_code == 202
    assert api.wait(job)["state"] == state
    result = json.loads((folder_of(site, job) / "result.0.json").read_text())
    assert (result["status"], result["resumable"]) == ("stopped", True)
