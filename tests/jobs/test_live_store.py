"""What running jobs show is there while somebody may look, and goes by itself afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis as redis_client

from gateway.jobs.live_store import LiveStore, live_keys
from gateway.jobs.models import ElementProgress, Progress
from gateway.jobs.store import JobStore
from gateway.sidecars import Sidecars
from tests.helpers import eventually
from tests.jobs.making import make_job

_STEP = {"event": "step", "t": 1.0, "step": 1, "best": [0.1] * 2_000}
"""Large enough to be counted among the large ones."""

_END = {"event": "state", "state": "COMPLETED"}


@pytest.fixture
def live(redis: redis_client.Redis) -> LiveStore:
    return LiveStore(redis, 0.05)


def show(live: LiveStore, id: str) -> None:
    """Let a running job report everything that one can."""
    progress = Progress(t=1.0, step=1, steps=2, chisq=1.5)
    elements = {3: ElementProgress(t=1.0, step=1)}
    live.add_events(
        id,
        [_STEP],
        progress=progress,
        curves={0: {"x": [1]}},
        elements=elements,
        followed={"1/a": 7},
    )
    live.lease([id], "one", 60)


def test_the_live_events_of_an_ended_job_go_by_themselves(
    redis: redis_client.Redis, live: LiveStore
) -> None:
    show(live, "J1")
    live.end("J1", _END)
    assert [event for _, event, _ in live.events("J1", "0", 1)] == ["step", "state"]
    eventually(lambda: not redis.exists("job:J1:events"), within_s=5, what="the events to go")
    assert live.progress("J1") is not None
    assert set(redis.keys("*")) == {"job:J1:progress", "job:J1:lease"}


def test_the_events_of_a_running_job_outlive_those_of_an_ended_one(
    redis: redis_client.Redis, live: LiveStore
) -> None:
    for name in ("J1", "J2"):
        show(live, name)
    live.end("J1", _END)
    eventually(lambda: not redis.exists("job:J1:events"), within_s=5, what="the events to go")
    assert len(live.events("J2", "0", 1)) == 1
    assert live.followed("J2") == {"1/a": 7}
    assert live.curves("J2") == [{"x": [1]}]
    assert live.elements("J2") == live.elements("J2", [2, 3]) == {3: ElementProgress(t=1, step=1)}


def test_nothing_that_a_running_job_shows_stays_for_ever(
    redis: redis_client.Redis, live: LiveStore
) -> None:
    show(live, "J1")
    assert {key for key in redis.keys("*") if redis.ttl(key) == -1} == {"job:J1:progress"}


def test_another_attempt_shows_nothing_of_the_one_before(live: LiveStore) -> None:
    show(live, "J1")
    live.begin_again("J1")
    assert live.progress("J1") is None
    assert live.elements("J1") == {}
    assert live.events("J1", "0", 1) == []


def test_a_deleted_job_leaves_no_key_of_its_own(
    redis: redis_client.Redis, live: LiveStore, tmp_path: Path
) -> None:
    store = JobStore(redis, Sidecars(tmp_path))
    job, kept = make_job(), make_job()
    store.add(job, "a-key", "hash")
    store.add(kept)
    for each in (job, kept):
        show(live, each.id)
    before = {key for key in redis.keys("*") if kept.id in key}
    assert set(live_keys(kept.id)) <= before
    store.delete(job)
    assert [key for key in redis.keys("*") if job.id in key] == []
    assert {key for key in redis.keys("*") if kept.id in key} == before
