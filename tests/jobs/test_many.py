"""Many jobs at once: each is read, written and seen for itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import redis as redis_client

from gateway.errors import NoSpaceError
from gateway.jobs.care import Care
from gateway.jobs.models import Job
from gateway.jobs.store import JobStore
from gateway.records import now
from gateway.sidecars import Sidecars
from scheduler.base import JobState
from tests.jobs.making import THEN, make_job


@pytest.fixture
def sidecars(tmp_path: Path) -> Sidecars:
    return Sidecars(tmp_path)


@pytest.fixture
def store(redis: redis_client.Redis, sidecars: Sidecars) -> JobStore:
    return JobStore(redis, sidecars)


def added(store: JobStore, **changes: object) -> Job:
    """Make a job and add it."""
    job = store.add(make_job(**changes))
    assert isinstance(job, Job)
    return job


def titled(job: Job) -> Job:
    """Give a job another title."""
    return replace(job, title=f"new {job.id}")


def test_many_are_written_each_with_its_sidecar(store: JobStore, sidecars: Sidecars) -> None:
    jobs = [added(store) for _ in range(30)]
    written = Care(store).replace_all(jobs, titled)
    assert [(job.id, job.title, job.version) for job in written] == [
        (job.id, f"new {job.id}", 1) for job in jobs
    ]
    assert store.get_many([job.id for job in jobs]) == written
    kept = [sidecars.read(job.id) or {} for job in jobs]
    assert [document.get("title") for document in kept] == [job.title for job in written]


def test_none_are_read_without_asking(store: JobStore, redis: redis_client.Redis) -> None:
    def commands() -> int:
        return int(redis.info("stats")["total_commands_processed"])

    before = commands()
    assert store.get_many([]) == []
    assert commands() - before == 1, "that of the count itself"


def test_of_many_those_that_cannot_be_written_are_left_alone(
    store: JobStore, sidecars: Sidecars, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [added(store) for _ in range(12)]
    changed, gone, full = jobs[2], jobs[5], jobs[8]
    store.replace(replace(changed, notes="somebody was quicker"))
    store.delete(gone)
    prepared = sidecars.prepared

    def no_space_for_one(id: str, version: int | str, document: object) -> object:
        if id == full.id:
            raise NoSpaceError
        return prepared(id, version, document)  # type: ignore[arg-type]  # as it was given

    monkeypatch.setattr(sidecars, "prepared", no_space_for_one)
    written = Care(store).replace_all(jobs, titled)
    left = {changed.id, gone.id, full.id}
    assert [job.id for job in written] == [job.id for job in jobs if job.id not in left]
    assert store.get(changed.id).notes == "somebody was quicker"
    assert store.get(full.id).title == full.title


def test_a_store_that_goes_away_in_the_middle_is_no_fault_of_a_job(store: JobStore) -> None:
    jobs = [added(store) for _ in range(4)]

    def lost(job: Job) -> Job:
        raise redis_client.ConnectionError(job.id)

    with pytest.raises(redis_client.ConnectionError):
        Care(store).replace_all(jobs, lost)


def test_a_job_that_is_seen_again_is_younger_and_no_new_version(
    store: JobStore, sidecars: Sidecars
) -> None:
    job = added(store, state=JobState.RUNNING, observed=THEN)
    before = store.active()
    store.seen([job])
    (seen,) = store.active()
    assert before == [job]
    assert (seen.version, seen.title) == (job.version, job.title)
    assert now() - (seen.attempt.observed or THEN) < timedelta(seconds=60)
    assert seen.stamp > job.stamp
    assert store.get(job.id) == seen
    assert store.get_many([job.id]) == [seen]
    # It can be written as it was read, and an age alone is not worth a file.
    assert store.replace(titled(seen)).version == 1
    assert (sidecars.read(job.id) or {})["version"] == 1


def test_a_look_says_nothing_of_what_has_changed_or_gone_since(
    redis: redis_client.Redis, store: JobStore
) -> None:
    changed, gone = (added(store, observed=THEN) for _ in range(2))
    store.replace(titled(changed))
    store.delete(gone)
    store.seen([changed, gone])
    assert store.get(changed.id).attempt.observed == THEN
    assert not redis.exists(f"job:{gone.id}")


def test_another_attempt_was_not_seen_with_the_one_before(store: JobStore) -> None:
    job = added(store, state=JobState.RUNNING, observed=THEN)
    store.seen([job])
    ended = store.replace(store.get(job.id).with_attempt(state=JobState.FAILED))
    again = replace(ended.attempt, number=2, state=JobState.PENDING, observed=None)
    store.replace(replace(ended, attempts=(*ended.attempts, again)))
    assert store.get(job.id).attempt.observed is None


def test_what_is_kept_in_mind_is_read_again_when_it_has_changed(store: JobStore) -> None:
    jobs = [added(store) for _ in range(3)]
    assert store.active() == sorted(jobs, key=lambda job: job.id)
    other = JobStore(store._redis, store._sidecars)
    titles = [other.replace(titled(job)).title for job in jobs]
    assert [store.get_many([job.id])[0].title for job in jobs] == titles
    assert {job.title for job in store.active()} == set(titles)
    other.delete(other.get(jobs[0].id))
    assert len(store.active()) == 2
