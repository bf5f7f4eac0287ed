"""What is held against Slurm's own list is neither excused nor accused without a reason."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.jobs.models import Job, Stage, Tracking
from scheduler.base import JobState
from tests.faults.slurm_list import compare
from tests.jobs.making import make_job
from tests.slurm.cluster import Cluster
from tests.slurm.config import ClusterConfig, Ports

TOOK = "_slurm_rpc_submit_batch_job: JobId=7 InitPrio=4294901759 usec=301\n"


@dataclass
class Told(Cluster):
    """A cluster that says what a test puts into its mouth."""

    queue: str = ""
    accounted: str = ""
    said: str = TOOK

    def run(self, *argv: str, check: bool = True) -> str:
        """Answer for Slurm's commands."""
        assert check
        return {"squeue": self.queue, "sacct": self.accounted}[argv[0]]

    def log(self, name: str) -> str:
        """Answer for the controller's log."""
        assert name == "slurmctld"
        return self.said


def told(folder: Path, accounted: str = "") -> Told:
    return Told(folder=folder, config=ClusterConfig(), ports=Ports(), accounted=accounted)


def lost(folder: Path, native_id: str = "7") -> Job:
    return make_job(
        stage=Stage.SUBMITTED, native_id=native_id, tracking=Tracking.LOST, directory=str(folder)
    )


def test_a_job_that_a_killed_controller_took_before_may_be_forgotten(tmp_path: Path) -> None:
    job = lost(tmp_path)
    found = compare(told(tmp_path), [job], controller_killed=True)
    assert (found.lost, found.double, found.forgotten) == ([], [], {job.id})


@pytest.mark.parametrize(
    ("native_id", "killed"), [("7", False), ("999", True), ("999", False), ("70", True)]
)
def test_no_other_job_is_forgiven(tmp_path: Path, native_id: str, killed: bool) -> None:
    job = lost(tmp_path, native_id)
    found = compare(told(tmp_path), [job], controller_killed=killed)
    assert found.forgotten == set()
    assert found.lost == [f"{job.id} is lost, and nothing made Slurm forget {native_id}"]


def test_a_job_that_slurm_knows_is_not_forgotten(tmp_path: Path) -> None:
    job = lost(tmp_path)
    found = compare(
        told(tmp_path, accounted=f"7|{job.marker}|COMPLETED\n"), [job], controller_killed=True
    )
    assert found.forgotten == set()
    assert found.lost[0].startswith(f"{job.id} is called lost, and Slurm knows 7")


def test_a_state_that_is_not_slurms_and_a_job_too_many_are_faults(tmp_path: Path) -> None:
    job = make_job(
        stage=Stage.SUBMITTED, native_id="7", source="sacct", state=JobState.FAILED,
        directory=str(tmp_path),
    )  # fmt: skip
    (tmp_path / "submit.1").mkdir()
    (tmp_path / "exit.0.json").write_text(json.dumps({"owner": "8", "rc": 0}))
    rows = f"7|{job.marker}|COMPLETED\n8|{job.marker}|CANCELLED by 0\n"
    found = compare(told(tmp_path, accounted=rows), [job], controller_killed=True)
    assert found.lost == [f"{job.id} is FAILED, and 7 is {{'COMPLETED'}}"]
    assert found.double == [
        f"{job.id}: 1 tries made the jobs ['7', '8']",
        f"{job.id} is 7, and 8 wrote its exit file",
    ]
