"""A worker that stands still in the middle of handing over, and goes on when all is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import redis as redis_client

from gateway.jobs import handover
from gateway.jobs.models import Job, Wish
from scheduler.base import JobState
from scheduler.connect import connect
from scheduler.local import stop_executor
from tests.jobs.test_rounds import Site, make_site

POINTS = ("stage-before", "stage-after", "try-written", "submit-after")
UNSENT = POINTS[:3]
"""Where nothing was handed over yet."""


@pytest.fixture
def sites(redis: redis_client.Redis, tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    state = tmp_path / "state"
    scheduler = connect("local", {"state_directory": state, "cpus": 1})
    yield make_site(redis, tmp_path, scheduler), make_site(redis, tmp_path, scheduler)
    stop_executor(state)


def overtaken(
    point: str, sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch, wish: Wish = Wish.RUN
) -> Job:
    """Let one stand still at a point until another has brought a job to its end; answer the end."""
    slow, other = sites
    slow.store.add(job := slow.planned())
    done: list[Job] = []

    def crash_point(name: str, *_: object) -> None:
        if name == point and not done:
            done.append(job)  # the other passes here as well
            other.live.drop_leases()
            if wish is not Wish.RUN:
                other.store.change(job.id, lambda found: replace(found, wish=wish))
            done.append(other.end_of(job))

    monkeypatch.setattr(handover, "crash_point", crash_point)
    slow.reconciler.round()
    assert len(done) == 2, "it was overtaken"
    for _ in range(3):
        slow.reconciler.round()
    assert slow.store.get(job.id) == done[1]
    return done[1]


def starts(job: Job) -> int:
    path = Path(job.attempt.directory) / "starts"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize("point", POINTS)
def test_who_goes_on_late_starts_no_second_job(
    point: str, sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = overtaken(point, sites, monkeypatch)
    assert ended.attempt.exit_code == 0
    assert starts(ended) == 1


@pytest.mark.parametrize("point", UNSENT)
def test_who_goes_on_late_starts_nothing_that_was_cancelled(
    point: str, sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = overtaken(point, sites, monkeypatch, Wish.CANCEL)
    assert ended.attempt.state is JobState.CANCELLED
    assert starts(ended) == 0
