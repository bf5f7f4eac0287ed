"""A worker that stands still in the middle of handing over, and goes on when all is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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


def stands_still_at(
    point: str, meanwhile: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Let something happen while the first who comes to a point is there."""
    passed: list[str] = []

    def crash_point(name: str, *_: object) -> None:
        if name == point and not passed:
            passed.append(name)
            meanwhile()

    monkeypatch.setattr(handover, "crash_point", crash_point)
    return passed


def starts(job: Job) -> int:
    path = Path(job.attempt.directory) / "starts"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.parametrize("point", POINTS)
def test_who_goes_on_late_starts_no_second_job(
    point: str, sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = sites
    slow.store.add(job := slow.planned())
    done: list[Job] = []

    def meanwhile() -> None:
        other.live.drop_leases()
        done.append(other.end_of(job))

    assert stands_still_at(point, meanwhile, monkeypatch) == []
    slow.reconciler.round()
    assert done, "it was overtaken"
    for _ in range(3):
        slow.reconciler.round()

    assert slow.store.get(job.id) == done[0]
    assert done[0].attempt.exit_code == 0
    assert starts(job) == 1


@pytest.mark.parametrize("point", UNSENT)
def test_who_goes_on_late_starts_nothing_that_was_cancelled(
    point: str, sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, other = sites
    slow.store.add(job := slow.planned())
    done: list[Job] = []

    def meanwhile() -> None:
        other.live.drop_leases()
        other.store.change(job.id, lambda found: replace(found, wish=Wish.CANCEL))
        done.append(other.end_of(job))

    stands_still_at(point, meanwhile, monkeypatch)
    slow.reconciler.round()
    assert done, "it was overtaken"
    for _ in range(3):
        slow.reconciler.round()

    assert slow.store.get(job.id) == done[0]
    assert done[0].attempt.state is JobState.CANCELLED
    assert starts(job) == 0
