"""A Slurm cluster behind an sshd, and a gateway, for numbers beside Slurm's own commands."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import timed
from tests.end_to_end.ssh_site import SSHSite, ssh_site
from tests.helpers import processes
from tests.live import LiveGateway, live_gateway
from tests.slurm.cluster import Cluster, private_cluster
from tests.slurm.config import ClusterConfig

LATER = {"partition": "later"}
"""Takes every job and starts none: what is measured is Slurm and the gateway, not the fits."""

_CLUSTER = ClusterConfig(
    nodes=(64,),
    min_job_age_s=300,
    extra=(
        "PartitionName=later Nodes=node0 MaxTime=7-00:00:00 State=DOWN",
        # Each element of a campaign counts; at Slurm's own 10,000 sbatch waits and asks again.
        "MaxJobCount=100000",
    ),
)
_QUESTIONS = ("squeue", "sacct", "scancel", "scontrol", "sinfo")
_LOOP = """
for number in $(seq "$1"); do
    /usr/bin/sbatch --parsable --job-name="loop-$number" job.sh 1 > /dev/null || exit 1
done
"""
_PACE = {
    "GATEWAY_CLUSTERS__HPC__LOOK_S": "15",
    "GATEWAY_CLUSTERS__HPC__LOOK_MOST_S": "120",
    "GATEWAY_CLUSTERS__HPC__LOOK_AGAIN_S": "20",
    "GATEWAY_CLUSTERS__HPC__CALLS_PER_MINUTE": "6",
    "GATEWAY_CLUSTERS__HPC__FOLLOW_S": "2",
    "GATEWAY_WORKER__TICK_S": "0.4",
    "GATEWAY_LIMITS__QUEUED_PER_USER": "100000",
    "GATEWAY_LIMITS__JOBS_PER_USER": "100000",
}
"""What `config/default.toml` says, where the site of the tests is in more of a hurry."""


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A site, a gateway in front of it, and what counts the calls between them."""

    cluster: Cluster
    site: SSHSite
    live: LiveGateway
    folder: Path

    def calls(self) -> list[tuple[float, str]]:
        """List when Slurm was asked what on the login node since the start, in Unix time."""
        path = self.folder / "calls"
        rows = path.read_text().splitlines() if path.exists() else []
        return [(float(when), name) for when, name in (row.split() for row in rows)]

    def submit_by_hand(self, directory: Path, number: int) -> float:
        """Submit a script many times in a loop of a shell there; answer the seconds it took."""
        account = self.site.accounts[0]
        ids = (f"--reuid={account.uid}", f"--regid={account.uid}", "--clear-groups")
        argv = ["/usr/bin/setpriv", *ids, "/bin/bash", "-c", _LOOP, "loop", str(number)]
        return timed(
            lambda: subprocess.run(argv, cwd=directory, env=self.cluster.environment, check=True)
        )

    def directory(self, job: str) -> Path:
        """Say where the first attempt of a job lies."""
        return next((self.site.folder / "jobs").glob(f"*/{job}/1"))

    def known_to_slurm(self) -> int:
        """Count the jobs of the gateway that Slurm lists."""
        names = self.cluster.run("squeue", "-h", "-t", "all", "-o", "%j").split()
        return sum(name.startswith("gw-") for name in names)

    def processes(self, mark: str = "") -> list[int]:
        """List the processes of the gateway, the store included, with a mark on their line."""
        found = processes(mark, environment=f"GATEWAY_STATE={self.live.state}")
        # The store writes its title over its environment; its socket is in the title.
        found += processes(mark, f"{self.live.state}/")
        return sorted({process.pid for process in found})

    def cpu_s(self) -> float:
        """Add up the processor time of all processes of the gateway."""
        return sum(map(cpu_s, self.processes()))


def cpu_s(pid: int) -> float:
    """Say how much processor time a process has taken, without its children's; 0 if it is gone."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


@contextmanager
def bench_site() -> Iterator[Bench]:
    """Start all of it, with the pace of questions that a site has by default."""
    with private_cluster(_CLUSTER) as cluster, ssh_site(cluster, accounts=1) as site:
        folder = site.folder / "counted"
        folder.mkdir()
        folder.chmod(0o777)
        (folder / "sbatch").symlink_to("/usr/bin/sbatch")
        for name in _QUESTIONS:
            program = folder / name
            program.write_text(
                f"#!/bin/sh\necho $(date +%s.%N) {name} >> {folder}/calls\n"
                f'exec /usr/bin/{name} "$@"\n'
            )
            program.chmod(0o755)
        settings = {**site.configure(), **_PACE, "GATEWAY_CLUSTERS__HPC__PROGRAMS": str(folder)}
        with live_gateway(**settings) as live:
            yield Bench(cluster=cluster, site=site, live=live, folder=folder)
