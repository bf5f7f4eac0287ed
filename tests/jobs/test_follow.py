"""Many jobs that run are followed with few exchanges."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pytest
import redis as redis_client

from gateway.jobs.follow import Follower, ReadAlready, Running
from gateway.jobs.live_store import LiveStore
from gateway.jobs.log_folder import LogFolder
from gateway.jobs.models import Job
from scheduler.base import READ_MANY_BYTES, Reading
from scheduler.here import FilesHere
from tests.jobs.making import make_job

JOBS = 150


class Line(FilesHere):
    """Files of a cluster, and a count of the exchanges that reading them took."""

    def __init__(self) -> None:
        self.exchanges = 0

    def read(
        self, directory: PurePosixPath, path: str, offset: int, limit_bytes: int
    ) -> bytes | None:
        self.exchanges += 1
        return super().read(directory, path, offset, limit_bytes)

    def read_many(self, wanted: Sequence[Reading]) -> dict[Reading, bytes | None]:
        self.exchanges += 1
        return super().read_many(wanted)


@pytest.fixture
def live(redis: redis_client.Redis) -> LiveStore:
    return LiveStore(redis, 600)


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def follower(live: LiveStore, tmp_path: Path) -> Follower:
    return Follower(live, LogFolder(tmp_path / "logs", 1 << 20))


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    made = []
    for number in range(JOBS):
        directory = tmp_path / str(number)
        directory.mkdir()
        made.append(make_job(directory=str(directory)))
    return made


def tell(job: Job, step: int) -> None:
    event = {"t": float(step), "event": "step", "element": 0, "step": step}
    with (Path(job.attempt.directory) / "events.0.jsonl").open("a") as stream:
        stream.write(json.dumps(event) + "\n")


def follow_all(follower: Follower, line: Line, jobs: Sequence[Job]) -> int:
    """Follow as the reconciler does; answer how many exchanges that took."""
    before = line.exchanges
    looks = follower.look([Running(job=job, running=[0], ended=[]) for job in jobs])
    found = line.read_many([reading for look in looks for reading in look.readings()])
    for look in looks:
        follower.follow(ReadAlready(found=found, rest=line), look)
    return line.exchanges - before


def test_one_exchange_brings_the_news_of_all(
    follower: Follower, live: LiveStore, line: Line, jobs: list[Job]
) -> None:
    for step in (1, 2):
        for job in jobs:
            tell(job, step)
            (Path(job.attempt.directory) / "stdout.0.txt").write_text("printed\n" * step)
        assert follow_all(follower, line, jobs) == 1
        steps = [live.progress(job.id) for job in jobs]
        assert [found.step if found else None for found in steps] == [step] * JOBS
    assert follow_all(follower, line, jobs) == 1, "nothing new costs no more"


def test_who_prints_very_much_is_read_alone_and_nothing_is_lost(
    follower: Follower, live: LiveStore, line: Line, jobs: list[Job]
) -> None:
    many = (READ_MANY_BYTES >> 18) + 2
    for job in jobs[:many]:
        (Path(job.attempt.directory) / "stdout.0.txt").write_bytes(b"x" * (1 << 18))
    tell(jobs[-1], 7)
    assert follow_all(follower, line, jobs) > 1
    progress = live.progress(jobs[-1].id)
    assert progress is not None
    assert progress.step == 7
    for job in jobs[:many]:
        assert live.followed(job.id) == {"1/stdout.0.txt": 1 << 18}


def test_what_one_job_put_in_the_way_holds_up_no_other(
    follower: Follower, live: LiveStore, line: Line, jobs: list[Job]
) -> None:
    (Path(jobs[0].attempt.directory) / "events.0.jsonl").mkdir()
    (Path(jobs[1].attempt.directory) / "events.0.jsonl").symlink_to("/etc/passwd")
    Path(jobs[2].attempt.directory).rmdir()
    for job in jobs[3:]:
        tell(job, 1)
    assert follow_all(follower, line, jobs) == 1
    assert [live.progress(job.id) for job in jobs[:3]] == [None] * 3
    assert all(live.progress(job.id) for job in jobs[3:])
