"""Core-hours are summed up as jobs end: once for each attempt, and on the days on which it ran."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import redis as redis_client

from gateway.jobs.models import Job, Stage
from gateway.jobs.spent import Spent, by_day
from gateway.jobs.store import JobStore
from gateway.sidecars import Sidecars
from scheduler.base import JobState
from tests.jobs.making import make_attempt, make_job

EVENING = datetime(2026, 3, 10, 23, tzinfo=UTC)
DAYS = [date(2026, 3, 10), date(2026, 3, 11)]


@pytest.fixture
def store(redis: redis_client.Redis, tmp_path: Path) -> JobStore:
    return JobStore(redis, Sidecars(tmp_path / "sidecars"))


def running(**changes: object) -> Job:
    return make_job(
        stage=Stage.SUBMITTED, state=JobState.RUNNING, started=EVENING, proposal="hp",
        resources={"cpus_per_task": 2}, **changes,
    )  # fmt: skip


def ended(job: Job, hours: float) -> Job:
    end = EVENING + timedelta(hours=hours)
    return job.with_attempt(state=JobState.TIMEOUT, collected=True, ended=end)


def used(redis: redis_client.Redis) -> tuple[list[float], float]:
    """Say what ada used on each of two days, and the proposal in all."""
    spent = Spent(redis)
    days = [round(spent.of_users(["ada"], [day])["ada"], 6) for day in DAYS]
    return days, round(spent.of_proposals(["hp"])["hp"], 6)


def test_an_attempt_counts_once_whatever_is_changed_afterwards(
    store: JobStore, redis: redis_client.Redis
) -> None:
    store.add(running())
    job = store.active()[0]
    assert used(redis) == ([0, 0], 0), "what runs is counted where it is looked at"
    done = store.replace(ended(job, 3))
    assert used(redis) == ([2, 4], 6), "one hour before midnight, two after, on two processors"
    store.settle(done)
    store.change(job.id, lambda one: replace(one, title="another"))
    assert used(redis) == ([2, 4], 6)
    store.delete(store.get(job.id))
    assert used(redis) == ([2, 4], 6), "deleting gives no hours back"


def test_a_further_attempt_counts_beside_the_first(
    store: JobStore, redis: redis_client.Redis
) -> None:
    first = ended(running(), 1)
    second = replace(running().attempt, number=2, proposal="", state=JobState.RUNNING)
    store.add(replace(first, attempts=(first.attempt, second)))
    job = store.active()[0]
    store.replace(ended(job, 1))
    assert used(redis) == ([4, 0], 2), "the first was let go of by nobody, and is not lost"


def test_a_lost_store_counts_again_what_its_files_say(
    store: JobStore, redis: redis_client.Redis
) -> None:
    store.add(running())
    done = store.replace(ended(store.active()[0], 3))
    redis.flushall()
    assert store.restore(done)
    assert used(redis) == ([2, 4], 6)
    assert not store.restore(done)
    assert used(redis) == ([2, 4], 6)
    assert not store.active()


def test_sums_of_days_go_and_those_of_proposals_stay(
    store: JobStore, redis: redis_client.Redis
) -> None:
    store.add(running())
    store.replace(ended(store.active()[0], 1))
    assert 0 < int(redis.ttl("spent:2026-03-10")) <= 62 * 86_400
    assert redis.ttl("spent:proposals") == -1


def test_hours_go_to_the_days_on_which_they_were_used() -> None:
    long = make_attempt(started=EVENING, ended=EVENING + timedelta(hours=50))
    assert {str(day): core_s / 3600 for day, core_s in by_day(long).items()} == {
        "2026-03-10": 1, "2026-03-11": 24, "2026-03-12": 24, "2026-03-13": 1,
    }  # fmt: skip
    whole = make_attempt(started=EVENING, ended=EVENING + timedelta(hours=1))
    assert list(by_day(whole)) == [DAYS[0]], "midnight itself is the next day, with nothing in it"
    odd = make_attempt(started=EVENING, ended=EVENING, elapsed_s=7200.0)
    assert by_day(odd) == {DAYS[0]: 7200}, "an end that is no later, of tasks that ran all the same"
    assert by_day(make_attempt(ended=EVENING)) == {}, "what never ran used nothing"
