"""Schedulers to keep the promises."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler.slurm import Slurm
from tests.scheduler.site import LocalSite, Site, open_local, open_slurm, slurm_config, slurm_here
from tests.slurm.cluster import Cluster

LIMITS = {"cpus": 2, "kill_wait_s": 2.0, "log_limit_bytes": 100_000}
SANDBOXES = {"local": "none", "local in bubblewrap": "bwrap"}


@pytest.fixture(params=[*SANDBOXES, "slurm"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A scheduler with two processors, and a place for its jobs."""
    if request.param == "slurm":
        yield request.getfixturevalue("slurm_site")
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


@pytest.fixture
def make_local(tmp_path: Path) -> Iterator[Callable[..., LocalSite]]:
    """Open local execution with other limits; ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **limits: stack.enter_context(open_local(tmp_path, **{**LIMITS, **limits}))
