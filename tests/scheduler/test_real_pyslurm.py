"""pyslurm itself, where it is: it must fit Slurm on this host, so Debian's has none.

Where it cannot be used these tests are reported as not run; ``tests/ci_guard.py`` names them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from scheduler.base import JobState, Refused
from tests.scheduler.api_site import open_api, release_of, slurm_by_api
from tests.scheduler.oddities import ODDITIES, run_oddity
from tests.scheduler.site import Site, named, sleeper
from tests.slurm.cluster import Cluster


@pytest.fixture(scope="module")
def python(slurm_cluster: Cluster) -> str:
    """A Python whose pyslurm fits the cluster."""
    done = subprocess.run(
        [sys.executable, "-c", "import pyslurm; print(pyslurm.__version__)"],
        env={"SLURM_CONF": str(slurm_cluster.folder / "slurm.conf")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    release = release_of(slurm_cluster).rpartition(".")[0]
    version = done.stdout.strip() or done.stderr.strip().rpartition("\n")[2]
    if not version.startswith(f"{release}."):
        pytest.skip(f"NOT RUN: it takes pyslurm {release}.*, and here is: {version}")
    return sys.executable


@pytest.fixture
def real(slurm_cluster: Cluster, python: str) -> Iterator[Site]:
    """A real cluster behind the real library."""
    with (
        slurm_by_api(slurm_cluster, python) as api,
        open_api(slurm_cluster, api) as site,
    ):
        yield site


@pytest.mark.parametrize("name", ODDITIES)
def test_pyslurm_is_as_odd_as_its_double(slurm_cluster: Cluster, python: str, name: str) -> None:
    said: list[str] = []
    printed = run_oddity(ODDITIES[name], slurm_cluster, python, said.append)
    assert printed == ODDITIES[name].printed, said


def test_a_job_is_submitted_followed_and_ends(real: Site) -> None:
    launch = real.stage(sleeper())
    native_id = real.submit(launch)
    assert real.end_of(native_id).state is JobState.COMPLETED
    assert len(real.lines(launch, "starts")) == 1
    assert [row.native_id for row in named(real.scheduler, launch.marker)] == [native_id]


def test_what_slurm_does_not_take_is_refused(real: Site) -> None:
    launch = real.stage(sleeper(), resources={"partition": "none"})
    (outcome,) = real.scheduler.submit([launch])
    assert isinstance(outcome, Refused)
    assert "Invalid partition name specified" in outcome.text


def test_an_array_that_is_stopped_stops_and_starts_nothing_more(real: Site) -> None:
    launch = real.stage(sleeper(60), tasks=3, throttle=1)
    native_id = real.submit(launch)
    real.runs(launch, native_id)
    real.scheduler.signal([native_id], "USR1")
    rows = real.ended(native_id)
    assert {row.task: row.state for row in rows}[0] is JobState.COMPLETED
    assert [line.split()[0] for line in real.lines(launch, "starts")] == ["0"]


def test_an_array_that_is_cancelled_ends_whole(real: Site) -> None:
    launch = real.stage(sleeper(60), tasks=3, throttle=1)
    native_id = real.submit(launch)
    real.runs(launch, native_id)
    real.scheduler.cancel([native_id])
    assert {row.state for row in real.ended(native_id)} == {JobState.CANCELLED}
