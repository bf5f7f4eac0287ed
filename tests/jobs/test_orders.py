"""What users wish of jobs at their cluster: told in one call for all, and soon."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from gateway.jobs.care import Care
from gateway.jobs.handover import HandOver
from gateway.jobs.inquiry import Inquiry
from gateway.jobs.models import Job, Stage, Wish
from gateway.jobs.places import place_of
from gateway.jobs.room import Rooms
from gateway.records import now
from gateway.settings import load_settings
from scheduler.base import (
    JobReport,
    JobState,
    Launch,
    SchedulerError,
    SchedulerUnavailableError,
    Submission,
    Submitted,
    Uncertain,
)
from tests.jobs.making import make_job
from tests.jobs.test_rounds import Site, make_site, quick

REAL = {"look_s": 15.0, "look_most_s": 120.0, "follow_s": 3600.0, "calls_per_minute": 6}


@dataclass
class Controller:
    """A cluster that counts its calls as Slurm's commands would, and has no files."""

    states_of: dict[str, JobReport] = field(default_factory=dict)
    told: list[tuple[str, ...]] = field(default_factory=list)
    refuses: str = ""
    calls: int = 0

    @property
    def questions(self) -> int:
        return self.calls

    def states(self, native_ids: Sequence[str]) -> dict[str, list[JobReport]]:
        self.told.append(("squeue",))
        self.calls += 1
        return {one: [self.states_of[one]] for one in native_ids if one in self.states_of}

    def cancel(self, native_ids: Sequence[str]) -> None:
        self._tell("scancel", native_ids)

    def signal(self, native_ids: Sequence[str], name: str) -> None:
        self._tell(name, native_ids)

    def _tell(self, word: str, native_ids: Sequence[str]) -> None:
        self.told.append((word, *native_ids))
        self.calls += 1
        if self.refuses in native_ids:
            raise SchedulerError("Access/permission denied")

    def read_many(self, _wanted: object) -> dict[object, bytes | None]:
        return {}

    def read(self, *_: object) -> None:
        return None

    def orders(self) -> list[tuple[str, ...]]:
        """List what was told, without the questions; forget it."""
        found = [one for one in self.told if one != ("squeue",)]
        self.told.clear()
        return found


@pytest.fixture
def controller() -> Controller:
    return Controller()


@pytest.fixture
def site(redis: redis_client.Redis, tmp_path: Path, controller: Controller) -> Site:
    scheduler: Any = controller
    return make_site(redis, tmp_path, scheduler, **REAL)


def there(site: Site, controller: Controller, *ids: str, **changes: Any) -> list[Job]:
    """Have jobs that run at the cluster."""
    jobs = [make_job(stage=Stage.SUBMITTED, native_id=one, **changes) for one in ids]
    for job, one in zip(jobs, ids, strict=True):
        site.store.add(job)
        controller.states_of[one] = JobReport(
            native_id=one, task=None, marker=job.marker, state=JobState.RUNNING, raw_state="RUNNING"
        )
    return jobs


def wish(site: Site, jobs: Sequence[Job], wanted: Wish) -> None:
    for job in jobs:
        site.store.change(job.id, lambda found: replace(found, wish=wanted))


def soon(site: Site) -> None:
    """Do the rounds of the next second."""
    for _ in range(2):
        site.reconciler.round()
        time.sleep(0.35)
    site.reconciler.round()


EIGHT = [str(number) for number in range(11, 19)]


def test_eight_cancels_of_one_user_cost_one_call_and_do_not_hold_up_anothers(
    site: Site, controller: Controller
) -> None:
    """At the pace of a real site: that was nine calls, and a minute for whoever came next."""
    many = there(site, controller, *EIGHT)
    (other,) = there(site, controller, "20", owner="bea")
    site.reconciler.round()
    wish(site, many, Wish.CANCEL)
    soon(site)
    assert {tuple(sorted(told)) for told in controller.orders()} == {(*EIGHT, "scancel")}
    while controller.calls < 12:  # whatever the calls of this minute were for
        controller.states([])
    controller.told.clear()
    wish(site, [other], Wish.CANCEL)
    before = controller.calls
    soon(site)
    told = {one for order in controller.orders() for one in order}
    assert told == {*EIGHT, "20", "scancel"}
    assert controller.calls - before == 2, "one question and one order"


def test_a_cancel_in_vain_asks_no_more_than_once_past_the_ceiling(
    site: Site, controller: Controller
) -> None:
    (job,) = there(site, controller, "7")
    site.reconciler.round()
    controller.calls += 6
    wish(site, [job], Wish.CANCEL)
    soon(site)
    assert controller.orders() == [("scancel", "7")]
    soon(site)
    assert controller.told == []


def test_an_id_that_is_another_jobs_by_now_is_never_cancelled(
    site: Site, controller: Controller
) -> None:
    (job,) = there(site, controller, "7")
    controller.states_of["7"] = replace(controller.states_of["7"], marker="gw-other-1")
    wish(site, [job], Wish.CANCEL)
    soon(site)
    assert controller.orders() == []


def test_who_is_in_the_way_of_an_order_is_told_and_the_others_go_on(
    site: Site, controller: Controller
) -> None:
    jobs = there(site, controller, *EIGHT)
    controller.refuses = "13"
    wish(site, jobs, Wish.CANCEL)
    site.reconciler.round()
    alone = [order for order in controller.orders() if "13" not in order]
    assert {one for order in alone for one in order} == {"scancel", *EIGHT} - {"13"}
    errors = {job.attempt.native_id: job.attempt.error for job in site.store.active()}
    assert {one for one, error in errors.items() if "denied" in error} == {"13"}


def test_what_waits_beside_what_runs_is_told_to_stop_now_and_then_only(
    site: Site, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    (job,) = there(site, controller, "7")
    running = controller.states_of["7"]
    boots = replace(running, task=1, state=JobState.PENDING, raw_state="CONFIGURING")
    rows = {"7": [replace(running, task=0), boots]}
    monkeypatch.setattr(controller, "states", lambda _ids: rows)
    wish(site, [job], Wish.STOP)
    soon(site)
    soon(site)
    assert controller.orders() == [("USR1", "7")]
    long_ago = now() - timedelta(seconds=31)
    site.store.change(job.id, lambda found: found.with_attempt(stop_sent=long_ago))
    time.sleep(0.4)
    soon(site)
    assert controller.orders() == [("USR1", "7")]


def test_an_upload_that_never_gets_through_keeps_nobody_elses_job_from_its_end(
    site: Site, controller: Controller, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages: list[str] = []

    def stalls(*_: object) -> None:
        stages.append("stage")
        raise SchedulerUnavailableError("hpc: it did not take all that was sent")

    monkeypatch.setattr(Controller, "stage", stalls, raising=False)
    site.store.add(site.planned())
    (job,) = there(site, controller, "7")
    wish(site, [job], Wish.CANCEL)
    soon(site)
    assert len(stages) >= 2, "it is tried again in each round"
    assert ("scancel", "7") in controller.orders()


def test_many_are_stopped_in_one_call_and_one_that_is_requeued_is_told_again(
    site: Site, controller: Controller
) -> None:
    jobs = there(site, controller, *EIGHT)
    wish(site, jobs, Wish.STOP)
    site.reconciler.round()
    (order,) = controller.orders()
    assert sorted(order) == [*EIGHT, "USR1"]
    assert all(job.attempt.stop_sent for job in site.store.active())
    soon(site)
    assert controller.orders() == [], "told once"

    controller.states_of["13"] = replace(controller.states_of["13"], restarts=1)
    wish(site, jobs[:1], Wish.CANCEL)  # so that it is asked
    soon(site)
    assert ("USR1", "13") in (told := controller.orders())
    assert told.count(("USR1", "13")) == 1


def test_a_wish_lets_one_question_go_past_the_ceiling_and_an_order_takes_none_of_it() -> None:
    settings = quick(load_settings({"HOME": "/nonexistent"}, with_secret=False), **REAL)
    scheduler: Any = Controller()
    inquiry, job = Inquiry(settings), make_job(stage=Stage.SUBMITTED, native_id="7")
    place = place_of(job)
    assert inquiry.ask(place, scheduler, [job]) == {}
    scheduler.calls += 6
    unwanted = replace(job, wish=Wish.CANCEL)
    assert inquiry.ask(place, scheduler, [unwanted]) is None, "others may wish the same"
    time.sleep(0.35)
    assert inquiry.ask(place, scheduler, [unwanted]) == {}
    time.sleep(1.05)
    assert inquiry.ask(place, scheduler, [unwanted]) is None, "once"

    inquiry = Inquiry(settings)
    assert inquiry.ask(place, scheduler, [job]) == {}
    with inquiry.ordering(place, scheduler):
        scheduler.calls += 6
    inquiry.expect_an_end(job)
    time.sleep(0.35)
    assert inquiry.ask(place, scheduler, [job]) == {}


def test_what_a_failed_call_may_have_submitted_is_never_taken_for_not_begun(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first call may have come as far as sbatch; the second finds nobody to ask."""
    jobs = [make_job(stage=Stage.STAGED) for _ in range(3)]
    for job in jobs:
        site.store.add(job)
    told: list[Submission] = [Submitted(native_id="7"), Uncertain(text="no line", begun=False)]
    calls: list[int] = []

    def submit(launches: Sequence[Launch]) -> list[Submission]:
        calls.append(len(launches))
        if len(calls) == 1:
            raise ValueError("an answer that nobody foresaw")
        return [told[min(len(calls), 3) - 2] for _ in launches]

    scheduler: Any = site.scheduler
    monkeypatch.setattr(scheduler, "submit", submit, raising=False)
    hand_over = HandOver(site.store, site.blobs, Care(site.store), Rooms(lambda _: 0.0), 100)
    monkeypatch.setattr(hand_over, "_with_directory", lambda _, jobs: jobs)
    hand_over.submit(scheduler, {job.id: 1 for job in jobs}, jobs)
    assert calls == [3, 1, 2]
    found = [site.store.get(job.id).attempt for job in jobs]
    assert [(one.stage, one.try_number) for one in found] == [
        (Stage.SUBMITTED, 1),
        (Stage.UNCERTAIN, 1),
        (Stage.UNCERTAIN, 1),
    ]

    site.store.add(fresh := make_job(stage=Stage.STAGED))
    hand_over.submit(scheduler, {fresh.id: 1}, [fresh])
    back = site.store.get(fresh.id).attempt
    assert (back.stage, back.try_number) == (Stage.STAGED, 0), "said of the first call"
