"""Each end of an attempt is told once, whoever dies in between and whoever looks twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import redis as redis_client

from gateway.jobs.models import Job, Stage, Verdict
from gateway.jobs.store import JobStore
from gateway.notifications.ends import Ends
from gateway.notifications.models import Delivery, Notification
from gateway.notifications.store import KEPT, NotificationStore
from gateway.sidecars import Sidecars
from scheduler.base import JobState
from tests.jobs.making import make_attempt, make_job


class Killed(BaseException):
    """The process ends here, as ``kill -9`` would end it."""


class Desk:
    """A store of jobs and one of notifications, and reconcilers that come and go."""

    def __init__(self, client: redis_client.Redis, folder: Path) -> None:
        self.client = client
        self.jobs = JobStore(client, Sidecars(folder))
        self.store = NotificationStore(client)
        self.ends = self.another()

    def another(self) -> Ends:
        """Start a reconciler that remembers nothing."""
        return Ends(self.store, self.jobs)

    def round(self) -> None:
        self.ends.see(self.jobs.active())
        self.ends.tell()

    def accept(self, **changes: object) -> Job:
        job = make_job(**changes)
        self.jobs.add(job)
        return job

    def end(self, job: Job, state: JobState = JobState.COMPLETED) -> Job:
        verdict = Verdict(code="converged", text="It converged.")
        return self.jobs.replace(
            self.jobs.get(job.id).with_attempt(state=state, collected=True, verdict=verdict)
        )

    def told(self, user: str = "ada") -> list[tuple[str, int, str]]:
        """List what a user was told, oldest first."""
        shown = reversed(self.store.newest(user, None, KEPT))
        return [
            (s.notification.job, s.notification.attempt, s.notification.state.value) for s in shown
        ]


@pytest.fixture
def desk(redis: redis_client.Redis, tmp_path: Path) -> Desk:
    return Desk(redis, tmp_path)


def test_an_end_is_told_once_to_its_owner_however_often_one_looks(desk: Desk) -> None:
    job, running = desk.accept(), desk.accept(owner="bob")
    desk.round()
    assert desk.told() == []
    desk.end(job)
    for _ in range(3):
        desk.round()
    desk.ends = desk.another()
    desk.round()
    assert desk.told() == [(job.id, 1, "COMPLETED")]
    assert desk.told("bob") == []
    assert desk.store.watched() == {f"{running.id}:1"}
    assert desk.store.unread("ada") == 1


@pytest.mark.parametrize("dies", ["before", "after"])
def test_a_kill_around_the_telling_neither_loses_nor_doubles_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    job = desk.accept()
    desk.round()
    desk.end(job)
    real = NotificationStore.tell

    def killed(self: NotificationStore, *args: object) -> bool:
        if dies == "after":
            real(self, *args)  # type: ignore[arg-type]  # what it was called with
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(NotificationStore, "tell", killed)
        with pytest.raises(Killed):
            desk.round()
    desk.ends = desk.another()
    desk.round()
    assert desk.told() == [(job.id, 1, "COMPLETED")]


def test_a_job_that_ends_in_the_round_that_first_sees_it_is_told_by_the_next_process(
    desk: Desk,
) -> None:
    job = desk.accept()
    desk.round()  # then this very round ends it, and the process is killed
    desk.end(job, JobState.FAILED)
    desk.ends = desk.another()
    desk.round()
    assert desk.told() == [(job.id, 1, "FAILED")]


def test_a_final_job_that_was_not_let_go_of_is_told_before_it_is(
    desk: Desk, redis: redis_client.Redis
) -> None:
    job = desk.accept()
    desk.end(job)
    redis.sadd("jobs:active", job.id)  # killed between the record and the end of its sidecar
    for _ in range(2):
        desk.round()
    assert desk.told() == [(job.id, 1, "COMPLETED")]


def test_each_attempt_is_told_also_when_the_next_one_has_begun(desk: Desk) -> None:
    job = desk.accept()
    desk.round()
    ended = desk.end(job, JobState.TIMEOUT)
    desk.jobs.replace(replace(ended, attempts=(*ended.attempts, make_attempt(number=2))))
    desk.round()
    assert desk.told() == [(job.id, 1, "TIMEOUT")]
    desk.end(job)
    desk.round()
    assert desk.told() == [(job.id, 1, "TIMEOUT"), (job.id, 2, "COMPLETED")]


def test_a_slow_second_reconciler_tells_nothing_again(desk: Desk) -> None:
    job = desk.accept()
    slow, seen = desk.another(), desk.jobs.active()
    desk.round()
    desk.end(job)
    desk.round()
    slow.see(seen)  # it had read before the end, and writes down after it was told
    slow.tell()
    slow.see(desk.jobs.active())
    slow.tell()
    assert desk.told() == [(job.id, 1, "COMPLETED")]
    assert desk.store.watched() == set()


def test_a_deleted_job_is_forgotten_and_only_the_last_are_kept(desk: Desk) -> None:
    gone = desk.accept()
    jobs = [desk.accept() for _ in range(KEPT + 5)]
    desk.round()
    desk.jobs.delete(desk.end(gone))
    for job in jobs:
        desk.end(job)
    desk.round()
    told = desk.told()
    assert len(told) == KEPT == desk.store.unread("ada")
    assert {name for name, _, _ in told} < {job.id for job in jobs}
    assert desk.store.watched() == set()


def test_a_job_that_will_not_start_is_told_once_for_each_reason(desk: Desk) -> None:
    job = desk.accept(stage=Stage.SUBMITTED, reason="Priority")

    def now_says(reason: str) -> None:
        desk.jobs.replace(desk.jobs.get(job.id).with_attempt(reason=reason))
        desk.round()
        desk.round()
        desk.ends = desk.another()
        desk.round()

    now_says("Resources")
    assert desk.told() == []
    now_says("PartitionDown")
    now_says("Priority")
    now_says("PartitionDown")  # once more down: it was told
    assert desk.told() == [(job.id, 1, "PENDING")]
    now_says("PartitionTimeLimit")
    told = desk.store.newest("ada", None, KEPT)[0].notification
    assert told.text == (
        "It can never start: it asks for more time than the partition allows. Ask for less time."
    )
    assert told.event == "job.stuck"
    desk.end(job)
    desk.round()  # what was said of its waiting does not keep its end from being told
    assert [state for _, _, state in desk.told()] == ["PENDING", "PENDING", "COMPLETED"]


def waiting(desk: Desk, reason: str, count: int = 1, **changes: object) -> list[Job]:
    return [desk.accept(stage=Stage.SUBMITTED, reason=reason, **changes) for _ in range(count)]


def test_other_machines_of_the_same_reason_are_no_other_reason(desk: Desk) -> None:
    (job,) = waiting(desk, "ReqNodeNotAvail,_UnavailableNodes:n1")
    desk.round()
    for reason in (
        "ReqNodeNotAvail,_UnavailableNodes:n[1-2]",
        "ReqNodeNotAvail, UnavailableNodes:n3",
        "ReqNodeNotAvail",
    ):
        desk.jobs.replace(desk.jobs.get(job.id).with_attempt(reason=reason))
        desk.round()
        desk.ends = desk.another()
        desk.round()
    assert desk.told() == [(job.id, 1, "PENDING")]


def test_many_jobs_that_wait_for_the_same_are_one_message_to_each_user(desk: Desk) -> None:
    jobs = waiting(desk, "PartitionDown", 300)
    other = waiting(desk, "PartitionTimeLimit")
    bobs = waiting(desk, "PartitionDown", 2, owner="bob")
    sent: list[Notification] = []

    def messages(told: Notification) -> Sequence[Delivery]:
        sent.append(told)
        return ()

    desk.ends = Ends(desk.store, desk.jobs, messages)
    for _ in range(2):
        desk.round()
    ids = sorted(job.id for job in jobs)
    found = {(told.user, told.job): told for told in sent}
    assert len(sent) == 3 == len(found)
    told = found["ada", ids[0]]
    assert (told.others, list(told.also)) == (299, ids[1:10])
    assert told.text.endswith(" The same holds for 299 more jobs of yours.")
    assert (found["ada", other[0].id].others, found["ada", other[0].id].also) == (0, ())
    assert "more job" not in found["ada", other[0].id].text
    first, second = sorted(job.id for job in bobs)
    assert found["bob", first].also == (second,)
    assert found["bob", first].text.endswith(" The same holds for 1 more job of yours.")
    assert len(desk.told()) == 2 == desk.store.unread("ada")

    more = waiting(desk, "PartitionDown")
    desk.ends = desk.another()  # which knows only what the store does
    desk.round()
    assert [job for job, _, _ in desk.told()][2:] == [more[0].id]


def test_what_another_process_told_meanwhile_is_told_neither_again_nor_never(desk: Desk) -> None:
    told, untold = sorted(waiting(desk, "PartitionDown", 2), key=lambda job: job.id)
    quick = desk.another()

    class Race(NotificationStore):
        """The other process tells of one job just before this one writes."""

        def tell(
            self,
            member: str,
            notification: Notification,
            messages: Sequence[Delivery] = (),
            also: Sequence[str] = (),
        ) -> bool:
            quick.see([told])
            quick.tell()
            return super().tell(member, notification, messages, also)

    slow = Ends(Race(desk.client), desk.jobs)
    for _ in range(3):
        slow.see(desk.jobs.active())
        slow.tell()
    assert desk.told() == [(told.id, 1, "PENDING"), (untold.id, 1, "PENDING")]
