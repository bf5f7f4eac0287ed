"""The private cluster is a real one, and the host's own is left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import eventually, processes
from tests.slurm.cluster import Cluster


def sbatch(cluster: Cluster, command: str, *options: str) -> str:
    """Submit a command; answer the id."""
    options = (*options, "--output=/dev/null", f"--wrap={command}")
    return cluster.run("sbatch", "--parsable", *options).strip()


def state(cluster: Cluster, native_id: str) -> str:
    """Say how a job is, by the accounting."""
    return cluster.run("sacct", "-X", "-n", "-P", "-j", native_id, "-o", "State").strip()


def test_a_job_runs_and_the_accounting_knows_it(slurm_cluster: Cluster) -> None:
    native_id = sbatch(slurm_cluster, "exit 3")
    eventually(lambda: state(slurm_cluster, native_id) == "FAILED")


def test_a_frozen_controller_answers_nobody_and_then_everybody(slurm_cluster: Cluster) -> None:
    slurm_cluster.freeze()
    try:
        assert "is DOWN" in slurm_cluster.run("scontrol", "ping", check=False)
    finally:
        slurm_cluster.thaw()
    assert "is UP" in slurm_cluster.run("scontrol", "ping")


def test_the_daemons_know_only_files_of_their_own(slurm_cluster: Cluster) -> None:
    daemons = processes(environment=f"SLURM_CONF={slurm_cluster.folder}/")
    assert {"slurmctld", "slurmd", "slurmdbd", "munged", "mariadbd"} <= {
        Path(process.words[0]).name for process in daemons
    }
    with pytest.raises(AssertionError, match="sinfo"):
        slurm_cluster.run("sinfo", "--no-such-option")
