"""What nothing names goes, and nothing else: whoever puts, kills or loses the store meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread

import pytest
import redis as redis_client

from gateway.datasets.blobs import BlobStore
from gateway.datasets.garbage import REPORT, Garbage, read_report
from gateway.datasets.models import Dataset, FileRef
from gateway.datasets.store import DatasetStore
from gateway.errors import NotFoundError
from gateway.jobs.models import Job, Plan, PlannedFile
from gateway.jobs.plan import keep_plan
from gateway.jobs.store import JobStore
from gateway.problems.store import ProblemStore
from gateway.sidecars import Sidecars
from tests.jobs.making import THEN, make_job, make_problem

ROOT = Path(__file__).resolve().parents[2]
UNUSED_S = 3600.0
OLD = time.time() - 2 * UNUSED_S


@dataclass
class Site:
    """The rooms that name contents."""

    redis: redis_client.Redis
    folder: Path
    _garbage: Garbage | None = field(default=None)

    @property
    def blobs(self) -> BlobStore:
        return BlobStore(self.folder / "blobs")

    @property
    def datasets(self) -> DatasetStore:
        return DatasetStore(self.redis, Sidecars(self.folder / "sidecars" / "datasets"))

    @property
    def problems(self) -> ProblemStore:
        return ProblemStore(self.redis, Sidecars(self.folder / "sidecars" / "problems"))

    @property
    def jobs(self) -> JobStore:
        return JobStore(self.redis, Sidecars(self.folder / "sidecars" / "jobs"))

    @property
    def garbage(self) -> Garbage:
        """The sweeper of one worker's life."""
        if self._garbage is None:
            texts = [self.datasets.texts, self.problems.texts, self.jobs.texts]
            self._garbage = Garbage(
                self.blobs,
                self.datasets,
                texts,
                self.folder / REPORT,
                unused_s=UNUSED_S,
                every_s=0,
            )
        return self._garbage

    def sweep(self, times: int = 2) -> None:
        for _ in range(times):
            for _ in self.garbage.sweep():
                pass

    def old(self, text: str) -> str:
        """Have a content that nobody wanted for long; answer its digest."""
        digest = self.blobs.put(text.encode()).digest
        self.age(digest)
        return digest

    def age(self, digest: str) -> None:
        os.utime(self.blobs.path(digest), (OLD, OLD))

    def upload(self, owner: str, text: str) -> str:
        """Have an old upload of a user."""
        digest = self.old(text)
        self.datasets.add_file(owner, FileRef(path="a.dat", digest=digest, size=len(text)))
        entry = json.dumps({"path": "a.dat", "size": len(text), "t": OLD})
        self.redis.hset(f"file:{owner}", digest, entry)
        return digest

    def job(self, **files: str) -> Job:
        """Have a job whose plan, as old as its files, names them."""
        table = tuple(PlannedFile(path=path, digest=digest) for path, digest in files.items())
        plan = keep_plan(Plan(script="#!/bin/sh\n", job={}, files=table), self.blobs)
        self.age(plan)
        job = make_job(plan=plan)
        self.jobs.add(job)
        return job


@pytest.fixture
def site(redis: redis_client.Redis, tmp_path: Path) -> Site:
    return Site(redis, tmp_path)


def test_what_nothing_names_is_removed_by_the_second_look(site: Site) -> None:
    digest = site.old("unwanted")
    site.sweep(1)
    assert site.blobs.has(digest)
    site.sweep(1)
    assert not site.blobs.has(digest)
    report = read_report(site.folder / REPORT)
    assert report is not None
    assert (report.removed, report.removed_bytes, report.kept) == (1, len("unwanted"), 0)


def test_everything_that_a_record_names_stays(site: Site) -> None:
    problem, kept = make_problem(**{"model.py": site.old("first")})
    site.problems.put(problem, kept)
    bundle = replace(kept.bundle, files={"model.py": site.old("second")})
    uploaded = {"script": {"files": [{"digest": site.old("raw"), "name": "raw.py"}]}}
    second = replace(kept.version, number=2, document=uploaded)
    site.problems.put(
        replace(problem, version=2), replace(kept, version=second, bundle=bundle), replaces=1
    )
    job = site.job(data=site.old("planned"))
    later = replace(job.attempt, number=2, plan=site.job(data=site.old("again")).attempt.plan)
    site.jobs.replace(replace(job, attempts=(*job.attempts, later)))
    results = FileRef(path="out/a", digest=site.old("result"), size=6)
    site.datasets.add(make_dataset(results))
    before = contents(site)
    assert len(before) == 8

    site.sweep(3)

    assert contents(site) == before


def test_what_was_wanted_lately_stays_without_a_name(site: Site) -> None:
    young = site.blobs.put(b"just uploaded").digest
    wanted = site.old("wanted again")
    site.sweep(1)
    site.blobs.put(b"wanted again")
    site.sweep(3)
    assert {young, wanted} <= contents(site)


def test_what_loses_its_last_name_goes(site: Site) -> None:
    shared, own = site.old("shared"), site.old("own")
    problem, kept = make_problem(a=shared, b=own)
    other, copy = make_problem(a=shared)
    site.problems.put(problem, kept)
    site.problems.put(other, copy)
    job = site.job(data=own)
    site.sweep()
    assert {shared, own} <= contents(site)

    site.problems.delete(problem)
    site.sweep()
    assert {shared, own} <= contents(site)
    site.jobs.delete(job)
    site.sweep()
    assert contents(site) == {shared}


def test_a_store_that_was_lost_costs_no_content(site: Site) -> None:
    problem, kept = make_problem(a=site.old("named"))
    site.problems.put(problem, kept)
    site.job(data=site.old("planned"))
    site.datasets.add(make_dataset(FileRef(path="a", digest=site.old("result"), size=6)))
    before = contents(site)
    site.redis.flushall()
    site.sweep(3)
    assert contents(site) == before


def test_a_record_without_its_file_protects_as_well(site: Site) -> None:
    problem, kept = make_problem(a=site.old("named"))
    site.problems.put(problem, kept)
    site.job(data=site.old("planned"))
    site.datasets.add(make_dataset(FileRef(path="a", digest=site.old("result"), size=6)))
    before = contents(site)
    for path in (site.folder / "sidecars").glob("*/*/*.json"):
        path.unlink()
    site.sweep(3)
    assert contents(site) == before


def test_a_record_that_cannot_be_read_stops_the_look(site: Site) -> None:
    problem, kept = make_problem(a=site.old("named"))
    site.problems.put(problem, kept)
    site.redis.flushall()
    path = next((site.folder / "sidecars").glob("problems/*/*.json"))
    path.rename(path.with_suffix(".hidden"))
    path.mkdir()  # as a disk does that answers with an error
    for _ in range(3):
        with pytest.raises(OSError, match="directory"):
            site.garbage.step(60)
    assert len(contents(site)) == 1


def test_an_upload_is_forgotten_for_who_does_not_use_it(site: Site) -> None:
    digest = site.upload("ada", "data")
    site.upload("bob", "data")
    unused = site.upload("bob", "unused")
    problem, kept = make_problem(a=digest)
    site.problems.put(problem, kept)
    site.sweep()

    assert contents(site) == {digest}
    assert site.datasets.file("ada", digest) is not None
    assert site.datasets.file("bob", digest) is None
    assert site.datasets.file("bob", unused) is None


def test_an_upload_that_came_again_is_not_forgotten(site: Site) -> None:
    digest = site.upload("ada", "data")
    site.sweep(1)
    ref = FileRef(path="a.dat", digest=site.blobs.put(b"data").digest, size=4)
    site.datasets.add_file("ada", ref)
    assert not site.datasets.forget_file("ada", digest, OLD + 1)
    site.sweep(3)
    assert site.datasets.file("ada", digest) == ref
    assert contents(site) == {digest}


def test_half_an_upload_of_yesterday_goes_and_one_of_today_stays(site: Site) -> None:
    for name, moment in (("a", OLD - 24 * 3600), ("b", time.time())):
        path = site.folder / "blobs" / f".{name}.part"
        site.blobs.put(b"")
        path.write_bytes(b"half")
        os.utime(path, (moment, moment))
    site.sweep(1)
    assert [path.name for path in (site.folder / "blobs").glob(".*.part")] == [".b.part"]


def test_a_step_holds_up_nobody_and_the_next_one_goes_on(site: Site) -> None:
    digests = [site.old(str(number)) for number in range(300)]
    for _ in range(5_000):
        site.garbage.step(0)
        if not site.blobs.has(digests[0]):
            break
    began = time.thread_time()
    site.garbage.step(0)
    assert time.thread_time() - began < 0.5
    for _ in range(5_000):
        site.garbage.step(0)
    assert contents(site) == set()


_HELD_UP = """
import sys, time
from pathlib import Path
from gateway.datasets.blobs import BlobStore

folder, digest, deed = sys.argv[1:]
blobs = BlobStore(Path(folder))
real = {"utime": __import__("os").utime, "unlink": Path.unlink}


def pause():
    print("paused", flush=True)
    sys.stdin.readline()


def utime(*args):
    pause()
    real["utime"](*args)


def unlink(self):
    pause()
    real["unlink"](self)


if deed == "keep":
    __import__("os").utime = utime
    print(blobs.keep(digest))
else:
    Path.unlink = unlink
    print(blobs.remove_unwanted(digest, time.time()))
"""


@contextmanager
def held_up(site: Site, digest: str, deed: str) -> Iterator[subprocess.Popen[str]]:
    """Have another process hold a content, and hold it up in the middle; it says how that went."""
    other = subprocess.Popen(
        [sys.executable, "-c", _HELD_UP, str(site.folder / "blobs"), digest, deed],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "paused\n"
        yield other
    finally:
        other.kill()
        other.communicate()


def test_what_somebody_hands_out_just_now_is_not_removed_under_it(site: Site) -> None:
    digest = site.old("wanted")
    with held_up(site, digest, "keep") as other:
        assert site.blobs.remove_unwanted(digest, time.time()) is None
        assert other.communicate("\n", timeout=20)[0] == "True\n"
    assert site.blobs.has(digest)
    assert site.blobs.remove_unwanted(digest, OLD + 1) is None


def test_what_is_put_while_it_is_removed_is_there_afterwards(site: Site) -> None:
    digest = site.old("wanted")
    with held_up(site, digest, "remove") as other:
        putter = Thread(target=lambda: site.blobs.put(b"wanted"))
        putter.start()
        putter.join(timeout=0.2)
        assert putter.is_alive(), "it was handed out, and is about to be removed"
        assert other.communicate("\n", timeout=20)[0] == "6\n"
        putter.join(timeout=20)
    assert site.blobs.read(digest) == b"wanted"


def test_a_process_that_is_killed_in_the_middle_holds_nobody_up(site: Site) -> None:
    digest = site.old("wanted")
    with held_up(site, digest, "remove") as other:
        other.kill()
        other.wait()
        assert site.blobs.keep(digest)


_SWEEPER = """
import sys
from pathlib import Path
import redis
from tests.datasets.test_garbage import Site
client = redis.Redis(unix_socket_path=sys.argv[1], decode_responses=True)
Site(client, Path(sys.argv[2])).sweep()
"""


def sweeper(socket: Path, folder: Path, crash_at: str = "") -> int:
    """Sweep in a process of its own that may be killed; answer how it ended."""
    return subprocess.run(
        [sys.executable, "-c", _SWEEPER, str(socket), str(folder)],
        cwd=ROOT,
        env={**os.environ, "GATEWAY_CRASH_AT": crash_at},
        check=False,
    ).returncode


def test_a_kill_in_the_middle_leaves_all_that_is_named_and_the_rest_goes_later(
    site: Site, redis_server: Path
) -> None:
    for number in range(5):
        site.upload("ada", f"unwanted {number}")
    job = site.job(data=site.old("planned"))
    named = {job.attempt.plan, hashlib.sha256(b"planned").hexdigest()}
    for left in (4, 3):
        assert sweeper(redis_server, site.folder, "sweep-content-removed") == 137
        assert len(contents(site) - named) == left
        assert named <= contents(site)
    assert sweeper(redis_server, site.folder) == 0
    assert contents(site) == named
    assert list(site.datasets.uploads()) == []


def contents(site: Site) -> set[str]:
    return {path.name for folder in site.blobs.folders() for path in folder.iterdir()}


def make_dataset(*files: FileRef) -> Dataset:
    return Dataset(id="J1-1", owner="ada", type="fit-result", created=THEN, files=files)


def test_what_is_no_digest_is_never_removed(site: Site) -> None:
    stranger = site.folder / "blobs" / "ab" / "notes.txt"
    stranger.parent.mkdir(parents=True)
    stranger.write_text("mine")
    os.utime(stranger, (0, 0))
    site.sweep(3)
    assert stranger.exists()
    with pytest.raises(NotFoundError):
        site.blobs.path("../../etc/passwd")
    assert not site.blobs.keep("../../etc/passwd")
