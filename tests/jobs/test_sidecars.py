"""Beside the store lies the newest version of each record; and none of one that was deleted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import redis as redis_client

from gateway.errors import NoSpaceError
from gateway.jobs import parsed
from gateway.jobs.models import Job
from gateway.jobs.store import JobStore, StaleError
from gateway.problems.store import ProblemStore
from gateway.records import to_document
from gateway.sidecars import Sidecars
from tests.helpers import eventually
from tests.jobs.making import make_job, make_problem

ROOT = Path(__file__).resolve().parents[2]
_WRITER = """
import sys
from dataclasses import replace
from pathlib import Path
import redis
from gateway.jobs.store import JobStore
from gateway.sidecars import Sidecars, Unfinished
from tests.jobs.making import make_job

socket, root, job_id, deed = sys.argv[1:]
keep = Unfinished.keep


def keep_late(self):
    print("paused", flush=True)
    sys.stdin.readline()
    keep(self)


Unfinished.keep = keep_late
client = redis.Redis(unix_socket_path=socket, decode_responses=True)
store = JobStore(client, Sidecars(Path(root)))
if deed == "add":
    store.add(make_job(id=job_id))
else:
    store.change(job_id, lambda job: replace(job, title=deed))
"""
_RACER = """
import sys
from dataclasses import replace
from pathlib import Path
import redis
from gateway.errors import NotFoundError
from gateway.jobs.store import JobStore, StaleError
from gateway.sidecars import Sidecars

socket, root, name, *ids = sys.argv[1:]
client = redis.Redis(unix_socket_path=socket, decode_responses=True)
store = JobStore(client, Sidecars(Path(root)))
sys.stdin.readline()
for turn in range(40):
    for job_id in ids:
        try:
            store.change(job_id, lambda job: replace(job, title=f"{name} {turn}"))
        except (StaleError, NotFoundError):
            continue
"""


@pytest.fixture
def sidecars(tmp_path: Path) -> Sidecars:
    return Sidecars(tmp_path / "sidecars")


@pytest.fixture
def store(redis: redis_client.Redis, sidecars: Sidecars) -> JobStore:
    return JobStore(redis, sidecars)


def added(store: JobStore) -> Job:
    job = store.add(make_job())
    assert isinstance(job, Job)
    return job


def process(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a script of this file in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextmanager
def held_up(socket: Path, root: Path, id: str, deed: str) -> Iterator[None]:
    """Have another process change the store, and hold it up before its file."""
    writer = process(_WRITER, socket, root, id, deed)
    assert writer.stdin is not None
    assert writer.stdout is not None
    try:
        assert writer.stdout.readline() == "paused\n"
        yield
        writer.stdin.write("\n")
        writer.stdin.flush()
        assert writer.wait(timeout=20) == 0
    finally:
        writer.kill()
        writer.wait()
        writer.stdin.close()
        writer.stdout.close()


def files_of(sidecars: Path) -> list[str]:
    return sorted(path.name for path in sidecars.glob("*/*"))


def test_a_version_that_is_written_late_counts_for_nothing(
    tmp_path: Path, redis_server: Path, store: JobStore, sidecars: Sidecars
) -> None:
    job = added(store)
    with held_up(redis_server, tmp_path / "sidecars", job.id, "early"):
        newest = store.change(job.id, lambda found: replace(found, title="late"))
        assert newest.version == 2
    assert sidecars.read(job.id) == to_document(newest)
    assert files_of(tmp_path / "sidecars") == [f"{job.id}.2.json"]


def test_what_is_written_of_a_deleted_job_does_not_bring_it_back(
    tmp_path: Path, redis_server: Path, store: JobStore, sidecars: Sidecars
) -> None:
    job = added(store)
    with held_up(redis_server, tmp_path / "sidecars", job.id, "early"):
        store.delete(store.get(job.id))
    assert sidecars.read(job.id) is None
    assert files_of(tmp_path / "sidecars") == [f"{job.id}.deleted.json"]


def test_a_job_that_is_deleted_before_its_first_file_stays_deleted(
    tmp_path: Path, redis_server: Path, store: JobStore, sidecars: Sidecars
) -> None:
    job = make_job()
    with held_up(redis_server, tmp_path / "sidecars", job.id, "add"):
        store.delete(store.get(job.id))
    assert sidecars.read(job.id) is None
    assert [name for name, _ in sidecars] == []
    assert [name for name, _ in sidecars.buried()] == [job.id]


def test_two_processes_that_change_the_same_jobs_leave_the_newest_of_each(
    tmp_path: Path, redis_server: Path, store: JobStore, sidecars: Sidecars
) -> None:
    ids = [added(store).id for _ in range(4)]
    deleted = added(store).id
    racers = [process(_RACER, redis_server, tmp_path / "sidecars", name, *ids, deleted)
              for name in ("one", "other")]  # fmt: skip
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    eventually(lambda: store.get(deleted).version > 10, every_s=0.001, what="the race")
    eventually(lambda: deleted_now(store, deleted), every_s=0, what="its deletion in between")
    for racer in racers:
        racer.communicate(timeout=30)
        assert racer.returncode == 0
    for each in ids:
        assert sidecars.read(each) == to_document(store.get(each))
    wanted = [f"{each}.{store.get(each).version}.json" for each in ids]
    assert files_of(tmp_path / "sidecars") == sorted([*wanted, f"{deleted}.deleted.json"])


def deleted_now(store: JobStore, id: str) -> bool:
    """Try to delete a job that others change all the time."""
    try:
        store.delete(store.get(id))
    except StaleError:
        return False
    return True


def test_a_writer_that_was_killed_leaves_an_old_file_that_counts_for_nothing(
    tmp_path: Path, store: JobStore, sidecars: Sidecars
) -> None:
    job = added(store)
    place = tmp_path / "sidecars" / job.id[-2:]
    newest = store.change(job.id, lambda found: replace(found, title="new"))
    (place / f"{job.id}.0.json").write_text("{}")
    (place / f".{job.id}.9.json.abcd.part").write_text("{")
    (place / f".{job.id}.8.json.abcd.part").write_text("{")
    os.utime(place / f".{job.id}.9.json.abcd.part", (0, 0))
    assert sidecars.read(job.id) == to_document(newest)
    assert [document["title"] for _, document in sidecars] == ["new"]
    assert not (place / f"{job.id}.0.json").exists()
    being_written = f".{job.id}.8.json.abcd.part"
    assert files_of(tmp_path / "sidecars") == [being_written, f"{job.id}.1.json"]


def test_a_change_that_fits_no_disk_changes_nothing(
    store: JobStore, sidecars: Sidecars, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = added(store)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(NoSpaceError, match="takes no more"):
        store.change(job.id, lambda found: replace(found, title="new"))
    with pytest.raises(NoSpaceError):
        store.add(make_job())
    monkeypatch.undo()
    assert store.get(job.id) == job
    assert sidecars.read(job.id) == to_document(job)
    assert store.count("ada") == 1


def test_a_problem_that_was_changed_twice_keeps_its_newest_words(
    redis: redis_client.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecars = Sidecars(tmp_path)
    problems = ProblemStore(redis, sidecars)
    problem, kept = make_problem()
    problems.put(problem, kept)
    write = Sidecars.write

    def overtaken(self: Sidecars, id: str, version: int, document: dict[str, object]) -> None:
        monkeypatch.setattr(Sidecars, "write", write)
        problems.describe(replace(problem, name="newest"))
        write(self, id, version, document)

    monkeypatch.setattr(Sidecars, "write", overtaken)
    problems.describe(replace(problem, name="older"))
    found = sidecars.read(problem.id)
    assert found is not None
    assert found["problem"]["name"] == problems.get(problem.id).name == "newest"


def test_a_problem_that_was_deleted_meanwhile_does_not_come_back(
    redis: redis_client.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sidecars = Sidecars(tmp_path)
    problems = ProblemStore(redis, sidecars)
    problem, kept = make_problem()
    problems.put(problem, kept)
    write = Sidecars.write

    def overtaken(self: Sidecars, id: str, version: int, document: dict[str, object]) -> None:
        problems.delete(problem)
        write(self, id, version, document)

    monkeypatch.setattr(Sidecars, "write", overtaken)
    problems.describe(replace(problem, name="older"))
    assert sidecars.read(problem.id) is None
    assert list(sidecars) == []


def test_a_live_record_is_sent_and_parsed_once_while_it_stays_the_same(
    redis: redis_client.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round reads all live jobs twice, and a store that lost its last writes is no exception."""
    read: list[str] = []
    parse = parsed._parsed

    def noted(job_id: str, text: str, observed: str | None) -> tuple[Job, Job]:
        read.append(job_id)
        return parse(job_id, text, observed)

    monkeypatch.setattr(parsed, "_parsed", noted)
    store = JobStore(redis, Sidecars(tmp_path / "sidecars"))
    first, second = (make_job(title="as made") for _ in range(2))
    for job in (first, second):
        store.add(job)

    assert {job.id for job in store.active()} == {first.id, second.id}
    assert sorted(read) == sorted([first.id, second.id])
    read.clear()
    assert store.get_many([second.id, "none"])[0].title == "as made"
    store.seen([store.active()[0]])
    assert len(store.active()) == 2
    assert not read, "nothing was sent again"

    changed = store.change(second.id, lambda job: replace(job, title="changed"))
    read.clear()
    assert {job.title for job in store.active()} == {"as made", "changed"}
    assert read == [second.id]

    redis.delete(f"job:{second.id}", "jobs:of:ada")
    assert [job.id for job in store.active()] == [first.id]
    store.restore(replace(changed, title="another of this version"))
    assert {job.title for job in store.active()} == {"as made", "another of this version"}
    redis.hdel(f"job:{first.id}", "mark")  # as a release left it that knew none
    read.clear()
    assert len(store.active()) == len(store.active()) == 2
    assert read == [first.id]
