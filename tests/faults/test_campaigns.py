"""Killed at every named point and at random moments: no job is lost, none runs twice.

The short form, for every change: ``make faults`` hits each point 40 times and each part 70 times.
"""

from __future__ import annotations

import pytest

from tests.faults.campaign import at_points, at_random
from tests.faults.slurm_sites import slurm_site, slurm_ssh_site

TIMES = 3
PARTS = 7
MOMENTS = 3
SLURM_PARTS = {
    *("web", "gunicorn", "worker", "queue", "redis", "agent", "submitter", "sbatch"),
    *("slurmctld frozen", "line cut", "sshd frozen"),
}
pytestmark = pytest.mark.slow


@pytest.mark.timeout(900)
def test_kills_at_each_point_lose_no_job_and_run_none_twice() -> None:
    outcome = at_points(TIMES, within_s=600)

    print(outcome.table())  # noqa: T201 - pytest shows it when the test fails
    assert outcome.verdict.faults == []
    assert min(outcome.hits.values()) >= TIMES
    assert outcome.settled_s < 60


@pytest.mark.timeout(300)
def test_kills_of_any_process_at_random_moments_lose_no_job_and_run_none_twice() -> None:
    outcome = at_random(MOMENTS * PARTS)

    print(outcome.table())  # noqa: T201 - pytest shows it when the test fails
    assert outcome.verdict.faults == []
    assert len(outcome.hits) == PARTS
    assert min(outcome.hits.values()) >= MOMENTS
    assert outcome.settled_s < 60


@pytest.mark.timeout(300)
def test_an_end_at_each_point_in_front_of_slurm_loses_no_job_and_runs_none_twice() -> None:
    outcome = at_points(1, within_s=120, make_site=slurm_site)

    print(outcome.table())  # noqa: T201 - pytest shows it when the test fails
    assert outcome.verdict.faults == []
    assert {"slurm-submit-called", "slurm-agent-told", "submit-after"} <= set(outcome.hits)
    assert min(outcome.hits.values()) >= 1
    assert outcome.settled_s < 60


@pytest.mark.timeout(300)
def test_cut_lines_and_frozen_controllers_lose_no_job_and_run_none_twice() -> None:
    # A controller that is killed needs a minute to find out what it has forgotten: `make faults`.
    outcome = at_random(len(SLURM_PARTS), make_site=slurm_ssh_site, spared=("slurmctld",))

    print(outcome.table())  # noqa: T201 - pytest shows it when the test fails
    assert outcome.verdict.faults == []
    assert set(outcome.hits) == SLURM_PARTS
    assert min(outcome.hits.values()) == 1
    assert outcome.settled_s < 60
