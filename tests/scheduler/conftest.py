"""Schedulers to keep the promises."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler.slurm import Slurm
from scheduler.slurm_api import SlurmApi
from tests.scheduler.api_site import Double, make_double, open_api, release_of, slurm_by_api
from tests.scheduler.site import LocalSite, Site, open_local, open_slurm, slurm_config, slurm_here
from tests.slurm.cluster import Cluster

LIMITS = {"cpus": 2, "kill_wait_s": 2.0, "log_limit_bytes": 100_000}
SANDBOXES = {"local": "none", "local in bubblewrap": "bwrap"}


REAL_CLUSTERS = {"slurm": "slurm_site", "pyslurm": "api_site"}


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


@pytest.fixture
def make_local(tmp_path: Path) -> Iterator[Callable[..., LocalSite]]:
    """Open local execution with other limits; ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **limits: stack.enter_context(open_local(tmp_path, **{**LIMITS, **limits}))
