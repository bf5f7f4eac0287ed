"""Hundreds of jobs go in several calls: while Slurm takes some, others are written down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from gateway.jobs.care import Care
from gateway.jobs.handover import HandOver
from gateway.jobs.models import Job, Stage, Tracking, Wish
from gateway.jobs.room import Rooms
from scheduler.base import (
    Launch,
    Refused,
    SchedulerUnavailableError,
    Submission,
    Submitted,
    Uncertain,
)
from tests.helpers import eventually
from tests.jobs.making import make_job
from tests.jobs.test_rounds import Site, make_site

PART = 3
JOBS = 8
Answer = Callable[[list[str]], list[Submission]]


class Taker:
    """A cluster that takes jobs, with a word to say while it does."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.calls: list[list[str]] = []

    def submit(self, launches: Sequence[Launch]) -> list[Submission]:
        markers = [launch.marker for launch in launches]
        self.calls.append(markers)
        return self.answer(markers)


def taken(markers: list[str]) -> list[Submission]:
    return [Submitted(native_id=marker[-4:]) for marker in markers]


@pytest.fixture
def site(redis: redis_client.Redis, tmp_path: Path) -> Site:
    scheduler: Any = Taker(taken)
    return make_site(redis, tmp_path, scheduler)


@pytest.fixture
def jobs(site: Site) -> list[Job]:
    made = [make_job(stage=Stage.STAGED) for _ in range(JOBS)]
    for job in made:
        site.store.add(job)
    return made


def hand_over(
    site: Site, jobs: Sequence[Job], answer: Answer = taken, rooms: Rooms | None = None
) -> Taker:
    taker = Taker(answer)
    scheduler: Any = taker
    rooms = rooms or Rooms(lambda _: 0.0)
    hand = HandOver(site.store, site.blobs, Care(site.store), rooms, PART)
    hand._staged |= {job.marker for job in jobs}
    hand.submit(scheduler, {job.id: 1 for job in jobs}, jobs)
    return taker


def stages(site: Site, jobs: Sequence[Job]) -> list[Stage]:
    return [site.store.get(job.id).attempt.stage for job in jobs]


def test_each_job_is_called_for_once_and_in_order(site: Site, jobs: list[Job]) -> None:
    taker = hand_over(site, jobs)
    assert [len(call) for call in taker.calls] == [3, 3, 2]
    assert [marker for call in taker.calls for marker in call] == [job.marker for job in jobs]
    assert stages(site, jobs) == [Stage.SUBMITTED] * JOBS
    assert [site.store.get(job.id).attempt.native_id for job in jobs] == [
        job.marker[-4:] for job in jobs
    ]


def test_no_job_is_called_for_before_its_try_is_written(site: Site, jobs: list[Job]) -> None:
    by_marker = {job.marker: job for job in jobs}

    def answer(markers: list[str]) -> list[Submission]:
        for marker in markers:
            attempt = site.store.get(by_marker[marker].id).attempt
            assert (attempt.stage, attempt.try_number) == (Stage.UNCERTAIN, 1)
        return taken(markers)

    hand_over(site, jobs, answer)
    assert stages(site, jobs) == [Stage.SUBMITTED] * JOBS


def test_the_neighbours_of_a_call_are_written_down_while_it_lasts(
    site: Site, jobs: list[Job]
) -> None:
    first, second, third = jobs[:3], jobs[3:6], jobs[6:]

    def answer(markers: list[str]) -> list[Submission]:
        if markers[0] == second[0].marker:
            done = [Stage.SUBMITTED] * 3, [Stage.UNCERTAIN] * 2
            eventually(lambda: (stages(site, first), stages(site, third)) == done)
        return taken(markers)

    taker = hand_over(site, jobs, answer)
    assert len(taker.calls) == 3


@pytest.mark.parametrize(
    ("unclear", "left"),
    [
        (Uncertain(text="the line was cut"), Stage.UNCERTAIN),
        (Uncertain(text="not begun: no route to host", begun=False), Stage.STAGED),
    ],
)
def test_after_an_unclear_outcome_nothing_else_is_called_for(
    site: Site, jobs: list[Job], unclear: Uncertain, left: Stage
) -> None:
    taker = hand_over(site, jobs, lambda markers: [*taken(markers[:-1]), unclear])
    assert len(taker.calls) == 1
    assert stages(site, jobs) == [Stage.SUBMITTED] * 2 + [left] + [Stage.STAGED] * 5
    for job in jobs[3:]:
        # A try that nobody called for is as good as new, and nobody is told of a trouble.
        attempt = site.store.get(job.id).attempt
        assert (attempt.try_number, attempt.error) == (0, "")
        assert attempt.tracking is Tracking.FRESH

    again = [site.store.get(job.id) for job in jobs[3:]]
    assert [len(call) for call in hand_over(site, again).calls] == [3, 2]
    assert stages(site, again) == [Stage.SUBMITTED] * 5


def test_a_full_cluster_is_asked_again_after_one_pause_and_not_for_each_part(
    site: Site, jobs: list[Job]
) -> None:
    rooms = Rooms(lambda _: 20.0, clock=lambda: 0.0, jitter=lambda: 0.5)

    def answer(markers: list[str]) -> list[Submission]:
        full = Refused(text="QOSMaxSubmitJobPerUserLimit", for_now=True)
        return [*taken(markers[:1]), *[full for _ in markers[1:]]]

    assert len(hand_over(site, jobs, answer, rooms).calls) == 1
    assert [room.pause_s for room in rooms._rooms.values()] == [20.0]
    assert [site.store.get(job.id).attempt.try_number for job in jobs[3:]] == [0] * 5


def test_what_a_call_has_told_is_written_though_the_store_was_away_for_a_moment(
    site: Site, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    write, away = site.store.replace, threading.Event()

    def blip(job: Job, **others: Any) -> Job:
        if job.id == jobs[0].id and job.attempt.stage is Stage.SUBMITTED and not away.is_set():
            away.set()
            raise redis_client.ConnectionError("refused")
        return write(job, **others)

    monkeypatch.setattr(site.store, "replace", blip)
    with pytest.raises(redis_client.ConnectionError):
        hand_over(site, jobs)
    assert stages(site, jobs[3:6]) == [Stage.SUBMITTED] * 3, "they were being called for"
    assert stages(site, jobs[6:]) == [Stage.STAGED] * 2


def test_a_try_is_taken_back_though_its_job_was_changed_meanwhile(
    site: Site, jobs: list[Job]
) -> None:
    other = jobs[4]

    def answer(markers: list[str]) -> list[Submission]:
        eventually(lambda: site.store.get(other.id).attempt.stage is Stage.UNCERTAIN)
        site.store.change(other.id, lambda found: replace(found, wish=Wish.CANCEL))
        return [Uncertain(text="the line was cut") for _ in markers]

    hand_over(site, jobs, answer)
    found = site.store.get(other.id)
    assert (found.attempt.stage, found.attempt.try_number) == (Stage.STAGED, 0)
    assert found.wish is Wish.CANCEL


def test_what_is_refused_holds_up_nobody_else(site: Site, jobs: list[Job]) -> None:
    bad = jobs[0].marker

    def answer(markers: list[str]) -> list[Submission]:
        no: Submission = Refused(text="invalid partition")
        return [
            no if marker == bad else one
            for marker, one in zip(markers, taken(markers), strict=True)
        ]

    assert len(hand_over(site, jobs, answer).calls) == 3
    assert stages(site, jobs[1:]) == [Stage.SUBMITTED] * 7
    assert site.store.get(jobs[0].id).final


def test_a_cluster_that_goes_away_leaves_the_next_as_they_were(site: Site, jobs: list[Job]) -> None:
    def answer(markers: list[str]) -> list[Submission]:
        if markers[0] == jobs[3].marker:
            raise SchedulerUnavailableError("no route to host")
        return taken(markers)

    with pytest.raises(SchedulerUnavailableError, match="no route"):
        hand_over(site, jobs, answer)
    assert stages(site, jobs) == (
        [Stage.SUBMITTED] * 3 + [Stage.UNCERTAIN] * 3 + [Stage.STAGED] * 2
    )
    assert [site.store.get(job.id).attempt.try_number for job in jobs[6:]] == [0, 0]


def test_a_job_that_changes_between_its_try_and_its_call_is_still_called_for_once(
    site: Site, jobs: list[Job]
) -> None:
    """A wish that comes while others are called for waits in the record for the next round."""
    wished = threading.Event()

    def answer(markers: list[str]) -> list[Submission]:
        if markers[0] == jobs[0].marker:
            last = jobs[3].id
            eventually(lambda: site.store.get(last).attempt.stage is Stage.UNCERTAIN)
            site.store.change(last, lambda found: found.with_attempt(error="seen meanwhile"))
            wished.set()
        return taken(markers)

    taker = hand_over(site, jobs, answer)
    assert wished.is_set()
    called = [marker for call in taker.calls for marker in call]
    assert sorted(called) == sorted(job.marker for job in jobs)
    assert site.store.get(jobs[3].id).attempt.error == "seen meanwhile"
    assert site.store.get(jobs[3].id).attempt.stage is Stage.UNCERTAIN, "found in the next round"
