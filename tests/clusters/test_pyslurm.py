"""A cluster whose settings say that Slurm is reached through its library."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.clusters.models import ClusterAccount
from gateway.jobs.places import Place
from gateway.reach.reach import Reach, open_scheduler
from gateway.reach.site_check import check_cluster
from gateway.settings import Settings, load_settings, prepare_state
from scheduler.base import JobState, SchedulerUnavailableError
from scheduler.slurm_api import SlurmApi
from tests.scheduler.api_site import make_double, open_api, release_of
from tests.scheduler.site import sleeper
from tests.slurm.cluster import Cluster


class NoAccounts:
    """Nobody has an account of their own."""

    def find(self, cluster: str, user: str) -> ClusterAccount | None:  # noqa: ARG002 - has none
        return None


def settings_of(folder: Path, cluster: Cluster, login_python: str = "") -> Settings:
    """Write a site with such a cluster, and read it."""
    (cluster.folder / "jobs").mkdir(exist_ok=True)
    prepare_state(folder / "state")
    (folder / "site.toml").write_text(
        "[clusters.hpc]\nscheduler = 'pyslurm'\n"
        f"base = '{cluster.folder}/jobs'\npython = '{sys.executable}'\n"
        f"slurm_conf = '{cluster.folder}/slurm.conf'\nlogin_python = '{login_python}'\n"
    )
    return load_settings(
        {"GATEWAY_STATE": str(folder / "state"), "GATEWAY_CONFIG": str(folder / "site.toml")}
    )


def test_jobs_of_such_a_cluster_go_through_the_library(
    tmp_path: Path, slurm_cluster: Cluster
) -> None:
    double = make_double(tmp_path / "pyslurm", release_of(slurm_cluster))
    reach = Reach(settings_of(tmp_path, slurm_cluster, double.python), NoAccounts())
    api = reach.get(Place(cluster="hpc"))
    assert isinstance(api, SlurmApi)
    double.spoil("load away")
    with pytest.raises(SchedulerUnavailableError, match="Slurm's library: Socket timed out"):
        api.states(["1"])
    with open_api(slurm_cluster, api) as site:
        launch = site.stage(sleeper())
        assert site.end_of(site.submit(launch)).state is JobState.COMPLETED
    reach.close()


def test_where_it_is_missing_jobs_wait_and_one_line_says_what_to_install(
    tmp_path: Path, slurm_cluster: Cluster
) -> None:
    # Without login_python it is looked for where the gateway itself runs.
    scheduler, close = open_scheduler(settings_of(tmp_path, slurm_cluster), "hpc")
    with pytest.raises(SchedulerUnavailableError) as caught:
        scheduler.probe()
    assert str(caught.value).startswith(f"hpc: Slurm's library cannot be used: {sys.executable}")
    assert "'bumps-gateway[pyslurm]'" in str(caught.value)
    assert "\n" not in str(caught.value)
    close()


def test_a_look_at_the_site_finds_it_missing(tmp_path: Path, slurm_cluster: Cluster) -> None:
    found = {one.what: one for one in check_cluster(settings_of(tmp_path, slurm_cluster), "hpc")}
    wrong = [one for one in found.values() if not one.good]
    assert [one.what for one in wrong] == ["cluster hpc: pyslurm"]
    assert "'bumps-gateway[pyslurm]'" in wrong[0].text
