"""Who is turned away for now: seldom tried, by one of many, and never as often as asked."""

from __future__ import annotations

from gateway.jobs.models import Job
from gateway.jobs.room import Rooms
from scheduler.base import Refused, Submission, Submitted
from tests.jobs.making import make_job

FULL: Submission = Refused(text="AssocMaxSubmitJobLimit", for_now=True)


class Cluster:
    """So much room, and whoever submits to it by its rooms."""

    def __init__(self, room: int = 0) -> None:
        self.moment = 0.0
        self.room = room
        self.calls = 0
        self.rooms = Rooms(lambda _: 10.0, clock=lambda: self.moment, jitter=lambda: 0.5)

    def go(self, jobs: list[Job], seconds: float) -> list[Job]:
        """Do a round each second; answer those that still wait."""
        until = self.moment + seconds
        while self.moment < until:
            going = self.rooms.admit(jobs)
            some = [job for job in jobs if job.id in going]
            results: dict[str, Submission] = {}
            for job in some:
                self.calls += 1
                taken = self.room > 0
                self.room -= taken
                results[job.id] = Submitted(native_id="1") if taken else FULL
            self.rooms.learn(some, results)
            jobs = [job for job in jobs if not isinstance(results.get(job.id), Submitted)]
            self.moment += 1
        return jobs


def test_nobody_waits_where_nobody_was_turned_away() -> None:
    cluster = Cluster(room=500)
    assert cluster.go([make_job() for _ in range(300)], 1) == []


def test_of_those_turned_away_one_tries_after_pauses_that_grow_to_a_bound() -> None:
    cluster = Cluster()
    waiting = [make_job() for _ in range(100)]
    cluster.go(waiting, 1)
    assert cluster.calls == 100
    cluster.go(waiting, 3600)
    # At 10, 20, 40, 80 and then every 160 s.
    assert 20 < cluster.calls - 100 < 30


def test_room_is_filled_step_by_step() -> None:
    cluster = Cluster()
    waiting = cluster.go([make_job() for _ in range(100)], 20)
    cluster.room, cluster.calls = 60, 0
    assert len(cluster.go(waiting, 300)) == 40
    assert cluster.calls < 120


def test_a_worker_started_again_lets_one_of_those_turned_away_try() -> None:
    cluster = Cluster()
    cluster.go([make_job(turned_away=3) for _ in range(100)], 5)
    assert cluster.calls == 1


def test_a_limit_of_one_account_or_qos_holds_up_no_other() -> None:
    cluster = Cluster()
    full = [make_job(resources={"qos": "tiny"}) for _ in range(2)]
    cluster.go(full, 1)
    cluster.room = 1
    assert cluster.go([make_job(resources={"qos": "normal"}), full[0]], 1) == [full[0]]
