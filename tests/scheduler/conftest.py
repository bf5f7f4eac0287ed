"""Schedulers to keep the promises."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scheduler.hosts import SSHRoute
from scheduler.pacing import Doors
from scheduler.slurm import Slurm
from scheduler.slurm_api import SlurmApi
from scheduler.ssh import SSHShell
from tests.scheduler.api_site import Double, make_double, open_api, release_of, slurm_by_api
from tests.scheduler.site import (
    AGENT_PYTHON,
    LocalSite,
    Site,
    open_local,
    open_slurm,
    slurm_config,
    slurm_here,
)
from tests.scheduler.sshd import account, sshd
from tests.slurm.cluster import Cluster

LIMITS = {"cpus": 2, "kill_wait_s": 2.0, "log_limit_bytes": 100_000}
SANDBOXES = {"local": "none", "local in bubblewrap": "bwrap"}


REAL_CLUSTERS = {"slurm": "slurm_site", "pyslurm": "api_site", "slurm over SSH": "ssh_site"}


@pytest.fixture(params=[*SANDBOXES, *REAL_CLUSTERS])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A scheduler with two processors, and a place for its jobs."""
    if request.param in REAL_CLUSTERS:
        yield request.getfixturevalue(REAL_CLUSTERS[request.param])
        return
    with open_local(tmp_path, sandbox=SANDBOXES[request.param], **LIMITS) as site:
        yield site


@pytest.fixture(params=SANDBOXES)
def local_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """Local execution, for what only it promises."""
    with open_local(tmp_path, sandbox=SANDBOXES[request.param], **LIMITS) as site:
        yield site


@pytest.fixture(scope="session")
def slurm(slurm_cluster: Cluster) -> Iterator[Slurm]:
    """A real cluster as the gateway sees it."""
    with slurm_here(slurm_config(slurm_cluster)) as slurm:
        yield slurm


@pytest.fixture
def slurm_site(slurm_cluster: Cluster, slurm: Slurm) -> Iterator[Site]:
    """A real cluster whose default partition has two processors."""
    with open_slurm(slurm_cluster, slurm, slurm_cluster.folder / "jobs") as site:
        yield site


@pytest.fixture(scope="session")
def double(slurm_cluster: Cluster) -> Double:
    """What stands in for pyslurm, of the release of the cluster."""
    return make_double(slurm_cluster.folder / "pyslurm", release_of(slurm_cluster))


@pytest.fixture(scope="session")
def slurm_api(slurm_cluster: Cluster, double: Double) -> Iterator[SlurmApi]:
    """A real cluster as the gateway sees it through Slurm's library."""
    with slurm_by_api(slurm_cluster, double.python) as api:
        yield api


@pytest.fixture
def api_site(slurm_cluster: Cluster, slurm_api: SlurmApi) -> Iterator[Site]:
    """The same, with a place for its jobs."""
    with open_api(slurm_cluster, slurm_api) as site:
        yield site


@pytest.fixture(scope="session")
def far(slurm_cluster: Cluster) -> Iterator[tuple[Slurm, Path]]:
    """A real cluster as the gateway sees it from afar, as an account of its own."""
    with (
        TemporaryDirectory(prefix="bgw-far-") as name,
        account(Path(name) / "home") as user,
        sshd(Path(name) / "server", [user], "MaxSessions 2") as server,
    ):
        Path(name).chmod(0o755)
        base = Path(name) / "jobs"
        base.mkdir(mode=0o700)
        os.chown(base, user.uid, user.uid)
        route = SSHRoute(login=server.hop(user), identity=user.identity)
        shell = SSHShell("alpha", route, Doors())
        yield Slurm(shell, replace(slurm_config(slurm_cluster), base=str(base))), base
        shell.close()


@pytest.fixture
def ssh_site(slurm_cluster: Cluster, far: tuple[Slurm, Path]) -> Iterator[Site]:
    """The same, with a place for its jobs."""
    with open_slurm(slurm_cluster, *far) as site:
        yield replace(site, python=AGENT_PYTHON)


@pytest.fixture
def make_local(tmp_path: Path) -> Iterator[Callable[..., LocalSite]]:
    """Open local execution with other limits; ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **limits: stack.enter_context(open_local(tmp_path, **{**LIMITS, **limits}))
