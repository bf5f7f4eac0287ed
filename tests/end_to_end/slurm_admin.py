"""What happens to jobs at a site behind the gateway's back, and what they left in their folders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from scheduler.processes import descendants, having
from tests.helpers import processes
from tests.live import Api, LiveGateway
from tests.slurm.cluster import Cluster


def named(cluster: Cluster, job: str, attempt: int = 1) -> list[str]:
    """Ask Slurm itself which jobs it has of one of ours."""
    asked = ("squeue", "-h", "-t", "all", "-n", f"gw-{job}-{attempt}", "-o", "%F")
    return sorted(set(cluster.run(*asked).split()))


def raw_state(cluster: Cluster, native_id: str) -> str:
    """Ask Slurm itself for the state of a job; empty when it has left the queue."""
    asked = ("squeue", "-h", "-j", native_id, "-t", "all", "-o", "%T")
    return cluster.run(*asked, check=False).strip()


def folder_of(live: LiveGateway, job: str, attempt: int = 1) -> Path:
    """Find the directory of an attempt on the cluster."""
    base = Path(live.environment["GATEWAY_CONFIG"]).parent / "jobs"
    (found,) = base.glob(f"*/{job}/{attempt}")
    return found


def starts(live: LiveGateway, job: str, attempt: int = 1) -> int:
    """Count how often the driver of a single job began."""
    text = (folder_of(live, job, attempt) / "events.0.jsonl").read_text(encoding="utf-8")
    return sum(json.loads(line)["event"] == "start" for line in text.splitlines())


def running(api: Api, *jobs: str) -> list[str]:
    """Wait until jobs run and have told a first step; answer their native ids."""
    for job in jobs:
        api.wait_for_state(job, "RUNNING")
    for job in jobs:
        api.wait_for_field(job, "progress")
    return [str(api.job(job)["native_id"]) for job in jobs]


@contextmanager
def worker_stands_still(live: LiveGateway) -> Iterator[None]:
    """Stop the gateway's own worker as a hanging machine would; it goes on where it was."""
    assert live.process is not None
    own = descendants(live.process.pid)
    found = processes("gateway.cli worker", environment=f"GATEWAY_STATE={live.state}")
    pids = [one.pid for one in found if one.pid in own]
    assert pids
    pids += [child for pid in pids for child in descendants(pid) if child not in pids]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def lose_node(cluster: Cluster, number: int, native_ids: list[str]) -> None:
    """Have a node die with the jobs that run on it."""
    conf = f"SLURM_CONF={cluster.environment['SLURM_CONF']}"
    own = {pid for one in native_ids for pid in having([conf, f"SLURM_JOB_ID={one}"])}
    assert own, "no such job runs"
    steps = {_parent(pid) for pid in own} - own
    cluster.kill(f"slurmd{number}")
    for pid in (*steps, *own):  # the steps first: they would tell of an end
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def end_leftovers(cluster: Cluster, native_id: str) -> None:
    """Kill what outlived its job: without cgroups Slurm loses sight of it, unlike a real site."""
    for pid in having(
        [f"SLURM_CONF={cluster.environment['SLURM_CONF']}", f"SLURM_JOB_ID={native_id}"]
    ):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def account_as_out_of_memory(cluster: Cluster, native_id: str) -> None:
    """Have the accounting say what a site with cgroups says of a job that its memory ended."""
    where = f"id_job = {int(native_id)}"
    query = f"UPDATE test_job_table SET state = 11, exit_code = 253 WHERE {where}"  # noqa: S608 - a number
    subprocess.run(
        ["/usr/bin/mariadb", "--no-defaults", "--user=root", f"--socket={cluster.folder}/db.sock",
         "slurm", "--execute", query],
        check=True, timeout=30,
    )  # fmt: skip


def give_ids_again(cluster: Cluster, first: int) -> None:
    """Start the controller anew with ids that begin again at one that was given away before."""
    newest = int(cluster.run("sbatch", "--parsable", "--hold", "-o", "/dev/null", "--wrap=true"))
    cluster.run("scancel", str(newest))
    conf = cluster.folder / "slurm.conf"
    kept = [
        line for line in conf.read_text().splitlines() if not line.startswith(("FirstJ", "MaxJobI"))
    ]
    conf.write_text("\n".join([*kept, f"FirstJobId={first}", f"MaxJobId={newest + 1}", ""]))
    cluster.restart_slurmctld()
