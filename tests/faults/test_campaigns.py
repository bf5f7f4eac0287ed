"""Killed at every named point and at random moments: no job is lost, none runs twice."""

from __future__ import annotations

import pytest

from tests.faults.campaign import at_points, at_random

TIMES = 20
PARTS = 7
pytestmark = pytest.mark.slow


@pytest.mark.timeout(900)
def test_twenty_kills_at_each_point_lose_no_job_and_run_none_twice() -> None:
    outcome = at_points(TIMES, within_s=600)

    print(outcome.table())  # noqa: T201 - pytest shows it when the test fails
    assert outcome.verdict.faults == []
    assert min(outcome.hits.values()) >= TIMES
    assert outcome.settled_s < 60


@pytest.mark.timeout(300)
def test_kills_of_any_process_at_random_moments_lose_no_job_and_run_none_twice() -> None:
    outcome = at_random(10 * PARTS)

    print(outcome.table())  # noqa: T201 - pytest shows it when the test fails
    assert outcome.verdict.faults == []
    assert len(outcome.hits) == PARTS
    assert min(outcome.hits.values()) >= 10
    assert outcome.settled_s < 60
