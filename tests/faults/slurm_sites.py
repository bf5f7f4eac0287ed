"""Real Slurm clusters for campaigns: on the gateway's own host, and behind a real sshd."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from scheduler.faults import AGENT_POINTS, SLURM_POINTS
from tests.end_to_end.slurm_site import slurm_settings
from tests.end_to_end.ssh_site import ssh_site
from tests.faults.sites import Site, SiteMaker, local_site
from tests.faults.slurm_list import compare
from tests.helpers import processes
from tests.scheduler.sshd import SSHServer
from tests.slurm.cluster import Cluster, private_cluster
from tests.slurm.config import ClusterConfig

_CLUSTER = ClusterConfig(nodes=(16,), min_job_age_s=30)
_PACE = {
    "GATEWAY_CLUSTERS__HPC__LOOK_S": "0.5",
    "GATEWAY_CLUSTERS__HPC__LOOK_MOST_S": "1",
    "GATEWAY_CLUSTERS__HPC__LOOK_AGAIN_S": "1",
    "GATEWAY_WORKER__UNCONFIRMED_S": "10",
}
_NODES = ("sinfo", "-h", "-N", "-o", "%T")
_ADMIN_S = 2.0
_PATIENCE_S = 3.0
_FROZEN_S = (0.5, 5.0)  # the longest is more than a command of Slurm waits for an answer
_AGENT = "zlib.decompress"


@contextmanager
def slurm_site() -> Iterator[Site]:
    """Run Slurm's commands where the gateway is."""
    with _kept_cluster() as cluster, slurm_settings(cluster) as settings:
        # The gateway hands SLURM_CONF on to its agents, and so they are found.
        conf = {"SLURM_CONF": cluster.environment["SLURM_CONF"]}
        yield _site(cluster, {**settings, **conf}, f"SLURM_CONF={conf['SLURM_CONF']}")


@contextmanager
def slurm_ssh_site() -> Iterator[Site]:
    """Run them behind an sshd, whose lines are cut and which stands still."""
    with _kept_cluster() as cluster, ssh_site(cluster, 1) as made:
        account = made.accounts[0]
        yield _site(cluster, made.configure(), f"HOME={account.home}", _line_blows(made.server))


@contextmanager
def _kept_cluster() -> Iterator[Cluster]:
    """Run a cluster with an administrator who gives its node back to users.

    A controller that was killed has forgotten what it began, begins it again and, when the node
    says that it runs already, drains the node.
    """
    over = threading.Event()

    def keep(cluster: Cluster) -> None:
        while not over.wait(_ADMIN_S):
            if {"drained", "draining", "down"} & set(cluster.run(*_NODES, check=False).split()):
                cluster.run("scontrol", "update", "NodeName=node0", "State=RESUME", check=False)

    with private_cluster(_CLUSTER) as cluster:
        administrator = threading.Thread(target=keep, args=(cluster,), daemon=True)
        administrator.start()
        try:
            yield cluster
        finally:
            over.set()
            administrator.join()


def _site(
    cluster: Cluster,
    settings: Mapping[str, str],
    mark: str,
    blows: Mapping[str, Callable[[], bool]] | None = None,
) -> Site:
    dice = random.Random(1)  # noqa: S311 - no secret
    killed = threading.Event()
    return Site(
        environment={**_PACE, **settings},
        points=(SLURM_POINTS, AGENT_POINTS),
        victims={"agent": lambda _state: _agents(mark)},
        blows={
            "submitter": lambda: _kill_when_there(partial(_submitters, mark)),
            "sbatch": lambda: _kill_when_there(partial(_sbatches, cluster)),
            "slurmctld": lambda: _kill_controller(cluster, dice, killed),
            "slurmctld frozen": lambda: _frozen(cluster.freeze, cluster.thaw, dice),
            **(blows or {}),
        },
        # A submitter that dies takes all with it that were to be submitted in the same call.
        ends_a_job=0.5,
        compare=lambda jobs: compare(cluster, jobs, controller_killed=killed.is_set()),
    )


def _line_blows(server: SSHServer) -> dict[str, Callable[[], bool]]:
    dice = random.Random(2)  # noqa: S311 - no secret

    def cut() -> bool:
        lines = bool(server.connections)
        server.cut()
        return lines

    return {
        "line cut": cut,
        "sshd frozen": lambda: _frozen(server.freeze, server.thaw, dice),
    }


# Blows


def _kill_when_there(find: Callable[[], list[int]]) -> bool:
    """Kill what lives for moments only; False when it did not appear."""
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        for pid in find():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                return True
        time.sleep(0.005)
    return False


def _kill_controller(cluster: Cluster, dice: random.Random, killed: threading.Event) -> bool:
    killed.set()
    cluster.kill("slurmctld")
    time.sleep(dice.random())  # how long it is away
    cluster.restart_slurmctld()
    return True


def _frozen(freeze: Callable[[], None], thaw: Callable[[], None], dice: random.Random) -> bool:
    freeze()
    try:
        time.sleep(dice.uniform(*_FROZEN_S))
    finally:
        thaw()
    return True


# Finding


def _agents(mark: str) -> list[int]:
    """Find the agents that talk to a gateway, not what they have begun and let go of."""
    return [pid for pid in _ours(mark) if _listens(pid)]


def _submitters(mark: str) -> list[int]:
    return [pid for pid in _ours(mark) if not _listens(pid)]


def _sbatches(cluster: Cluster) -> list[int]:
    conf = cluster.environment["SLURM_CONF"]
    found = processes("sbatch", "--parsable", environment=f"SLURM_CONF={conf}")
    return [process.pid for process in found]


def _ours(mark: str) -> list[int]:
    return [process.pid for process in processes(_AGENT, environment=mark)]


def _listens(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/fd/0").readlink() != Path(os.devnull)
    return False


SITES: dict[str, SiteMaker] = {
    "local": local_site,
    "slurm": slurm_site,
    "slurm-ssh": slurm_ssh_site,
}
